//! erl_dist as a peer that was written by others, and what of it this workspace does not use and
//! why (ARCHITECTURE.md, "Why not erl_dist for everything").

use std::io::Cursor;
use std::process::Command;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use dist::NodeName;
use dist::etf::{self, Limits, term};
use erl_dist::handshake::{ClientSideHandshake, HandshakeStatus, ServerSideHandshake};
use erl_dist::message::Message;
use erl_dist::node::{Creation, LocalNode};
use integration::{SOON, World, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

/// Set in the environment of the child that is to abort.
const CHILD: &str = "ERL_DIST_TEST_CHILD";

fn local(name: &str) -> Result<LocalNode> {
    Ok(LocalNode::new(name.parse()?, Creation::random()))
}

async fn send(stream: &mut TcpStream, message: Message) -> Result<()> {
    let mut frame = vec![112];
    message.write_into(&mut frame)?;
    stream.write_u32(u32::try_from(frame.len())?).await?;
    stream.write_all(&frame).await?;
    Ok(())
}

async fn receive(stream: &mut TcpStream) -> Result<Message> {
    loop {
        let length = stream.read_u32().await?;
        let mut frame = vec![0; usize::try_from(length)?];
        stream.read_exact(&mut frame).await?;
        if length > 0 {
            return Ok(Message::read_from(&mut Cursor::new(&frame[1..]))?);
        }
    }
}

/// A monitor of nobody and a message to a mailbox, each way, in erl_dist's words.
async fn converse(stream: Compat<TcpStream>, node: &dist::Node, peer: &LocalNode) -> Result<()> {
    let mut stream = stream.into_inner();
    let mut mailbox = node.register("sink")?;
    let pid = eetf::Pid::new(peer.name.to_string(), 1, 0, peer.creation.get());
    let hello = eetf::Atom::from("hello");
    send(&mut stream, Message::reg_send(pid.clone(), "sink".into(), hello.clone().into())).await?;
    let message = mailbox.recv().await.context("no message")?;
    assert_eq!(message.term, term!(hello));
    node.send(message.from.context("no sender")?, term!({back, 1})).await?;
    match receive(&mut stream).await? {
        Message::Send(sent) => assert_eq!(sent.message.to_string(), "{'back',1}"),
        other => bail!("{other:?}"),
    }
    let reference = eetf::Reference {
        node: peer.name.to_string().into(),
        id: vec![1, 2, 3],
        creation: peer.creation.get(),
    };
    let nobody = erl_dist::term::PidOrAtom::Atom("nobody".into());
    send(&mut stream, Message::monitor_p(pid, nobody, reference)).await?;
    match receive(&mut stream).await? {
        Message::MonitorPExit(exit) => assert_eq!(exit.reason.to_string(), "'noproc'"),
        other => bail!("{other:?}"),
    }
    Ok(())
}

#[tokio::test]
async fn erl_dist_dials_us() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let peer = local("other@127.0.0.1")?;
    let stream = TcpStream::connect(node.listen_addr().context("not listening")?).await?;
    let mut handshake = ClientSideHandshake::new(stream.compat(), peer.clone(), &world.cookie);
    let status =
        handshake.execute_send_name(erl_dist::LOWEST_DISTRIBUTION_PROTOCOL_VERSION).await?;
    assert_eq!(status, HandshakeStatus::Ok);
    let (stream, us) = handshake.execute_rest(true).await?;
    assert_eq!(us.name.to_string(), node.name().as_str());
    converse(stream, &node, &peer).await
}

#[tokio::test]
async fn we_dial_erl_dist() -> Result<()> {
    let world = World::new().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let node = world.node("rust")?.peer_port(listener.local_addr()?.port()).start().await?;
    let peer = local("other@127.0.0.1")?;
    let name: NodeName = "other@127.0.0.1".parse()?;
    let accept = async {
        let (stream, _) = listener.accept().await?;
        let mut handshake = ServerSideHandshake::new(stream.compat(), peer.clone(), &world.cookie);
        handshake.execute_recv_name().await?.context("no name")?;
        let (stream, _) = handshake.execute_rest(HandshakeStatus::Ok).await?;
        anyhow::Ok(stream)
    };
    let (connected, stream) = tokio::join!(node.connect(&name), accept);
    connected?;
    converse(stream?, &node, &peer).await?;
    eventually(SOON, "down", async || node.counts().slots == 0).await
}

#[test]
fn its_codec_corrupts_lists_that_start_with_a_negative_number() {
    let list =
        eetf::Term::from(eetf::List::from(vec![eetf::Term::from(eetf::FixInteger::from(-1))]));
    let mut bytes = Vec::new();
    list.encode(&mut bytes).unwrap();
    let read = etf::decode(&Bytes::from(bytes), &Limits::default()).unwrap();
    assert_eq!(read, term!([255]), "it wrote something else than [-1]");
    let ours = etf::encode(&term!([-1])).unwrap().into_bytes();
    assert_eq!(etf::decode(&ours, &Limits::default()).unwrap(), term!([-1]));
}

#[test]
fn its_codec_panics_on_tags_that_a_peer_may_send() {
    for tag in [68_u8, 82] {
        let bytes = [131, tag, 0, 0];
        let theirs = std::panic::catch_unwind(|| eetf::Term::decode(&bytes[..]).is_ok());
        assert!(theirs.is_err(), "tag {tag} gave {theirs:?}");
        assert!(etf::decode(&Bytes::copy_from_slice(&bytes), &Limits::default()).is_err());
    }
}

/// Lists in lists, as deep as 100,000 bytes of input make them.
fn nested() -> Vec<u8> {
    let mut bytes = vec![131];
    for _ in 0..20_000 {
        bytes.extend_from_slice(&[108, 0, 0, 0, 1]);
    }
    bytes
}

#[test]
fn its_codec_overflows_the_stack_on_nested_lists() -> Result<()> {
    if std::env::var_os(CHILD).is_some() {
        let _ = eetf::Term::decode(&nested()[..]);
        return Ok(());
    }
    let child = Command::new(std::env::current_exe()?)
        .args(["--exact", "its_codec_overflows_the_stack_on_nested_lists"])
        .env(CHILD, "1")
        .output()?;
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(!child.status.success() && said.contains("overflowed its stack"), "{said}");
    let ours = etf::decode(&Bytes::from(nested()), &Limits::default()).unwrap_err();
    assert!(ours.is_limit(), "{ours}");
    Ok(())
}
