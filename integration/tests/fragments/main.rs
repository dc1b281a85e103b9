//! Large messages and distribution headers, with a real BEAM node at the other end.

mod hostile;
mod order;
mod support;

use anyhow::{Result, ensure};
use dist::etf::{Atom, Term, term};
use integration::{World, name_of};

use support::{MIXES, echo, start_echo};

/// Around the length of one fragment, and far beyond.
const SIZES: [usize; 9] = [0, 1, 1000, 65_400, 65_536, 65_600, 131_072, 1 << 20, 5 << 20];

#[tokio::test]
async fn binaries_of_every_size_go_both_ways_whatever_is_negotiated() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    start_echo(&beam).await?;
    for withheld in MIXES {
        let node = world.node("rust")?.withhold(withheld).start().await?;
        let mut process = node.process()?;
        for size in SIZES {
            let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let got = echo(&mut process, &name_of(&beam)?, Term::from(&bytes[..])).await?;
            ensure!(got == Term::from(&bytes[..]), "{size} bytes without {withheld}");
        }
        let counts = node.counts();
        assert_eq!((counts.links, counts.fragment_bytes), (1, 0), "without {withheld}");
    }
    Ok(())
}

/// More atoms than a header has entries and than a cache has slots; structure around and across cuts.
#[tokio::test]
async fn terms_of_many_atoms_go_both_ways_whatever_is_negotiated() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    start_echo(&beam).await?;
    for withheld in MIXES {
        let node = world.node("rust")?.withhold(withheld).start().await?;
        let mut process = node.process()?;
        for count in [0, 1, 2, 3, 254, 255, 256, 3000, 20_000] {
            let items = (0..count).map(|n| {
                let long = if n % 7 == 0 { "é".repeat(200) } else { String::new() };
                let atom = Term::Atom(Atom::new(format!("atom_{}{long}", n % 3000)).unwrap());
                term!({(atom.clone()), n, [(atom), "text" | ok]})
            });
            let term = Term::List(items.collect());
            let got = echo(&mut process, &name_of(&beam)?, term.clone()).await?;
            ensure!(got == term, "{count} tuples without {withheld}");
        }
        assert_eq!(node.counts().links, 1, "without {withheld}");
    }
    Ok(())
}

#[tokio::test]
async fn two_hundred_megabytes_go_both_ways() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    start_echo(&beam).await?;
    let node = world.node("rust")?.start().await?;
    let mut process = node.process()?;
    let bytes: Vec<u8> = (0..200_usize << 20).map(|at| (at % 251) as u8).collect();
    let term = Term::from(&bytes[..]);
    let got = echo(&mut process, &name_of(&beam)?, term.clone()).await?;
    assert!(got == term, "another term");
    assert_eq!(node.counts().fragment_bytes, 0);
    let read = node.link_counters(&name_of(&beam)?).unwrap().frames_read;
    assert!(read > 3000, "{read} frames: the BEAM node sent no fragments");
    Ok(())
}

/// Closures and external funs come in frames whose atoms are numbers of the header: they have to
/// mean the same in any other frame.
#[tokio::test]
async fn funs_of_a_beam_node_can_be_called_on_another() -> Result<()> {
    let world = World::new().await?;
    let (a, b) = tokio::try_join!(world.beam("a"), world.beam("b"))?;
    let node = world.node("rust")?.start().await?;
    let mut relay = node.register("relay")?;
    b.eval(
        "register(caller, spawn(fun L() -> receive {From, F, X} -> From ! F(X), L() end end)), ok",
    )
    .await?;
    let session = a.session();
    // A closure of evaluated code: its module is one that both nodes have.
    for (fun, argument, expected) in [
        (
            "fun erlang:atom_to_list/1",
            "some_atom",
            term!([115, 111, 109, 101, 95, 97, 116, 111, 109]),
        ),
        ("Known = known, fun(X) -> {Known, X, node(self())} end", "other", {
            let there = Term::Atom(Atom::new(b.name())?);
            term!({known, other, (there)})
        }),
    ] {
        session
            .eval(format!(
                "{{relay, '{}'}} ! {{(fun() -> {fun} end)(), {argument}}}, ok",
                node.name()
            ))
            .await?;
        let message = relay.recv().await.unwrap().term;
        let [fun, argument] = message.as_tuple().unwrap() else { panic!("{message}") };
        let own = relay.pid().clone();
        relay
            .send(("caller", &name_of(&b)?), term!({(own), (fun.clone()), (argument.clone())}))
            .await?;
        let got = relay.recv().await.unwrap().term;
        assert_eq!(got, expected);
    }
    Ok(())
}
