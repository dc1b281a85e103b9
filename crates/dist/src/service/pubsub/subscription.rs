//! The messages of topics, one after the other.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;

use super::PubSubMessage;
use super::pool::Pool;
use crate::service::buffer::{Next, Receiver};

/// What a subscriber gets.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PubSubEvent {
    /// A message on one of its topics.
    Message(PubSubMessage),
    /// The subscriber was too slow: this many messages were dropped, the oldest.
    Lagged(u64),
}

/// The messages of one or more topics from the moment the stream was made: see
/// [`PubSub::subscribe`](super::PubSub::subscribe).
///
/// Keeps up to 1,024 messages or 64 MiB (as they came) for a slow reader, and drops the oldest of
/// more. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    pub(super) messages: Receiver<PubSubMessage>,
    pub(super) pool: Arc<Pool>,
    pub(super) topics: Vec<Bytes>,
    pub(super) id: u64,
}

impl Subscription {
    /// The next message; `None` once the node has ended. Cancelling loses none.
    pub async fn next(&mut self) -> Option<PubSubEvent> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Subscription {
    type Item = PubSubEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<PubSubEvent>> {
        Poll::Ready(match ready!(self.messages.poll(context)) {
            Next::Item(message) => Some(PubSubEvent::Message(message)),
            Next::Lagged(count) => Some(PubSubEvent::Lagged(count)),
            Next::End => None,
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        for topic in &self.topics {
            self.pool.local.unsubscribe(topic, self.id);
        }
    }
}
