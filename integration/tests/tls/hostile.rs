//! Peers that send rubbish instead of TLS or within it, or stop in the middle.

use std::time::Duration;

use anyhow::{Context, Result};
use dist::handshake::{HandshakeError, Step};
use dist::{ConnectError, Limits, Node, NodeName};
use integration::both_ways::{call_both_ways, ping};
use integration::{SOON, unique};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::{Log, Place, client_hello, secured};

/// Waits until the node closes, and gives what it said before.
async fn closed(stream: &mut (impl AsyncReadExt + Unpin)) -> Result<Vec<u8>> {
    let mut said = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        match timeout(SOON, stream.read(&mut bytes)).await.context("it does not close")? {
            Ok(0) | Err(_) => return Ok(said),
            Ok(count) => said.extend_from_slice(&bytes[..count]),
        }
    }
}

async fn sends(node: &Node, bytes: &[u8]) -> Result<Vec<u8>> {
    let addr = node.listen_addr().context("it does not listen")?;
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(bytes).await?;
    closed(&mut stream).await
}

#[tokio::test]
async fn rubbish_before_and_within_tls_is_answered_and_closed() -> Result<()> {
    let place = Place::new().await?;
    let node = place.node().await?;
    let hello = client_hello(&place.identity()?)?;
    let mut too_long = vec![22, 3, 1, 0xff, 0xff];
    too_long.extend_from_slice(&hello);
    let mut flipped = hello.clone();
    flipped[10..40].fill(0xff);
    let mut trailing = hello.clone();
    trailing.extend_from_slice(&[b'x'; 100]);
    let log = Log::new();
    for (what, bytes, problem) in [
        ("http", &b"GET / HTTP/1.1\r\n\r\n"[..], "the peer does not speak TLS"),
        ("plain", b"\0\x15N\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03a@b", "the peer does not speak TLS"),
        ("a record that is too long", &too_long, "TLS: "),
        ("a wrong hello", &flipped, "TLS: "),
        ("more than a hello", &trailing, "TLS: "),
    ] {
        let said = sends(&node, bytes).await?;
        // An alert, or the server's part and then an alert.
        assert!(matches!(said.first(), Some(21 | 22)), "{what}: {said:?}");
        log.says(problem).await?;
    }
    let beam = place.beam().await?;
    assert_eq!(ping(&beam, &node).await?, "pong");
    call_both_ways(&node, &beam).await
}

#[tokio::test]
async fn rubbish_inside_a_secured_connection_is_closed() -> Result<()> {
    let place = Place::new().await?;
    let node = place.node().await?;
    let identity = place.identity()?;
    let log = Log::new();
    for (bytes, problem) in [
        (&b"\xff\xff\xff\xff"[..], "it is longer than any handshake message"),
        (b"\0\0\0\x01x", "malformed message while waiting for the name"),
        // With the prefix of a connection without TLS.
        (b"\0\x15N\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03a@b", "it is longer than any handshake message"),
    ] {
        let mut stream = secured(&node, &identity).await?;
        stream.write_all(bytes).await?;
        closed(&mut stream).await?;
        log.says(problem).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_peer_that_stops_is_closed_at_every_stage() -> Result<()> {
    let place = Place::new().await?;
    let node = place.world.node("rust")?.tls(place.identity()?.config()?);
    let node = node.setup_time(Duration::from_millis(500)).start().await?;
    let identity = place.identity()?;
    let hello = client_hello(&identity)?;
    for part in [0, 1, 4, 5, hello.len() / 2, hello.len() - 1, hello.len()] {
        sends(&node, &hello[..part]).await?;
    }
    for part in [0, 2, 4, 10] {
        let mut stream = secured(&node, &identity).await?;
        stream.write_all(&b"\0\0\0\x20N\0\0\0\0\0"[..part]).await?;
        closed(&mut stream).await?;
    }
    Ok(())
}

#[tokio::test]
async fn those_who_stop_do_not_keep_others_out() -> Result<()> {
    let place = Place::new().await?;
    let mut limits = Limits::default();
    limits.unauthenticated = 4;
    let node = place.world.node("rust")?.tls(place.identity()?.config()?).limits(limits);
    let node = node.setup_time(Duration::from_secs(600)).start().await?;
    let identity = place.identity()?;
    let hello = client_hello(&identity)?;
    let addr = node.listen_addr().context("it does not listen")?;
    let mut stalled = Vec::new();
    for part in [0, 1, 20, hello.len()].iter().cycle().take(20) {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(&hello[..*part]).await?;
        stalled.push(stream);
    }
    let beam = place.beam().await?;
    assert_eq!(ping(&beam, &node).await?, "pong");
    // The oldest had to go.
    closed(&mut stalled[0]).await.map(drop)
}

#[tokio::test]
async fn a_server_that_stops_is_given_up_at_every_stage() -> Result<()> {
    let place = Place::new().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let node = place.world.node("rust")?.tls(place.identity()?.config()?);
    let node = node.peer_port(port).setup_time(Duration::from_millis(500)).start().await?;
    for (said, expected) in [
        (&b""[..], "no answer in time while waiting for the TLS handshake"),
        (b"\x16", "no answer in time while waiting for the TLS handshake"),
        (
            b"\x16\x03\x03\x00\x50\x02\x00\x00\x4c\x03\x03",
            "no answer in time while waiting for the TLS",
        ),
        (b"\x15\x03\x03\x00\x02\x02\x28", "the peer refused this node: "),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the peer does not speak TLS"),
    ] {
        let peer: NodeName = format!("{}@127.0.0.1", unique("peer")).parse()?;
        let answers = async {
            let (mut stream, _) = listener.accept().await?;
            stream.write_all(said).await?;
            closed(&mut stream).await
        };
        let (connected, answered) = tokio::join!(node.connect(&peer), answers);
        answered?;
        let error = connected.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_listener_that_closes_is_told_apart() -> Result<()> {
    let place = Place::new().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let node = place.world.node("rust")?.tls(place.identity()?.config()?);
    let node = node.peer_port(listener.local_addr()?.port()).start().await?;
    let peer: NodeName = "peer@127.0.0.1".parse()?;
    let closes = async { listener.accept().await.map(drop) };
    let (connected, accepted) = tokio::join!(node.connect(&peer), closes);
    accepted?;
    let closed = HandshakeError::Closed { step: Step::Tls };
    match connected {
        Err(ConnectError::Handshake(error)) => assert_eq!(error.to_string(), closed.to_string()),
        other => panic!("{other:?}"),
    }
    Ok(())
}
