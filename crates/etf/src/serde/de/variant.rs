//! Enums: an atom, or a tuple that starts with one.

use serde::de::{self, DeserializeSeed, Deserializer as _, Visitor};

use super::super::error::Segment;
use super::access::{Elements, unit};
use super::{Deserializer, Result};
use crate::DeserializeError;

/// A variant whose name is read next.
#[derive(Debug)]
pub(super) struct Variant<'r, 'de> {
    pub(super) de: &'r mut Deserializer<'de>,
    /// Where the atom or tuple is.
    pub(super) start: usize,
    /// How many elements follow the name in a tuple.
    pub(super) elements: usize,
    /// Whether it is Rust's `Result`, which is `ok` and `error` in Erlang.
    pub(super) is_result: bool,
}

impl<'de> Variant<'_, 'de> {
    fn has(&mut self, expected: usize) -> Result<()> {
        if self.elements == expected {
            return Ok(());
        }
        let words = match expected {
            0 => "an atom alone".to_owned(),
            1 => "a tuple of the name and one value".to_owned(),
            _ => format!("a tuple of the name and {expected} values"),
        };
        Err(self.de.mismatch(self.start, &words.as_str()))
    }
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = DeserializeError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self)> {
        let start = self.de.position();
        let name = if self.is_result {
            let tag = self.de.u8()?;
            let name = match self.de.atom_text(tag)?.as_deref() {
                Some("ok" | "Ok") => "Ok",
                Some("error" | "Err") => "Err",
                _ => return Err(self.de.mismatch(start, &"`ok` or `error`")),
            };
            seed.deserialize(de::value::BorrowedStrDeserializer::new(name))
        } else {
            seed.deserialize(Name(&mut *self.de))
        };
        name.map(|name| (name, self)).map_err(|error: DeserializeError| error.at(start))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = DeserializeError;

    fn unit_variant(mut self) -> Result<()> {
        self.has(0)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<S::Value> {
        if self.elements == 0 {
            // `ok` alone is `Ok(())`.
            return unit(seed).map_err(|error| error.at(self.start));
        }
        self.has(1)?;
        seed.deserialize(&mut *self.de).map_err(|error| error.inside(|| Segment::Index(1)))
    }

    fn tuple_variant<V: Visitor<'de>>(mut self, len: usize, visitor: V) -> Result<V::Value> {
        self.has(len)?;
        self.de.elements(Elements::tuple(len, 1), visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.has(1)?;
        let value = self.de.deserialize_struct("", fields, visitor);
        value.map_err(|error| error.inside(|| Segment::Index(1)))
    }
}

/// The name of a variant: an atom, or a binary.
struct Name<'r, 'de>(&'r mut Deserializer<'de>);

impl<'de> de::Deserializer<'de> for Name<'_, 'de> {
    type Error = DeserializeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_identifier(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.0.mode = super::Mode::Key;
        self.0.deserialize_str(visitor)
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum ignored_any
    }
}
