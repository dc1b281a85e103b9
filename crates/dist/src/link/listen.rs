//! Accepting peers.
//!
//! Whoever has not shown that it knows the cookie is bounded in number and time.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::Instrument;
use tracing::field::{Empty, display};

use super::Link;
use super::half_open::HalfOpen;
use super::setup::{Connected, Conversation, challenge, random};
use super::socket::prepare;
use super::turned_away::TurnedAway;
use crate::error::DownReason;
use crate::handshake::{
    Acceptor, AliveAnswer, AnonymousPeer, AwaitAlive, AwaitReply, HandshakeError, Local,
    NameReceived, NamedPeer, Next, Refusal, Status, Step,
};
use crate::node::{Attempt, FIRST_CREATION, Offer, Shared};

/// How long to wait when the system has no socket to give (too many open files).
const EXHAUSTED: Duration = Duration::from_millis(100);

/// How many connections the system holds until we accept them.
const BACKLOG: i32 = 1024;

/// How many random names are tried for a peer that asks for one: of 2^64, more than one is bad luck.
const NAME_TRIES: usize = 4;

/// Accepts connections until the node stops.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut unauthenticated = JoinSet::new();
    let mut half_open = HalfOpen::default();
    let mut turned_away = TurnedAway::default();
    loop {
        let due = turned_away.due();
        let accepted = tokio::select! {
            () = shared.stopping.cancelled() => return,
            Some(ended) = unauthenticated.join_next() => {
                // One that was dropped to make room has no result.
                if let Ok(Err((addr, error))) = ended {
                    turn_away(&mut turned_away, addr, &error);
                }
                continue;
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if let Some(count) = turned_away.count(Instant::now()) {
                    tracing::info!(count, "more peers were not let in");
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let (stream, addr) = match accepted {
            // One of IPv4 has a form of IPv6 where both are listened on.
            Ok((stream, addr)) => (stream, SocketAddr::new(addr.ip().to_canonical(), addr.port())),
            Err(error) => {
                if turned_away.one(Instant::now()) {
                    tracing::warn!(%error, "a connection could not be accepted");
                }
                sleep(EXHAUSTED).await;
                continue;
            }
        };
        if !shared.route.admission.allows_address(addr.ip()) {
            turn_away(&mut turned_away, addr, &"its address is none that may connect");
            continue;
        }
        half_open.make_room(shared.limits.unauthenticated);
        let shared = shared.clone();
        let handshake = async move { greet(stream, &shared).await.map_err(|error| (addr, error)) };
        // Who it is, it says later.
        let span = tracing::info_span!(parent: None, "accept", %addr, peer = Empty);
        half_open.push(addr.ip(), unauthenticated.spawn(handshake.instrument(span)));
    }
}

fn turn_away(turned_away: &mut TurnedAway, addr: SocketAddr, error: &dyn std::fmt::Display) {
    if turned_away.one(Instant::now()) {
        tracing::info!(%addr, %error, "a peer was not let in");
    } else {
        tracing::debug!(%addr, %error, "a peer was not let in");
    }
}

async fn greet(stream: TcpStream, shared: &Arc<Shared>) -> Result<(), HandshakeError> {
    prepare(&stream).map_err(|error| Step::Name.io(error))?;
    let deadline = Instant::now() + shared.route.step_time;
    let socket = shared.route.security.accept(stream, deadline).await?;
    let mut conversation = Conversation::new(socket, shared.route.step_time, Some(deadline));
    let local = Local {
        name: &shared.name,
        flags: shared.flags,
        creation: shared.creation,
        cookie: &shared.cookie,
    };
    let message = match conversation.receive(Step::Name).await {
        Err(error @ HandshakeError::PeerSpeaksTls) => {
            // What it sees is that this is no TLS.
            conversation.refuse(&Refusal::NotAllowed.message()).await;
            return Err(error);
        }
        message => message?,
    };
    let peer = match Acceptor::new(local).on_name(&message) {
        Ok(NameReceived::Named(peer)) => peer,
        Ok(NameReceived::Anonymous(peer)) => return give_name(conversation, peer, shared).await,
        Err(error) => {
            if matches!(error, HandshakeError::MissingFlags(_)) {
                conversation.refuse(&Refusal::NotAllowed.message()).await;
            }
            return Err(error);
        }
    };
    tracing::Span::current().record("peer", display(peer.name()));
    if !shared.route.admission.allows(peer.name()) {
        let error = HandshakeError::NotLetIn(peer.name().clone());
        conversation.refuse(&Refusal::NotAllowed.message()).await;
        return Err(error);
    }
    match shared.links.offer(&shared.name, peer.name()) {
        Offer::Ok(attempt) => let_in(conversation, peer, Status::Ok, attempt, shared).await,
        Offer::OkSimultaneous(attempt) => {
            let_in(conversation, peer, Status::OkSimultaneous, attempt, shared).await
        }
        Offer::Alive(attempt, old) => replace(conversation, peer, attempt, old, shared).await,
        Offer::Nok => {
            conversation.refuse(&Refusal::Nok.message()).await;
            Ok(())
        }
        Offer::NotAllowed => {
            let error = HandshakeError::NotLetIn(peer.name().clone());
            conversation.refuse(&Refusal::NotAllowed.message()).await;
            Err(error)
        }
        Offer::Close => Ok(()),
    }
}

/// Gives a peer that has no name one that nobody has.
async fn give_name(
    mut conversation: Conversation,
    peer: AnonymousPeer,
    shared: &Arc<Shared>,
) -> Result<(), HandshakeError> {
    for _ in 0..NAME_TRIES {
        let name = peer.candidate(random(getrandom::u64())?);
        if !shared.route.admission.allows(&name) {
            conversation.refuse(&Refusal::NotAllowed.message()).await;
            return Err(HandshakeError::NotLetIn(name));
        }
        let Offer::Ok(attempt) = shared.links.offer(&shared.name, &name) else { continue };
        let creation = random(getrandom::u32())?.max(FIRST_CREATION);
        tracing::Span::current().record("peer", display(&name));
        let (state, messages) = peer.accept(name, creation, challenge()?);
        let [status, challenge] = &messages;
        conversation.send(&[status, challenge], Step::Reply).await?;
        return authenticate(conversation, state, attempt, None, shared).await;
    }
    conversation.refuse(&Refusal::NotAllowed.message()).await;
    Err(HandshakeError::NotAllowed)
}

async fn let_in(
    mut conversation: Conversation,
    peer: NamedPeer,
    status: Status,
    attempt: Attempt,
    shared: &Arc<Shared>,
) -> Result<(), HandshakeError> {
    let (state, messages) = peer.accept(status, challenge()?);
    let [status, challenge] = &messages;
    conversation.send(&[status, challenge], Step::Reply).await?;
    authenticate(conversation, state, attempt, None, shared).await
}

/// The peer has a link with us already. If it insists, that one is stale; it is given up only when
/// the peer has shown that it knows the cookie, or anybody could end it.
async fn replace(
    mut conversation: Conversation,
    peer: NamedPeer,
    attempt: Attempt,
    old: Arc<Link>,
    shared: &Arc<Shared>,
) -> Result<(), HandshakeError> {
    let (state, message) = peer.alive();
    conversation.send(&[&message], Step::AliveAnswer).await?;
    let answer = conversation.receive(AwaitAlive::STEP).await?;
    match state.on_answer(&answer)? {
        AliveAnswer::GiveUp => Ok(()),
        AliveAnswer::Accepted(accepted) => {
            let (state, message) = accepted.challenge(challenge()?);
            conversation.send(&[&message], Step::Reply).await?;
            authenticate(conversation, state, attempt, Some(old), shared).await
        }
    }
}

async fn authenticate(
    mut conversation: Conversation,
    mut state: AwaitReply,
    attempt: Attempt,
    old: Option<Arc<Link>>,
    shared: &Arc<Shared>,
) -> Result<(), HandshakeError> {
    let (ack, established) = loop {
        let step = state.step();
        let message = tokio::select! {
            biased;
            () = attempt.superseded() => return Ok(()),
            message = conversation.receive(step) => message?,
        };
        match state.on_message(&message)? {
            Next::More(next) => state = next,
            Next::Done { ack, established } => break (ack, established),
        }
    };
    if let Some(old) = old {
        old.close(DownReason::Replaced);
        old.wait_down().await;
    }
    conversation.send(&[&ack], Step::Ack).await?;
    let (socket, rest) = conversation.finish();
    Connected { established, socket, rest }.up(attempt, shared);
    Ok(())
}

/// Opens the first free port. `[::]` is every address of both families, or of IPv4 alone on a machine
/// that has no IPv6.
///
/// # Errors
/// What the system said of the last one.
pub(crate) fn bind(ip: IpAddr, ports: RangeInclusive<u16>) -> io::Result<TcpListener> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for port in ports {
        match bind_one(SocketAddr::new(ip, port)) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_one(addr: SocketAddr) -> io::Result<TcpListener> {
    let any = addr.ip() == IpAddr::from(Ipv6Addr::UNSPECIFIED);
    let socket = match socket2::Socket::new(Domain::for_address(addr), Type::STREAM, None) {
        Err(error) if any => {
            tracing::debug!(%error, "no IPv6 here: IPv4 alone is listened on");
            return bind_one(SocketAddr::from((Ipv4Addr::UNSPECIFIED, addr.port())));
        }
        socket => socket?,
    };
    if any {
        socket.set_only_v6(false)?;
    }
    // A node that comes back takes its port at once.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
