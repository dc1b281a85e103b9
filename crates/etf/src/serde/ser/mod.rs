//! The serializer: one pass into a buffer.

mod compound;
mod opaque;

use serde::ser::{self, Serialize};

use self::compound::{Map, Sequence, Struct, Tuple};
use self::opaque::{Opaque, is_unit};
use super::{Mode, SerializeError, token};
use crate::encode::{self, MAX_ARITY};
use crate::{Atom, EncodeError, tag};

type Result<T = (), E = SerializeError> = std::result::Result<T, E>;

/// Writes values, one after the other, into one buffer.
#[derive(Debug)]
pub(super) struct Serializer<'a> {
    out: &'a mut Vec<u8>,
    mode: Mode,
}

impl<'a> Serializer<'a> {
    /// A serializer that writes behind what is there.
    pub(super) const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, mode: Mode::Plain }
    }

    /// The mode of this value; the next is plain again.
    fn mode(&mut self) -> Mode {
        std::mem::take(&mut self.mode)
    }

    /// For what has no other way to be written.
    fn plain(&mut self) -> Result {
        match self.mode() {
            Mode::Plain => Ok(()),
            mode => Err(SerializeError::Misplaced { expected: mode.expected() }),
        }
    }

    /// Whether a struct or map is to be a keyword list.
    fn keyword(&mut self) -> Result<bool> {
        let keyword = self.mode == Mode::Keyword;
        if keyword {
            self.mode = Mode::Plain;
        }
        self.plain().map(|()| keyword)
    }

    fn integer(&mut self, value: i64) {
        if let Ok(byte) = u8::try_from(value) {
            self.out.extend_from_slice(&[tag::SMALL_INTEGER, byte]);
        } else if let Ok(word) = i32::try_from(value) {
            let [a, b, c, d] = word.to_be_bytes();
            self.out.extend_from_slice(&[tag::INTEGER, a, b, c, d]);
        } else {
            encode::integer(value, self.out);
        }
    }

    /// An integer of more than 64 bits with a sign.
    fn big(&mut self, negative: bool, magnitude: u128) {
        let digits = magnitude.to_le_bytes();
        let length = 16 - magnitude.leading_zeros() / 8;
        let significant = digits.get(..length as usize).unwrap_or(&digits);
        // At most 16.
        let length = u8::try_from(length).unwrap_or(16);
        self.out.extend_from_slice(&[tag::SMALL_BIG, length, u8::from(negative)]);
        self.out.extend_from_slice(significant);
    }

    fn atom(&mut self, text: &str) -> Result {
        match u8::try_from(text.len()) {
            Ok(length) => {
                self.out.extend_from_slice(&[tag::SMALL_ATOM_UTF8, length]);
                self.out.extend_from_slice(text.as_bytes());
            }
            Err(_) => encode::atom_bytes(&Atom::new(text)?, self.out),
        }
        Ok(())
    }

    fn binary(&mut self, bytes: &[u8]) -> Result {
        let length = u32::try_from(bytes.len())
            .map_err(|_| EncodeError::TooLong { what: "a binary", len: bytes.len() })?;
        let [a, b, c, d] = length.to_be_bytes();
        self.out.extend_from_slice(&[tag::BINARY, a, b, c, d]);
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn charlist(&mut self, text: &str) -> Result {
        let mut list = self.begin_list();
        for c in text.chars() {
            list.to.integer(u32::from(c).into());
            list.count += 1;
        }
        list.finish()
    }

    fn begin_list(&mut self) -> Sequence<'_, 'a> {
        let start = self.out.len();
        // The length is filled in at the end, when it is known for certain.
        self.out.extend_from_slice(&[tag::LIST, 0, 0, 0, 0]);
        Sequence { to: self, start, count: 0 }
    }

    /// The start of a tuple of that many elements.
    fn tuple_header(&mut self, arity: usize) -> Result {
        match u8::try_from(arity) {
            Ok(arity) => self.out.extend_from_slice(&[tag::SMALL_TUPLE, arity]),
            Err(_) if arity > MAX_ARITY => {
                return Err(EncodeError::TooLong { what: "a tuple", len: arity }.into());
            }
            Err(_) => {
                // At most 2^24-1.
                let [a, b, c, d] = u32::try_from(arity).unwrap_or(u32::MAX).to_be_bytes();
                self.out.extend_from_slice(&[tag::LARGE_TUPLE, a, b, c, d]);
            }
        }
        Ok(())
    }

    fn begin_tuple(&mut self, arity: usize) -> Result<Tuple<'_, 'a>> {
        self.plain()?;
        self.tuple_header(arity)?;
        Ok(Tuple { to: self, announced: arity, written: 0 })
    }

    fn begin_map(&mut self, keyword: bool, flattened: bool) -> Map<'_, 'a> {
        let start = self.out.len();
        let tag = if keyword { tag::LIST } else { tag::MAP };
        self.out.extend_from_slice(&[tag, 0, 0, 0, 0]);
        Map { to: self, keyword, start, count: 0, keys: flattened.then(Vec::new) }
    }
}

impl<'s, 'a> ser::Serializer for &'s mut Serializer<'a> {
    type Ok = ();
    type Error = SerializeError;
    type SerializeSeq = Sequence<'s, 'a>;
    type SerializeTuple = Tuple<'s, 'a>;
    type SerializeTupleStruct = Tuple<'s, 'a>;
    type SerializeTupleVariant = Tuple<'s, 'a>;
    type SerializeMap = Map<'s, 'a>;
    type SerializeStruct = Struct<'s, 'a>;
    type SerializeStructVariant = Struct<'s, 'a>;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result {
        self.atom(if value { "true" } else { "false" })
    }

    fn serialize_i8(self, value: i8) -> Result {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result {
        self.integer(value);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result {
        match i64::try_from(value) {
            Ok(small) => self.integer(small),
            Err(_) => self.big(value < 0, value.unsigned_abs()),
        }
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result {
        self.serialize_i64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result {
        self.serialize_i64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result {
        self.serialize_i64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result {
        match i64::try_from(value) {
            Ok(small) => self.integer(small),
            Err(_) => self.big(false, value.into()),
        }
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result {
        match i64::try_from(value) {
            Ok(small) => self.integer(small),
            Err(_) => self.big(false, value),
        }
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result {
        let bits = encode::finite(value)?.to_be_bytes();
        self.out.push(tag::NEW_FLOAT);
        self.out.extend_from_slice(&bits);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result {
        self.serialize_i64(u32::from(value).into())
    }

    fn serialize_str(self, value: &str) -> Result {
        match self.mode() {
            Mode::Atom => self.atom(value),
            Mode::Charlist => self.charlist(value),
            Mode::Plain | Mode::Key => self.binary(value.as_bytes()),
            mode => Err(SerializeError::Misplaced { expected: mode.expected() }),
        }
    }

    fn serialize_bytes(self, value: &[u8]) -> Result {
        self.binary(value)
    }

    fn serialize_none(self) -> Result {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result {
        self.mode = Mode::Plain;
        self.atom("nil")
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result {
        self.mode = Mode::Plain;
        self.atom(name)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result {
        self.mode = Mode::Plain;
        self.atom(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result {
        if !name.starts_with('$') {
            return value.serialize(self);
        }
        if name == token::TERM {
            return value.serialize(Opaque::into(self.out)).map(drop);
        }
        let Some(mode) = Mode::of(name) else { return value.serialize(self) };
        self.mode = mode;
        value.serialize(&mut *self)?;
        // Whatever can be written so has taken the mode.
        self.plain()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result {
        let tag = match (name, variant) {
            ("Result", "Ok") if is_unit(value) => return self.atom("ok"),
            ("Result", "Ok") => "ok",
            ("Result", "Err") => "error",
            _ => variant,
        };
        self.plain()?;
        self.tuple_header(2)?;
        self.atom(tag)?;
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Sequence<'s, 'a>> {
        self.plain()?;
        Ok(self.begin_list())
    }

    fn serialize_tuple(self, len: usize) -> Result<Tuple<'s, 'a>> {
        self.begin_tuple(len)
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Tuple<'s, 'a>> {
        self.begin_tuple(len)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Tuple<'s, 'a>> {
        let mut tuple = self.begin_tuple(len.saturating_add(1))?;
        tuple.to.atom(variant)?;
        tuple.written = 1;
        Ok(tuple)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Map<'s, 'a>> {
        let keyword = self.keyword()?;
        // A struct with flattened parts does not know its length, and two of the parts may have the same key.
        Ok(self.begin_map(keyword, len.is_none() && !keyword))
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Struct<'s, 'a>> {
        if self.mode == Mode::Record {
            self.mode = Mode::Plain;
            let mut tuple = self.begin_tuple(len.saturating_add(1))?;
            tuple.to.atom(name)?;
            tuple.written = 1;
            return Ok(Struct::Record(tuple));
        }
        let keyword = self.keyword()?;
        let mut map = self.begin_map(keyword, false);
        if !keyword && name.starts_with("Elixir.") {
            map.to.atom("__struct__")?;
            map.to.atom(name)?;
            map.count = 1;
        }
        Ok(Struct::Map(map))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Struct<'s, 'a>> {
        self.plain()?;
        self.tuple_header(2)?;
        self.atom(variant)?;
        Ok(Struct::Map(self.begin_map(false, false)))
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result {
        self.serialize_str(&value.to_string())
    }
}
