//! Two nodes that connect to each other at once, and connections that one side only thinks it has.

use std::time::Duration;

use anyhow::Result;
use dist::{DownReason, NodeEvent};
use integration::raw_peer::PLAIN;
use integration::{RawPeer, SOON, World, event, eventually, name_of};

/// Enough rounds to meet every order of the two handshakes.
const ROUNDS: usize = 60;

#[tokio::test]
async fn simultaneous_connects_with_a_beam_node_leave_one_link() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let name = name_of(&beam)?;
    // One of ours has the smaller name and one the greater: each is refused in its turn.
    for base in ["a", "z"] {
        let node = world.node(base)?.start().await?;
        let us = node.name().clone();
        for round in 0..ROUNDS {
            let connect = format!(
                "net_kernel:connect_node('{us}') orelse lists:member('{us}', nodes(connected))"
            );
            let (theirs, ours) = tokio::join!(beam.eval(&connect), node.connect(&name));
            ours.map_err(|error| anyhow::anyhow!("round {round} of {us}: {error}"))?;
            // A BEAM node that is told nok says false at once and has the other link in a moment.
            theirs?;
            beam.sees(us.as_str(), true, SOON).await?;
            assert_eq!(beam.eval(format!("net_adm:ping('{us}')")).await?, "pong", "round {round}");
            node.ping(&name).await?;
            assert_eq!((node.counts().links, node.counts().slots), (1, 1), "round {round}");
            beam.eval(format!("erlang:disconnect_node('{us}')")).await?;
            eventually(SOON, "down", async || node.counts().slots == 0).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn simultaneous_connects_of_two_rust_nodes_leave_one_link() -> Result<()> {
    let world = World::without_epmd()?;
    let a = world.node("a")?.start().await?;
    let b = world.node("b")?.start().await?;
    for round in 0..ROUNDS {
        let (left, right) = tokio::join!(a.connect(b.name()), b.connect(a.name()));
        left.map_err(|error| anyhow::anyhow!("round {round}: {error}"))?;
        right.map_err(|error| anyhow::anyhow!("round {round}: {error}"))?;
        a.ping(b.name()).await?;
        b.ping(a.name()).await?;
        eventually(SOON, "one link", async || {
            (a.counts().links, a.counts().slots, b.counts().links, b.counts().slots) == (1, 1, 1, 1)
        })
        .await?;
        a.disconnect(b.name());
        eventually(SOON, "down", async || a.counts().slots + b.counts().slots == 0).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_peer_that_says_our_link_is_stale_gets_a_new_one() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let mut mailbox = node.register("linked")?;
    let mut events = node.events();
    let me = "raw@127.0.0.1";
    let mut old = RawPeer::connect(&node, me, &world.cookie, PLAIN).await?;
    link(&mut old, &node, mailbox.pid()).await?;
    eventually(SOON, "a link", async || node.counts().relations == 1).await?;
    let _new = RawPeer::connect(&node, me, &world.cookie, PLAIN).await?;
    old.closed().await?;
    // The old connection's end is told in full before the new one is there.
    let exit = mailbox.recv().await.unwrap().term;
    assert!(exit.as_tuple().unwrap()[2].is_atom("noconnection"), "{exit}");
    let mut order = Vec::new();
    while order.len() < 3 {
        let next = event(&mut events, "up, down, up", |event| match event {
            NodeEvent::Up(_) => Some("up"),
            NodeEvent::Down { reason: DownReason::Replaced, .. } => Some("replaced"),
            _ => None,
        });
        order.push(next.await?);
    }
    assert_eq!(order, ["up", "replaced", "up"]);
    assert_eq!((node.counts().links, node.counts().relations), (1, 0));
    Ok(())
}

#[tokio::test]
async fn a_link_is_not_given_up_to_somebody_without_the_cookie() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let me = "raw@127.0.0.1";
    let mut old = RawPeer::connect(&node, me, &world.cookie, PLAIN).await?;
    assert!(RawPeer::connect(&node, me, "not the cookie", PLAIN).await.is_err());
    assert!(node.is_connected(&me.parse()?));
    link(&mut old, &node, &node.self_pid().clone()).await?;
    assert!(old.receive().await?.is_some(), "the link still carries answers");
    // And the name is free for another attempt.
    RawPeer::connect(&node, me, &world.cookie, PLAIN).await?;
    Ok(())
}

#[tokio::test]
async fn a_beam_node_that_has_a_stale_link_lets_us_in_again() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let name = name_of(&beam)?;
    let node = world.node("rust")?.start().await?;
    let us = node.name().clone();
    node.connect(&name).await?;
    // The BEAM node is frozen while our side of the link goes and comes back: when it wakes up it
    // has the end of the old connection and the new one before it at once.
    for _ in 0..10 {
        beam.freeze().await?;
        node.disconnect(&name);
        eventually(SOON, "down", async || node.counts().slots == 0).await?;
        let (connected, thawed) = tokio::join!(node.connect(&name), async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            beam.thaw()
        });
        thawed?;
        connected?;
        beam.sees(us.as_str(), true, SOON).await?;
        node.ping(&name).await?;
    }
    Ok(())
}

/// Links a process of the raw peer with one of the node.
async fn link(peer: &mut RawPeer, node: &dist::Node, to: &dist::etf::Pid) -> Result<()> {
    use dist::etf::{Encoder, Term, term};
    let from = dist::etf::Pid {
        node: (&peer.established.local).into(),
        id: 1,
        serial: 0,
        creation: peer.established.local_creation,
    };
    let mut encoder = Encoder::new();
    encoder.bytes(&[112]);
    encoder.version();
    encoder.term(&term!({1, (Term::Pid(from)), (Term::Pid(to.clone()))}))?;
    assert_eq!(peer.established.peer, *node.name());
    peer.send(&encoder.finish().into_bytes()).await
}
