//! Keyword lists and property lists, as structs and maps.

use serde::de::{self, DeserializeSeed};

use super::super::error::Segment;
use super::access::Elements;
use super::{Deserializer, Mode, Result};
use crate::{DeserializeError, tag};

/// Pairs that are still to be read.
#[derive(Debug)]
pub(super) struct KeywordPairs {
    elements: Elements,
    key: usize,
    /// Whether the value of the last key is written out.
    has_value: bool,
}

impl KeywordPairs {
    pub(super) const fn new(elements: Elements) -> Self {
        Self { elements, key: 0, has_value: false }
    }

    pub(super) const fn taken(&self) -> usize {
        self.elements.taken
    }

    /// How many pairs the visitor left.
    pub(super) fn rest(&mut self, de: &mut Deserializer<'_>) -> Result<usize> {
        self.elements.rest(de)
    }

    /// Goes to the next key that is an atom or a binary: others are of nobody's interest.
    fn next(&mut self, de: &mut Deserializer<'_>) -> Result<bool> {
        while let Some(byte) = self.elements.next(de)? {
            if byte.is_some() {
                continue;
            }
            let start = de.position();
            let tag = de.u8()?;
            self.has_value = match de.tuple(tag)? {
                Some(2) => true,
                Some(_) => {
                    de.rewind(start);
                    de.skip()?;
                    continue;
                }
                None => {
                    de.rewind(start);
                    false
                }
            };
            self.key = de.position();
            let tag = de.u8()?;
            let is_name = de.atom_text(tag)?.is_some() || (tag == tag::BINARY && self.has_value);
            de.rewind(self.key);
            if is_name {
                return Ok(true);
            }
            de.skip()?;
            if self.has_value {
                de.skip()?;
            }
        }
        Ok(false)
    }
}

/// The pairs, for serde.
#[derive(Debug)]
pub(super) struct Mapping<'r, 'de> {
    pub(super) de: &'r mut Deserializer<'de>,
    pub(super) pairs: &'r mut KeywordPairs,
}

impl<'de> de::MapAccess<'de> for Mapping<'_, 'de> {
    type Error = DeserializeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if !self.pairs.next(self.de)? {
            return Ok(None);
        }
        self.de.mode = Mode::Key;
        let key = seed.deserialize(&mut *self.de);
        self.de.mode = Mode::Plain;
        key.map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        let value = if self.pairs.has_value {
            seed.deserialize(&mut *self.de)
        } else {
            seed.deserialize(de::value::BoolDeserializer::new(true))
        };
        value.map_err(|error| error.inside(|| self.key()))
    }
}

impl Mapping<'_, '_> {
    fn key(&mut self) -> Segment {
        self.de.key_at(self.pairs.key)
    }
}
