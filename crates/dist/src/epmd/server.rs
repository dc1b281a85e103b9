//! An EPMD for hosts that have none.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::client::Entry;
use super::config::Config;
use super::protocol::{self, MAX_REQUEST, Node, Request};
use super::registry::{Registered, Registry};

/// How many connections the system holds until we accept them.
const BACKLOG: i32 = 128;

/// How long to wait when accepting fails, which it does for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An EPMD that any node on this host can use: it serves until it is dropped.
///
/// It answers ALIVE2, PORT2, NAMES and DUMP as OTP's does, registers nodes of this host only, and lets
/// nobody end it or a registration (KILL, STOP). Connections are bounded: when there are too many,
/// the one that has waited longest without registering goes.
#[derive(Debug)]
pub struct Server {
    addrs: Vec<SocketAddr>,
    task: AbortOnDropHandle<()>,
}

impl Server {
    /// Serves on the addresses of `config`, in the current tokio runtime.
    ///
    /// The first that the host has, an IPv4 one, loopback or all, must be free; others are left out when they
    /// cannot be had, as IPv6 on hosts that have none.
    ///
    /// # Errors
    ///
    /// [`ServeError::PortTaken`] when another EPMD is there, [`ServeError::Bind`] for anything else.
    pub fn start(config: &Config) -> Result<Self, ServeError> {
        Ok(Self::run(config, bind(config)?, Registry::new(seed()?)))
    }

    /// Serves, and has `entry` registered before anybody else can be.
    pub(super) fn start_with(
        config: &Config,
        entry: &Entry,
    ) -> Result<(Self, Registered), ServeError> {
        let listeners = bind(config)?;
        let registry = Registry::new(seed()?);
        let node = Node {
            name: entry.base.clone(),
            port: entry.port,
            kind: 77,
            protocol: 0,
            highest: 6,
            lowest: 5,
            extra: Vec::new(),
        };
        // Nobody was before us.
        let registered = registry.register(node).ok_or(ServeError::NoSeed)?;
        Ok((Self::run(config, listeners, registry), registered))
    }

    /// The addresses that are served.
    #[must_use]
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Ends the server; when this returns, its port is free.
    pub async fn close(self) {
        self.task.abort();
        let _cancelled = self.task.await;
    }

    fn run(config: &Config, listeners: Vec<TcpListener>, registry: Registry) -> Self {
        let addrs = listeners.iter().filter_map(|l| l.local_addr().ok()).collect();
        let shared = Arc::new(Shared {
            registry,
            port: config.port,
            idle: config.idle,
            waiting: Mutex::default(),
        });
        let task = tokio::spawn(accept_all(listeners, shared, config.max_connections));
        Self { addrs, task: AbortOnDropHandle::new(task) }
    }
}

/// Why EPMD cannot be served.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Somebody listens there, most likely another EPMD.
    #[error("the port of EPMD is taken at {addr}")]
    PortTaken {
        /// Where.
        addr: SocketAddr,
    },
    /// The system does not let us listen.
    #[error("failed to serve EPMD at {addr}: {source}")]
    Bind {
        /// Where.
        addr: SocketAddr,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The system has no random numbers.
    #[error("failed to get a random number")]
    NoSeed,
}

fn seed() -> Result<u32, ServeError> {
    getrandom::u32().map_err(|_| ServeError::NoSeed)
}

/// Binds in order; whoever has the first address is the host's EPMD.
fn bind(config: &Config) -> Result<Vec<TcpListener>, ServeError> {
    let mut listeners = Vec::new();
    let mut failed = None;
    for addr in config.serve_at() {
        match listen(addr) {
            Ok(listener) => listeners.push(listener),
            Err(error) if listeners.is_empty() && error.kind() == io::ErrorKind::AddrInUse => {
                return Err(ServeError::PortTaken { addr });
            }
            Err(error) => {
                if config.addresses.contains(&addr.ip()) {
                    tracing::warn!(%addr, %error, "EPMD is not served at this address");
                } else {
                    tracing::debug!(%addr, %error, "EPMD is not served at this address");
                }
                failed.get_or_insert(ServeError::Bind { addr, source: Arc::new(error) });
            }
        }
    }
    match failed {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// What the connections have in common.
#[derive(Debug)]
struct Shared {
    registry: Registry,
    port: u16,
    idle: Duration,
    /// Connections that have not registered, the oldest first: these may be ended.
    waiting: Mutex<BTreeMap<u64, AbortHandle>>,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, AbortHandle>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept_all(listeners: Vec<TcpListener>, shared: Arc<Shared>, max: usize) {
    let mut connections = JoinSet::new();
    let mut next_id = 0;
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listeners) => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "failed to accept a connection to EPMD");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        // The lock is held until the task is in the map, where the task looks for itself.
        let mut waiting = shared.waiting();
        if connections.len() >= max {
            match waiting.pop_first() {
                Some((_, oldest)) => oldest.abort(),
                None => continue,
            }
        }
        let id = next_id;
        next_id += 1;
        let task = connections.spawn(serve(stream, shared.clone(), id));
        waiting.insert(id, task);
    }
}

async fn accept(listeners: &[TcpListener]) -> io::Result<TcpStream> {
    poll_fn(|cx| {
        for listener in listeners {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(accepted.map(|(stream, _)| stream));
            }
        }
        Poll::Pending
    })
    .await
}

/// One connection: one request, one answer, and for a registration the wait for its end.
async fn serve(mut stream: TcpStream, shared: Arc<Shared>, id: u64) {
    let registered = timeout(shared.idle, answer(&mut stream, &shared)).await;
    shared.waiting().remove(&id);
    if let Ok(Ok(Some(registered))) = registered {
        // The node never sends anything again; whatever is read ends the registration, as in OTP's.
        let mut byte = [0];
        let _closed_or_broken = stream.read(&mut byte).await;
        drop(registered);
    }
}

async fn answer(stream: &mut TcpStream, shared: &Shared) -> io::Result<Option<Registered>> {
    let len = usize::from(stream.read_u16().await?);
    if !(1..=MAX_REQUEST).contains(&len) {
        return Ok(None);
    }
    let mut request = vec![0; len];
    stream.read_exact(&mut request).await?;
    let mut registered = None;
    let answer = match Request::parse(&request) {
        Some(Request::Alive2(node)) if is_local(stream) => {
            let highest = node.highest;
            registered = shared.registry.register(node);
            protocol::alive2_answer(highest, registered.as_ref().map(|r| r.creation))
        }
        Some(Request::BadAlive2 { highest }) if is_local(stream) => {
            protocol::alive2_answer(highest, None)
        }
        Some(Request::Port2(name)) => shared.registry.port2(&name),
        Some(Request::Names) => shared.registry.names(shared.port),
        Some(Request::Dump) if is_local(stream) => shared.registry.dump(shared.port),
        // What OTP's says while nodes are registered; `epmd -kill` reports it.
        Some(Request::Kill) => b"NO".to_vec(),
        _ => return Ok(None),
    };
    stream.write_all(&answer).await?;
    if registered.is_none() {
        stream.shutdown().await?;
    }
    Ok(registered)
}

/// Whether the peer is on this host.
fn is_local(stream: &TcpStream) -> bool {
    match (stream.peer_addr(), stream.local_addr()) {
        (Ok(peer), Ok(local)) => is_same_host(peer.ip(), local.ip()),
        _ => false,
    }
}

/// `conn_local_peer_check` in `epmd_srv.c`: only a socket of this host can have an address of this host at
/// both ends.
fn is_same_host(peer: IpAddr, local: IpAddr) -> bool {
    peer.is_loopback() || peer == local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_host_may_register() {
        for (peer, local, same) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.2", "127.0.0.1", true),
            ("::1", "::1", true),
            ("10.0.0.4", "10.0.0.4", true),
            ("fd00::4", "fd00::4", true),
            ("10.0.0.5", "10.0.0.4", false),
            ("10.0.0.5", "127.0.0.1", false),
            ("fd00::5", "fd00::4", false),
        ] {
            assert_eq!(is_same_host(peer.parse().unwrap(), local.parse().unwrap()), same, "{peer}");
        }
    }
}
