//! Handshakes that stall, lie, or are none, in both roles: each costs the peer its own connection, and nobody else anything.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use dist::handshake::{
    Acceptor, HandshakeError, Initiator, Local, NameReceived, Next, Packets, Prefix, Status,
    StatusOutcome,
};
use dist::{ConnectError, Cookie, Flags, Node, NodeName};
use integration::raw_peer::PLAIN;
use integration::{Beam, RawPeer, SOON, World, eventually, name_of};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What one step may take here.
const STEP: Duration = Duration::from_secs(2);

/// A node with a link to a BEAM node that must not notice anything.
struct Scene {
    world: World,
    beam: Beam,
    node: Node,
}

impl Scene {
    async fn new() -> Result<Self> {
        let world = World::new().await?;
        let mut limits = dist::Limits::default();
        limits.unauthenticated = 1000;
        let node = world.node("rust")?.limits(limits).setup_time(STEP).start().await?;
        let beam = world.beam("n").await?;
        node.connect(&name_of(&beam)?).await?;
        Ok(Self { world, beam, node })
    }

    /// The other link is as it was, and of the peers nothing is left.
    async fn is_unharmed(&self) -> Result<()> {
        self.others_are_served().await?;
        eventually(SOON, "one link and nothing else", async || {
            let counts = self.node.counts();
            if (counts.links, counts.slots, counts.relations, counts.calls) == (1, 1, 0, 0) {
                Ok(())
            } else {
                Err(format!("{counts:?}"))
            }
        })
        .await
    }

    async fn others_are_served(&self) -> Result<()> {
        self.node.ping(&name_of(&self.beam)?).await?;
        let ping = format!("net_adm:ping('{}')", self.node.name());
        assert_eq!(self.beam.eval(ping).await?, "pong");
        Ok(())
    }

    async fn connect(&self) -> Result<TcpStream> {
        Ok(TcpStream::connect(self.node.listen_addr().context("it listens")?).await?)
    }
}

/// Everything up to the end, which is not long in coming.
async fn rest(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = timeout(SOON, stream.read_to_end(&mut bytes)).await.context("it does not close")?;
    // A reset is a close by somebody who had not read everything.
    drop(read);
    Ok(bytes)
}

async fn message(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let length = timeout(SOON, stream.read_u16()).await??;
    let mut message = vec![0; length.into()];
    timeout(SOON, stream.read_exact(&mut message)).await??;
    Ok(message)
}

fn framed(message: &[u8]) -> Vec<u8> {
    Packets::new(Prefix::Two).frame(message)
}

/// `N`, with whatever name and flags.
fn hello(flags: Flags, name: &[u8]) -> Vec<u8> {
    let mut message = b"N".to_vec();
    message.extend(flags.bits().to_be_bytes());
    message.extend(7_u32.to_be_bytes());
    message.extend(u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
    message.extend(name);
    message
}

/// Dials `node`, and sends so many bytes of what there is to send.
async fn dial_until(
    mut stream: TcpStream,
    node: NodeName,
    name: String,
    cookie: String,
    bytes: usize,
) -> Result<Vec<u8>> {
    let (name, cookie) = (name.parse()?, Cookie::new(cookie)?);
    let local = Local { name: &name, flags: PLAIN, creation: 7, cookie: &cookie };
    let (state, first) = Initiator::start(local, &node);
    let first = framed(&first);
    let now = first.get(..bytes).unwrap_or(&first);
    stream.write_all(now).await?;
    if bytes < first.len() {
        return rest(&mut stream).await;
    }
    let StatusOutcome::Continue(state) = state.on_status(&message(&mut stream).await?)? else {
        bail!("it is not ok");
    };
    let (_, reply) = state.on_challenge(&message(&mut stream).await?, 1)?;
    let reply = framed(&reply);
    stream.write_all(reply.get(..bytes - first.len()).context("a whole handshake")?).await?;
    rest(&mut stream).await
}

#[tokio::test]
async fn a_peer_that_stalls_at_any_byte_is_closed() -> Result<()> {
    let scene = Scene::new().await?;
    let name = |at: usize| format!("stall{at:03}@127.0.0.1");
    let first = framed(&hello(PLAIN, name(0).as_bytes())).len();
    let reply = 2 + 21;
    let mut peers = JoinSet::new();
    for at in 0..first + reply {
        let (us, cookie) = (scene.node.name().clone(), scene.world.cookie.clone());
        peers.spawn(dial_until(scene.connect().await?, us, name(at), cookie, at));
    }
    scene.others_are_served().await?;
    let mut closed = 0;
    while let Some(said) = peers.join_next().await {
        assert_eq!(said??, b"", "it said more than it had to");
        closed += 1;
    }
    assert_eq!(closed, first + reply);
    scene.is_unharmed().await?;
    // Their names are free.
    RawPeer::connect(&scene.node, &name(first), &scene.world.cookie, PLAIN).await?;
    Ok(())
}

/// Takes one connection as `name`, and sends so many bytes of what there is to send. False when that was all.
async fn accept_until(
    mut stream: TcpStream,
    name: NodeName,
    cookie: String,
    bytes: usize,
) -> Result<bool> {
    let cookie = Cookie::new(cookie)?;
    let local = Local { name: &name, flags: PLAIN, creation: 7, cookie: &cookie };
    let NameReceived::Named(peer) = Acceptor::new(local).on_name(&message(&mut stream).await?)?
    else {
        bail!("it has no name");
    };
    let (state, [status, challenge]) = peer.accept(Status::Ok, 1);
    let first = [framed(&status), framed(&challenge)].concat();
    stream.write_all(first.get(..bytes).unwrap_or(&first)).await?;
    if bytes < first.len() {
        assert_eq!(rest(&mut stream).await?, b"");
        return Ok(true);
    }
    let Next::Done { ack, .. } = state.on_message(&message(&mut stream).await?)? else {
        bail!("more is to come");
    };
    let ack = framed(&ack);
    let Some(part) = ack.get(..bytes - first.len()).filter(|part| part.len() < ack.len()) else {
        return Ok(false);
    };
    stream.write_all(part).await?;
    assert_eq!(rest(&mut stream).await?, b"");
    Ok(true)
}

#[tokio::test]
async fn a_node_that_stalls_at_any_byte_when_it_is_dialled_is_given_up() -> Result<()> {
    let scene = Scene::new().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let node = scene.world.node("dials")?.peer_port(port).setup_time(STEP).start().await?;
    let before = node.counts();
    let (mut peers, mut dials) = (JoinSet::new(), JoinSet::new());
    // Status, challenge and acknowledgement.
    let whole = 5 + (2 + 19 + 18) + (2 + 17);
    for at in 0..whole {
        let name: NodeName = format!("stall{at:03}@127.0.0.1").parse()?;
        let (dialling, cookie) = (node.clone(), scene.world.cookie.clone());
        let to = name.clone();
        dials.spawn(async move { dialling.connect(&to).await });
        let (stream, _) = timeout(SOON, listener.accept()).await??;
        peers.spawn(accept_until(stream, name, cookie, at));
    }
    scene.others_are_served().await?;
    while let Some(stalled) = peers.join_next().await {
        assert!(stalled??, "the whole handshake is longer than that");
    }
    while let Some(dial) = dials.join_next().await {
        let error = dial?.expect_err("no handshake was finished");
        let timed_out = matches!(error, ConnectError::Handshake(HandshakeError::Timeout { .. }));
        assert!(timed_out, "{error}");
    }
    eventually(SOON, "nothing is left", async || {
        let now = node.counts();
        (now.slots, now.links, now.tasks) == (before.slots, before.links, before.tasks)
    })
    .await?;
    scene.is_unharmed().await
}

#[tokio::test]
async fn a_first_message_that_is_none_or_names_nobody_is_refused() -> Result<()> {
    let scene = Scene::new().await?;
    let own = scene.node.name().to_string();
    let long = format!("a@{}", "h".repeat(254));
    let mut cases: Vec<(&str, Vec<u8>, &[u8])> = Vec::new();
    for name in [
        b"".as_slice(),
        b"@",
        b"@h",
        b"a@",
        b"nohost",
        b"a@b@c",
        b"a b@h",
        b"a\n@h",
        b"a\0@h",
        b"a@h\x7f",
        b"\xe4@h",
        b"\xff\xfe@h",
        long.as_bytes(),
    ] {
        cases.push(("no name", hello(Flags::OFFERED, name), b""));
    }
    let not_allowed = b"\x00\x0csnot_allowed".as_slice();
    cases.push(("our own name", hello(Flags::OFFERED, own.as_bytes()), not_allowed));
    cases.push(("no flags", hello(Flags::EMPTY, b"a@h"), not_allowed));
    for host in [b"".as_slice(), b"a@h", b"a b", b"h\n", &[b'h'; 250]] {
        cases.push(("no host", hello(Flags::OFFERED.with(Flags::NAME_ME), host), b""));
    }
    let mut short = hello(Flags::OFFERED, b"a@h");
    short.pop();
    cases.push(("a name cut short", short, b""));
    cases.push(("nothing", Vec::new(), b""));
    cases.push(("a tag that is none", b"X".to_vec(), b""));
    cases.push(("an answer", b"sok".to_vec(), b""));
    cases.push(("an old name of nothing", b"n".to_vec(), b""));
    cases.push(("64 KiB", vec![b'N'; 65_535], b""));
    for (what, first, answer) in cases {
        let mut stream = scene.connect().await?;
        stream.write_all(&framed(&first)).await?;
        let shown = first.get(..40).unwrap_or(&first).escape_ascii();
        assert_eq!(rest(&mut stream).await?, answer, "{what}: {shown}");
    }
    // No distribution at all.
    let mut stream = scene.connect().await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    stream.shutdown().await?;
    assert_eq!(rest(&mut stream).await?, b"");
    scene.is_unharmed().await
}

#[tokio::test]
async fn a_wrong_digest_gets_nothing_in_either_role() -> Result<()> {
    let scene = Scene::new().await?;
    let us = scene.node.name().clone();
    let name: NodeName = "raw@127.0.0.1".parse()?;
    let shake = async |cookie: &str, name: &NodeName| {
        let mut stream = scene.connect().await?;
        let cookie = Cookie::new(cookie)?;
        let local = Local { name, flags: PLAIN, creation: 7, cookie: &cookie };
        let (state, first) = Initiator::start(local, &us);
        stream.write_all(&framed(&first)).await?;
        let state = match state.on_status(&message(&mut stream).await?)? {
            StatusOutcome::Continue(state) => state,
            StatusOutcome::Alive(question) => {
                let (state, answer) = question.answer(true);
                stream.write_all(&framed(&answer)).await?;
                state.context("it goes on")?
            }
            other => bail!("{other:?}"),
        };
        let (_, reply) = state.on_challenge(&message(&mut stream).await?, 1)?;
        stream.write_all(&framed(&reply)).await?;
        Ok(stream)
    };
    assert_eq!(rest(&mut shake("another", &name).await?).await?, b"");
    // Nor does it cost the link that the name has.
    let beam = name_of(&scene.beam)?;
    assert_eq!(rest(&mut shake("another", &beam).await?).await?, b"");
    scene.is_unharmed().await?;

    // A node that is dialled and does not know the cookie either.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let node = scene.world.node("dials")?.peer_port(port).start().await?;
    let dialling = node.clone();
    let dial = tokio::spawn(async move { dialling.connect(&name).await });
    let (mut stream, _) = timeout(SOON, listener.accept()).await??;
    let (name, cookie) = ("raw@127.0.0.1".parse()?, Cookie::new(&scene.world.cookie)?);
    let local = Local { name: &name, flags: PLAIN, creation: 7, cookie: &cookie };
    let NameReceived::Named(peer) = Acceptor::new(local).on_name(&message(&mut stream).await?)?
    else {
        bail!("it has no name");
    };
    let (_, [status, challenge]) = peer.accept(Status::Ok, 1);
    stream.write_all(&[framed(&status), framed(&challenge)].concat()).await?;
    message(&mut stream).await?;
    stream.write_all(&framed(&[b"a".as_slice(), &[0; 16]].concat())).await?;
    assert_eq!(rest(&mut stream).await?, b"");
    let refused = dial.await?.expect_err("it does not know the cookie");
    assert!(matches!(refused, ConnectError::Handshake(HandshakeError::CookieRefused)));
    assert_eq!(node.counts().slots, 0);
    Ok(())
}
