//! Links that end at a bad moment: with a peer that does not read, with calls and signals under way.

use std::time::Duration;

use anyhow::Result;
use dist::etf::{Atom, Pid, Term};
use dist::{AliasMode, Node};
use futures::FutureExt;
use integration::raw_peer::PLAIN;
use integration::{RawPeer, SOON, World, eventually};

/// Connects a peer that reads nothing, and sends to it until nothing more fits.
async fn stuck(world: &World, node: &Node) -> Result<RawPeer> {
    let peer = RawPeer::connect(node, "raw@127.0.0.1", &world.cookie, PLAIN).await?;
    let to = ("sink", &"raw@127.0.0.1".parse()?);
    let block = Term::from(&[7_u8; 1 << 20][..]);
    while let Ok(sent) =
        tokio::time::timeout(Duration::from_millis(300), node.send(to, block.clone())).await
    {
        sent?;
    }
    Ok(peer)
}

#[tokio::test]
async fn a_peer_that_does_not_read_can_be_disconnected() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let tasks = node.counts().tasks;
    let peer = stuck(&world, &node).await?;
    assert!(node.disconnect(&"raw@127.0.0.1".parse()?));
    eventually(SOON, "no task of the link", async || node.counts().tasks == tasks).await?;
    drop(peer);
    Ok(())
}

#[tokio::test]
async fn a_shutdown_leaves_no_task_behind_for_a_peer_that_does_not_read() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let peer = stuck(&world, &node).await?;
    node.shutdown(Duration::from_millis(200)).await;
    eventually(SOON, "no task", async || node.counts().tasks == 0).await?;
    drop(peer);
    Ok(())
}

#[tokio::test]
async fn events_end_with_the_node_though_its_handles_live() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let mut process = node.process()?;
    let mut events = node.events();
    node.shutdown(Duration::from_secs(1)).await;
    let end = tokio::time::timeout(SOON, async { while events.next().await.is_some() {} });
    assert!(end.await.is_ok(), "events after the end");
    assert!(node.events().next().await.is_none());
    assert!(process.recv().await.is_none());

    let node = world.node("rust")?.start().await?;
    let mut process = node.process()?;
    let mut events = node.events();
    let _peer = RawPeer::connect(&node, "raw@127.0.0.1", &world.cookie, PLAIN).await?;
    drop(node);
    let mut last = None;
    let end = tokio::time::timeout(SOON, async {
        while let Some(event) = events.next().await {
            last = Some(event);
        }
    });
    assert!(end.await.is_ok(), "events after the end");
    assert!(matches!(last, Some(dist::NodeEvent::Down { .. })), "{last:?}");
    assert!(process.recv().await.is_none());
    Ok(())
}

#[tokio::test]
async fn who_sends_right_after_a_disconnect_gets_a_new_link() -> Result<()> {
    let world = World::without_epmd()?;
    let a = world.node("a")?.start().await?;
    let b = world.node("b")?.start().await?;
    let mut mailbox = b.register("sink")?;
    for round in 0..50 {
        a.connect(b.name()).await?;
        assert!(a.disconnect(b.name()));
        a.send(("sink", b.name()), Term::Int(round)).await?;
        assert_eq!(mailbox.recv().await.unwrap().term, Term::Int(round));
    }
    Ok(())
}

#[tokio::test]
async fn a_process_that_panics_before_it_runs_leaves_nothing_behind() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let pid = node.spawn(|process| {
        assert_eq!(process.pid().creation, 0, "no process has that");
        async {}
    });
    assert!(pid.is_some_and(|pid| !node.is_alive(&pid)));
    assert_eq!(node.counts().processes, 0);
    Ok(())
}

#[tokio::test]
async fn a_link_or_a_monitor_that_is_not_waited_for_is_whole_or_not_there() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let mut peer = stuck(&world, &node).await?;
    let process = node.process()?;
    let pid = Pid { node: Atom::new("raw@127.0.0.1")?, id: 1, serial: 0, creation: 7 };
    assert!(process.monitor(&pid).now_or_never().is_none(), "the queue is full");
    assert_eq!(node.counts().relations, 0);
    let alias = process.monitor_with_alias(&pid, AliasMode::Demonitor);
    assert!(alias.now_or_never().is_none(), "the queue is full");
    assert_eq!((node.counts().relations, node.counts().aliases), (0, 0));
    assert!(process.link(&pid).now_or_never().is_none(), "the queue is full");
    assert_eq!(node.counts().relations, 1);
    // The peer hears of the link that there is, and of nothing else.
    let link = [&[112, 131, 104, 3, 97, 1][..], &[88]].concat();
    loop {
        let frame = peer.receive().await?.expect("a frame");
        if frame.len() < 1 << 20 {
            assert!(frame.starts_with(&link), "{frame:?}");
            return Ok(());
        }
    }
}
