//! Lists, tuples, maps and structs, element by element.

use std::collections::HashSet;

use serde::ser::{self, Serialize};

use super::{Mode, Result, Serializer};
use crate::{EncodeError, SerializeError, tag};

/// A list; its length is filled in at the end.
#[derive(Debug)]
pub(in super::super) struct Sequence<'s, 'a> {
    pub(super) to: &'s mut Serializer<'a>,
    pub(super) start: usize,
    pub(super) count: usize,
}

/// A tuple, whose length had to be known.
#[derive(Debug)]
pub(in super::super) struct Tuple<'s, 'a> {
    pub(super) to: &'s mut Serializer<'a>,
    pub(super) announced: usize,
    pub(super) written: usize,
}

/// A map or keyword list; its length is filled in at the end.
#[derive(Debug)]
pub(in super::super) struct Map<'s, 'a> {
    pub(super) to: &'s mut Serializer<'a>,
    pub(super) keyword: bool,
    pub(super) start: usize,
    pub(super) count: usize,
    /// Where the keys are, of a struct with flattened parts.
    pub(super) keys: Option<Vec<std::ops::Range<usize>>>,
}

/// A struct, in one of its forms.
#[derive(Debug)]
pub(in super::super) enum Struct<'s, 'a> {
    Map(Map<'s, 'a>),
    Record(Tuple<'s, 'a>),
}

/// What stands before the elements of a list or map: tag and length.
const HEADER: usize = 5;

impl Sequence<'_, '_> {
    pub(super) fn finish(self) -> Result {
        let Self { to, start, count } = self;
        if count == 0 {
            to.out.truncate(start);
            to.out.push(tag::NIL);
        } else if !to.shorten_to_string(start, count) {
            to.fill_in("a list", start, count)?;
            to.out.push(tag::NIL);
        }
        Ok(())
    }
}

impl Serializer<'_> {
    fn fill_in(&mut self, what: &'static str, start: usize, count: usize) -> Result {
        let length = u32::try_from(count).map_err(|_| EncodeError::TooLong { what, len: count })?;
        if let Some(place) = self.out.get_mut(start + 1..start + HEADER) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    /// Writes a list again as a string (STRING_EXT) if all elements are bytes, as OTP would have written it.
    fn shorten_to_string(&mut self, start: usize, count: usize) -> bool {
        let Ok(length) = u16::try_from(count) else { return false };
        let Some(list) = self.out.get_mut(start..) else { return false };
        let elements = list.get(HEADER..).unwrap_or_default();
        // As each has the tag and takes two bytes, so the next is where it is looked for.
        let (pairs, rest) = elements.as_chunks::<2>();
        if pairs.len() != count
            || !rest.is_empty()
            || pairs.iter().any(|[tag, _]| *tag != tag::SMALL_INTEGER)
        {
            return false;
        }
        let [high, low] = length.to_be_bytes();
        let header = [tag::STRING, high, low];
        for at in 0..count {
            let byte = list.get(HEADER + 2 * at + 1).copied();
            if let (Some(byte), Some(place)) = (byte, list.get_mut(header.len() + at)) {
                *place = byte;
            }
        }
        if let Some(place) = list.get_mut(..header.len()) {
            place.copy_from_slice(&header);
        }
        self.out.truncate(start + header.len() + count);
        true
    }
}

impl Tuple<'_, '_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.written += 1;
        value.serialize(&mut *self.to)
    }

    fn finish(self) -> Result {
        let Self { announced, written, .. } = self;
        if announced == written {
            Ok(())
        } else {
            Err(SerializeError::Count { announced, written })
        }
    }
}

impl Map<'_, '_> {
    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result {
        self.count += 1;
        let start = self.to.out.len();
        if self.keyword {
            self.to.tuple_header(2)?;
        }
        if self.keyword || self.keys.is_some() {
            self.to.mode = Mode::Atom;
        }
        key.serialize(&mut *self.to)?;
        // A key that is no string, and so is what it is.
        self.to.mode = Mode::Plain;
        if let Some(keys) = &mut self.keys {
            keys.push(start..self.to.out.len());
        }
        Ok(())
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result {
        self.count += 1;
        if self.keyword {
            self.to.tuple_header(2)?;
        }
        self.to.atom(key)?;
        value.serialize(&mut *self.to)
    }

    fn finish(self) -> Result {
        let Self { to, keyword, start, count, keys } = self;
        if let Some(keys) = keys {
            // What is equal is written alike, but for maps as keys with their own order.
            let mut seen = HashSet::with_capacity(keys.len());
            if !keys.into_iter().all(|key| seen.insert(to.out.get(key))) {
                return Err(SerializeError::DuplicateKey);
            }
        }
        if !keyword {
            return to.fill_in("a map", start, count);
        }
        Sequence { to, start, count }.finish()
    }
}

impl ser::SerializeSeq for Sequence<'_, '_> {
    type Ok = ();
    type Error = SerializeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.count += 1;
        value.serialize(&mut *self.to)
    }

    fn end(self) -> Result {
        self.finish()
    }
}

impl ser::SerializeTuple for Tuple<'_, '_> {
    type Ok = ();
    type Error = SerializeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.element(value)
    }

    fn end(self) -> Result {
        self.finish()
    }
}

impl ser::SerializeTupleStruct for Tuple<'_, '_> {
    type Ok = ();
    type Error = SerializeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.element(value)
    }

    fn end(self) -> Result {
        self.finish()
    }
}

impl ser::SerializeTupleVariant for Tuple<'_, '_> {
    type Ok = ();
    type Error = SerializeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.element(value)
    }

    fn end(self) -> Result {
        self.finish()
    }
}

impl ser::SerializeMap for Map<'_, '_> {
    type Ok = ();
    type Error = SerializeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        value.serialize(&mut *self.to)
    }

    fn end(self) -> Result {
        self.finish()
    }
}

impl ser::SerializeStruct for Struct<'_, '_> {
    type Ok = ();
    type Error = SerializeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result {
        match self {
            Self::Map(map) => map.field(key, value),
            Self::Record(tuple) => tuple.element(value),
        }
    }

    fn skip_field(&mut self, _: &'static str) -> Result {
        match self {
            Self::Map(_) => Ok(()),
            // All that follow would be taken for the one before them.
            Self::Record(_) => {
                Err(SerializeError::Misplaced { expected: "a struct of which no field is skipped" })
            }
        }
    }

    fn end(self) -> Result {
        match self {
            Self::Map(map) => map.finish(),
            Self::Record(tuple) => tuple.finish(),
        }
    }
}

impl ser::SerializeStructVariant for Struct<'_, '_> {
    type Ok = ();
    type Error = SerializeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result {
        ser::SerializeStruct::serialize_field(self, key, value)
    }

    fn end(self) -> Result {
        ser::SerializeStruct::end(self)
    }
}
