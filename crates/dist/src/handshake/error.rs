//! How a handshake can fail.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::packets::TooLarge;
use crate::name::NodeNameError;
use crate::{NodeName, flags::FlagName};

/// What a side of the handshake is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// Either side waits for the end of the TLS handshake, which comes first where there is TLS.
    Tls,
    /// The acceptor waits for `N` (or the old `n`).
    Name,
    /// The initiator waits for the status.
    Status,
    /// The acceptor has asked with `alive` and waits for `true` or `false`.
    AliveAnswer,
    /// The initiator waits for the challenge.
    Challenge,
    /// The acceptor waits for `c`, which follows an old `n`.
    Complement,
    /// The acceptor waits for the challenge reply.
    Reply,
    /// The initiator waits for the acknowledgement of its reply.
    Ack,
}

impl Step {
    /// What it means that the peer closed the connection in this step.
    ///
    /// A peer says nothing when the cookies differ, it just closes
    /// (`recv_challenge_reply` in `dist_util.erl`).
    #[must_use]
    pub fn closed(self) -> HandshakeError {
        match self {
            Self::Ack => HandshakeError::CookieRefused,
            step => HandshakeError::Closed { step },
        }
    }

    /// What an I/O error means in this step: a broken connection is a closed one (a peer that closes
    /// with something unread sends a reset).
    #[must_use]
    pub fn io(self, error: io::Error) -> HandshakeError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => self.closed(),
            _ => HandshakeError::Io { step: self, source: Arc::new(error) },
        }
    }

    /// What it means that [`Packets`](super::Packets) was announced more than any message has.
    #[must_use]
    pub fn too_large(self, _: TooLarge) -> HandshakeError {
        self.malformed("it is longer than any handshake message")
    }

    /// The error of a step that took too long.
    #[must_use]
    pub fn timed_out(self) -> HandshakeError {
        HandshakeError::Timeout { step: self }
    }

    pub(crate) fn malformed(self, problem: &'static str) -> HandshakeError {
        HandshakeError::Malformed { step: self, problem }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "the TLS handshake (a peer without TLS does not answer it)",
            Self::Name => "the name",
            Self::Status => "the status",
            Self::AliveAnswer => "the answer to alive",
            Self::Challenge => "the challenge",
            Self::Complement => "the complement",
            Self::Reply => "the challenge reply",
            Self::Ack => "the challenge acknowledgement",
        })
    }
}

/// Why a handshake failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer cannot do what we demand ([`Flags::MANDATORY`](crate::Flags::MANDATORY)).
    #[error("the peer lacks {}", Names(.0))]
    MissingFlags(Vec<FlagName>),
    /// The cookies differ: the peer's digest is wrong, or the peer closed on ours.
    #[error("the cookies differ")]
    CookieRefused,
    /// The peer does not let us in (its `net_kernel:allow/1`, or flags that it demands).
    #[error(
        "the peer does not allow this node to connect, or demands flags that it does not offer"
    )]
    NotAllowed,
    /// We do not let a node of this name in.
    #[error("a node named {0} is not let in")]
    NotLetIn(NodeName),
    /// The peer prefers its own attempt to connect to us, which has not come to anything.
    #[error("the peer prefers its own attempt to connect to us")]
    Nok,
    /// Another node answered than the one that was dialled.
    #[error("dialled {expected}, but {found:?} answered")]
    NameMismatch {
        /// Who was dialled.
        expected: NodeName,
        /// Who answered: at most 255 bytes, not necessarily a valid name.
        found: String,
    },
    /// The peer's name is not a node name.
    #[error("the peer calls itself {name:?}: {source}")]
    BadName {
        /// The name, shortened.
        name: String,
        /// What is wrong with it.
        #[source]
        source: NodeNameError,
    },
    /// The peer began with TLS, and this node has none.
    #[error("the peer speaks TLS, and this node does not")]
    PeerSpeaksTls,
    /// The peer began with something else than TLS, and this node has to do with TLS only.
    #[error("the peer does not speak TLS, and this node speaks nothing else")]
    PeerSpeaksNoTls,
    /// No TLS connection came about.
    #[cfg(feature = "tls")]
    #[error("TLS: {0}")]
    Tls(#[from] crate::TlsFailure),
    /// The peer did not send what we waited for in time.
    #[error("no answer in time while waiting for {step}")]
    Timeout {
        /// What we waited for.
        step: Step,
    },
    /// The peer closed the connection.
    #[error("the peer closed the connection while we waited for {step}")]
    Closed {
        /// What we waited for.
        step: Step,
    },
    /// The peer sent something else than the protocol has here.
    #[error("malformed message while waiting for {step}: {problem}")]
    Malformed {
        /// What we waited for.
        step: Step,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The connection failed.
    #[error("failed to read or write while waiting for {step}: {source}")]
    Io {
        /// What we waited for.
        step: Step,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
}

struct Names<'a>(&'a [FlagName]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{name}")?;
        }
        Ok(())
    }
}
