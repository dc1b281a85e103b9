//! What happens in a cluster.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use dist::{ConnectError, DownReason, NodeName, Peer, epmd};
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::DiscoveryError;

/// Something that happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClusterEvent {
    /// Other nodes can be heard from now on.
    DiscoveryUp {
        /// The server they are heard through.
        server: String,
    },
    /// We have announced ourselves, for the first time since the last [`DiscoveryUp`](Self::DiscoveryUp).
    Announced,
    /// Our own announcement has come back, for the first time since the last [`DiscoveryUp`](Self::DiscoveryUp): whoever
    /// listens there hears us.
    HeardOurselves,
    /// A name was announced that was not known.
    Discovered(NodeName),
    /// A link is up.
    Up(Peer),
    /// A link is gone. The node is dialled again by itself.
    Down {
        /// Whose link it was.
        node: NodeName,
        /// Why.
        reason: DownReason,
    },
    /// A dial failed. It is repeated by itself.
    DialFailed {
        /// Who was dialled.
        node: NodeName,
        /// Why it failed.
        error: ConnectError,
        /// How often in a row so far.
        failures: u32,
    },
    /// Nobody can be heard for now; links stay.
    DiscoveryLost {
        /// Why, in words fit for a log.
        reason: String,
        /// When it is tried again.
        retry_in: Duration,
    },
    /// Nobody will be heard any more; links stay.
    DiscoveryFailed(DiscoveryError),
    /// How we stand with EPMD.
    Epmd(epmd::Status),
    /// The reader was too slow: this many events were dropped, the oldest.
    Lagged(u64),
}

/// A stream of [`ClusterEvent`]s; it drops the oldest of more than 1,024 that are not read, and ends when the cluster is
/// stopped.
pub struct ClusterEvents(BoxStream<'static, ClusterEvent>);

impl ClusterEvents {
    pub(super) fn new(receiver: Receiver<ClusterEvent>) -> Self {
        let events = stream::unfold(receiver, |mut receiver| async move {
            match receiver.recv().await {
                Ok(event) => Some((event, receiver)),
                Err(RecvError::Lagged(missed)) => Some((ClusterEvent::Lagged(missed), receiver)),
                Err(RecvError::Closed) => None,
            }
        });
        Self(events.boxed())
    }

    /// The next event; `None` once the cluster was stopped. Safe to cancel.
    pub async fn next(&mut self) -> Option<ClusterEvent> {
        StreamExt::next(&mut self.0).await
    }
}

impl Stream for ClusterEvents {
    type Item = ClusterEvent;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<ClusterEvent>> {
        self.0.as_mut().poll_next(context)
    }
}

impl std::fmt::Debug for ClusterEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterEvents").finish_non_exhaustive()
    }
}
