//! Connecting to a peer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::setup::{Connected, Conversation, challenge};
use super::socket::{Socket, prepare};
use crate::cookie::Cookie;
use crate::epmd::{self, LookupError};
use crate::error::ConnectError;
use crate::flags::Flags;
use crate::handshake::{AwaitStatus, HandshakeError, Initiator, Local, StatusOutcome, Step};
use crate::name::NodeName;
use crate::node::{Attempt, Route, Shared};
use crate::tcp;

/// Dials the attempt's peer until the link is up, the dial fails, or another attempt with the same
/// peer takes its place.
pub(crate) async fn dial(shared: Arc<Shared>, attempt: Attempt) {
    let connected = tokio::select! {
        biased;
        () = attempt.superseded() => return,
        connected = connect(&shared, &attempt.peer) => connected,
    };
    match connected {
        Ok(connected) => {
            connected.up(attempt, &shared);
        }
        Err(error) => {
            // Told nok: the peer's own attempt is on its way and will take this one's place.
            let awaited = matches!(error, ConnectError::Handshake(HandshakeError::Nok))
                && timeout(shared.route.step_time, attempt.superseded()).await.is_ok();
            if !awaited {
                attempt.fail(error);
            }
        }
    }
}

async fn connect(shared: &Shared, peer: &NodeName) -> Result<Connected, ConnectError> {
    let socket = reach(peer, &shared.route).await?;
    let local = Local {
        name: &shared.name,
        flags: shared.flags,
        creation: shared.creation,
        cookie: &shared.cookie,
    };
    let (state, first) = Initiator::start(local, peer);
    Ok(initiate(Conversation::new(socket, shared.route.step_time, None), state, &first).await?)
}

/// Dials without a name of our own: the peer gives us one on `host`.
pub(crate) async fn dial_dynamic(
    host: &str,
    flags: Flags,
    cookie: &Cookie,
    peer: &NodeName,
    route: &Route,
) -> Result<Connected, ConnectError> {
    let (state, first) = Initiator::start_dynamic(host, flags, cookie, peer)?;
    let socket = reach(peer, route).await?;
    Ok(initiate(Conversation::new(socket, route.step_time, None), state, &first).await?)
}

/// Finds out where a peer listens and opens a connection to it.
async fn reach(peer: &NodeName, route: &Route) -> Result<Socket, ConnectError> {
    if !route.admission.allows(peer) {
        return Err(ConnectError::NotAllowed(peer.clone()));
    }
    let stream = match route.fixed_port {
        Some(port) => open(peer, resolve(peer, port, route).await?, route).await?,
        None => {
            let (host, port) = (peer.host(), route.epmd_port);
            let info = epmd::lookup_at(host, port, peer.base(), &route.admission).await?;
            let told = SocketAddr::new(info.addr, info.port);
            match open(peer, [told], route).await {
                Ok(stream) => stream,
                Err(error) => {
                    // EPMD serves both families, a node mostly one: the host's other addresses.
                    let Ok(others) = resolve(peer, info.port, route).await else {
                        return Err(error);
                    };
                    let others: Vec<_> = others.into_iter().filter(|addr| *addr != told).collect();
                    if others.is_empty() {
                        return Err(error);
                    }
                    open(peer, others, route).await?
                }
            }
        }
    };
    let until = Instant::now() + route.step_time;
    Ok(route.security.connect(stream, peer.host(), until).await?)
}

async fn resolve(
    peer: &NodeName,
    port: u16,
    route: &Route,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let resolved = timeout(route.step_time, lookup_host((peer.host(), port))).await;
    let resolved = resolved.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let resolved = resolved.map_err(|error| unresolved(peer, error))?;
    Ok(epmd::allowed_only(peer.host(), resolved, &route.admission)?)
}

fn unresolved(peer: &NodeName, source: io::Error) -> ConnectError {
    LookupError::Resolve { host: peer.host().to_owned(), source: Arc::new(source) }.into()
}

/// A connection to one of these addresses.
async fn open(
    peer: &NodeName,
    addrs: impl IntoIterator<Item = SocketAddr>,
    route: &Route,
) -> Result<TcpStream, ConnectError> {
    let failed = |(addr, source): (SocketAddr, io::Error)| match source.kind() {
        io::ErrorKind::TimedOut => ConnectError::TcpTimeout { addr, after: route.step_time },
        _ => ConnectError::Tcp { addr, source: Arc::new(source) },
    };
    match tcp::connect(addrs, route.step_time).await {
        Ok((addr, stream)) => match prepare(&stream) {
            Ok(()) => Ok(stream),
            Err(error) => Err(failed((addr, error))),
        },
        Err(Some(last)) => Err(failed(last)),
        Err(None) => Err(unresolved(peer, io::ErrorKind::NotFound.into())),
    }
}

async fn initiate(
    mut conversation: Conversation,
    state: AwaitStatus,
    first: &[u8],
) -> Result<Connected, HandshakeError> {
    conversation.send(&[first], Step::Status).await?;
    let message = conversation.receive(AwaitStatus::STEP).await?;
    let state = match state.on_status(&message)? {
        StatusOutcome::Continue(state) | StatusOutcome::Named { next: state, .. } => state,
        StatusOutcome::Alive(question) => {
            // We hold the slot of this peer as a dial, so we have no link to it.
            let (state, answer) = question.answer(true);
            conversation.send(&[&answer], Step::Challenge).await?;
            state.ok_or(HandshakeError::Nok)?
        }
        StatusOutcome::Nok => {
            conversation.wait_closed().await;
            return Err(HandshakeError::Nok);
        }
    };
    let message = conversation.receive(Step::Challenge).await?;
    let (state, reply) = state.on_challenge(&message, challenge()?)?;
    conversation.send(&[&reply], Step::Ack).await?;
    let message = conversation.receive(Step::Ack).await?;
    let established = state.on_ack(&message)?;
    let (socket, rest) = conversation.finish();
    Ok(Connected { established, socket, rest })
}
