//! Asking an EPMD: `erl_dist`'s client, with limits and time-outs.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use erl_dist::epmd::{EpmdClient, EpmdError, NodeEntry, NodeType};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, BufReader, BufWriter, Join, Take};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::timeout;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

use crate::node::Admission;
use crate::tcp;

/// How long one address may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a whole look-up may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The most bytes of an answer about one node, and of one about all.
const MAX_NODE_ANSWER: u64 = 4 << 10;
const MAX_NAMES_ANSWER: u64 = 1 << 20;
const MAX_ALIVE_ANSWER: u64 = 6;

/// More than a request or the answer about one node has.
const BUFFER: usize = 1 << 10;

/// Where a node listens, as its EPMD says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeInfo {
    /// The address of the host that answered: dial this one.
    pub addr: IpAddr,
    /// The port on which the node listens.
    pub port: u16,
    /// The highest version of the distribution protocol that it speaks.
    pub highest: u16,
    /// The lowest.
    pub lowest: u16,
}

/// Asks the EPMD on `host` at `port` for the node `base` (the part of its name before the `@`).
///
/// All addresses of the host are tried, of both families, until an EPMD accepts; its word counts. At
/// most 5 s.
///
/// # Errors
///
/// Each step has its own: see [`LookupError`].
pub async fn lookup(host: &str, port: u16, base: &str) -> Result<NodeInfo, LookupError> {
    lookup_at(host, port, base, &Admission::default()).await
}

/// As [`lookup`], but asks only at addresses that `allowed` takes.
///
/// # Errors
/// As [`lookup`], and [`LookupError::NotAllowed`] where it takes none of the host's.
pub async fn lookup_allowed(
    host: &str,
    port: u16,
    base: &str,
    allowed: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
) -> Result<NodeInfo, LookupError> {
    lookup_at(host, port, base, &Admission::of_addresses(allowed)).await
}

/// As [`lookup_allowed`], by a node's own rules.
pub(crate) async fn lookup_at(
    host: &str,
    port: u16,
    base: &str,
    admission: &Admission,
) -> Result<NodeInfo, LookupError> {
    let (addr, entry) = ask(host, port, admission, async |addr, mut stream| {
        let answer = client(&mut stream, MAX_NODE_ANSWER).get_node(base).await;
        answer.map_err(|error| LookupError::from_answer(addr, error))
    })
    .await?;
    let entry = entry.ok_or_else(|| LookupError::NotFound { base: base.to_owned(), addr })?;
    Ok(NodeInfo {
        addr: addr.ip(),
        port: entry.port,
        highest: entry.highest_version,
        lowest: entry.lowest_version,
    })
}

/// Asks the EPMD on `host` at `port` for all its nodes: what stands before the `@`, and the port.
///
/// # Errors
///
/// As [`lookup`], but for [`LookupError::NotFound`].
pub async fn names(host: &str, port: u16) -> Result<Vec<(String, u16)>, LookupError> {
    let (_, names) = ask(host, port, &Admission::default(), async |addr, mut stream| {
        let answer = client(&mut stream, MAX_NAMES_ANSWER).get_names().await;
        answer.map_err(|error| LookupError::from_answer(addr, error))
    })
    .await?;
    Ok(names)
}

/// Why EPMD did not tell.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The host has no address.
    #[error("failed to resolve the host {host}: {source}")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver said.
        #[source]
        source: Arc<io::Error>,
    },
    /// None of the host's addresses may be connected to
    /// ([`NodeBuilder::allow_address`](crate::NodeBuilder::allow_address)).
    #[error("the address {addr} of {host} is none that may be connected to")]
    NotAllowed {
        /// The host.
        host: String,
        /// Its first address.
        addr: IpAddr,
    },
    /// Nobody accepts connections there: EPMD does not run, or cannot be reached.
    #[error("failed to reach EPMD at {addr}: {source}")]
    Unreachable {
        /// The last address that was tried.
        addr: SocketAddr,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// EPMD knows no such node.
    #[error("EPMD at {addr} knows no node {base}")]
    NotFound {
        /// The name before the `@`.
        base: String,
        /// The EPMD that answered.
        addr: SocketAddr,
    },
    /// No answer in time.
    #[error("EPMD of {host} at port {port} did not answer in time")]
    Timeout {
        /// The host.
        host: String,
        /// Its EPMD's port.
        port: u16,
    },
    /// The answer is not one of EPMD.
    #[error("what answered at {addr} is not EPMD: {problem}")]
    Malformed {
        /// Who answered.
        addr: SocketAddr,
        /// What is wrong with the answer.
        problem: String,
    },
}

impl LookupError {
    fn from_answer(addr: SocketAddr, error: EpmdError) -> Self {
        match Answer::from(error) {
            Answer::Io(source) => Self::Unreachable { addr, source: Arc::new(source) },
            Answer::Malformed(problem) => Self::Malformed { addr, problem },
        }
    }
}

/// What an error after the connection was made means.
enum Answer {
    Io(io::Error),
    Malformed(String),
}

impl From<EpmdError> for Answer {
    fn from(error: EpmdError) -> Self {
        match error {
            EpmdError::Io(error) => match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    Self::Malformed("it closed the connection without a full answer".into())
                }
                io::ErrorKind::InvalidData => Self::Malformed(error.to_string()),
                _ => Self::Io(error),
            },
            error => Self::Malformed(error.to_string()),
        }
    }
}

/// Connects to the first address of `host` where EPMD accepts, and has `request` ask there.
async fn ask<T>(
    host: &str,
    port: u16,
    admission: &Admission,
    request: impl AsyncFnOnce(SocketAddr, TcpStream) -> Result<T, LookupError>,
) -> Result<(SocketAddr, T), LookupError> {
    let all = async {
        let (addr, stream) = connect(host, port, admission).await?;
        Ok((addr, request(addr, stream).await?))
    };
    timeout(LOOKUP_TIMEOUT, all)
        .await
        .unwrap_or_else(|_| Err(LookupError::Timeout { host: host.to_owned(), port }))
}

async fn connect(
    host: &str,
    port: u16,
    admission: &Admission,
) -> Result<(SocketAddr, TcpStream), LookupError> {
    let resolve = |source| LookupError::Resolve { host: host.to_owned(), source: Arc::new(source) };
    let addrs = tokio::net::lookup_host((host, port)).await.map_err(resolve)?;
    let addrs = allowed_only(host, addrs, admission)?;
    match tcp::connect(addrs, CONNECT_TIMEOUT).await {
        Ok(connected) => Ok(connected),
        Err(Some((addr, source))) => {
            Err(LookupError::Unreachable { addr, source: Arc::new(source) })
        }
        Err(None) => Err(resolve(io::Error::new(io::ErrorKind::NotFound, "it has no address"))),
    }
}

/// Those of a host's addresses that may be connected to.
///
/// # Errors
/// [`LookupError::NotAllowed`] when there are some and none may.
pub(crate) fn allowed_only(
    host: &str,
    addrs: impl Iterator<Item = SocketAddr>,
    admission: &Admission,
) -> Result<Vec<SocketAddr>, LookupError> {
    let (allowed, others): (Vec<_>, Vec<_>) =
        addrs.partition(|addr| admission.allows_address(addr.ip()));
    match others.first() {
        Some(addr) if allowed.is_empty() => {
            Err(LookupError::NotAllowed { host: host.to_owned(), addr: addr.ip() })
        }
        _ => Ok(allowed),
    }
}

type Limited<R, W> = Join<BufReader<Take<R>>, BufWriter<W>>;

/// `erl_dist`'s client over `stream`: at most `limit` bytes are read, and what it writes and reads field by
/// field goes out in one piece and comes in as it arrives.
fn client(
    stream: &mut TcpStream,
    limit: u64,
) -> EpmdClient<Compat<Limited<ReadHalf<'_>, WriteHalf<'_>>>> {
    let (reader, writer) = stream.split();
    client_of(reader, writer, limit)
}

fn client_of<R: AsyncRead, W: AsyncWrite>(
    reader: R,
    writer: W,
    limit: u64,
) -> EpmdClient<Compat<Limited<R, W>>>
where
    Limited<R, W>: AsyncRead + AsyncWrite + Unpin,
{
    let reader = BufReader::with_capacity(BUFFER, reader.take(limit));
    EpmdClient::new(tokio::io::join(reader, BufWriter::with_capacity(BUFFER, writer)).compat())
}

/// What each request makes of an answer, for [`super::fuzz`].
pub(super) async fn take_answer(request: u8, answer: &[u8]) -> Result<(), String> {
    let client = |limit| client_of(answer, tokio::io::sink(), limit);
    let taken = match request % 3 {
        0 => client(MAX_NODE_ANSWER).get_node("node").await.map(drop),
        1 => client(MAX_NAMES_ANSWER).get_names().await.map(drop),
        _ => client(MAX_ALIVE_ANSWER).register(NodeEntry::new("node", 1)).await.map(drop),
    };
    let addr = SocketAddr::from(([127, 0, 0, 1], 4369));
    taken.map_err(|error| LookupError::from_answer(addr, error).to_string())
}

/// What a registration hands to EPMD.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The part of the name before the `@`.
    pub(super) base: String,
    /// Where the node listens.
    pub(super) port: u16,
}

impl Entry {
    /// Type 77, "normal", whether hidden or not: so does OTP for all its nodes
    /// (`do_register_node` in `erl_epmd.erl`), and nobody reads it. Versions 5 to 6: OTP 23 sends the old `n`
    /// to a node whose highest version is 5, and older releases look for a lowest of 5.
    fn node(&self) -> NodeEntry {
        NodeEntry {
            node_type: NodeType::Normal,
            highest_version: 6,
            lowest_version: 5,
            ..NodeEntry::new(&self.base, self.port)
        }
    }
}

/// Why a registration failed at one address.
pub(super) enum AliveError {
    /// No connection, or a broken one.
    Unreachable(io::Error),
    /// The name is taken (EPMD says the same of a name that it does not like).
    Taken,
    /// No answer in time.
    Timeout,
    /// Not an EPMD.
    Malformed(String),
}

/// A registration: it lasts as long as this.
#[derive(Debug)]
pub(super) struct Alive {
    stream: TcpStream,
    /// The creation that EPMD gave.
    pub(super) creation: u32,
}

impl Alive {
    /// Waits until EPMD closes, which it does when it ends; it never sends anything.
    pub(super) async fn ended(&mut self) {
        let mut byte = [0];
        let _closed_or_broken = self.stream.read(&mut byte).await;
    }
}

/// Registers with the EPMD at `addr`.
pub(super) async fn register(
    addr: SocketAddr,
    entry: &Entry,
    within: Duration,
) -> Result<Alive, AliveError> {
    within_time(within, async {
        let mut stream = TcpStream::connect(addr).await.map_err(AliveError::Unreachable)?;
        let answer = client(&mut stream, MAX_ALIVE_ANSWER).register(entry.node()).await;
        match answer.map(|(_, creation)| creation.get()) {
            // Nothing is left in the buffer: EPMD says no more than this.
            Ok(creation) => Ok(Alive { stream, creation }),
            Err(EpmdError::RegisterNodeError { .. }) => Err(AliveError::Taken),
            Err(error) => Err(match Answer::from(error) {
                Answer::Io(error) => AliveError::Unreachable(error),
                Answer::Malformed(problem) => AliveError::Malformed(problem),
            }),
        }
    })
    .await
}

async fn within_time<T>(
    within: Duration,
    work: impl Future<Output = Result<T, AliveError>>,
) -> Result<T, AliveError> {
    timeout(within, work).await.unwrap_or(Err(AliveError::Timeout))
}
