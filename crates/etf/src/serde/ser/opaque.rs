//! A serializer that takes only what a term of this crate says of itself.

use serde::ser::{self, Impossible, Serialize};

use super::Result;
use crate::SerializeError;

/// Takes bytes that are a term already, as they are.
#[derive(Debug)]
pub(super) struct Opaque<'a>(Option<&'a mut Vec<u8>>);

/// What was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Bytes,
    Unit,
}

impl<'a> Opaque<'a> {
    pub(super) const fn into(out: &'a mut Vec<u8>) -> Self {
        Self(Some(out))
    }
}

/// Whether a value is `()`, to serde.
pub(super) fn is_unit<T: Serialize + ?Sized>(value: &T) -> bool {
    value.serialize(Opaque(None)) == Ok(Taken::Unit)
}

macro_rules! refuse {
    ($($method:ident($($argument:ty),*) -> $result:ty;)*) => {$(
        fn $method(self, $(_: $argument),*) -> Result<$result> {
            Err(NOT_A_TERM)
        }
    )*};
}

const NOT_A_TERM: SerializeError = SerializeError::Misplaced { expected: "a term" };

type No = Impossible<Taken, SerializeError>;

impl ser::Serializer for Opaque<'_> {
    type Ok = Taken;
    type Error = SerializeError;
    type SerializeSeq = No;
    type SerializeTuple = No;
    type SerializeTupleStruct = No;
    type SerializeTupleVariant = No;
    type SerializeMap = No;
    type SerializeStruct = No;
    type SerializeStructVariant = No;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Taken> {
        match self.0 {
            Some(out) => out.extend_from_slice(value),
            None => return Err(NOT_A_TERM),
        }
        Ok(Taken::Bytes)
    }

    fn serialize_unit(self) -> Result<Taken> {
        Ok(Taken::Unit)
    }

    refuse! {
        serialize_bool(bool) -> Taken;
        serialize_i8(i8) -> Taken;
        serialize_i16(i16) -> Taken;
        serialize_i32(i32) -> Taken;
        serialize_i64(i64) -> Taken;
        serialize_i128(i128) -> Taken;
        serialize_u8(u8) -> Taken;
        serialize_u16(u16) -> Taken;
        serialize_u32(u32) -> Taken;
        serialize_u64(u64) -> Taken;
        serialize_u128(u128) -> Taken;
        serialize_f32(f32) -> Taken;
        serialize_f64(f64) -> Taken;
        serialize_char(char) -> Taken;
        serialize_str(&str) -> Taken;
        serialize_none() -> Taken;
        serialize_unit_struct(&'static str) -> Taken;
        serialize_unit_variant(&'static str, u32, &'static str) -> Taken;
        serialize_seq(Option<usize>) -> No;
        serialize_tuple(usize) -> No;
        serialize_tuple_struct(&'static str, usize) -> No;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> No;
        serialize_map(Option<usize>) -> No;
        serialize_struct(&'static str, usize) -> No;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> No;
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, _: &T) -> Result<Taken> {
        Err(NOT_A_TERM)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Taken> {
        Err(NOT_A_TERM)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<Taken> {
        Err(NOT_A_TERM)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Taken> {
        Err(NOT_A_TERM)
    }
}
