//! The queue behind a mailbox.
//!
//! Whoever delivers never waits for it: a link's reader must not be held up by a process that does
//! not receive. So it is bounded, and a process that lets it overflow is ended.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use etf::{DecodeError, Pid, RawTerm, Term};
use tokio::sync::Notify;

use super::run::Run;
use crate::error::DownReason;
use crate::link::WeakLink;
use crate::work;

/// What one message is charged beside its bytes.
pub(super) const OVERHEAD: usize = size_of::<Envelope>();

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
    messages: Mutex<Batch>,
    arrived: Notify,
    /// Messages and bytes that were not released yet; they grow under the lock alone.
    count: AtomicUsize,
    bytes: AtomicUsize,
    /// Set under the lock.
    closed: AtomicBool,
    most_messages: usize,
    most_bytes: usize,
}

/// Messages, each with what it counts, and runs of them.
type Batch = VecDeque<Item>;

#[derive(Debug)]
enum Item {
    One(Envelope, usize),
    Run(Box<Run>),
}

/// What a receiver has taken at once out of its queue: made when first needed, since most processes
/// of a large number never have two messages at a time.
#[derive(Debug, Default)]
pub(crate) struct Taken(Option<Box<TakenBatch>>);

#[derive(Debug, Default)]
struct TakenBatch {
    messages: Batch,
}

/// How much room for messages is kept: a burst must not be paid for until the process ends.
const KEPT: usize = 64;

/// The queue was over a limit: its process has to be ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

impl Queue {
    /// An empty queue; it holds no memory until the first message.
    pub(crate) fn new(most_messages: usize, most_bytes: usize) -> Self {
        Self {
            messages: Mutex::default(),
            arrived: Notify::new(),
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            most_messages,
            most_bytes,
        }
    }

    /// Adds a message; one for a closed queue is dropped, as a message to a dead process is.
    ///
    /// # Errors
    /// [`Overflow`] when the message would take the queue over one of its limits.
    pub(crate) fn push(&self, envelope: Envelope) -> Result<(), Overflow> {
        let size = envelope.size();
        self.add(Item::One(envelope, size), 1, size)
    }

    /// Adds the messages of a run, or none of them.
    ///
    /// # Errors
    /// [`Overflow`] when they would take the queue over one of its limits.
    pub(crate) fn push_run(&self, run: Run) -> Result<(), Overflow> {
        let (count, size) = (run.len(), run.size());
        self.add(Item::Run(Box::new(run)), count, size)
    }

    fn add(&self, item: Item, more: usize, size: usize) -> Result<(), Overflow> {
        let mut messages = self.lock();
        if self.is_closed() {
            return Ok(());
        }
        let count = self.count.load(Ordering::Relaxed).saturating_add(more);
        let bytes = self.bytes.load(Ordering::Relaxed).saturating_add(size);
        if count > self.most_messages || bytes > self.most_bytes {
            return Err(Overflow);
        }
        self.bytes.fetch_add(size, Ordering::Relaxed);
        self.count.fetch_add(more, Ordering::Relaxed);
        let was_empty = messages.is_empty();
        messages.push_back(item);
        drop(messages);
        // Whoever waits was woken by the first, and takes all that are there.
        if was_empty {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// The next message and what it counts, waiting for it; `None` when the queue was closed.
    /// Cancelling loses none.
    ///
    /// `taken` is the receiver's own: what was taken at once out of the queue, and comes before
    /// what is in it. A message counts against the limits until [`Queue::release`] is told its
    /// size: one that a selective receive has read over is still there.
    pub(crate) async fn pop(&self, taken: &mut Taken) -> Option<(Envelope, usize)> {
        loop {
            if let Some(message) = self.try_pop(taken) {
                return Some(message);
            }
            if self.is_closed() {
                return None;
            }
            self.wait().await;
        }
    }

    /// Waits until there may be something to pop, or the queue was closed.
    pub(crate) async fn wait(&self) {
        let arrived = self.arrived.notified();
        let is_empty = self.lock().is_empty();
        if is_empty && !self.is_closed() {
            arrived.await;
        }
    }

    /// The next message, if there is one.
    pub(crate) fn try_pop(&self, taken: &mut Taken) -> Option<(Envelope, usize)> {
        self.next(taken, Run::next)
    }

    /// As [`Queue::try_pop`]. One of a run comes decoded; those of it that cannot be read are refused, and left
    /// out.
    pub(crate) fn try_read(
        &self,
        taken: &mut Taken,
        limits: &etf::Limits,
    ) -> Option<(Envelope, usize)> {
        self.next(taken, |run| {
            loop {
                let (message, size) = run.read(limits)?;
                match message {
                    Some(message) => return Some((message, size)),
                    None => self.release(size),
                }
            }
        })
    }

    fn next(
        &self,
        taken: &mut Taken,
        mut of_run: impl FnMut(&mut Run) -> Option<(Envelope, usize)>,
    ) -> Option<(Envelope, usize)> {
        if self.is_closed() {
            taken.0 = None;
            return None;
        }
        loop {
            if let Some(batch) = taken.0.as_deref_mut() {
                if let Some(message) = batch.next(&mut of_run) {
                    return Some(message);
                }
                if batch.messages.capacity() > KEPT {
                    batch.messages = Batch::new();
                }
            }
            let mut messages = self.lock();
            // Who has one message at a time needs no room for more.
            if messages.len() <= 1 {
                match messages.pop_front()? {
                    Item::One(envelope, size) => return Some((envelope, size)),
                    run @ Item::Run(_) => messages.push_front(run),
                }
            }
            let batch = taken.0.get_or_insert_default();
            std::mem::swap(&mut *messages, &mut batch.messages);
        }
    }

    /// A message of this size has left the mailbox.
    pub(crate) fn release(&self, size: usize) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(size, Ordering::Relaxed);
    }

    /// How many messages are in the mailbox, and the bytes that they hold.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.count.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// Whether nothing is taken any more: the process has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Forgets all messages and takes no more.
    pub(crate) fn close(&self) {
        let mut messages = self.lock();
        self.closed.store(true, Ordering::Release);
        let forgotten = std::mem::take(&mut *messages);
        drop(messages);
        drop(forgotten);
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Batch> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TakenBatch {
    fn next(
        &mut self,
        mut of_run: impl FnMut(&mut Run) -> Option<(Envelope, usize)>,
    ) -> Option<(Envelope, usize)> {
        loop {
            if let Item::Run(run) = self.messages.front_mut()?
                && let Some(message) = of_run(run)
            {
                return Some(message);
            }
            // A run of which nothing is left is dropped.
            if let Item::One(envelope, size) = self.messages.pop_front()? {
                return Some((envelope, size));
            }
        }
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

#[cfg(feature = "serde")]
impl Body {
    /// The message as a value of a type of Rust, straight from the bytes that came; a large one is
    /// read where it holds up no task. A malformed one costs its sender's node the link.
    ///
    /// # Errors
    /// When it is malformed, over the limits, or not what the type expects.
    pub(crate) async fn into_value<T: serde::de::DeserializeOwned + Send + 'static>(
        self,
        limits: &etf::Limits,
    ) -> Result<T, etf::DeserializeError> {
        let (raw, link) = match self {
            Self::Term(term) => return etf::from_term(&term),
            Self::Encoded(raw, link) => (raw, link),
        };
        let value = if work::is_long(&raw) {
            let limits = limits.clone();
            work::away(move || raw.deserialize(&limits)).await
        } else {
            raw.deserialize(limits)
        };
        value.inspect_err(|error: &etf::DeserializeError| {
            if let Some(error) = error.decode_error() {
                refuse(error, &link);
            }
        })
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
    pub(super) fn size(&self) -> usize {
        OVERHEAD
            + match &self.body {
                Body::Encoded(raw, _) => raw.retained(),
                Body::Term(term) => heap(term),
            }
    }
}

/// What a term holds beside itself, in bytes: each binary and each long atom counts in full, whoever else holds it.
pub(crate) fn heap(term: &Term) -> usize {
    let elements = |count: usize| count.saturating_mul(size_of::<Term>());
    let mut size = 0_usize;
    // What is left to be looked at: a term of this node may be nested deeper than the stack is.
    let mut rest = Vec::new();
    let mut next = Some(term);
    while let Some(term) = next {
        let held = match term {
            Term::Binary(binary) => binary.retained(),
            Term::Atom(atom) => atom.retained(),
            Term::Pid(pid) => pid.node.retained(),
            Term::Port(port) => port.retained(),
            Term::Reference(reference) => reference.retained(),
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
    use std::sync::Arc;
    use std::time::Duration;

    use etf::{Atom, term};
    use futures::FutureExt;

    use super::*;

    fn message(n: i64) -> Envelope {
        Envelope { from: None, body: Body::Term(Term::Int(n)) }
    }

    async fn pop(queue: &Queue, taken: &mut Taken) -> i64 {
        let (envelope, size) = queue.pop(taken).await.unwrap();
        queue.release(size);
        match envelope.body {
            Body::Term(Term::Int(n)) => n,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn messages_arrive_in_order() {
        let (queue, mut taken) = (Queue::new(10, 10_000), Taken::default());
        assert!(queue.pop(&mut taken).now_or_never().is_none());
        for n in 1..4 {
            queue.push(message(n)).unwrap();
        }
        assert_eq!(pop(&queue, &mut taken).await, 1);
        queue.push(message(4)).unwrap();
        for n in 2..5 {
            assert_eq!(pop(&queue, &mut taken).await, n);
        }
        assert!(queue.pop(&mut taken).now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_receiver_that_waits_is_woken_however_often_it_stopped_waiting() {
        let (queue, mut taken) = (Arc::new(Queue::new(10, 10_000)), Taken::default());
        for n in 0..100 {
            for _ in 0..2 {
                let wait = tokio::time::timeout(Duration::ZERO, queue.pop(&mut taken));
                assert!(wait.await.is_err());
            }
            let pushing = tokio::spawn({
                let queue = queue.clone();
                async move { queue.push(message(n)).and_then(|()| queue.push(message(n))) }
            });
            assert_eq!(pop(&queue, &mut taken).await, n);
            assert_eq!(pop(&queue, &mut taken).await, n);
            pushing.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn both_limits_hold_and_room_comes_back() {
        let (queue, mut taken) = (Queue::new(2, 10_000), Taken::default());
        queue.push(message(1)).unwrap();
        queue.push(message(2)).unwrap();
        assert_eq!(queue.push(message(3)), Err(Overflow));
        // What the receiver has taken at once, and not yet seen, is still in the mailbox.
        pop(&queue, &mut taken).await;
        assert_eq!(taken.0.as_ref().map(|batch| batch.messages.len()), Some(1));
        queue.push(message(3)).unwrap();
        assert_eq!(queue.push(message(4)), Err(Overflow));

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
        let mut taken = Taken::default();
        let more = || Envelope { from: None, body: Body::Term(Term::from(&[0_u8; 1024][..])) };
        assert_eq!(queue.push(more()), Err(Overflow));
        for _ in 0..3 {
            let (_, size) = queue.pop(&mut taken).await.unwrap();
            queue.release(size);
        }
        assert_eq!(queue.bytes.load(Ordering::Relaxed), 0);
        queue.push(more()).unwrap();
        let mut deep = Term::NIL;
        for _ in 0..100 {
            deep = Term::List(vec![deep]);
        }
        assert_eq!(heap(&deep), 100 * size_of::<Term>());
        let atom = Atom::new("é".repeat(255)).unwrap();
        let pid = etf::Pid { node: atom.clone(), id: 1, serial: 2, creation: 3 };
        let reference = etf::Reference::new(atom.clone(), 3, &[1]).unwrap();
        let port = etf::Port::new(atom.clone(), 1, 3);
        for term in [atom.into(), Term::Pid(pid), Term::Reference(reference), Term::Port(port)] {
            assert!(heap(&term) >= 2 * 255, "{term}");
        }
        assert_eq!(heap(&term!(ok)), 0);
    }

    #[tokio::test]
    async fn a_closed_queue_ends_its_receiver_and_drops_what_comes() {
        let (queue, mut taken) = (Queue::new(10, 10_000), Taken::default());
        for n in 1..4 {
            queue.push(message(n)).unwrap();
        }
        pop(&queue, &mut taken).await;
        queue.close();
        assert!(queue.pop(&mut taken).await.is_none());
        assert_eq!(queue.push(message(4)), Ok(()));
        assert!(queue.pop(&mut taken).await.is_none());
    }
}
