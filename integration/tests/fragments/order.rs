//! The order of signals around messages in fragments, and who waits for whom.

use std::collections::HashSet;

use anyhow::{Context, Result};
use dist::etf::{Term, term};
use dist::{Exit, Limits, SendError};
use futures::future::join_all;
use integration::raw_peer::Fragments;
use integration::{Proxy, RawPeer, SOON, World, eventually, name_of};
use tokio::time::timeout;

use crate::support::{PATIENCE, echo, start_echo};

fn binary(length: usize) -> Term {
    Term::from(&vec![7; length][..])
}

/// What a process sends before and after a large message arrives before and after it, whatever it is:
/// messages to a name, a pid and an alias, and at last the news of its end.
#[tokio::test]
async fn signals_of_one_process_stay_in_order_around_a_large_message() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    node.connect(&name_of(&beam)?).await?;
    for round in 0..5 {
        let session = beam.session();
        session
            .eval(
                "Collect = fun F(0, All) -> lists:reverse(All); F(N, All) -> \
                 receive {'DOWN', _, _, _, R} -> F(N - 1, [R | All]); {A, B} when is_binary(B) -> F(N - 1, [{A, byte_size(B)} | All]); \
                 M -> F(N - 1, [M | All]) after 15000 -> {timeout, lists:reverse(All)} end end, \
                 catch unregister(collector), register(collector, self()), ok",
            )
            .await?;
        let mut process = node.process()?;
        process.register(&format!("sender{round}"))?;
        let there = name_of(&beam)?;
        session
            .eval(format!(
                "monitor(process, {{sender{round}, '{}'}}), {{sender{round}, '{}'}} ! {{self(), alias()}}, ok",
                node.name(),
                node.name()
            ))
            .await?;
        let asked = process.recv().await.context("asked")?.term;
        let [pid, alias] = asked.as_tuple().unwrap() else { panic!("{asked}") };
        let (pid, alias) = (pid.as_pid().unwrap().clone(), alias.as_reference().unwrap().clone());
        process.send(("collector", &there), term!(first)).await?;
        process.send(&pid, term!({large, (binary(3 << 20))})).await?;
        process.send(("collector", &there), term!(by_name)).await?;
        process.send(alias, term!(by_alias)).await?;
        process.send(("collector", &there), term!({larger, (binary(5 << 20))})).await?;
        process.send(&pid, term!(by_pid)).await?;
        process.stop(&Exit(term!(over)));
        let got = session.eval("Collect(7, [])").await?;
        let want = "[first,{large,3145728},by_name,by_alias,{larger,5242880},by_pid,over]";
        assert_eq!(got, want, "round {round}");
    }
    Ok(())
}

/// A cast, however large, and then a call, as one reads what one wrote.
#[tokio::test]
async fn a_call_comes_after_the_large_casts_of_its_process() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    // Answers a call with how many casts came before it.
    beam.eval(
        "Count = fun F(N) -> receive {'$gen_cast', _} -> F(N + 1); \
         {'$gen_call', From, _} -> gen_server:reply(From, N), F(N) end end, \
         register(counter, spawn(fun() -> Count(0) end))",
    )
    .await?;
    let counter = ("counter", &name_of(&beam)?);
    let process = node.process()?;
    for casts in 1..10 {
        process.cast(counter, binary(2 << 20)).await?;
        let counted = if casts % 2 == 0 {
            process.call(counter, term!(count), Some(SOON)).await?
        } else {
            Term::Int(process.call_as(counter, &"count", Some(SOON)).await?)
        };
        assert_eq!(counted, Term::Int(casts));
    }
    Ok(())
}

#[tokio::test]
async fn large_messages_of_many_processes_arrive_whole_and_in_order_both_ways() -> Result<()> {
    const SENDERS: usize = 100;
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let there = name_of(&beam)?;
    start_echo(&beam).await?;
    node.connect(&there).await?;
    // From the BEAM: a hundred processes at once, each a large message and then a small one.
    let mut sink = node.register("sink")?;
    beam.eval(format!(
        "[spawn(fun() -> {{sink, '{0}'}} ! {{N, binary:copy(<<N:32>>, 100000)}}, {{sink, '{0}'}} ! {{N, done}} end) \
         || N <- lists:seq(1, {SENDERS})], ok",
        node.name()
    ))
    .await?;
    let mut large = [false; SENDERS + 1];
    for _ in 0..2 * SENDERS {
        let message = timeout(PATIENCE, sink.recv()).await?.context("the sink was ended")?.term;
        let [n, what] = message.as_tuple().unwrap() else { panic!("{message}") };
        let n = usize::try_from(n.as_int().unwrap())?;
        if what.is_atom("done") {
            assert!(large[n], "the small message of {n} came first");
        } else {
            let pattern = u32::try_from(n)?.to_be_bytes().repeat(100_000);
            assert!(*what == Term::from(&pattern[..]), "the message of {n} is another");
            large[n] = true;
        }
    }
    // To the BEAM and back.
    let echoes = (0..20_u8).map(|n| {
        let (node, there) = (&node, &there);
        async move {
            let mut process = node.process()?;
            let term = Term::from(&vec![n; 1 << 20][..]);
            anyhow::ensure!(echo(&mut process, there, term.clone()).await? == term, "{n}");
            Ok(())
        }
    });
    join_all(echoes).await.into_iter().collect::<Result<Vec<()>>>()?;
    assert_eq!(node.counts().fragment_bytes, 0);
    Ok(())
}

/// How the fragments of several senders alternate is to be seen by a peer that counts them.
#[tokio::test]
async fn a_small_message_waits_for_one_fragment_of_each_large_one() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let me = "raw@127.0.0.1".parse()?;
    let mut peer =
        RawPeer::connect(&node, "raw@127.0.0.1", &world.cookie, dist::Flags::OFFERED).await?;
    let processes = [node.process()?, node.process()?, node.process()?];
    let large = binary(16 << 20);
    for process in &processes {
        process.send(("sink", &me), large.clone()).await?;
    }
    let mut frames = Fragments::default();
    // Far into the large ones, which the socket's buffers do not take whole.
    for _ in 0..30 {
        frames.take(&peer.receive().await?.context("closed")?)?;
    }
    node.try_send(("sink", &me), term!(small))?;
    let mut since = 0;
    let mut most = 0;
    loop {
        let (sequence, message) = frames.take(&peer.receive().await?.context("closed")?)?;
        match message {
            Some(payload) if payload == term!(small) => break,
            _ => since += usize::from(sequence.is_some()),
        }
        most = most.max(frames.in_progress());
        assert!(since < 700, "the small message came after all");
    }
    assert_eq!(most, 3, "the large messages did not alternate");
    let mut whole = 0;
    while whole < 3 {
        if let (_, Some(payload)) = frames.take(&peer.receive().await?.context("closed")?)? {
            assert!(payload == large, "another message");
            whole += 1;
        }
    }
    Ok(())
}

#[tokio::test]
async fn senders_wait_for_a_peer_that_does_not_read_and_nobody_else_does() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    start_echo(&beam).await?;
    let mut limits = Limits::default();
    limits.long_bytes = 8 << 20;
    limits.long_bytes_of_node = 8 << 20;
    let node = world.node("rust")?.limits(limits).start().await?;
    let deaf = "raw@127.0.0.1".parse()?;
    let peer =
        RawPeer::connect(&node, "raw@127.0.0.1", &world.cookie, dist::Flags::OFFERED).await?;
    // More than sockets hold.
    let waiting = tokio::spawn({
        let (node, deaf) = (node.clone(), deaf);
        async move {
            loop {
                node.send(("sink", &deaf), binary(4 << 20)).await?;
            }
            #[expect(unreachable_code, reason = "it says what the loop fails with")]
            Ok::<(), SendError>(())
        }
    });
    let deaf = "raw@127.0.0.1".parse()?;
    eventually(SOON, "a full lane", async || {
        matches!(node.try_send(("sink", &deaf), binary(4 << 20)), Err(SendError::Busy(_)))
    })
    .await?;
    // Small ones of others still find room in the queue of that peer, and other peers notice nothing.
    node.try_send(("other", &deaf), term!(small))?;
    let mut process = node.process()?;
    let large = binary(20 << 20);
    assert!(echo(&mut process, &name_of(&beam)?, large.clone()).await? == large);
    assert!(!waiting.is_finished());
    drop(peer);
    let ended = timeout(SOON, waiting).await??;
    assert!(matches!(ended, Err(SendError::LinkDown(_) | SendError::Connect { .. })), "{ended:?}");
    Ok(())
}

#[tokio::test]
async fn a_link_lost_in_the_middle_of_a_message_gives_its_memory_back() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let sink = node.register("sink")?;
    node.connect(&name_of(&beam)?).await?;
    let there = name_of(&beam)?;
    // The node under its own weight: it is stopped while the message is on its way.
    beam.eval(format!(
        "spawn(fun() -> {{sink, '{}'}} ! binary:copy(<<7>>, 200000000) end), ok",
        node.name()
    ))
    .await?;
    eventually(SOON, "the start of the message", async || node.counts().fragment_bytes > 0).await?;
    node.disconnect(&there);
    eventually(SOON, "nothing left", async || {
        let counts = node.counts();
        counts.fragment_bytes == 0 && counts.slots == 0
    })
    .await?;
    drop(sink);
    Ok(())
}

/// While a link stands still the processes of a BEAM node that want to send pile up, and go on all at
/// once when it moves: each with a fragmented message of its own.
#[tokio::test]
async fn processes_of_a_beam_node_that_all_had_to_wait_are_read() -> Result<()> {
    const SENDERS: usize = 300;
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let port = beam
        .eval(
            "[Base, _] = string:split(atom_to_list(node()), \"@\"), \
        {port, Port, _} = erl_epmd:port_please(Base, {127, 0, 0, 1}), Port",
        )
        .await?;
    let proxy = Proxy::start(format!("127.0.0.1:{port}").parse()?).await?;
    let node = world.node("rust")?.peer_port(proxy.addr().port()).start().await?;
    let mut sink = node.register("sink")?;
    node.connect(&name_of(&beam)?).await?;
    proxy.stall();
    beam.eval(format!(
        "[spawn(fun() -> {{sink, '{0}'}} ! binary:copy(<<N:32>>, 100000) end) || N <- lists:seq(1, {SENDERS})], ok",
        node.name()
    ))
    .await?;
    // All of them have begun to send, and are held up.
    let waiting =
        "length([P || P <- processes(), process_info(P, status) =:= {status, suspended}])";
    eventually(SOON, "suspended processes", async || {
        beam.eval(waiting)
            .await
            .is_ok_and(|count| count.parse::<usize>().is_ok_and(|count| count > SENDERS / 2))
    })
    .await?;
    proxy.resume();
    let mut seen = HashSet::new();
    while seen.len() < SENDERS {
        let message = timeout(PATIENCE, sink.recv()).await?.context("the sink was ended")?.term;
        let bytes = message.as_binary().context("no binary")?;
        let number: [u8; 4] = bytes[..4].try_into()?;
        assert!(bytes.chunks(4).all(|four| four == number) && bytes.len() == 400_000);
        seen.insert(number);
    }
    assert_eq!((node.counts().links, node.counts().fragment_bytes), (1, 0));
    Ok(())
}
