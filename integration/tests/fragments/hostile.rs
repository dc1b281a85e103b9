//! Peers that send fragments and headers as no node sends them: their own link pays for it, and what
//! they had in progress is given back.

use anyhow::{Context, Result};
use dist::etf::{Atom, Pid, Term, term};
use dist::{DownReason, Flags, Limits, Node, NodeEvent, NodeEvents};
use integration::{RawPeer, SOON, World, event, eventually, name_of, unique};

/// `{6, From, '', sink}` with its atoms in full.
fn control() -> Vec<u8> {
    let from = Pid { node: Atom::from_static("raw@127.0.0.1"), id: 1, serial: 0, creation: 7 };
    bare(&term!({6, (from), (Term::atom("")), sink}))
}

fn bare(term: &Term) -> Vec<u8> {
    dist::etf::encode(term).unwrap().into_bytes()[1..].to_vec()
}

fn fragment(kind: u8, sequence: u64, number: u64, rest: &[u8]) -> Vec<u8> {
    [&[131, kind][..], &sequence.to_be_bytes(), &number.to_be_bytes(), rest].concat()
}

/// A first fragment without atoms in its header.
fn first(sequence: u64, number: u64, rest: &[u8]) -> Vec<u8> {
    fragment(69, sequence, number, &[&[0], rest].concat())
}

fn later(sequence: u64, number: u64, rest: &[u8]) -> Vec<u8> {
    fragment(70, sequence, number, rest)
}

fn whole(atoms: &[u8], rest: &[u8]) -> Vec<u8> {
    [&[131, 68][..], atoms, &control(), rest].concat()
}

async fn down(events: &mut NodeEvents, name: &str, what: &str) -> Result<DownReason> {
    event(events, what, |event| match event {
        NodeEvent::Down { node, reason } if node.as_str() == name => Some(reason),
        _ => None,
    })
    .await
}

/// Sends frames as a new peer and expects to lose the link for them.
async fn loses_its_link(
    node: &Node,
    cookie: &str,
    flags: Flags,
    what: &str,
    frames: &[Vec<u8>],
    why: &str,
) -> Result<()> {
    let mut events = node.events();
    let name = format!("{}@127.0.0.1", unique("raw"));
    let mut peer = RawPeer::connect(node, &name, cookie, flags).await?;
    for frame in frames {
        // The node may have closed by now.
        if peer.send(frame).await.is_err() {
            break;
        }
    }
    peer.closed().await?;
    let reason = down(&mut events, &name, what).await?;
    assert!(matches!(reason, DownReason::Malformed(_)), "{what}: {reason}");
    assert!(reason.to_string().contains(why), "{what}: {reason}");
    eventually(SOON, what, async || node.counts().fragment_bytes == 0).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_malformed_closes_its_link_with_the_reason_and_no_other() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let mut sink = node.register("sink")?;
    node.connect(&name_of(&beam)?).await?;
    let kilobyte = vec![0; 1024];
    let head = control();
    for (what, frames, why) in [
        (
            "fragments out of order",
            vec![first(1, 4, &head), later(1, 2, &kilobyte)],
            "fragment 2 of sequence 1 where 3",
        ),
        ("no first fragment", vec![later(1, 1, &kilobyte)], "there was no first"),
        (
            "a fragment twice",
            vec![first(1, 4, &head), later(1, 3, &kilobyte), later(1, 3, &kilobyte)],
            "fragment 3 of sequence 1 where 2",
        ),
        ("a first fragment twice", vec![first(1, 4, &head), first(1, 4, &head)], "missing"),
        ("number 0", vec![first(1, 2, &head), later(1, 0, &kilobyte)], "the number 0"),
        ("a control tuple that is cut", vec![first(1, 2, &head[..9])], "cut short"),
        ("a plain frame", vec![vec![112, 131, 104, 0]], "starts with 112"),
        ("an unset slot", vec![whole(&[1, 3, 5], &[97, 1])], "slot 773"),
        ("a header past its frame", vec![vec![131, 68, 9, 8]], "cut short"),
        (
            "a reference past its header",
            vec![[&[131, 68, 1, 8, 0, 1, b'a'][..], &[104, 2, 97, 6, 82, 1]].concat()],
            "no atom 1",
        ),
        ("an atom that is not UTF-8", vec![whole(&[1, 8, 0, 1, 255], &[97, 1])], "UTF-8"),
        ("a compressed control tuple", vec![vec![131, 68, 0, 80, 0, 0, 0, 9]], "compressed"),
        (
            "too many sequences",
            (1..=65).map(|sequence| first(sequence, 2, &head)).collect(),
            "more than 64 fragmented",
        ),
    ] {
        loses_its_link(&node, &world.cookie, Flags::OFFERED, what, &frames, why).await?;
    }
    let headers = Flags::OFFERED.without(Flags::FRAGMENTS);
    let frames = [first(1, 2, &head)];
    loses_its_link(&node, &world.cookie, headers, "a fragment", &frames, "not negotiated").await?;
    let fragments = Flags::OFFERED.without(Flags::DIST_HDR_ATOM_CACHE);
    let frames = [whole(&[1, 8, 0, 1, b'a'], &[97, 1])];
    loses_its_link(&node, &world.cookie, fragments, "an atom", &frames, "not negotiated").await?;
    // A compressed bomb and the like are the receiver's to read, who hears of nothing.
    for (what, payload) in [
        ("a bomb", &[80, 255, 255, 255, 255, 120, 156, 0][..]),
        ("a version in front of a payload", &[131, 97, 1]),
        ("a reference to no header", &[82, 0]),
    ] {
        let name = format!("{}@127.0.0.1", unique("raw"));
        let mut events = node.events();
        let mut peer = RawPeer::connect(&node, &name, &world.cookie, Flags::OFFERED).await?;
        peer.send(&whole(&[0], payload)).await?;
        tokio::select! {
            message = sink.recv() => panic!("{what}: {message:?}"),
            closed = peer.closed() => closed?,
        }
        let reason = down(&mut events, &name, what).await?;
        assert!(matches!(reason, DownReason::Malformed(_)), "{what}: {reason}");
    }
    let us = node.name();
    assert_eq!(beam.eval(format!("net_adm:ping('{us}')")).await?, "pong");
    assert_eq!(node.counts().links, 1);
    Ok(())
}

#[tokio::test]
async fn what_is_in_progress_is_bounded_for_a_link_and_for_the_node() -> Result<()> {
    let world = World::new().await?;
    let mut limits = Limits::default();
    limits.fragment_bytes = 1 << 20;
    limits.fragment_bytes_of_node = 3 << 19;
    let node = world.node("rust")?.limits(limits).start().await?;
    let _sink = node.register("sink")?;
    let part = vec![0; 1 << 18];
    // One sequence that never ends.
    let mut endless = vec![first(1, u64::MAX, &control())];
    endless.extend((1..9).map(|n| later(1, u64::MAX - n, &part)));
    let why = "more than 1048576 bytes";
    loses_its_link(&node, &world.cookie, Flags::OFFERED, "endless", &endless, why).await?;
    // Two peers within their own limits, and not within the node's.
    let mut quiet =
        RawPeer::connect(&node, "quiet@127.0.0.1", &world.cookie, Flags::OFFERED).await?;
    quiet.send(&first(1, 9, &control())).await?;
    for n in 0..3 {
        quiet.send(&later(1, 8 - n, &part)).await?;
    }
    eventually(SOON, "three parts", async || node.counts().fragment_bytes > 3 << 18).await?;
    let mut events = node.events();
    let mut peer = RawPeer::connect(&node, "raw@127.0.0.1", &world.cookie, Flags::OFFERED).await?;
    peer.send(&first(1, 9, &control())).await?;
    for n in 0..3 {
        peer.send(&later(1, 8 - n, &part)).await?;
    }
    peer.closed().await?;
    let reason = down(&mut events, "raw@127.0.0.1", "the second peer").await?;
    assert!(reason.to_string().contains("more than 1572864 bytes"), "{reason}");
    // The first has lost nothing, and an unfinished message goes with its link.
    assert!(node.is_connected(&"quiet@127.0.0.1".parse()?));
    let taken = node.counts().fragment_bytes;
    assert!((3 << 18..1 << 20).contains(&taken), "{taken}");
    drop(quiet);
    eventually(SOON, "nothing", async || node.counts().fragment_bytes == 0).await?;
    Ok(())
}

/// A first fragment may announce as many as it likes: room is made as bytes arrive.
#[tokio::test]
async fn fragments_that_are_announced_take_nothing() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let mut sink = node.register("sink")?;
    let mut peer = RawPeer::connect(&node, "raw@127.0.0.1", &world.cookie, Flags::OFFERED).await?;
    for sequence in 1..=64 {
        peer.send(&first(sequence, u64::MAX, &control())).await?;
    }
    peer.send(&whole(&[0], &[97, 1])).await?;
    assert_eq!(sink.recv().await.context("ended")?.term, term!(1));
    let taken = node.counts().fragment_bytes;
    assert!(taken < 64 * 1024, "{taken} bytes for 64 announcements");
    Ok(())
}

/// Headers make a small message retain up to 255 atoms, which its mailbox is charged for.
#[tokio::test]
async fn the_atoms_of_a_header_count_in_the_mailbox() -> Result<()> {
    let world = World::new().await?;
    let mut limits = Limits::default();
    limits.mailbox_bytes = 1 << 20;
    let node = world.node("rust")?.limits(limits).start().await?;
    let sink = node.register("sink")?;
    let mut peer = RawPeer::connect(&node, "raw@127.0.0.1", &world.cookie, Flags::OFFERED).await?;
    let set: Vec<u8> = [&[1, 8, 0, 1, b'a'][..]].concat();
    peer.send(&whole(&set, &[97, 1])).await?;
    // The same slot 255 times: half a kilobyte that would hold six.
    let many = [&[255][..], &[0; 128], &[0; 255]].concat();
    for _ in 0..200 {
        peer.send(&whole(&many, &[97, 1])).await?;
    }
    let pid = sink.pid().clone();
    eventually(SOON, "a full mailbox", async || !node.is_alive(&pid)).await?;
    Ok(())
}
