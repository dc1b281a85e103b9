//! Handing over a term whole, to a type that serde's data model has no words for.

use std::cell::Cell;

use serde::de::value::UnitDeserializer;
use serde::de::{self, DeserializeSeed, Visitor};

use super::super::token;
use super::Result;
use crate::{DeserializeError, Term, encode};

thread_local! {
    /// A term between the deserializer that read it and the type that asked for it, which takes it at once.
    static HANDED: Cell<Option<Term>> = const { Cell::new(None) };
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
