//! What a node tells about itself.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::Stream;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::ReusableBoxFuture;

use crate::epmd;
use crate::error::DownReason;
use crate::flags::Flags;
use crate::name::NodeName;

/// How many events a stream that nobody reads keeps before it drops the oldest.
const KEPT: usize = 1024;

/// Whether a node shows up in `nodes()` of others, and takes part in `global`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Visibility {
    /// Connected, but only in `nodes(hidden)` and `nodes(connected)`: not a target for what
    /// addresses every node of a cluster.
    #[default]
    Hidden,
    /// In `nodes()`.
    Visible,
}

/// A connected node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Its name.
    pub name: NodeName,
    /// How it and we see each other: visible only when both are.
    pub visibility: Visibility,
    /// What it offered in the handshake.
    pub flags: Flags,
    /// Which incarnation of its name it is.
    pub creation: u32,
}

/// Something that happened to a node.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum NodeEvent {
    /// A link is up. Comes before anything that the peer sent.
    Up(Peer),
    /// A link is gone. Comes before the next `Up` of the same name.
    Down {
        /// Whose link it was.
        node: NodeName,
        /// Why.
        reason: DownReason,
    },
    /// How we stand with EPMD.
    Epmd(epmd::Status),
    /// The reader was too slow: this many events were dropped, the oldest.
    Lagged(u64),
}

/// The events of a node from the moment the stream was made; drops the oldest of more than 1,024.
#[derive(Debug)]
pub struct NodeEvents {
    next: ReusableBoxFuture<'static, (Option<NodeEvent>, broadcast::Receiver<NodeEvent>)>,
}

impl NodeEvents {
    /// The next event; `None` once the node was shut down or dropped and its last link is down.
    /// Cancelling loses none.
    pub async fn next(&mut self) -> Option<NodeEvent> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for NodeEvents {
    type Item = NodeEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<NodeEvent>> {
        let (event, receiver) = std::task::ready!(self.next.poll(context));
        self.next.set(receive(receiver));
        Poll::Ready(event)
    }
}

/// Where a node puts its events, until it is at its end.
#[derive(Debug)]
pub(super) struct Events(Mutex<State>);

#[derive(Debug)]
enum State {
    /// No stream was made yet, so nothing is kept: the room for 1,024 events is 80 KiB, which a node that lives for
    /// one call would touch for nothing.
    Unheard,
    Heard(broadcast::Sender<NodeEvent>),
    Ended,
}

impl Events {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State::Unheard))
    }

    pub(super) fn tell(&self, event: NodeEvent) {
        if let State::Heard(sender) = &*self.lock() {
            // Nobody need be listening any more.
            let _ = sender.send(event);
        }
    }

    pub(super) fn subscribe(&self) -> NodeEvents {
        let mut state = self.lock();
        let receiver = match &*state {
            State::Unheard => {
                let (sender, receiver) = broadcast::channel(KEPT);
                *state = State::Heard(sender);
                receiver
            }
            State::Heard(sender) => sender.subscribe(),
            // One that ends at once.
            State::Ended => broadcast::channel(1).1,
        };
        NodeEvents { next: ReusableBoxFuture::new(receive(receiver)) }
    }

    /// There will be no more: every stream ends behind what was told so far.
    pub(super) fn end(&self) {
        *self.lock() = State::Ended;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn receive(
    mut receiver: broadcast::Receiver<NodeEvent>,
) -> (Option<NodeEvent>, broadcast::Receiver<NodeEvent>) {
    let event = match receiver.recv().await {
        Ok(event) => Some(event),
        Err(RecvError::Lagged(count)) => Some(NodeEvent::Lagged(count)),
        Err(RecvError::Closed) => None,
    };
    (event, receiver)
}
