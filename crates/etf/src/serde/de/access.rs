//! Elements of lists and tuples, and pairs of maps.

use std::borrow::Cow;

use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{self, DeserializeSeed, Visitor};

use super::super::error::Segment;
use super::super::token;
use super::{Deserializer, Mode, Result, hand};
use crate::{DeserializeError, Term, tag};

/// Elements that are still to be read.
#[derive(Debug)]
pub(super) struct Elements {
    left: usize,
    kind: Kind,
    pub(super) taken: usize,
    /// The position of the first.
    base: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing follows the last.
    Tuple,
    /// A tail follows the last.
    List,
    /// They are bytes without tags (STRING_EXT).
    String,
}

impl Elements {
    /// Elements that nothing follows, the first at the position `base`.
    pub(super) const fn tuple(count: usize, base: usize) -> Self {
        Self { left: count, kind: Kind::Tuple, taken: 0, base }
    }

    pub(super) const fn list(count: usize) -> Self {
        Self { left: count, kind: Kind::List, taken: 0, base: 0 }
    }

    pub(super) const fn string(count: usize) -> Self {
        Self { left: count, kind: Kind::String, taken: 0, base: 0 }
    }

    /// Goes to the next element, if there is one: it is the byte, or stands where the deserializer is.
    #[inline]
    pub(super) fn next(&mut self, de: &mut Deserializer<'_>) -> Result<Option<Option<u8>>> {
        if self.left == 0 && (self.kind != Kind::List || !self.tail(de)?) {
            return Ok(None);
        }
        self.left -= 1;
        self.taken += 1;
        if self.kind == Kind::String {
            de.u8().map(|byte| Some(Some(byte)))
        } else {
            Ok(Some(None))
        }
    }

    /// How many elements the visitor left.
    pub(super) fn rest(&mut self, de: &mut Deserializer<'_>) -> Result<usize> {
        if self.left == 0 && self.kind == Kind::List {
            self.tail(de)?;
        }
        Ok(self.left)
    }

    /// Reads what follows the last element of a list: whether more elements do. They do when the tail is a list itself.
    fn tail(&mut self, de: &mut Deserializer<'_>) -> Result<bool> {
        loop {
            let start = de.position();
            let tag = de.u8()?;
            match de.list(tag)? {
                Some(more) => (self.left, self.kind) = (more.left, more.kind),
                None => return Err(de.mismatch(start, &"the end of a proper list")),
            }
            if self.left > 0 || self.kind != Kind::List {
                return Ok(self.left > 0);
            }
        }
    }
}

/// The elements, for serde.
#[derive(Debug)]
pub(super) struct Sequence<'r, 'de> {
    pub(super) de: &'r mut Deserializer<'de>,
    pub(super) elements: &'r mut Elements,
}

impl<'de> de::SeqAccess<'de> for Sequence<'_, 'de> {
    type Error = DeserializeError;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        let Some(byte) = self.elements.next(self.de)? else { return Ok(None) };
        let value = match byte {
            Some(byte) => seed.deserialize(Byte(byte)),
            None => seed.deserialize(&mut *self.de),
        };
        let index = || Segment::Index(self.elements.base + self.elements.taken - 1);
        value.map(Some).map_err(|error| error.inside(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.elements.left)
    }
}

/// An element of a list that is written as a string.
struct Byte(u8);

impl<'de> de::Deserializer<'de> for Byte {
    type Error = DeserializeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_u8(self.0)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_char(self.0.into())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        if name == token::TERM {
            return hand::over(Term::Int(self.0.into()), visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Pairs of a map that are still to be read.
#[derive(Debug)]
pub(super) struct Pairs {
    left: usize,
    /// The struct that it is to be, where `__struct__` is no field of it.
    of: Option<&'static str>,
    /// Whether keys are names of fields, and all others are to be read over.
    is_struct: bool,
    pub(super) taken: usize,
    /// Where the last key is.
    key: usize,
}

impl Pairs {
    pub(super) const fn new(count: usize, of: Option<&'static str>, is_struct: bool) -> Self {
        Self { left: count, of, is_struct, taken: 0, key: 0 }
    }

    /// How many pairs the visitor left.
    pub(super) fn rest(&mut self, de: &mut Deserializer<'_>) -> Result<usize> {
        if self.is_struct {
            while self.left > 0 && self.field(de)?.is_none() {}
        }
        Ok(self.left)
    }

    /// The next key that can be the name of a field, of those that are left.
    fn field<'de>(&mut self, de: &mut Deserializer<'de>) -> Result<Option<Cow<'de, str>>> {
        while self.left > 0 {
            self.key = de.position();
            let tag = de.u8()?;
            let text = match de.atom_text(tag)? {
                Some(text) => Some(text),
                None if tag == tag::BINARY => {
                    std::str::from_utf8(de.binary()?).ok().map(Cow::Borrowed)
                }
                None => {
                    de.rewind(self.key);
                    de.skip()?;
                    None
                }
            };
            match (text, self.of) {
                (None, _) => de.skip()?,
                (Some(text), Some(name)) if text == "__struct__" => de.check_struct(name)?,
                (text, _) => {
                    self.left -= 1;
                    return Ok(text);
                }
            }
            self.left -= 1;
        }
        Ok(None)
    }
}

impl Deserializer<'_> {
    /// Reads the value of `__struct__`, which must be right where the type says what it is.
    fn check_struct(&mut self, name: &'static str) -> Result<()> {
        let start = self.position();
        if !name.starts_with("Elixir.") {
            return self.skip();
        }
        let tag = self.u8()?;
        match self.atom_text(tag)? {
            Some(found) if found == name => Ok(()),
            _ => {
                let error = self.mismatch(start, &format!("the struct `{name}`").as_str());
                Err(error.inside(|| Segment::Key("__struct__".to_owned())))
            }
        }
    }

    /// The key at an offset, for the path of an error.
    pub(super) fn key_at(&mut self, offset: usize) -> Segment {
        self.rewind(offset);
        let text = match self.rest.first() {
            Some(&tag::BINARY) => self
                .u8()
                .and_then(|_| self.binary())
                .ok()
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
            Some(_) => self.u8().and_then(|tag| self.atom_text(tag)).ok().flatten().map(Into::into),
            None => None,
        };
        let text = text.or_else(|| {
            self.rewind(offset);
            self.term().ok().map(|term| term.to_string())
        });
        let mut text = text.unwrap_or_else(|| "?".to_owned());
        // The peer chose it, and it ends up in logs.
        if let Some((end, _)) = text.char_indices().nth(64) {
            text.truncate(end);
            text.push('…');
        }
        Segment::Key(text)
    }
}

/// The pairs, for serde.
#[derive(Debug)]
pub(super) struct Mapping<'r, 'de> {
    pub(super) de: &'r mut Deserializer<'de>,
    pub(super) pairs: &'r mut Pairs,
}

impl<'de> de::MapAccess<'de> for Mapping<'_, 'de> {
    type Error = DeserializeError;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        self.pairs.taken += 1;
        if self.pairs.is_struct {
            return match self.pairs.field(self.de)? {
                Some(Cow::Borrowed(name)) => {
                    seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
                }
                Some(Cow::Owned(name)) => seed.deserialize(StringDeserializer::new(name)).map(Some),
                None => Ok(None),
            };
        }
        if self.pairs.left == 0 {
            return Ok(None);
        }
        self.pairs.left -= 1;
        self.pairs.key = self.de.position();
        self.de.mode = Mode::Key;
        let key = seed.deserialize(&mut *self.de);
        self.de.mode = Mode::Plain;
        let key = key.map(Some);
        key.map_err(|error| error.inside(|| self.de.key_at(self.pairs.key)))
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        let value = seed.deserialize(&mut *self.de);
        value.map_err(|error| error.inside(|| self.de.key_at(self.pairs.key)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.pairs.left)
    }
}

/// What is handed over without a term in between, to whom it is not to be told apart.
pub(super) fn unit<'de, S: DeserializeSeed<'de>>(seed: S) -> Result<S::Value> {
    seed.deserialize(de::value::UnitDeserializer::new())
}
