//! Handing over a term whole, to a type that serde's data model has no words for.

use std::cell::Cell;

use bytes::Bytes;
use serde::de::value::UnitDeserializer;
use serde::de::{self, DeserializeSeed, Visitor};

use super::super::token;
use super::Result;
use crate::{DecodeError, Decoder, DeserializeError, Limits, Term, encode};

thread_local! {
    /// A term between the deserializer that read it and the type that asked for it, which takes it at once.
    static HANDED: Cell<Option<Term>> = const { Cell::new(None) };
    /// While something is read: what may still be spent on terms that come through a form of serde's own. A peer can send what
    /// looks like one.
    static LEFT: Cell<Option<Limits>> = const { Cell::new(None) };
}

/// Reads something, within limits that hold also for what serde keeps in a form of its own meanwhile.
pub(super) fn within<T>(limits: &Limits, read: impl FnOnce() -> T) -> T {
    /// Whoever reads something in the middle of something else, or panics, leaves the other's as they were.
    struct Outer(Option<Limits>);

    impl Drop for Outer {
        fn drop(&mut self) {
            LEFT.set(self.0.take());
        }
    }

    // What is read from a term in memory has no limits of its own, but what looks like bytes there may become many times as much.
    let most = Limits::default();
    let limits = Limits {
        depth: limits.depth.min(most.depth),
        elements: limits.elements.min(most.elements),
        memory: limits.memory.min(most.memory),
    };
    let _outer = Outer(LEFT.replace(Some(limits)));
    read()
}

/// The term that an [`Opaque`] holds, within what is left for such.
pub(in super::super) fn opened(bytes: &Bytes) -> Result<Term, DecodeError> {
    let mut left = LEFT.take();
    let limits = left.clone().unwrap_or_default();
    let mut decoder = Decoder::new(bytes, &[], &limits);
    let term = decoder.term_with_version().and_then(|term| decoder.finish().map(|()| term));
    if let Some(left) = &mut left {
        (left.elements, left.memory) = decoder.left();
    }
    LEFT.set(left);
    term
}

/// Gives a term to the visitor of a type of this crate.
pub(super) fn over<'de, V: Visitor<'de>>(term: Term, visitor: V) -> Result<V::Value> {
    HANDED.set(Some(term));
    let value = visitor.visit_newtype_struct(UnitDeserializer::new());
    HANDED.take();
    value
}

/// The term that is being handed over, if one is.
pub(in super::super) fn take() -> Option<Term> {
    HANDED.take()
}

/// A term that serde's data model has no words for, to whoever asks for anything: a map that says so, as one pair.
///
/// serde keeps what it reads for flattened and untagged types in a form of its own; a pid comes through that unharmed.
#[derive(Debug)]
pub(super) struct Opaque {
    bytes: Option<Vec<u8>>,
}

impl Opaque {
    pub(super) fn new(term: &Term) -> Result<Self> {
        let encoded =
            encode(term).map_err(|error| -> DeserializeError { de::Error::custom(error) })?;
        Ok(Self { bytes: Some(encoded.into_bytes().into()) })
    }
}

impl<'de> de::MapAccess<'de> for Opaque {
    type Error = DeserializeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if self.bytes.is_none() {
            return Ok(None);
        }
        seed.deserialize(de::value::BorrowedStrDeserializer::new(token::TERM)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        let bytes = self.bytes.take().unwrap_or_default();
        seed.deserialize(de::value::BytesDeserializer::new(&bytes))
    }
}
