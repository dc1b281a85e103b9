//! Peers that send what no node sends: their own link pays for it, nobody else does.

use anyhow::Result;
use dist::etf::{Atom, Pid, Reference, Term, term};
use dist::{DownReason, ErpcError, Flags, NodeEvent, NodeEvents, Process, RpcError};
use integration::raw_peer::{PLAIN, frame, read};
use integration::{RawPeer, SOON, World, event, eventually, name_of, unique};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

fn pid(node: &str, id: u32, creation: u32) -> Term {
    Term::Pid(Pid { node: Atom::new(node).unwrap(), id, serial: 0, creation })
}

fn reference(node: &str, n: u32) -> Term {
    Term::Reference(Reference::new(Atom::new(node).unwrap(), 7, &[n, 0, 0]).unwrap())
}

#[tokio::test]
async fn what_is_malformed_closes_its_link_with_the_reason_and_no_other() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let _mailbox = node.register("sink")?;
    node.connect(&name_of(&beam)?).await?;
    let mut events = node.events();
    let us = node.name().as_str();
    for (what, bytes) in [
        ("a length over the limit", vec![0xff, 0xff, 0xff, 0xff]),
        ("a header that was not negotiated", vec![0, 0, 0, 3, 131, 68, 0]),
        ("an unknown first byte", vec![0, 0, 0, 1, 7]),
        ("no control message", vec![0, 0, 0, 1, 112]),
        ("a control message cut short", vec![0, 0, 0, 4, 112, 131, 104, 3]),
        ("a control message that is no tuple", vec![0, 0, 0, 4, 112, 131, 97, 1]),
        ("an operation with wrong fields", with_length(&frame(&term!({1, 2, 3}), None))),
        ("an unlink id of zero", {
            let control = term!({35, 0, (pid("x@h", 1, 7)), (pid(us, 1, node.creation()))});
            with_length(&frame(&control, None))
        }),
        ("a send without its message", {
            let control = term!({6, (pid("x@h", 1, 7)), (Term::atom("")), sink});
            with_length(&frame(&control, None))
        }),
        ("a payload without its version", {
            let control = term!({6, (pid("x@h", 1, 7)), (Term::atom("")), sink});
            let mut bytes = frame(&control, None);
            bytes.push(97);
            bytes.push(1);
            with_length(&bytes)
        }),
    ] {
        let name = format!("{}@127.0.0.1", unique("raw"));
        let mut peer = RawPeer::connect(&node, &name, &world.cookie, PLAIN).await?;
        peer.send_bytes(&bytes).await?;
        peer.closed().await?;
        let reason = event(&mut events, what, |event| match event {
            NodeEvent::Down { node, reason } if node.as_str() == name => Some(reason),
            _ => None,
        })
        .await?;
        assert!(matches!(reason, DownReason::Malformed(_)), "{what}: {reason}");
    }
    assert_eq!(beam.eval(format!("net_adm:ping('{us}')")).await?, "pong");
    assert_eq!(node.counts().links, 1);
    Ok(())
}

/// Each operation with fields that are none of its own, from too few to too many.
#[tokio::test]
async fn an_operation_with_wrong_fields_closes_its_link_and_an_unknown_one_does_not() -> Result<()>
{
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    node.connect(&name_of(&beam)?).await?;
    let before = node.counts();
    for op in 0..=40 {
        // Never given, or no longer (`dist.hrl`), or not known yet.
        let unknown = matches!(op, 0 | 5 | 9..=11 | 14 | 15 | 17 | 38..);
        for fields in [0, 1, 2, 3, 4, 5, 6, 9] {
            let name = format!("{}@127.0.0.1", unique("raw"));
            let mut peer = RawPeer::connect(&node, &name, &world.cookie, PLAIN).await?;
            let mut control = vec![Term::Int(op)];
            control.resize(1 + fields, Term::atom("x"));
            peer.send(&frame(&Term::Tuple(control), Some(&term!(payload)))).await?;
            // It is answered where there still is a link.
            let monitor = term!({19, (pid(&name, 1, 7)), nobody, (reference(&name, 1))});
            let sent = peer.send(&frame(&monitor, None)).await;
            let lives = sent.is_ok() && peer.receive().await?.is_some();
            assert_eq!(lives, unknown, "{op} with {fields} fields");
        }
    }
    assert_eq!(beam.eval(format!("net_adm:ping('{}')", node.name())).await?, "pong");
    eventually(SOON, "nothing is left", async || {
        let now = node.counts();
        (now.links, now.slots, now.tasks) == (before.links, before.slots, before.tasks)
    })
    .await
}

/// What is next in the mailbox is not received, and ends the link to the peer as malformed.
async fn costs_the_link(
    mailbox: &mut Process,
    peer: &mut RawPeer,
    events: &mut NodeEvents,
) -> Result<()> {
    tokio::select! {
        message = mailbox.recv() => panic!("{message:?}"),
        closed = peer.closed() => closed?,
    }
    let reason = event(events, "down", |event| match event {
        NodeEvent::Down { reason, .. } => Some(reason),
        _ => None,
    })
    .await?;
    assert!(matches!(reason, DownReason::Malformed(_)), "{reason}");
    Ok(())
}

#[tokio::test]
async fn a_malformed_message_costs_its_link_when_it_is_received() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let mut mailbox = node.register("sink")?;
    let mut events = node.events();
    let mut peer = RawPeer::connect(&node, "raw@127.0.0.1", &world.cookie, PLAIN).await?;
    let control = term!({6, (pid("raw@127.0.0.1", 1, 7)), (Term::atom("")), sink});
    let mut cut = frame(&control, Some(&term!([1, 2, 3])));
    cut.pop();
    peer.send(&frame(&control, Some(&term!(before)))).await?;
    peer.send(&cut).await?;
    assert_eq!(mailbox.recv().await.unwrap().term, Term::atom("before"));
    costs_the_link(&mut mailbox, &mut peer, &mut events).await?;
    Ok(())
}

/// Frames that begin alike are read together.
#[tokio::test]
async fn one_that_is_malformed_among_many_costs_the_link_too_and_none_changes_its_place()
-> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let (mut sink, mut other) = (node.register("sink")?, node.register("other")?);
    let mut events = node.events();
    let mut peer = RawPeer::connect(&node, "raw@127.0.0.1", &world.cookie, Flags::OFFERED).await?;
    let names: [&[u8]; 3] = [b"raw@127.0.0.1", b"sink", b"other"];
    let new = names
        .iter()
        .zip(0..)
        .flat_map(|(name, slot)| [&[slot, u8::try_from(name.len()).unwrap()], *name].concat());
    let new = [&[131, 68, 3, 0x88, 0x08][..], &new.collect::<Vec<u8>>()].concat();
    let known = vec![131, 68, 3, 0, 0, 0, 1, 2];
    let to = |header: &[u8], name: u8, payload: &[u8]| {
        let from = [88, 82, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7];
        let control = [&[104, 4, 97, 6], &from[..], &[82, name, 82, name]].concat();
        with_length(&[header, &control, payload].concat())
    };
    let (sink_gets, other_gets) = (|n| to(&known, 1, &[97, n]), |n| to(&known, 2, &[97, n]));
    let good: Vec<u8> = (1..100).flat_map(sink_gets).collect();
    let bytes = [
        to(&new, 1, &[97, 0]),
        other_gets(0),
        good,
        (1..5).flat_map(other_gets).collect(),
        (100..105).flat_map(sink_gets).collect(),
        // An integer without its last byte.
        to(&known, 1, &[98, 0, 0, 0]),
    ];
    peer.send_bytes(&bytes.concat()).await?;
    for (mailbox, count) in [(&mut sink, 105), (&mut other, 5)] {
        for n in 0..count {
            let message = mailbox.recv().await.unwrap();
            assert_eq!(message.term, Term::Int(n));
            assert_eq!(Term::Pid(message.from.unwrap()), pid("raw@127.0.0.1", 1, 7));
        }
    }
    costs_the_link(&mut sink, &mut peer, &mut events).await?;
    assert!(node.stats().mailboxes.iter().all(|mailbox| mailbox.messages == 0));
    Ok(())
}

#[tokio::test]
async fn what_is_unknown_or_for_nobody_is_skipped_and_counted() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let us = node.name().as_str();
    let me = "raw@127.0.0.1";
    let mut peer = RawPeer::connect(&node, me, &world.cookie, PLAIN).await?;
    let ours = |id| pid(us, id, node.creation());
    let skipped = [
        frame(&term!({38, 1, 2}), None),
        frame(&term!({ 5 }), None),
        frame(&term!({22, (pid(me, 1, 7)), (ours(99))}), Some(&term!(x))),
        frame(&term!({22, (pid(me, 1, 7)), (pid(us, 99, 1))}), Some(&term!(older))),
        frame(&term!({22, (pid(me, 1, 7)), (pid("third@h", 1, 1))}), Some(&term!(third))),
        frame(&term!({6, (pid(me, 1, 7)), (Term::atom("")), nobody}), Some(&term!(x))),
        frame(&term!({33, (pid(me, 1, 7)), (reference(us, 1))}), Some(&term!(x))),
        frame(&term!({24, (pid(me, 1, 7)), (ours(99))}), Some(&term!(bye))),
        frame(&term!({36, 5, (pid(me, 1, 7)), (ours(99))}), None),
        frame(&term!({31, (reference(us, 1)), (ours(99)), 0, noproc}), None),
        // From a process that is not the peer's, or of an older incarnation: no answer, since the
        // answer would cost the link.
        frame(&term!({1, (pid("third@h", 1, 7)), (ours(99))}), None),
        frame(&term!({1, (pid(me, 1, 6)), (ours(99))}), None),
        frame(&term!({19, (pid("third@h", 1, 7)), nobody, (reference(me, 1))}), None),
    ];
    for frame in &skipped {
        peer.send(frame).await?;
    }
    // What comes back first is the answer to this, so nothing above was answered.
    peer.send(&frame(&term!({19, (pid(me, 1, 7)), nobody, (reference(me, 2))}), None)).await?;
    let (control, payload) = read(&peer.receive().await?.unwrap())?;
    assert_eq!(control, term!({28, nobody, (pid(me, 1, 7)), (reference(me, 2))}));
    assert_eq!(payload, Some(Term::atom("noproc")));
    let counters = node.link_counters(&me.parse()?).unwrap();
    assert_eq!(counters.skipped, u64::try_from(skipped.len())?);
    Ok(())
}

#[tokio::test]
async fn links_unlinks_and_spawns_are_answered_in_the_form_the_peer_takes() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let us = node.name().as_str();
    let me = "raw@127.0.0.1";
    let full = PLAIN;
    let plain = Flags::MANDATORY.with(Flags::UNLINK_ID).with(Flags::SPAWN);
    let (mine, dead) = (pid(me, 1, 7), pid(us, 99, node.creation()));
    for (flags, exit, down) in [
        (
            full,
            (term!({24, (dead.clone()), (mine.clone())}), Some(Term::atom("noproc"))),
            (
                term!({28, (dead.clone()), (mine.clone()), (reference(me, 1))}),
                Some(Term::atom("noproc")),
            ),
        ),
        (
            plain,
            (term!({3, (dead.clone()), (mine.clone()), noproc}), None),
            (term!({21, (dead.clone()), (mine.clone()), (reference(me, 1)), noproc}), None),
        ),
    ] {
        let mut peer = RawPeer::connect(&node, me, &world.cookie, flags).await?;
        peer.send(&frame(&term!({1, (mine.clone()), (dead.clone())}), None)).await?;
        assert_eq!(read(&peer.receive().await?.unwrap())?, exit);
        peer.send(&frame(&term!({19, (mine.clone()), (dead.clone()), (reference(me, 1))}), None))
            .await?;
        assert_eq!(read(&peer.receive().await?.unwrap())?, down);
        let id = Term::from(u64::MAX);
        peer.send(&frame(&term!({35, (id.clone()), (mine.clone()), (dead.clone())}), None)).await?;
        let ack = term!({36, (id), (dead.clone()), (mine.clone())});
        assert_eq!(read(&peer.receive().await?.unwrap())?, (ack, None));
        let spawn = term!({29, (reference(me, 5)), (mine.clone()), (mine.clone()), {erlang, node, 0}, [monitor]});
        peer.send(&frame(&spawn, Some(&term!([])))).await?;
        let (reply, _) = read(&peer.receive().await?.unwrap())?;
        let spawned = reply.as_tuple().unwrap()[4].as_pid().unwrap().clone();
        assert_eq!(reply, term!({31, (reference(me, 5)), (mine.clone()), 2, (&spawned)}));
        let (end, reason) = read(&peer.receive().await?.unwrap())?;
        let fields = end.as_tuple().unwrap();
        assert_eq!(fields[1..4], [Term::Pid(spawned), mine.clone(), reference(me, 5)]);
        assert!(reason.or_else(|| fields.get(4).cloned()).unwrap().is_atom("normal"));
        drop(peer);
        eventually(SOON, "no link", async || node.counts().slots == 0).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_peer_is_sent_no_operation_that_it_does_not_know() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let me = "raw@127.0.0.1";
    let flags = PLAIN.without(Flags::ALIAS).without(Flags::SPAWN);
    let mut peer = RawPeer::connect(&node, me, &world.cookie, flags).await?;
    let alias = Reference::new(Atom::new(me)?, 7, &[1, 2, 3])?;
    // It has no aliases, so this is a message to one that is not.
    node.send(alias.clone(), term!(lost)).await?;
    node.try_send(alias, term!(lost))?;
    let refused = node.rpc(&me.parse()?, "erlang", "node", vec![], SOON).await;
    assert!(matches!(refused, Err(RpcError::Erpc(ErpcError::NotSupported))), "{refused:?}");
    node.send(("sink", &me.parse()?), term!(kept)).await?;
    let (control, payload) = read(&peer.receive().await?.unwrap())?;
    assert_eq!(control.as_tuple().unwrap()[0], Term::Int(6), "{control}");
    assert_eq!(payload, Some(term!(kept)));
    Ok(())
}

#[tokio::test]
async fn a_pid_of_an_earlier_incarnation_is_dead_and_never_linked_with() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let me = "raw@127.0.0.1";
    let mut peer = RawPeer::connect(&node, me, &world.cookie, PLAIN).await?;
    let mut process = node.process()?;
    let Term::Pid(old) = pid(me, 1, 6) else { unreachable!() };
    process.link(&old).await;
    let exit = process.recv().await.unwrap().term;
    assert_eq!(exit, term!({(Term::atom("EXIT")), (Term::Pid(old.clone())), noproc}));
    process.unlink(&old).await;
    drop(process);
    // OTP disconnects on EXIT and UNLINK_ID for such a pid.
    node.send(("sink", &me.parse()?), term!(last)).await?;
    let (control, _) = read(&peer.receive().await?.unwrap())?;
    assert_eq!(control.as_tuple().unwrap()[0], Term::Int(6), "{control}");
    Ok(())
}

#[tokio::test]
async fn a_long_reason_of_an_exit_does_not_cost_the_link() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let me = "raw@127.0.0.1";
    let mut peer = RawPeer::connect(&node, me, &world.cookie, PLAIN).await?;
    let process = node.process()?;
    let us = Term::Pid(process.pid().clone());
    peer.send(&frame(&term!({1, (pid(me, 1, 7)), (us.clone())}), None)).await?;
    peer.send(&frame(&term!({19, (pid(me, 1, 7)), (us), (reference(me, 1))}), None)).await?;
    eventually(SOON, "a link and a monitor", async || node.counts().relations == 2).await?;
    // Longer than all that may wait for a peer that does not read.
    let reason = Term::from(vec![Term::from(&[7_u8; 9 << 20][..])]);
    process.stop(&dist::Exit(reason.clone()));
    for _ in ["the monitor", "the link"] {
        let (_, payload) = read(&peer.receive().await?.expect("the link is there"))?;
        assert!(payload.as_ref() == Some(&reason), "another reason");
    }
    assert!(node.is_connected(&me.parse()?));
    Ok(())
}

#[tokio::test]
async fn a_call_with_a_tag_of_any_shape_gets_it_back() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let me = "raw@127.0.0.1";
    let mut peer = RawPeer::connect(&node, me, &world.cookie, PLAIN).await?;
    let mine = pid(me, 1, 7);
    for tag in [
        reference(me, 1),
        term!([alias | (reference(me, 1))]),
        term!([[alias | (reference(me, 1))] | (reference(me, 2))]),
        term!({(reference(me, 1)), (Term::atom("x@h"))}),
        term!([]),
        term!(#{a => 1}),
    ] {
        let control = term!({6, (mine.clone()), (Term::atom("")), net_kernel});
        let call = term!({(Term::atom("$gen_call")), {(mine.clone()), (tag.clone())}, {is_auth, (Term::atom("raw@127.0.0.1"))}});
        peer.send(&frame(&control, Some(&call))).await?;
        let (control, payload) = read(&peer.receive().await?.unwrap())?;
        assert_eq!(control.as_tuple().unwrap()[2], mine);
        assert_eq!(payload, Some(term!({(tag), yes})));
    }
    // Messages in no form that anybody sends leave the link as it is.
    for message in [
        term!(1),
        term!({(Term::atom("$gen_call")), 1, 2}),
        term!({(Term::atom("$gen_call")), {1, 2}, 3}),
        term!({}),
    ] {
        for name in ["net_kernel", "rex"] {
            let control = term!({6, (mine.clone()), (Term::atom("")), (Term::atom(name))});
            peer.send(&frame(&control, Some(&message))).await?;
        }
    }
    let control = term!({6, (mine.clone()), (Term::atom("")), rex});
    peer.send(&frame(&control, Some(&term!({(mine.clone()), features_request})))).await?;
    let (_, payload) = read(&peer.receive().await?.unwrap())?;
    let us = Term::Atom(node.name().into());
    assert_eq!(payload, Some(term!({features_reply, (us), [erpc]})));
    Ok(())
}

#[tokio::test]
async fn half_open_connections_are_bounded_and_do_not_keep_others_out() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let beam = world.beam("n").await?;
    let addr = node.listen_addr().unwrap();
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(addr).await?);
    }
    assert_eq!(beam.eval(format!("net_adm:ping('{}')", node.name())).await?, "pong");
    // All but the newest 64 were closed to make room.
    let mut closed = 0;
    for stream in &mut idle {
        let mut byte = [0];
        if let Ok(Ok(0) | Err(_)) =
            tokio::time::timeout(std::time::Duration::from_millis(5), stream.read(&mut byte)).await
        {
            closed += 1;
        }
    }
    assert!(closed >= 200 - 64, "{closed} closed");
    Ok(())
}

#[tokio::test]
async fn a_mailbox_that_overflows_is_ended_with_a_reason() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let mut limits = dist::Limits::default();
    limits.mailbox_messages = 100;
    let node = world.node("rust")?.limits(limits).start().await?;
    let mut mailbox = node.register("slow")?;
    let session = beam.session();
    let reason = session
        .eval(format!(
            "R = {{slow, '{}'}}, M = monitor(process, R), [R ! N || N <- lists:seq(1, 200)], \
             receive {{'DOWN', M, _, _, Reason}} -> Reason after 5000 -> none end",
            node.name()
        ))
        .await?;
    assert_eq!(reason, "mailbox_full");
    assert_eq!(mailbox.recv().await, None);
    assert_eq!(beam.eval(format!("net_adm:ping('{}')", node.name())).await?, "pong");
    Ok(())
}

fn with_length(frame: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(frame);
    bytes
}

#[tokio::test]
async fn ten_thousand_monitors_and_links_of_one_pid_go_with_their_node() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let mut sink = node.register("sink")?;
    let me = "raw@127.0.0.1";
    let mut peer = RawPeer::connect(&node, me, &world.cookie, PLAIN).await?;
    // The pid of a process that never was, or is dead: it monitors all the same.
    let dead = pid(me, 77, 7);
    for n in 1..=10_000 {
        let monitor = term!({19, (dead.clone()), sink, (reference(me, n))});
        peer.send(&frame(&monitor, None)).await?;
        peer.send(&frame(&term!({1, (dead.clone()), (sink.pid())}), None)).await?;
    }
    // Ten thousand monitors, and one link however often it is made.
    eventually(SOON, "10,001 relations", async || node.counts().relations == 10_001).await?;
    drop(peer);
    // Not only is the link gone that counted them: the process holds none.
    eventually(SOON, "none", async || node.counts().relations == 0 && node.counts().held == 0)
        .await?;
    assert_eq!((node.counts().processes, node.counts().slots), (1, 0));
    let exit = sink.recv().await.unwrap().term;
    assert!(exit.as_tuple().unwrap()[2].is_atom("noconnection"), "{exit}");
    Ok(())
}
