//! Floods of everything that a peer can send without reading an answer: it may cost that peer its link, and nobody else
//! anything. One test, for it looks at the memory of the process.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dist::etf::{Atom, Pid, Reference, Term, term};
use dist::{DownReason, Node, NodeCounts, NodeEvent};
use integration::raw_peer::{PLAIN, frame};
use integration::{RawPeer, SOON, World, event, eventually, name_of, unique};

const COUNT: u32 = 20_000;

/// What all of one flood may leave behind, and all of them together: the allocator keeps some of what is given back.
const GROWN: usize = 96 << 20;

fn pid(node: &str, id: u32, creation: u32) -> Term {
    Term::Pid(Pid { node: Atom::new(node).unwrap(), id, serial: 0, creation })
}

fn atom(text: &str) -> Term {
    Term::Atom(Atom::new(text).unwrap())
}

fn reference(node: &str, n: u32) -> Term {
    Term::Reference(Reference::new(Atom::new(node).unwrap(), 7, &[n & 0x3ffff, n, 0]).unwrap())
}

/// What the process has in memory, in bytes.
fn resident() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.split_whitespace().next().context("a number")?.parse::<usize>()? * 1024)
}

fn what_is_held(counts: &NodeCounts) -> [usize; 8] {
    let NodeCounts { links, slots, processes, aliases, relations, held, calls, .. } = *counts;
    [links, slots, processes, aliases, relations, held, calls, counts.fragment_bytes]
}

/// A frame of a peer, by the peer's name and a number.
type Flood = Box<dyn Fn(&str, u32) -> Vec<u8> + Send>;

/// What a peer can send, and how.
fn floods(node: &Node, sink: &Term) -> Vec<(&'static str, Flood)> {
    let us = node.name().as_str().to_owned();
    let creation = node.creation();
    let nothing = Term::atom("");
    let (sink, sink_2, sink_3) = (sink.clone(), sink.clone(), sink.clone());
    let dead = move |n: u32| pid(&us, 1000 + n, creation);
    let dead_2 = dead.clone();
    let us = node.name().as_str().to_owned();
    vec![
        (
            "messages to pids",
            Box::new(move |me, n| {
                let payload = term!({(Term::from(&[7_u8; 500][..])), (i64::from(n))});
                frame(&term!({22, (pid(me, n, 7)), (dead(n))}), Some(&payload))
            }),
        ),
        (
            "links of pids",
            Box::new(move |me, n| frame(&term!({1, (pid(me, n, 7)), (sink.clone())}), None)),
        ),
        (
            "links with pids",
            Box::new(move |me, n| frame(&term!({1, (pid(me, 1, 7)), (dead_2(n))}), None)),
        ),
        (
            "monitors",
            Box::new(move |me, n| {
                let control = term!({19, (pid(me, n, 7)), (sink_2.clone()), (reference(me, n))});
                frame(&control, None)
            }),
        ),
        (
            "monitors of names",
            Box::new(move |me, n| {
                let name = atom(&format!("no_such_name_{n}"));
                frame(&term!({19, (pid(me, 1, 7)), (name), (reference(me, n))}), None)
            }),
        ),
        (
            "atoms",
            Box::new(move |me, n| {
                let atoms: Term =
                    (0..20).map(|i| atom(&format!("atom_{n}_{i}_{}", "x".repeat(200)))).collect();
                let name = atom(&format!("no_such_name_{n}"));
                frame(&term!({6, (pid(me, 1, 7)), (nothing.clone()), (name)}), Some(&atoms))
            }),
        ),
        (
            "requests to spawn",
            Box::new(move |me, n| {
                let (from, to) = (pid(me, n, 7), pid(me, 1, 7));
                let control = term!({29, (reference(me, n)), (from), (to), {erlang, node, 0}, [link, monitor]});
                frame(&control, Some(&term!([])))
            }),
        ),
        (
            "exits, unlinks and demonitors of what there is not",
            Box::new(move |me, n| match n % 3 {
                0 => frame(&term!({24, (pid(me, n, 7)), (sink_3.clone())}), Some(&term!(bye))),
                1 => frame(&term!({35, (i64::from(n)), (pid(me, n, 7)), (sink_3.clone())}), None),
                _ => {
                    frame(&term!({20, (pid(me, n, 7)), (sink_3.clone()), (reference(me, n))}), None)
                }
            }),
        ),
        (
            "messages to aliases",
            Box::new(move |me, n| {
                let control = term!({33, (pid(me, n, 7)), (reference(&us, n))});
                frame(&control, Some(&term!([1, 2, 3])))
            }),
        ),
        (
            "calls of what is served",
            Box::new(move |me, n| {
                let control = term!({6, (pid(me, n, 7)), (Term::atom("")), net_kernel});
                let call = term!({(Term::atom("$gen_call")), {(pid(me, n, 7)), (reference(me, n))}, {is_auth, x}});
                frame(&control, Some(&call))
            }),
        ),
    ]
}

#[tokio::test]
async fn floods_cost_the_peer_its_link_and_nobody_else_anything() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let mut sink = node.register("sink")?;
    let beam = world.beam("n").await?;
    node.connect(&name_of(&beam)?).await?;
    let ping = format!("net_adm:ping('{}')", node.name());
    assert_eq!(beam.eval(&ping).await?, "pong");
    let before = what_is_held(&node.counts());
    let start = resident()?;

    for (what, flood) in floods(&node, &Term::Pid(sink.pid().clone())) {
        let me = format!("{}@127.0.0.1", unique("raw"));
        let mut peer = RawPeer::connect(&node, &me, &world.cookie, PLAIN).await?;
        let flooding = tokio::spawn(async move {
            for n in 0..COUNT {
                // It is closed once its answers are too many.
                if peer.send(&flood(&me, n)).await.is_err() {
                    break;
                }
            }
            peer
        });
        while !flooding.is_finished() {
            assert_eq!(beam.eval(&ping).await?, "pong", "{what}");
            node.ping(&name_of(&beam)?).await?;
        }
        drop(flooding.await?);
        eventually(SOON, &format!("nothing is left of {what}"), async || {
            // What the process was told of links that ended.
            while let Ok(Some(_)) = tokio::time::timeout(Duration::ZERO, sink.recv()).await {}
            let now = what_is_held(&node.counts());
            ensure!(now == before, "{now:?} instead of {before:?}");
            Ok(())
        })
        .await?;
        let grown = resident()?.saturating_sub(start);
        assert!(grown < GROWN, "{grown} bytes more after {what}");
    }

    // Without end, and with answers that nobody reads.
    let me = format!("{}@127.0.0.1", unique("raw"));
    let mut events = node.events();
    let mut peer = RawPeer::connect(&node, &me, &world.cookie, PLAIN).await?;
    let name = me.clone();
    let flooding = tokio::spawn(async move {
        for n in 0..u32::MAX {
            let what = atom(&format!("no_such_name_{n}_{}", "x".repeat(200)));
            let control = term!({19, (pid(&name, 1, 7)), (what), (reference(&name, n))});
            if peer.send(&frame(&control, None)).await.is_err() {
                return;
            }
        }
    });
    while !flooding.is_finished() {
        assert_eq!(beam.eval(&ping).await?, "pong");
    }
    let reason = event(&mut events, "the end of its link", |event| match event {
        NodeEvent::Down { node, reason } if node.as_str() == me => Some(reason),
        _ => None,
    })
    .await?;
    assert!(matches!(reason, DownReason::NotReading), "{reason}");
    eventually(SOON, "nothing is left", async || what_is_held(&node.counts()) == before).await?;
    assert!(resident()?.saturating_sub(start) < GROWN);
    assert_eq!(beam.eval(&ping).await?, "pong");
    Ok(())
}
