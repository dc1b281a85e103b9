//! A broadcast as its subscribers get it: decoded by the first who looks, for all of them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use etf::{Atom, DecodeError, Decoder, Limits, RawTerm, Term};

use super::SocketBroadcast;
use crate::link::WeakLink;
use crate::process::refuse;

/// A message that was broadcast on a topic. Cheap to clone: all subscribers share one.
#[derive(Clone)]
pub struct PubSubMessage(Arc<Shared>);

struct Shared {
    topic: Bytes,
    /// The message and its dispatcher as they came, unless they were made here.
    raw: Option<Raw>,
    decoded: OnceLock<Result<(Term, Atom), DecodeError>>,
}

pub(super) struct Raw {
    pub(super) term: RawTerm,
    /// Where in it the message begins.
    pub(super) at: usize,
    pub(super) limits: Limits,
    pub(super) link: WeakLink,
    /// Counts what is decoded.
    pub(super) decodes: Arc<AtomicU64>,
}

impl PubSubMessage {
    pub(super) fn came(topic: Bytes, raw: Raw) -> Self {
        Self(Arc::new(Shared { topic, raw: Some(raw), decoded: OnceLock::new() }))
    }

    pub(super) fn made(topic: Bytes, message: Term, dispatcher: Atom) -> Self {
        let decoded = OnceLock::from(Ok((message, dispatcher)));
        Self(Arc::new(Shared { topic, raw: None, decoded }))
    }

    /// What it counts in a subscriber's buffer, in bytes.
    pub(super) fn size(&self) -> usize {
        size_of::<Shared>()
            + self.0.topic.len()
            + self.0.raw.as_ref().map_or(size_of::<Term>(), |raw| raw.term.len())
    }

    /// The topic: text in UTF-8, as a rule.
    #[must_use]
    pub fn topic(&self) -> &[u8] {
        &self.0.topic
    }

    /// The message. The first who asks decodes it, for all subscribers.
    ///
    /// # Errors
    /// When it is malformed, which costs the sender's node the link, or over the limits.
    pub fn term(&self) -> Result<&Term, DecodeError> {
        Ok(&self.decoded()?.0)
    }

    /// The module whose `dispatch/3` hands the message to the subscribers of an Elixir node:
    /// `Phoenix.PubSub` unless the sender said another. Here every subscriber gets it, whatever the
    /// module.
    ///
    /// # Errors
    /// As [`PubSubMessage::term`].
    pub fn dispatcher(&self) -> Result<&Atom, DecodeError> {
        Ok(&self.decoded()?.1)
    }

    /// The message as a type of one's own. It is decoded once for all subscribers, and made into
    /// the type for each.
    ///
    /// # Errors
    /// When it cannot be decoded, or is of another form.
    #[cfg(feature = "serde")]
    pub fn deserialize<T: serde::de::DeserializeOwned>(&self) -> Result<T, etf::DeserializeError> {
        etf::from_term(self.term()?)
    }

    /// The message as an event of a Phoenix channel, if it is one.
    #[must_use]
    pub fn socket_broadcast(&self) -> Option<SocketBroadcast> {
        SocketBroadcast::parse(self.term().ok()?)
    }

    fn decoded(&self) -> Result<&(Term, Atom), DecodeError> {
        let decoded = self.0.decoded.get_or_init(|| match &self.0.raw {
            Some(raw) => raw.decode(),
            // One that was made here is decoded from the beginning.
            None => Ok((Term::NIL, Atom::from_static("undefined"))),
        });
        decoded.as_ref().map_err(Clone::clone)
    }
}

impl Raw {
    fn decode(&self) -> Result<(Term, Atom), DecodeError> {
        self.decodes.fetch_add(1, Ordering::Relaxed);
        let bytes = self.term.as_bytes();
        let bytes = bytes.slice(self.at.min(bytes.len())..);
        let mut decoder = Decoder::new(&bytes, self.term.atoms(), &self.limits);
        let decoded = decoder.term().and_then(|message| {
            let dispatcher = decoder.term()?;
            decoder.finish()?;
            let undefined = || Atom::from_static("undefined");
            Ok((message, dispatcher.as_atom().cloned().unwrap_or_else(undefined)))
        });
        decoded.inspect_err(|error| refuse(error, &self.link))
    }
}

impl fmt::Debug for PubSubMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topic = self.0.topic.escape_ascii().to_string();
        let mut out = f.debug_struct("PubSubMessage");
        out.field("topic", &topic);
        match self.0.decoded.get() {
            Some(Ok((message, _))) => out.field("message", message).finish(),
            Some(Err(error)) => out.field("error", error).finish(),
            None => out.finish_non_exhaustive(),
        }
    }
}
