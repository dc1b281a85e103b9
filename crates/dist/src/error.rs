//! Errors, divided by whose fault they are.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::epmd;
use crate::handshake::HandshakeError;
use crate::name::{NodeName, NodeNameError};

/// Why a node could not be connected to.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name is our own.
    #[error("{0} is this node itself")]
    OwnName(NodeName),
    /// It is none of the nodes that we connect with ([`NodeBuilder::allow`](crate::NodeBuilder::allow)).
    #[error("{0} is none of the nodes that may be connected with")]
    NotAllowed(NodeName),
    /// Where the node listens could not be found out: its host does not resolve, there is no EPMD
    /// on it, or EPMD does not know the name. Three different errors inside.
    #[error(transparent)]
    Lookup(#[from] epmd::LookupError),
    /// The port that EPMD told could not be connected to.
    #[error("{addr} does not take the connection: {source}")]
    Tcp {
        /// The last address tried.
        addr: SocketAddr,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Nothing answered at the port within the time.
    #[error("{addr} did not take the connection within {after:?}")]
    TcpTimeout {
        /// The last address tried.
        addr: SocketAddr,
        /// How long it was given.
        after: Duration,
    },
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The host under which a name was to be asked for cannot be one.
    #[error("no name can be asked for: {0}")]
    Host(#[from] NodeNameError),
    /// The link went down before what was asked over it was answered.
    #[error("the link to {0} went down: {1}")]
    Lost(NodeName, DownReason),
    /// The link is up, but the node does not answer.
    #[error("{0} does not answer")]
    NoAnswer(NodeName),
    /// Other attempts with the same peer took this one's place again and again.
    #[error("other connection attempts with {0} got in the way")]
    Superseded(NodeName),
    /// The node is shutting down.
    #[error("this node is shutting down")]
    ShuttingDown,
}

/// Why a link ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum DownReason {
    /// The peer closed the connection: it disconnected, stopped or died.
    Closed,
    /// The connection broke.
    Io(Arc<io::Error>),
    /// Nothing was heard from the peer for its whole tick time and a quarter.
    TickTimeout,
    /// The peer sent something that no node sends: the beginning of it, or what is wrong with it.
    Malformed(String),
    /// The peer did not read our answers until 8 MiB of them had gathered.
    NotReading,
    /// The peer holds more links and monitors than we keep.
    TooManyRelations,
    /// The peer connected anew and said that this link is stale.
    Replaced,
    /// [`Node::disconnect`](crate::Node::disconnect) was called.
    Disconnected,
    /// This node was shut down.
    Shutdown,
    /// There was no link, and none could be made
    /// (only of [`Node::monitor_node`](crate::Node::monitor_node)).
    Unreachable(Arc<ConnectError>),
}

/// How much of what is malformed is said, in bytes.
const SAID: usize = 500;

/// Takes text up to [`SAID`] and refuses the rest.
#[derive(Debug, Default)]
struct Beginning(String);

impl fmt::Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = SAID - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let whole = (0..=room).rev().find_map(|end| text.get(..end));
        self.0.push_str(whole.unwrap_or_default());
        Err(fmt::Error)
    }
}

impl DownReason {
    /// [`DownReason::Malformed`]: what a peer sent may be as long as it likes, and a reason is
    /// logged, kept and copied.
    pub(crate) fn malformed(what: &dyn fmt::Display) -> Self {
        let mut said = Beginning::default();
        if fmt::write(&mut said, format_args!("{what}")).is_err() {
            said.0.push('…');
        }
        Self::Malformed(said.0)
    }

    /// The word by which OTP's `nodedown_reason` calls this, or one in its manner.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Closed | Self::Io(_) | Self::Replaced => "connection_closed",
            Self::TickTimeout => "net_tick_timeout",
            Self::Malformed(_) => "malformed",
            Self::NotReading => "not_reading",
            Self::TooManyRelations => "too_many_relations",
            Self::Disconnected => "disconnect",
            Self::Shutdown => "shutdown",
            Self::Unreachable(_) => "connection_setup_failed",
        }
    }
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by the peer"),
            Self::Io(error) => write!(f, "the connection broke: {error}"),
            Self::TickTimeout => f.write_str("the peer fell silent"),
            Self::Malformed(what) => write!(f, "malformed: {what}"),
            Self::NotReading => f.write_str("the peer does not read"),
            Self::TooManyRelations => f.write_str("the peer holds too many links and monitors"),
            Self::Replaced => f.write_str("the peer connected anew"),
            Self::Disconnected => f.write_str("disconnected by this node"),
            Self::Shutdown => f.write_str("this node shuts down"),
            Self::Unreachable(error) => write!(f, "not connected: {error}"),
        }
    }
}

/// Why a node could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No address to listen on could be taken.
    #[error("{what} cannot be listened on: {source}")]
    Listen {
        /// The address, or the address and range of ports.
        what: String,
        /// What the system said of the last port.
        source: io::Error,
    },
    /// Registering with EPMD failed.
    #[error(transparent)]
    Epmd(#[from] epmd::RegisterError),
    /// An environment variable that tells where EPMD is makes no sense.
    #[error(transparent)]
    EpmdConfig(#[from] epmd::ConfigError),
    /// The system has no source of random numbers.
    #[error("no random numbers: {0}")]
    Random(String),
    /// A scope of process groups could not be started.
    #[error("the scope {name}: {source}")]
    Scope {
        /// Its name.
        name: String,
        /// Why not.
        source: RegisterError,
    },
}

/// Why a name was not given to a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Another process has the name.
    #[error("the name {0} is taken")]
    Taken(String),
    /// The node itself answers for this name.
    #[error("the name {0} is the node's own")]
    Reserved(String),
    /// The process has a name already.
    #[error("the process is registered as {0}")]
    Named(String),
    /// The process has ended.
    #[error("the process has ended")]
    Ended,
    /// Not a name that an atom can hold.
    #[error("{0:?} is no name: {1}")]
    Invalid(String, etf::AtomError),
    /// The node is shutting down.
    #[error("this node is shutting down")]
    ShuttingDown,
}

/// Why a message was not sent. A message to a process that does not exist is no error, as in
/// Erlang.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The receiver's node could not be connected to.
    #[error("no connection to {node}: {source}")]
    Connect {
        /// The receiver's node.
        node: NodeName,
        /// Why not.
        source: ConnectError,
    },
    /// The receiver's node has no name that one could connect to.
    #[error(transparent)]
    NodeName(#[from] NodeNameError),
    /// The link went down while the message waited for room in its queue.
    #[error("the link to {0} went down")]
    LinkDown(NodeName),
    /// The queue of the link is full (only from sends that do not wait).
    #[error("the queue to {0} is full")]
    Busy(NodeName),
    /// There is no link (only from sends that do not dial).
    #[error("not connected to {0}")]
    NotConnected(NodeName),
    /// The message has no external form.
    #[error(transparent)]
    Encode(#[from] etf::EncodeError),
    /// The message, of a type of Rust, has no external form.
    #[cfg(feature = "serde")]
    #[error(transparent)]
    Serialize(#[from] etf::SerializeError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_malformed_only_the_beginning_is_said() {
        let said = |what: &dyn fmt::Display| match DownReason::malformed(what) {
            DownReason::Malformed(said) => said,
            other => panic!("{other}"),
        };
        assert_eq!(said(&"short"), "short");
        let longest = "é".repeat(SAID / 2);
        assert_eq!(said(&longest), longest);
        for long in [format!("{longest}x"), "é".repeat(SAID), format!("x{}", "é".repeat(SAID))] {
            let said = said(&long);
            assert!(said.len() <= SAID + '…'.len_utf8() && said.ends_with('…'), "{said}");
            assert!(long.starts_with(said.trim_end_matches('…')), "{said}");
        }
        let term = etf::Term::List(vec![etf::Term::Int(-1); 1_000_000]);
        assert!(said(&term).starts_with("[-1,-1,"));
    }
}
