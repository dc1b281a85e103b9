//! Links that stay up while nothing is said, and come down when nobody is there.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use dist::etf::{Term, term};
use dist::{DownReason, NodeEvent, NodeEvents};
use futures::FutureExt;
use integration::{Beam, Proxy, SOON, World, event, name_of};
use tokio::time::{interval, timeout};

/// A BEAM node closes after this much and a quarter without a byte from us.
const TICK_TIME: u32 = 2;

/// Three times what the other side would wait at most.
const LONG: Duration = Duration::from_secs(8);

/// Watches for a time in which no link may go down.
async fn nothing_goes_down(events: &mut NodeEvents, time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    let mut poll = interval(Duration::from_millis(50));
    while Instant::now() < end {
        poll.tick().await;
        while let Some(event) = events.next().now_or_never().flatten() {
            ensure!(!matches!(event, NodeEvent::Down { .. }), "{event:?}");
        }
    }
    Ok(())
}

async fn ticking(world: &World, base: &str) -> Result<Beam> {
    Beam::start(world.beam_options(base).net_ticktime(TICK_TIME)).await
}

#[tokio::test]
async fn idle_and_one_sided_links_outlive_a_short_tick_time() -> Result<()> {
    let world = World::new().await?;
    let (idle, talking, listening) = tokio::try_join!(
        ticking(&world, "idle"),
        ticking(&world, "talking"),
        ticking(&world, "listening")
    )?;
    let node = world.node("rust")?.start().await?;
    let _mailbox = node.register("sink")?;
    for beam in [&idle, &talking, &listening] {
        node.connect(&name_of(beam)?).await?;
    }
    let mut events = node.events();
    // One node streams to us and never has reason to tick.
    let stream =
        format!("spawn(fun F() -> {{sink, '{}'}} ! tick, timer:sleep(20), F() end)", node.name());
    talking.eval(stream).await?;
    // To one we stream.
    let to = name_of(&listening)?;
    let sender = tokio::spawn({
        let node = node.clone();
        async move {
            let mut poll = interval(Duration::from_millis(20));
            loop {
                poll.tick().await;
                node.send(("nobody", &to), term!(tick)).await?;
            }
            #[expect(unreachable_code, reason = "names the error's type")]
            Ok::<(), dist::SendError>(())
        }
    });
    nothing_goes_down(&mut events, LONG).await?;
    ensure!(!sender.is_finished(), "the stream broke");
    sender.abort();
    for beam in [&idle, &talking, &listening] {
        assert_eq!(beam.eval("nodes(connected)").await?, format!("['{}']", node.name()));
    }
    Ok(())
}

#[tokio::test]
async fn a_silent_but_living_peer_is_asked_and_kept() -> Result<()> {
    let world = World::new().await?;
    // It ticks every 15 s; we expect something every second.
    let beam = world.beam("calm").await?;
    let node = world.node("rust")?.tick_time(Duration::from_secs(1)).start().await?;
    node.connect(&name_of(&beam)?).await?;
    let mut events = node.events();
    nothing_goes_down(&mut events, Duration::from_secs(5)).await?;
    let counters = node.link_counters(&name_of(&beam)?).unwrap();
    assert!(counters.frames_read >= 2, "it was asked and answered: {counters:?}");
    Ok(())
}

#[tokio::test]
async fn a_frozen_peer_is_given_up() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("frozen").await?;
    let node = world.node("rust")?.tick_time(Duration::from_secs(1)).start().await?;
    node.connect(&name_of(&beam)?).await?;
    let mut events = node.events();
    beam.freeze().await?;
    let reason = event(&mut events, "down", |event| match event {
        NodeEvent::Down { reason, .. } => Some(reason),
        _ => None,
    })
    .await?;
    assert!(matches!(reason, DownReason::TickTimeout), "{reason}");
    assert_eq!(node.counts().links, 0);
    // It wakes up, notices, and is let in again.
    beam.thaw()?;
    beam.sees(node.name().as_str(), false, SOON).await?;
    assert_eq!(beam.eval(format!("net_adm:ping('{}')", node.name())).await?, "pong");
    Ok(())
}

/// While one long message is on its way, for several tick times, there are no ticks beside it: its fragments are
/// the sign of life, in both directions.
#[tokio::test]
async fn a_long_message_on_a_narrow_line_is_life_enough() -> Result<()> {
    /// Five times as long as the other side would wait.
    const BYTES: usize = 12_000_000;
    const A_SECOND: u32 = 1_000_000;
    let world = World::new().await?;
    let beam = ticking(&world, "far").await?;
    let there = name_of(&beam)?;
    let lookup =
        format!("{{port, P, _}} = erl_epmd:port_please(\"{}\", {{127,0,0,1}}), P", there.base());
    let port: u16 = beam.eval(lookup).await?.parse()?;
    let proxy = Proxy::start(([127, 0, 0, 1], port).into()).await?;
    let node = world.node("rust")?.peer_port(proxy.addr().port());
    let node = node.tick_time(Duration::from_secs(TICK_TIME.into())).start().await?;
    let mut mailbox = node.register("sink")?;
    node.connect(&there).await?;
    let mut events = node.events();
    proxy.narrow(A_SECOND);
    let start = Instant::now();
    beam.eval(format!(
        "register(sink, spawn(fun() -> receive Got -> {{sink, '{0}'}} ! {{got, erlang:md5(Got)}} end end)), \
         spawn(fun() -> {{sink, '{0}'}} ! binary:copy(<<7>>, {BYTES}) end), ok",
        node.name()
    ))
    .await?;
    let long = Term::Binary(vec![7; BYTES].into());
    node.send(("sink", &there), long.clone()).await?;
    let mut got = Vec::new();
    while got.len() < 2 {
        let message = timeout(5 * LONG, mailbox.recv()).await?.context("the mailbox was closed")?;
        got.push(message.term);
    }
    let digest = beam.eval(format!("erlang:md5(binary:copy(<<7>>, {BYTES}))")).await?;
    let [ours, theirs] = if got[0] == long { [1, 0] } else { [0, 1] };
    assert_eq!(got[theirs], long);
    assert_eq!(got[ours].to_string(), format!("{{got,{digest}}}"));
    // Or it has shown nothing.
    ensure!(start.elapsed() > LONG, "the line was not narrow");
    nothing_goes_down(&mut events, Duration::ZERO).await?;
    assert!(events.next().now_or_never().is_none());
    assert_eq!(beam.eval("nodes(connected)").await?, format!("['{}']", node.name()));
    Ok(())
}

#[tokio::test]
async fn two_idle_rust_nodes_tick_seldom() -> Result<()> {
    let world = World::without_epmd()?;
    let a = world.node("a")?.tick_time(Duration::from_secs(2)).start().await?;
    let b = world.node("b")?.tick_time(Duration::from_secs(2)).start().await?;
    a.connect(b.name()).await?;
    let mut events = a.events();
    nothing_goes_down(&mut events, LONG).await?;
    let counters = a.link_counters(b.name()).unwrap();
    // A tick is 4 bytes; one is due every half second.
    let ticks = counters.bytes_written / 4;
    assert!((4..=40).contains(&ticks), "{ticks} ticks in {LONG:?}");
    assert_eq!((counters.frames_read, counters.frames_written), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_sender_waits_for_a_peer_that_does_not_read_and_is_told_of_its_end() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("frozen").await?;
    let other = world.beam("reading").await?;
    let node = world.node("rust")?.tick_time(Duration::from_secs(4)).start().await?;
    node.connect(&name_of(&beam)?).await?;
    node.connect(&name_of(&other)?).await?;
    beam.freeze().await?;
    let name = name_of(&beam)?;
    let block = Term::Binary(vec![7; 100_000].into());
    let mut sent = 0;
    let refused = loop {
        match node.try_send(("nobody", &name), block.clone()) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        tokio::task::yield_now().await;
        ensure!(sent < 10_000, "a gigabyte was taken for a peer that does not read");
    };
    assert!(matches!(refused, dist::SendError::Busy(_)), "{refused}");
    // Only the senders to that peer wait.
    node.ping(&name_of(&other)?).await?;
    let waiting = loop {
        // The sockets may have taken some more meanwhile.
        if let Err(error) = node.send(("nobody", &name), block.clone()).await {
            break error;
        }
    };
    assert!(matches!(waiting, dist::SendError::LinkDown(_)), "{waiting}");
    beam.thaw()?;
    Ok(())
}
