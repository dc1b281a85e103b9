//! How nodes find each other.

use std::{fmt, time::Duration};

use dist::NodeName;
use futures::stream::BoxStream;

/// A place where nodes announce themselves and hear each other. [`Postgres`](crate::Postgres) is one; a list in a file or a
/// DNS record could be another.
///
/// ```
/// use beamjoin::{Discovery, DiscoveryEvent};
/// use dist::NodeName;
/// use futures::stream::{self, BoxStream, StreamExt};
///
/// /// Always the same nodes.
/// struct Fixed(Vec<&'static str>);
///
/// impl Discovery for Fixed {
///     fn start(self: Box<Self>, _own: NodeName) -> BoxStream<'static, DiscoveryEvent> {
///         stream::iter(self.0).map(|name| DiscoveryEvent::Heard(name.into())).chain(stream::pending()).boxed()
///     }
/// }
/// ```
pub trait Discovery: Send + 'static {
    /// Announces `own`, now and again, and yields what is heard of others, for as long as the stream is kept.
    ///
    /// A stream that ends is not started again. What is heard need not be valid, new or fair: the cluster checks names,
    /// remembers them, and bounds how many it takes.
    fn start(self: Box<Self>, own: NodeName) -> BoxStream<'static, DiscoveryEvent>;
}

/// What a [`Discovery`] has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiscoveryEvent {
    /// Others can be heard from now on.
    Up {
        /// The server, as `host:port` or the path of its socket.
        server: String,
    },
    /// We have announced ourselves, for the first time since the last [`Up`](Self::Up).
    Announced,
    /// A name was announced, perhaps our own: bytes as they came.
    Heard(Vec<u8>),
    /// This many announcements came faster than they could be taken, and were dropped. Whoever was missed announces itself
    /// again.
    Missed(u64),
    /// Nobody can be heard until the next [`Up`](Self::Up), or the first attempt failed. Links are not touched. A reason
    /// that stays the same is not told at every attempt.
    Lost {
        /// Why, in words fit for a log.
        reason: String,
        /// When it is tried again.
        retry_in: Duration,
    },
    /// One more attempt has failed, told or not told as [`Lost`](Self::Lost): this many have since the start.
    FailedAttempts(u64),
    /// It makes no sense to try again. The last event.
    Failed(DiscoveryError),
}

/// Why discovery has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DiscoveryError {
    /// In words fit for a user: a server's own where there are any.
    pub reason: String,
}

impl DiscoveryError {
    /// Discovery has ended for this reason.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string() }
    }
}
