//! Who listens to which topic here, and what a worker of the pool does with a message.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use bytes::Bytes;
use etf::Term;
use tokio::sync::Notify;

use super::head::head;
use super::message::Raw;
use super::{PubSubCounts, PubSubMessage};
use crate::node::Shared;
use crate::process::{Body, Envelope, Service};
use crate::service::buffer::Sender;
use crate::service::unserved;

/// The subscribers of one PubSub of this node. It is what every worker of the pool does: the reader
/// of a link hands a broadcast to the subscribers' buffers itself.
#[derive(Debug)]
pub(super) struct Local {
    shared: Weak<Shared>,
    topics: RwLock<Topics>,
    received: AtomicU64,
    unheard: AtomicU64,
    decoded: Arc<AtomicU64>,
    /// Told when a worker has ended.
    pub(super) lost: Notify,
}

#[derive(Debug, Default)]
struct Topics {
    of: HashMap<Bytes, HashMap<u64, Arc<Sender<PubSubMessage>>>>,
    last: u64,
    /// Set at the end: nobody listens any more.
    over: bool,
}

impl Local {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::downgrade(shared),
            topics: RwLock::default(),
            received: AtomicU64::new(0),
            unheard: AtomicU64::new(0),
            decoded: Arc::default(),
            lost: Notify::new(),
        }
    }

    /// Adds a subscriber to topics; its number.
    pub(super) fn subscribe(
        &self,
        topics: impl Iterator<Item = Bytes>,
        sender: Sender<PubSubMessage>,
    ) -> u64 {
        let sender = Arc::new(sender);
        let mut all = self.write();
        all.last += 1;
        let id = all.last;
        if !all.over {
            for topic in topics {
                all.of.entry(topic).or_default().insert(id, sender.clone());
            }
        }
        id
    }

    /// Takes a subscriber away from a topic.
    pub(super) fn unsubscribe(&self, topic: &Bytes, id: u64) {
        let mut all = self.write();
        if let Some(subscribers) = all.of.get_mut(topic) {
            subscribers.remove(&id);
            if subscribers.is_empty() {
                all.of.remove(topic);
            }
        }
    }

    /// Whether anybody listens to a topic.
    pub(super) fn is_heard(&self, topic: &[u8]) -> bool {
        self.read().of.contains_key(topic)
    }

    /// Hands a message to the subscribers of its topic, all but one if that is said.
    pub(super) fn dispatch(&self, message: &PubSubMessage, but: Option<u64>) {
        let size = message.size();
        if let Some(subscribers) = self.read().of.get(message.topic()) {
            for (id, subscriber) in subscribers {
                if Some(*id) != but {
                    subscriber.push(message.clone(), size);
                }
            }
        }
    }

    /// There will be no more messages.
    pub(super) fn end(&self) {
        let mut all = self.write();
        all.over = true;
        let forgotten = std::mem::take(&mut all.of);
        drop(all);
        drop(forgotten);
    }

    pub(super) fn counts(&self) -> PubSubCounts {
        let all = self.read();
        PubSubCounts {
            topics: all.of.len(),
            subscriptions: all.of.values().map(HashMap::len).sum(),
            received: self.received.load(Ordering::Relaxed),
            unheard: self.unheard.load(Ordering::Relaxed),
            decoded: self.decoded.load(Ordering::Relaxed),
        }
    }

    /// A message of a process of this node to a worker.
    fn came_from_here(&self, message: Term) {
        let message = match message.into_tuple().map(<[Term; 4]>::try_from) {
            Ok(Ok([word, Term::Binary(topic), message, Term::Atom(dispatcher)]))
                if word.is_atom("forward_to_local") =>
            {
                PubSubMessage::made(topic.into_bytes(), message, dispatcher)
            }
            Ok(Err(fields)) => return self.unserved(Term::Tuple(fields)),
            Ok(Ok(fields)) => return self.unserved(Term::Tuple(fields.into())),
            Err(message) => return self.unserved(message),
        };
        self.received.fetch_add(1, Ordering::Relaxed);
        self.dispatch(&message, None);
    }

    fn unserved(&self, message: Term) {
        if let Some(shared) = self.shared.upgrade() {
            unserved::take(&shared, Body::Term(message));
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Topics> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Topics> {
        self.topics.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Local {
    fn take(&self, envelope: Envelope) {
        let (raw, link) = match envelope.body {
            Body::Encoded(raw, link) => (raw, link),
            Body::Term(message) => return self.came_from_here(message),
        };
        let Some(shared) = self.shared.upgrade() else { return };
        let Some(head) = head(raw.as_bytes(), raw.atoms()) else {
            return unserved::take(&shared, Body::Encoded(raw, link));
        };
        self.received.fetch_add(1, Ordering::Relaxed);
        if !self.is_heard(head.topic) {
            self.unheard.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let (topic, at) = (Bytes::copy_from_slice(head.topic), head.message);
        let limits = shared.limits.terms.clone();
        let decodes = self.decoded.clone();
        let raw = Raw { term: raw, at, limits, link, decodes };
        self.dispatch(&PubSubMessage::came(topic, raw), None);
    }

    fn ended(&self) {
        self.lost.notify_one();
    }
}
