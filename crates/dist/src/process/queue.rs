//! The queue behind a mailbox.
//!
//! Whoever delivers never waits for it: a link's reader must not be held up by a process that does
//! not receive. So it is bounded, and a process that lets it overflow is ended.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use etf::{DecodeError, Pid, RawTerm, Term};
use tokio::sync::Notify;

use crate::error::DownReason;
use crate::link::WeakLink;
use crate::work;

/// What one message is charged beside its bytes.
const OVERHEAD: usize = size_of::<Envelope>();

/// A message on its way to a process.
#[derive(Debug)]
pub(crate) struct Envelope {
    /// Who sent it, where the operation tells.
    pub(crate) from: Option<Pid>,
    pub(crate) body: Body,
}

/// A message's term.
#[derive(Debug)]
pub(crate) enum Body {
    /// As it came from a peer: the receiver decodes it.
    Encoded(RawTerm, WeakLink),
    /// As a process of this node sent it.
    Term(Term),
}

/// Messages in the order of their arrival.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Notify,
    most_messages: usize,
    most_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Each with what it counts.
    messages: VecDeque<(Envelope, usize)>,
    /// Messages and bytes that were not released yet.
    count: usize,
    bytes: usize,
    closed: bool,
}

/// The queue was over a limit: its process has to be ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

impl Queue {
    /// An empty queue; it holds no memory until the first message.
    pub(crate) fn new(most_messages: usize, most_bytes: usize) -> Self {
        Self { state: Mutex::default(), arrived: Notify::new(), most_messages, most_bytes }
    }

    /// Adds a message; one for a closed queue is dropped, as a message to a dead process is.
    ///
    /// # Errors
    /// [`Overflow`] when the message would take the queue over one of its limits.
    pub(crate) fn push(&self, envelope: Envelope) -> Result<(), Overflow> {
        let size = envelope.size();
        let mut state = self.lock();
        if state.closed {
            return Ok(());
        }
        let bytes = state.bytes.saturating_add(size);
        if state.count >= self.most_messages || bytes > self.most_bytes {
            return Err(Overflow);
        }
        state.bytes = bytes;
        state.count += 1;
        state.messages.push_back((envelope, size));
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// The next message and what it counts, waiting for it; `None` when the queue was closed. Cancelling loses none.
    ///
    /// It counts against the limits until [`Queue::release`] is told its size: a message that a
    /// selective receive has read over is still there.
    pub(crate) async fn pop(&self) -> Option<(Envelope, usize)> {
        loop {
            let arrived = self.arrived.notified();
            if let Some(message) = self.try_pop() {
                return Some(message);
            }
            if self.lock().closed {
                return None;
            }
            arrived.await;
        }
    }

    /// The next message, if there is one.
    pub(crate) fn try_pop(&self) -> Option<(Envelope, usize)> {
        let mut state = self.lock();
        let message = state.messages.pop_front()?;
        if state.messages.is_empty() {
            // A burst must not be paid for until the process ends.
            state.messages.shrink_to(64);
        }
        Some(message)
    }

    /// A message of this size has left the mailbox.
    pub(crate) fn release(&self, size: usize) {
        let mut state = self.lock();
        state.count = state.count.saturating_sub(1);
        state.bytes = state.bytes.saturating_sub(size);
    }

    /// Forgets all messages and takes no more.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.bytes = 0;
        let forgotten = std::mem::take(&mut state.messages);
        drop(state);
        drop(forgotten);
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body {
    /// The term. A malformed one costs its sender's node the link, as it does in OTP.
    ///
    /// # Errors
    /// When it is malformed or over the limits.
    pub(crate) fn into_term(self, limits: &etf::Limits) -> Result<Term, DecodeError> {
        match self {
            Self::Term(term) => Ok(term),
            Self::Encoded(raw, link) => {
                raw.decode(limits).inspect_err(|error| refuse(error, &link))
            }
        }
    }

    /// As [`Body::into_term`]. A large one is decoded where it holds up no task.
    ///
    /// # Errors
    /// As [`Body::into_term`].
    pub(crate) async fn into_term_away(self, limits: &etf::Limits) -> Result<Term, DecodeError> {
        match self {
            Self::Term(term) => Ok(term),
            Self::Encoded(raw, link) => {
                work::decode(raw, limits).await.inspect_err(|error| refuse(error, &link))
            }
        }
    }
}

/// A payload could not be read: counted, and one that is malformed costs its sender's node the
/// link.
pub(crate) fn refuse(error: &DecodeError, link: &WeakLink) {
    let Some(link) = link.upgrade() else { return };
    link.refused_payload(error);
    if !error.is_limit() {
        link.close(DownReason::malformed(&format_args!("a message: {error}")));
    }
}

impl Envelope {
    /// What it counts, in bytes as retained.
    fn size(&self) -> usize {
        OVERHEAD
            + match &self.body {
                Body::Encoded(raw, _) => raw.retained(),
                Body::Term(term) => heap(term),
            }
    }
}

/// What a term holds beside itself, in bytes: each binary counts in full, whoever else holds it.
fn heap(term: &Term) -> usize {
    let elements = |count: usize| count.saturating_mul(size_of::<Term>());
    let mut size = 0_usize;
    // What is left to be looked at: a term of this node may be nested deeper than the stack is.
    let mut rest = Vec::new();
    let mut next = Some(term);
    while let Some(term) = next {
        let held = match term {
            Term::Binary(bytes) => bytes.len(),
            Term::BitBinary(bits) => bits.data().len(),
            Term::BigInt(number) => usize::try_from(number.bits() / 8).unwrap_or(usize::MAX),
            Term::Fun(fun) => fun.as_bytes().len(),
            Term::Export(export) => export.as_bytes().len(),
            Term::Record(record) => record.as_bytes().len(),
            Term::List(items) | Term::Tuple(items) => {
                rest.extend(items);
                elements(items.len())
            }
            Term::ImproperList(list) => {
                rest.extend(list.items());
                rest.push(list.tail());
                elements(list.items().len() + 1)
            }
            Term::Map(map) => {
                rest.extend(map.iter().flat_map(|(key, value)| [key, value]));
                elements(map.len().saturating_mul(2))
            }
            _ => 0,
        };
        size = size.saturating_add(held);
        next = rest.pop();
    }
    size
}

#[cfg(test)]
mod tests {
    use etf::term;
    use futures::FutureExt;

    use super::*;

    fn message(n: i64) -> Envelope {
        Envelope { from: None, body: Body::Term(Term::Int(n)) }
    }

    async fn pop(queue: &Queue) -> i64 {
        let (envelope, size) = queue.pop().await.unwrap();
        queue.release(size);
        match envelope.body {
            Body::Term(Term::Int(n)) => n,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn messages_arrive_in_order() {
        let queue = Queue::new(10, 10_000);
        assert!(queue.pop().now_or_never().is_none());
        queue.push(message(1)).unwrap();
        queue.push(message(2)).unwrap();
        assert_eq!(pop(&queue).await, 1);
        assert_eq!(pop(&queue).await, 2);
    }

    #[tokio::test]
    async fn both_limits_hold_and_room_comes_back() {
        let queue = Queue::new(2, 10_000);
        queue.push(message(1)).unwrap();
        queue.push(message(2)).unwrap();
        assert_eq!(queue.push(message(3)), Err(Overflow));
        pop(&queue).await;
        queue.push(message(3)).unwrap();

        let queue = Queue::new(1000, OVERHEAD * 2);
        queue.push(message(1)).unwrap();
        queue.push(message(2)).unwrap();
        assert_eq!(queue.push(message(3)), Err(Overflow));
    }

    #[tokio::test]
    async fn a_term_of_this_node_counts_what_it_holds() {
        let kilobyte = Term::from(&[0_u8; 1024][..]);
        let queue = Queue::new(10, 5 * 1024);
        let nested = term!({[(kilobyte.clone())], {(kilobyte.clone())}});
        let map = term!(#{1 => (kilobyte.clone())});
        for term in [kilobyte, nested, map] {
            queue.push(Envelope { from: None, body: Body::Term(term) }).unwrap();
        }
        let more = || Envelope { from: None, body: Body::Term(Term::from(&[0_u8; 1024][..])) };
        assert_eq!(queue.push(more()), Err(Overflow));
        for _ in 0..3 {
            let (_, size) = queue.pop().await.unwrap();
            queue.release(size);
        }
        assert_eq!(queue.lock().bytes, 0);
        queue.push(more()).unwrap();
        let mut deep = Term::NIL;
        for _ in 0..100 {
            deep = Term::List(vec![deep]);
        }
        assert_eq!(heap(&deep), 100 * size_of::<Term>());
    }

    #[tokio::test]
    async fn a_closed_queue_ends_its_receiver_and_drops_what_comes() {
        let queue = Queue::new(10, 10_000);
        queue.push(message(1)).unwrap();
        queue.close();
        assert!(queue.pop().await.is_none());
        assert_eq!(queue.push(message(2)), Ok(()));
        assert!(queue.pop().await.is_none());
    }
}
