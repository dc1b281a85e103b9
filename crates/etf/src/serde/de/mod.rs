//! The deserializer: one pass over the bytes.

mod access;
mod cursor;
mod hand;
mod keyword;
mod skip;
mod variant;

use std::borrow::Cow;

use bytes::Bytes;
use serde::de::{self, Deserialize, Expected, Unexpected, Visitor};

use self::access::{Elements, Pairs};
pub(super) use self::hand::{opened, take as take_handed};
use self::keyword::KeywordPairs;
use self::variant::Variant;
use super::{Mode, token};
use crate::{Atom, DecodeError, DecodeErrorKind, DeserializeError, Limits, tag};

type Result<T, E = DeserializeError> = std::result::Result<T, E>;

/// How deep types that contain themselves may nest: each level takes a part of the stack, whose size the type decides.
const MOST_LEVELS: usize = 128;

/// Reads values, one after the other, from the bytes of one term.
#[derive(Debug)]
pub(super) struct Deserializer<'de> {
    input: &'de Bytes,
    /// What is not read.
    rest: &'de [u8],
    /// What tag 82 refers to.
    atoms: &'de [Atom],
    /// What may still be spent, and how much deeper it may go.
    left: Limits,
    /// Levels that the reader may still enter.
    levels: usize,
    mode: Mode,
}

impl<'de> Deserializer<'de> {
    pub(super) fn new(input: &'de Bytes, atoms: &'de [Atom], limits: &Limits) -> Self {
        let mut left = limits.clone();
        left.depth = left.depth.min(Limits::MAX_DEPTH);
        let levels = left.depth.min(MOST_LEVELS);
        Self { input, rest: input, atoms, left, levels, mode: Mode::Plain }
    }

    /// The one value of all the bytes; 131 leads it if it is `versioned`.
    pub(super) fn whole<T: Deserialize<'de>>(mut self, versioned: bool) -> Result<T> {
        if versioned && self.u8()? != tag::VERSION {
            return Err(self.wrong(0, DecodeErrorKind::NoVersion));
        }
        let limits = self.left.clone();
        let value = hand::within(&limits, || T::deserialize(&mut self))?;
        match self.rest.len() {
            0 => Ok(value),
            count => Err(self.wrong(self.position(), DecodeErrorKind::Trailing { count })),
        }
    }

    fn mode(&mut self) -> Mode {
        std::mem::take(&mut self.mode)
    }

    fn wrong(&self, offset: usize, kind: DecodeErrorKind) -> DeserializeError {
        DecodeError { kind, offset, tag: self.input.get(offset).copied() }.into()
    }

    /// Something that goes one level deeper.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.levels == 0 {
            return Err(self.wrong(self.position(), DecodeErrorKind::Depth));
        }
        self.levels -= 1;
        self.left.depth -= 1;
        let value = read(self);
        self.levels += 1;
        self.left.depth += 1;
        value
    }

    /// The elements of a list or tuple, all of which the visitor must take.
    fn elements<V: Visitor<'de>>(&mut self, elements: Elements, visitor: V) -> Result<V::Value> {
        let mut elements = elements;
        let at = self.position();
        self.deeper(|de| {
            let value =
                visitor.visit_seq(access::Sequence { de: &mut *de, elements: &mut elements })?;
            match elements.rest(de)? {
                0 => Ok(value),
                more => Err(too_many(elements.taken, more).at(at)),
            }
        })
    }

    fn pairs<V: Visitor<'de>>(
        &mut self,
        pairs: usize,
        of: Option<&'static str>,
        is_struct: bool,
        visitor: V,
    ) -> Result<V::Value> {
        let at = self.position();
        self.deeper(|de| {
            let mut pairs = Pairs::new(pairs, of, is_struct);
            let value = visitor.visit_map(access::Mapping { de: &mut *de, pairs: &mut pairs })?;
            match pairs.rest(de)? {
                0 => Ok(value),
                more => Err(too_many(pairs.taken, more).at(at)),
            }
        })
    }

    /// A list of pairs, or of atoms that stand for `true`.
    fn keyword<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let start = self.position();
        let tag = self.u8()?;
        let Some(elements) = self.list(tag)? else {
            return Err(self.mismatch(start, &"a keyword list"));
        };
        self.deeper(|de| {
            let mut pairs = KeywordPairs::new(elements);
            let value = visitor.visit_map(keyword::Mapping { de: &mut *de, pairs: &mut pairs })?;
            match pairs.rest(de)? {
                0 => Ok(value),
                more => Err(too_many(pairs.taken(), more).at(start)),
            }
        })
    }

    /// A tuple that starts with the name of a struct.
    fn record<V: Visitor<'de>>(&mut self, name: &str, visitor: V) -> Result<V::Value> {
        let start = self.position();
        let tag = self.u8()?;
        let expected = format!("a record `{name}`");
        let Some(arity) = self.tuple(tag)?.filter(|arity| *arity > 0) else {
            return Err(self.mismatch(start, &expected.as_str()));
        };
        let tag = self.u8()?;
        if self.atom_text(tag)?.is_none_or(|found| found != name) {
            return Err(self.mismatch(start, &expected.as_str()));
        }
        self.elements(Elements::tuple(arity - 1, 1), visitor)
    }

    /// What is there instead of what was expected: reads the term at `start` again.
    fn mismatch(&mut self, start: usize, expected: &dyn Expected) -> DeserializeError {
        self.rewind(start);
        let error = match self.found() {
            Ok(found) => de::Error::invalid_type(Unexpected::Other(&found), expected),
            Err(error) => error,
        };
        error.at(start)
    }

    fn rewind(&mut self, to: usize) {
        self.rest = self.input.get(to..).unwrap_or_default();
    }
}

fn too_many(taken: usize, more: usize) -> DeserializeError {
    let expected = format!("{taken}");
    de::Error::invalid_length(taken.saturating_add(more), &expected.as_str())
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            self.number(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> {
    #[inline]
    fn number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.mode = Mode::Plain;
        let start = self.rest.len();
        // Nearly all that there are.
        let value = match *self.rest {
            [tag::SMALL_INTEGER, byte, ref rest @ ..] => {
                self.rest = rest;
                visitor.visit_u64(byte.into())
            }
            [tag::INTEGER, a, b, c, d, ref rest @ ..] => {
                self.rest = rest;
                visitor.visit_i64(i32::from_be_bytes([a, b, c, d]).into())
            }
            _ => return self.other_number(visitor),
        };
        value.map_err(|error: DeserializeError| error.at(self.input.len() - start))
    }

    fn other_number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let start = self.position();
        let tag = self.u8()?;
        if let Some(value) = self.integer(tag, start)? {
            return value.visit(visitor).map_err(|error| error.at(start));
        }
        Err(self.mismatch(start, &visitor))
    }

    fn text<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let mode = self.mode();
        let start = self.position();
        let tag = self.u8()?;
        if tag == tag::BINARY && mode != Mode::Atom {
            let bytes = self.binary()?;
            let value = match std::str::from_utf8(bytes) {
                Ok(text) => visitor.visit_borrowed_str(text),
                Err(_) => Err(de::Error::invalid_value(
                    Unexpected::Other("a binary that is not UTF-8"),
                    &visitor,
                )),
            };
            return value.map_err(|error: DeserializeError| error.at(start));
        }
        let value = match mode {
            Mode::Key | Mode::Atom => match self.atom_text(tag)? {
                Some(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
                Some(Cow::Owned(text)) => visitor.visit_string(text),
                None if mode == Mode::Atom => return Err(self.mismatch(start, &"an atom")),
                None => return Err(self.mismatch(start, &visitor)),
            },
            Mode::Charlist => match self.charlist(tag)? {
                Some(text) => visitor.visit_string(text),
                None => return Err(self.mismatch(start, &"a charlist")),
            },
            _ => return Err(self.mismatch(start, &visitor)),
        };
        value.map_err(|error: DeserializeError| error.at(start))
    }

    /// What stands there, to whoever asks without knowing.
    fn anything<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let start = self.position();
        let tag = self.u8()?;
        if let Some(number) = self.integer(tag, start)? {
            return number.visit(visitor).map_err(|error| error.at(start));
        }
        if let Some(text) = self.atom_text(tag)? {
            let value = match text {
                Cow::Borrowed("true") => visitor.visit_bool(true),
                Cow::Borrowed("false") => visitor.visit_bool(false),
                Cow::Borrowed("nil") => visitor.visit_unit(),
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            };
            return value.map_err(|error: DeserializeError| error.at(start));
        }
        if let Some(elements) = self.list(tag)? {
            return self.elements(elements, visitor);
        }
        if let Some(arity) = self.tuple(tag)? {
            return self.elements(Elements::tuple(arity, 0), visitor);
        }
        let value = match tag {
            tag::NEW_FLOAT | tag::FLOAT => visitor.visit_f64(self.float(tag, start)?),
            tag::BINARY => {
                let bytes = self.binary()?;
                match std::str::from_utf8(bytes) {
                    Ok(text) => visitor.visit_borrowed_str(text),
                    Err(_) => visitor.visit_borrowed_bytes(bytes),
                }
            }
            tag::MAP => {
                let pairs = self.map()?;
                return self.pairs(pairs, None, false, visitor);
            }
            _ => {
                self.rewind(start);
                let term = self.term()?;
                visitor.visit_map(hand::Opaque::new(&term)?)
            }
        };
        value.map_err(|error: DeserializeError| error.at(start))
    }
}

impl<'de> de::Deserializer<'de> for &mut Deserializer<'de> {
    type Error = DeserializeError;

    fn is_human_readable(&self) -> bool {
        false
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.mode {
            Mode::Charlist | Mode::Atom => self.text(visitor),
            Mode::Keyword => self.deserialize_map(visitor),
            _ => {
                self.mode = Mode::Plain;
                self.anything(visitor)
            }
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.mode = Mode::Plain;
        let start = self.position();
        let tag = self.u8()?;
        match self.atom_text(tag)?.as_deref() {
            Some("true") => visitor.visit_bool(true),
            Some("false") => visitor.visit_bool(false),
            _ => Err(self.mismatch(start, &visitor)),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.rest.first() {
            Some(&tag @ (tag::NEW_FLOAT | tag::FLOAT)) => {
                self.mode = Mode::Plain;
                let start = self.position();
                self.u8()?;
                visitor.visit_f64(self.float(tag, start)?)
            }
            _ => self.number(visitor),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let start = self.position();
        if matches!(self.rest.first(), Some(&tag::BINARY)) {
            return self.text(visitor);
        }
        self.mode = Mode::Plain;
        let tag = self.u8()?;
        match self.code_point(tag)? {
            Some(c) => visitor.visit_char(c),
            None => Err(self.mismatch(start, &visitor)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.text(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.mode = Mode::Plain;
        let start = self.position();
        match self.u8()? {
            tag::BINARY => visitor.visit_borrowed_bytes(self.binary()?),
            _ => Err(self.mismatch(start, &visitor)),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let start = self.position();
        let tag = self.u8()?;
        if matches!(self.atom_text(tag)?.as_deref(), Some("nil" | "undefined")) {
            self.mode = Mode::Plain;
            return visitor.visit_none();
        }
        self.rewind(start);
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.mode = Mode::Plain;
        let start = self.position();
        let tag = self.u8()?;
        if self.tuple(tag)? == Some(0) {
            return visitor.visit_unit();
        }
        self.rewind(start + 1);
        match self.atom_text(tag)?.as_deref() {
            Some("nil" | "undefined" | "ok") => visitor.visit_unit(),
            _ => Err(self.mismatch(start, &visitor)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        self.mode = Mode::Plain;
        let start = self.position();
        let tag = self.u8()?;
        match self.atom_text(tag)? {
            Some(found) if found == name => visitor.visit_unit(),
            _ => Err(self.mismatch(start, &format!("the atom `{name}`").as_str())),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        if name == token::TERM {
            self.mode = Mode::Plain;
            let term = self.term()?;
            return hand::over(term, visitor);
        }
        if let Some(mode) = Mode::of(name) {
            self.mode = mode;
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.mode = Mode::Plain;
        let start = self.position();
        let tag = self.u8()?;
        match self.list(tag)? {
            Some(elements) => self.elements(elements, visitor),
            None => Err(self.mismatch(start, &visitor)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        self.mode = Mode::Plain;
        let start = self.position();
        let tag = self.u8()?;
        if let Some(arity) = self.tuple(tag)? {
            if arity != len {
                let error: DeserializeError = de::Error::invalid_length(arity, &visitor);
                return Err(error.at(start));
            }
            return self.elements(Elements::tuple(arity, 0), visitor);
        }
        match self.list(tag)? {
            Some(elements) => self.elements(elements, visitor),
            None => Err(self.mismatch(start, &visitor)),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.mode() == Mode::Keyword {
            return self.keyword(visitor);
        }
        let start = self.position();
        match self.u8()? {
            tag::MAP => {
                let pairs = self.map()?;
                self.pairs(pairs, None, false, visitor)
            }
            _ => Err(self.mismatch(start, &visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.mode() {
            Mode::Keyword => return self.keyword(visitor),
            Mode::Record => return self.record(name, visitor),
            _ => {}
        }
        let start = self.position();
        match self.u8()? {
            tag::MAP => {
                let pairs = self.map()?;
                let of = (!fields.contains(&"__struct__")).then_some(name);
                self.pairs(pairs, of, true, visitor)
            }
            _ => Err(self.mismatch(start, &visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.mode = Mode::Plain;
        let start = self.position();
        let tag = self.u8()?;
        let is_result = name == "Result" && *variants == ["Ok", "Err"];
        match self.tuple(tag)? {
            Some(0) => Err(self.mismatch(start, &visitor)),
            Some(arity) => self.deeper(|de| {
                visitor.visit_enum(Variant { de, start, elements: arity - 1, is_result })
            }),
            None => {
                self.rewind(start);
                visitor.visit_enum(Variant { de: self, start, elements: 0, is_result })
            }
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if matches!(self.rest.first(), Some(&tag::BINARY)) {
            return self.text(visitor);
        }
        self.mode = Mode::Plain;
        let start = self.position();
        let tag = self.u8()?;
        match self.atom_text(tag)? {
            Some(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Some(Cow::Owned(text)) => visitor.visit_string(text),
            None => {
                self.rewind(start);
                self.anything(visitor)
            }
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.mode = Mode::Plain;
        self.skip()?;
        visitor.visit_unit()
    }
}
