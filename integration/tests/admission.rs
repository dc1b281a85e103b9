//! Who may come in and where we go, by name and by address: what is not allowed is turned away before anything is said that
//! depends on the cookie.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use dist::epmd::LookupError;
use dist::handshake::{HandshakeError, Initiator, Local, Packets, Prefix};
use dist::{ConnectError, Cookie, Flags, NodeEvent, NodeName, Probe};
use integration::raw_peer::PLAIN;
use integration::{Answer, FakeEpmd, RawPeer, SOON, World, event, name_of};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// Everything up to the end.
async fn rest(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = timeout(SOON, stream.read_to_end(&mut bytes)).await.context("it does not close")?;
    // A reset is a close by somebody who had not read everything.
    drop(read);
    Ok(bytes)
}

/// The first message of a node, with its length.
fn hello(name: &str, cookie: &str, to: &NodeName) -> Result<Vec<u8>> {
    let (name, cookie) = (name.parse()?, Cookie::new(cookie)?);
    let local = Local { name: &name, flags: Flags::OFFERED, creation: 7, cookie: &cookie };
    Ok(Packets::new(Prefix::Two).frame(&Initiator::start(local, to).1))
}

#[tokio::test]
async fn only_names_that_are_allowed_are_dialled_and_let_in() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.allow(|name| name.base().starts_with("app")).start().await?;
    let (app, other) = (world.beam("app").await?, world.beam("other").await?);
    let ping = format!("net_adm:ping('{}')", node.name());

    assert_eq!(other.eval(&ping).await?, "pang");
    let refused = node.connect(&name_of(&other)?).await;
    assert!(matches!(refused, Err(ConnectError::NotAllowed(_))), "{refused:?}");
    assert!(!node.allows(&name_of(&other)?) && node.allows(&name_of(&app)?));
    assert_eq!(node.counts().slots, 0);

    assert_eq!(app.eval(&ping).await?, "pong");
    let mut events = node.events();
    assert_eq!(app.eval(format!("disconnect_node('{}')", node.name())).await?, "true");
    let down = |event| matches!(event, NodeEvent::Down { .. }).then_some(());
    event(&mut events, "the end of the link", down).await?;
    node.connect(&name_of(&app)?).await?;

    // Who has no name is asked about under the name that it would be given.
    let addr = node.listen_addr().context("it listens")?;
    let probe = Probe::new(Cookie::new(&world.cookie)?, "127.0.0.1").peer_port(addr.port());
    let refused = probe.ping(node.name()).await;
    let not_allowed = ConnectError::Handshake(HandshakeError::NotAllowed);
    assert_eq!(refused.unwrap_err().to_string(), not_allowed.to_string());
    let open = world.node("open")?.allow(|name| name.host() == "127.0.0.1").start().await?;
    let addr = open.listen_addr().context("it listens")?;
    let probe = Probe::new(Cookie::new(&world.cookie)?, "127.0.0.1").peer_port(addr.port());
    probe.ping(open.name()).await?;
    Ok(())
}

/// What it is told is `not_allowed` and no challenge, whose answer could be used to guess the cookie, nor anything else.
#[tokio::test]
async fn a_name_that_is_not_allowed_gets_no_challenge() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.allow(|name| name.base() == "app").start().await?;
    let mut stream = TcpStream::connect(node.listen_addr().context("it listens")?).await?;
    stream.write_all(&hello("stranger@127.0.0.1", &world.cookie, node.name())?).await?;
    assert_eq!(rest(&mut stream).await?, b"\x00\x0csnot_allowed");
    RawPeer::connect(&node, "app@127.0.0.1", &world.cookie, PLAIN).await?;
    Ok(())
}

/// Who dials us and who is dialled is asked for a proof before it gets one. Of the two it is the dialled one that sees ours
/// first; so it must be the one that was meant.
#[tokio::test]
async fn the_challenge_of_another_node_than_the_one_dialled_is_not_answered() -> Result<()> {
    let world = World::new().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let node = world.node("rust")?.peer_port(port).start().await?;
    for (name, answered) in [("meant@127.0.0.1", true), ("other@127.0.0.1", false)] {
        let dialling = node.clone();
        let dial = tokio::spawn(async move {
            dialling.connect(&"meant@127.0.0.1".parse().expect("a name")).await
        });
        let (mut stream, _) = listener.accept().await?;
        let length = usize::from(stream.read_u16().await?);
        stream.read_exact(&mut vec![0; length]).await?;
        let mut challenge = b"N".to_vec();
        challenge.extend(Flags::OFFERED.bits().to_be_bytes());
        challenge.extend([0, 0, 0, 1, 0, 0, 0, 7, 0, 15]);
        challenge.extend(name.as_bytes());
        let mut bytes = b"\x00\x03sok".to_vec();
        bytes.extend(u16::try_from(challenge.len())?.to_be_bytes());
        bytes.extend(challenge);
        stream.write_all(&bytes).await?;
        if answered {
            // `r`, our own challenge, and the digest.
            let mut reply = [0; 23];
            stream.read_exact(&mut reply).await?;
            assert_eq!(reply[..3], [0, 21, b'r']);
            drop(stream);
            dial.await?.expect_err("that was no node");
        } else {
            assert_eq!(rest(&mut stream).await?, b"", "something that depends on the cookie");
            let error = dial.await?.expect_err("that was another node");
            let mismatch = ConnectError::Handshake(HandshakeError::NameMismatch {
                expected: "meant@127.0.0.1".parse()?,
                found: name.to_owned(),
            });
            assert_eq!(error.to_string(), mismatch.to_string());
        }
    }
    Ok(())
}

/// Addresses are those that a name stands for, and those that connections come from. The whole of 127.0.0.0/8 is loopback, so
/// there are as many of both as one likes.
#[tokio::test]
async fn only_addresses_that_are_allowed_are_connected_to_and_let_in() -> Result<()> {
    let world = World::new().await?;
    let forbidden: IpAddr = "127.0.0.3".parse()?;
    let beam = world.beam("beam").await?;
    let node = world.node("rust")?.allow_address(move |ip| ip != forbidden).start().await?;
    node.connect(&name_of(&beam)?).await?;

    // An EPMD at that address, which nobody is to ask.
    let epmd = TcpListener::bind((forbidden, world.port)).await;
    let there: NodeName = "x@127.0.0.3".parse()?;
    let refused = node.connect(&there).await.expect_err("it is not allowed");
    assert_eq!(
        refused.to_string(),
        "the address 127.0.0.3 of 127.0.0.3 is none that may be connected to"
    );
    assert!(matches!(refused, ConnectError::Lookup(LookupError::NotAllowed { .. })));
    if let Ok(epmd) = epmd {
        let asked = timeout(Duration::ZERO, epmd.accept()).await;
        assert!(asked.is_err(), "EPMD was asked");
    }
    // The same where EPMD is not asked.
    let fixed = world.node("fixed")?.peer_port(9).allow_address(move |ip| ip != forbidden);
    let refused = fixed.start().await?.connect(&there).await;
    assert!(matches!(refused, Err(ConnectError::Lookup(LookupError::NotAllowed { .. }))));

    let addr = node.listen_addr().context("it listens")?;
    for (from, answer) in [("127.0.0.2", b"\x00\x03sok".as_slice()), ("127.0.0.3", b"")] {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from.parse()?, 0))?;
        let mut stream = socket.connect(addr).await?;
        // It may be closed by then.
        let _ = stream.write_all(&hello("raw@127.0.0.1", &world.cookie, node.name())?).await;
        let mut answered = vec![0; 5];
        let read = timeout(SOON, stream.read_exact(&mut answered)).await?;
        assert_eq!(read.map_or(b"".as_slice(), |_| &answered), answer, "{from}");
    }
    Ok(())
}

/// A host that opens connection after connection is in the way of nobody at another address.
#[tokio::test]
async fn half_open_connections_of_one_host_push_out_its_own() -> Result<()> {
    let world = World::new().await?;
    let mut limits = dist::Limits::default();
    limits.unauthenticated = 8;
    let node = world.node("rust")?.limits(limits).start().await?;
    let addr = node.listen_addr().context("it listens")?;
    let from = async |ip: &str| {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(ip.parse()?, 0))?;
        anyhow::Ok(socket.connect(addr).await?)
    };
    let mut honest = from("127.0.0.2").await?;
    let mut flood = Vec::new();
    for _ in 0..40 {
        flood.push(from("127.0.0.3").await?);
    }
    for stream in &mut flood[..32] {
        assert_eq!(rest(stream).await?, b"");
    }
    // Older than all of them, and still there.
    honest.write_all(&hello("raw@127.0.0.1", &world.cookie, node.name())?).await?;
    let mut status = [0; 5];
    timeout(SOON, honest.read_exact(&mut status)).await??;
    assert_eq!(&status, b"\x00\x03sok");
    drop(flood);
    Ok(())
}

/// A name is asked for at EPMD only once it is allowed.
#[tokio::test]
async fn epmd_is_not_asked_for_a_name_that_is_not_allowed() -> Result<()> {
    let epmd = FakeEpmd::start(|_| Answer::NoSuchNode).await?;
    let mut world = World::without_epmd()?;
    world.port = epmd.port();
    let node = world.node("rust")?.epmd(dist::Epmd::None).allow(|name| name.base() == "app");
    let node = node.start().await?;
    assert!(node.connect(&"other@127.0.0.1".parse()?).await.is_err());
    assert!(node.connect(&"app@127.0.0.1".parse()?).await.is_err());
    assert_eq!(epmd.names(), ["app"]);
    Ok(())
}
