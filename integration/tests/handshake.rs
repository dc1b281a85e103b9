//! Our handshake machines over TCP against a real node, in both roles.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use dist::epmd::{Config, Mode, Registrar, lookup};
use dist::handshake::{
    Acceptor, AliveAnswer, AwaitAck, AwaitChallenge, AwaitReply, AwaitStatus, Decision,
    Established, HandshakeError, Initiator, Local, NameReceived, NamedPeer, Next, Packets, Prefix,
    Refusal, Slot, Status, StatusOutcome, Step, decide,
};
use dist::{Cookie, Flags, NodeName};
use integration::{Beam, BeamOptions, EpmdProcess};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);
const HOST: &str = "127.0.0.1";
const COOKIE: &str = "handshake";

/// A node of ours: what it says of itself.
struct Us {
    name: NodeName,
    cookie: Cookie,
    flags: Flags,
}

impl Us {
    fn new(base: &str) -> Result<Self> {
        let name = NodeName::from_parts(base, HOST)?;
        Ok(Self { name, cookie: Cookie::new(COOKIE)?, flags: Flags::OFFERED })
    }

    fn local(&self) -> Local<'_> {
        Local { name: &self.name, flags: self.flags, creation: 4711, cookie: &self.cookie }
    }
}

/// A connection on which handshake messages go back and forth.
struct Wire {
    stream: TcpStream,
    packets: Packets,
    /// How many bytes are written and read at a time.
    portion: usize,
}

impl Wire {
    fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, packets: Packets::new(Prefix::Two), portion: 4096 })
    }

    async fn dial(node: &NodeName, epmd: &EpmdProcess) -> Result<Self> {
        let info = lookup(HOST, epmd.port(), node.base()).await?;
        Self::new(TcpStream::connect((info.addr, info.port)).await?)
    }

    async fn send(&mut self, message: &[u8]) -> Result<()> {
        for portion in self.packets.frame(message).chunks(self.portion) {
            self.stream.write_all(portion).await?;
        }
        Ok(())
    }

    async fn receive(&mut self, step: Step) -> Result<Vec<u8>, HandshakeError> {
        let mut buffer = vec![0; self.portion];
        loop {
            let message = self.packets.next_packet().map_err(|error| step.too_large(error))?;
            if let Some(message) = message {
                return Ok(message);
            }
            let read = timeout(DEADLINE, self.stream.read(&mut buffer)).await;
            match read.map_err(|_| step.timed_out())?.map_err(|error| step.io(error))? {
                0 => return Err(step.closed()),
                read => self.packets.feed(&buffer[..read]),
            }
        }
    }

    /// Waits until the peer closes; frames that it sends before are of no interest.
    async fn closed(&mut self) -> Result<()> {
        let end = async { while matches!(self.stream.read(&mut [0; 4096]).await, Ok(1..)) {} };
        timeout(DEADLINE, end).await.context("the peer does not close")
    }

    /// From the name to the challenge, for a peer that says `ok`.
    async fn start(&mut self, us: &Us, peer: &NodeName) -> Result<StatusOutcome> {
        let (next, message) = Initiator::start(us.local(), peer);
        self.send(&message).await?;
        Ok(next.on_status(&self.receive(AwaitStatus::STEP).await?)?)
    }

    async fn finish(&mut self, next: AwaitChallenge) -> Result<Established> {
        let challenge = self.receive(AwaitChallenge::STEP).await?;
        let (next, reply) = next.on_challenge(&challenge, 0x0102_0304)?;
        self.send(&reply).await?;
        Ok(next.on_ack(&self.receive(AwaitAck::STEP).await?)?)
    }

    async fn shake(&mut self, us: &Us, peer: &NodeName) -> Result<Established> {
        match self.start(us, peer).await? {
            StatusOutcome::Continue(next) => self.finish(next).await,
            other => bail!("the peer does not say ok: {other:?}"),
        }
    }

    async fn accept_reply(&mut self, mut next: AwaitReply) -> Result<(Vec<u8>, Established)> {
        loop {
            let message = self.receive(next.step()).await?;
            match next.on_message(&message)? {
                Next::More(more) => next = more,
                Next::Done { ack, established } => return Ok((ack, established)),
            }
        }
    }

    async fn accept(&mut self, peer: NamedPeer, status: Status) -> Result<Established> {
        let (next, [status, challenge]) = peer.accept(status, 0x0102_0304);
        self.send(&status).await?;
        self.send(&challenge).await?;
        let (ack, established) = self.accept_reply(next).await?;
        self.send(&ack).await?;
        Ok(established)
    }
}

/// A listening node of ours that others find through EPMD.
struct Listener {
    us: Us,
    listener: TcpListener,
    _registrar: Registrar,
}

impl Listener {
    async fn start(us: Us, epmd: &EpmdProcess) -> Result<Self> {
        let listener = TcpListener::bind((HOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let config = Config::with_port(epmd.port());
        let registrar = Registrar::start(us.name.base(), port, Mode::External, config).await?;
        Ok(Self { us, listener, _registrar: registrar })
    }

    async fn next(&self) -> Result<(Wire, NameReceived)> {
        let (stream, _) = timeout(DEADLINE, self.listener.accept()).await??;
        let mut wire = Wire::new(stream)?;
        let message = wire.receive(Acceptor::STEP).await?;
        Ok((wire, Acceptor::new(self.us.local()).on_name(&message)?))
    }

    async fn next_named(&self) -> Result<(Wire, NamedPeer)> {
        match self.next().await? {
            (wire, NameReceived::Named(peer)) => Ok((wire, peer)),
            (_, other) => bail!("a peer without a name: {other:?}"),
        }
    }
}

async fn start(base: &str) -> Result<(EpmdProcess, Beam, NodeName)> {
    let epmd = EpmdProcess::start_anywhere().await?;
    let name = NodeName::from_parts(base, HOST)?;
    let beam = Beam::start(BeamOptions::new(name.as_str(), COOKIE, epmd.port())).await?;
    Ok((epmd, beam, name))
}

/// Every flag that the node offers when it is visible, as it says itself.
async fn flags_of(beam: &Beam) -> Result<Flags> {
    let default = beam.eval("element(2, erts_internal:get_dflags())").await?;
    Ok(Flags::from_bits(default.parse()?) | Flags::PUBLISHED)
}

async fn creation_of(beam: &Beam) -> Result<u32> {
    Ok(beam.eval("erlang:system_info(creation)").await?.parse()?)
}

fn error_of<T>(result: Result<T>) -> Result<HandshakeError> {
    match result {
        Ok(_) => bail!("the handshake came to its end"),
        Err(error) => error.downcast(),
    }
}

/// Has the node dial `name` and does our part meanwhile: what `connect_node/1` says, and what we did.
async fn dialled<T>(
    beam: &Beam,
    name: &NodeName,
    ours: impl Future<Output = Result<T>>,
) -> Result<(String, T)> {
    tokio::try_join!(beam.eval(format!("net_kernel:connect_node('{name}')")), ours)
}

#[tokio::test]
async fn dials_a_real_node() -> Result<()> {
    let (epmd, beam, peer) = start("dialled").await?;
    let hidden = Us::new("hidden")?;
    let visible = Us { flags: hidden.flags | Flags::PUBLISHED, ..Us::new("visible")? };

    for (us, portion, list) in [(&hidden, 4096, "nodes(hidden)"), (&visible, 1, "nodes(visible)")] {
        let mut wire = Wire::dial(&peer, &epmd).await?;
        wire.portion = portion;
        let established = wire.shake(us, &peer).await?;
        assert_eq!(established.peer_flags, flags_of(&beam).await?, "offered, by OTP's own table");
        assert_eq!(established.flags, us.flags & established.peer_flags);
        assert_eq!(established.creation, creation_of(&beam).await?);
        assert_eq!((&established.peer, &established.local), (&peer, &us.name));
        assert_eq!(established.visible, list == "nodes(visible)");
        beam.eval_until(DEADLINE, list, &format!("['{}']", us.name)).await?;
        drop(wire);
        beam.sees(us.name.as_str(), false, DEADLINE).await?;
    }

    let stranger = Us { cookie: Cookie::new("another")?, ..Us::new("stranger")? };
    let error = error_of(Wire::dial(&peer, &epmd).await?.shake(&stranger, &peer).await)?;
    assert!(matches!(error, HandshakeError::CookieRefused), "{error:?}");

    let other = NodeName::from_parts("other", HOST)?;
    let error = error_of(Wire::dial(&peer, &epmd).await?.shake(&hidden, &other).await)?;
    assert!(matches!(&error, HandshakeError::NameMismatch { found, .. } if peer == **found));

    let weak = Us { flags: Flags::EMPTY, ..Us::new("weak")? };
    let error = error_of(Wire::dial(&peer, &epmd).await?.shake(&weak, &peer).await)?;
    assert!(matches!(error, HandshakeError::NotAllowed), "{error:?}");

    beam.eval("net_kernel:allow(['friend@127.0.0.1'])").await?;
    let error = error_of(Wire::dial(&peer, &epmd).await?.shake(&hidden, &peer).await)?;
    assert!(matches!(error, HandshakeError::NotAllowed), "{error:?}");
    let friend = Us::new("friend")?;
    Wire::dial(&peer, &epmd).await?.shake(&friend, &peer).await?;
    Ok(())
}

#[tokio::test]
async fn is_dialled_by_a_real_node() -> Result<()> {
    let (epmd, beam, peer) = start("dialling").await?;
    let visible = Flags::OFFERED | Flags::PUBLISHED;
    let ours = Listener::start(Us { flags: visible, ..Us::new("ours")? }, &epmd).await?;
    let name = &ours.us.name;

    let accepted = async {
        let (mut wire, received) = ours.next_named().await?;
        assert_eq!(received.name(), &peer);
        assert_eq!(received.flags(), flags_of(&beam).await?);
        assert_eq!(received.creation(), Some(creation_of(&beam).await?));
        wire.portion = 1;
        let established = wire.accept(received, Status::Ok).await?;
        let both = visible & established.peer_flags;
        assert_eq!((established.flags, established.visible), (both, true));
        Ok(wire)
    };
    let (answer, old) = dialled(&beam, name, accepted).await?;
    assert_eq!(answer, "true");
    beam.eval_until(DEADLINE, "nodes()", &format!("['{name}']")).await?;

    // The node forgets the connection and dials again, and we still have the old one: alive.
    beam.eval(format!("erlang:disconnect_node('{name}')")).await?;
    let replaced = async {
        let (mut new, received) = ours.next_named().await?;
        let (next, status) = received.alive();
        new.send(&status).await?;
        let answer = new.receive(dist::handshake::AwaitAlive::STEP).await?;
        let AliveAnswer::Accepted(accepted) = next.on_answer(&answer)? else {
            bail!("given up");
        };
        let (next, challenge) = accepted.challenge(99);
        new.send(&challenge).await?;
        let (ack, established) = new.accept_reply(next).await?;
        drop(old);
        new.send(&ack).await?;
        Ok((new, established))
    };
    let (answer, (wire, established)) = dialled(&beam, name, replaced).await?;
    assert_eq!(answer, "true");
    assert_eq!(established.peer, peer);
    beam.sees(name.as_str(), true, DEADLINE).await?;
    drop(wire);
    beam.sees(name.as_str(), false, DEADLINE).await?;

    // Turned away.
    let refused = async {
        let (mut wire, _) = ours.next_named().await?;
        wire.send(&Refusal::NotAllowed.message()).await?;
        wire.closed().await
    };
    let (answer, ()) = dialled(&beam, name, refused).await?;
    assert_eq!(answer, "false");

    // Its cookie for us is another one.
    beam.eval(format!("erlang:set_cookie('{name}', wrong)")).await?;
    let refused = async {
        let (mut wire, received) = ours.next_named().await?;
        error_of(wire.accept(received, Status::Ok).await)
    };
    let (answer, error) = dialled(&beam, name, refused).await?;
    assert_eq!(answer, "false");
    assert!(matches!(error, HandshakeError::CookieRefused));
    Ok(())
}

#[tokio::test]
async fn a_live_connection_is_replaced_or_kept() -> Result<()> {
    let (epmd, beam, peer) = start("alive").await?;
    let us = Us::new("again")?;
    let mut first = Wire::dial(&peer, &epmd).await?;
    first.shake(&us, &peer).await?;
    beam.sees(us.name.as_str(), true, DEADLINE).await?;

    let mut kept = Wire::dial(&peer, &epmd).await?;
    let StatusOutcome::Alive(question) = kept.start(&us, &peer).await? else {
        bail!("not asked whether the first is alive");
    };
    // A third connection meanwhile is closed without a status.
    let mut third = Wire::dial(&peer, &epmd).await?;
    let error = error_of(third.start(&us, &peer).await)?;
    assert!(matches!(error, HandshakeError::Closed { step: Step::Status }), "{error:?}");
    let (next, answer) = question.answer(false);
    ensure!(next.is_none());
    kept.send(&answer).await?;
    kept.closed().await?;
    beam.sees(us.name.as_str(), true, DEADLINE).await?;

    let mut second = Wire::dial(&peer, &epmd).await?;
    let StatusOutcome::Alive(question) = second.start(&us, &peer).await? else {
        bail!("not asked whether the first is alive");
    };
    let (next, answer) = question.answer(true);
    second.send(&answer).await?;
    let established = second.finish(next.context("goes on")?).await?;
    assert_eq!(established.peer, peer);
    first.closed().await?;
    beam.sees(us.name.as_str(), true, DEADLINE).await
}

#[tokio::test]
async fn of_two_attempts_one_is_kept() -> Result<()> {
    let (epmd, beam, peer) = start("m").await?;

    // A half-open handshake in the node, and another one beside it.
    for (base, expected) in [("a", Decision::Nok), ("z", Decision::OkSimultaneous)] {
        let us = Us::new(base)?;
        assert_eq!(decide(&peer, &us.name, Slot::PendingIn), expected, "we would do the same");
        let mut first = Wire::dial(&peer, &epmd).await?;
        let StatusOutcome::Continue(half) = first.start(&us, &peer).await? else {
            bail!("the first is not let in");
        };
        let mut second = Wire::dial(&peer, &epmd).await?;
        match second.start(&us, &peer).await? {
            StatusOutcome::Nok if expected == Decision::Nok => {
                second.closed().await?;
                first.finish(half).await?;
            }
            StatusOutcome::Continue(next) if expected == Decision::OkSimultaneous => {
                first.closed().await?;
                second.finish(next).await?;
            }
            other => bail!("{base}: {other:?}"),
        }
    }

    // Both dial. The greater name's attempt stays: ours.
    let ours = Listener::start(Us::new("z")?, &epmd).await?;
    beam.sees(ours.us.name.as_str(), false, DEADLINE).await?;
    let both = async {
        let (mut theirs, received) = ours.next_named().await?;
        assert_eq!(decide(&ours.us.name, received.name(), Slot::PendingOut), Decision::Nok);
        theirs.send(&Refusal::Nok.message()).await?;
        let mut mine = Wire::dial(&peer, &epmd).await?;
        mine.shake(&ours.us, &peer).await?;
        theirs.closed().await?;
        Ok(mine)
    };
    let (answer, _mine) = dialled(&beam, &ours.us.name, both).await?;
    assert_eq!(answer, "true");

    // The greater name's attempt stays: theirs.
    let ours = Listener::start(Us::new("b")?, &epmd).await?;
    let both = async {
        let (mut theirs, received) = ours.next_named().await?;
        let mut mine = Wire::dial(&peer, &epmd).await?;
        let outcome = mine.start(&ours.us, &peer).await?;
        ensure!(matches!(outcome, StatusOutcome::Nok), "{outcome:?}");
        let decision = decide(&ours.us.name, received.name(), Slot::PendingOut);
        assert_eq!(decision, Decision::OkSimultaneous);
        theirs.accept(received, Status::OkSimultaneous).await?;
        mine.closed().await?;
        Ok(theirs)
    };
    let (answer, _theirs) = dialled(&beam, &ours.us.name, both).await?;
    assert_eq!(answer, "true");
    Ok(())
}

#[tokio::test]
async fn names_are_asked_for_and_given() -> Result<()> {
    let (epmd, beam, peer) = start("static").await?;
    let cookie = Cookie::new(COOKIE)?;

    let mut wire = Wire::dial(&peer, &epmd).await?;
    let (next, message) = Initiator::start_dynamic("anywhere", Flags::OFFERED, &cookie, &peer)?;
    wire.send(&message).await?;
    let outcome = next.on_status(&wire.receive(AwaitStatus::STEP).await?)?;
    let StatusOutcome::Named { name, creation, next } = outcome else {
        bail!("no name: {outcome:?}");
    };
    assert_eq!(name.host(), "anywhere");
    assert!(creation > 3);
    let established = wire.finish(next).await?;
    assert_eq!((&established.local, established.local_creation), (&name, creation));
    beam.eval_until(DEADLINE, "nodes(hidden)", &format!("['{name}']")).await?;

    // A node that has no name until it is connected gets one of us.
    let options = BeamOptions::new(format!("undefined@{HOST}"), COOKIE, epmd.port());
    let nameless = Beam::start(options).await?;
    assert_eq!(nameless.eval("node()").await?, "nonode@nohost");
    let ours = Listener::start(Us::new("godfather")?, &epmd).await?;
    let given = async {
        let (mut wire, received) = ours.next().await?;
        let NameReceived::Anonymous(received) = received else {
            bail!("it has a name: {received:?}");
        };
        let name = received.candidate(0xdead_beef);
        let (next, [status, challenge]) = received.accept(name.clone(), 12_345, 1);
        wire.send(&status).await?;
        wire.send(&challenge).await?;
        let (ack, established) = wire.accept_reply(next).await?;
        wire.send(&ack).await?;
        assert_eq!((&established.peer, established.creation), (&name, 12_345));
        Ok((wire, name))
    };
    let (answer, (_wire, name)) = dialled(&nameless, &ours.us.name, given).await?;
    assert_eq!(answer, "true");
    assert_eq!(nameless.eval("node()").await?, format!("'{name}'"));
    assert_eq!(nameless.eval("erlang:system_info(creation)").await?, "12345");
    Ok(())
}
