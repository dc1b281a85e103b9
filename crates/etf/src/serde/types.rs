//! Terms, and parts of them, in types that derive serde's traits.

use std::fmt;

use bytes::Bytes;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::de::{opened, take_handed};
use super::token;
use crate::{
    Atom, BigInt, Binary, BitBinary, Encoder, Export, Fun, Map, Pid, Port, Record, Reference, Term,
};

/// As its text, which this crate's own format writes as an atom.
impl Serialize for Atom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(token::ATOM, self.as_str())
    }
}

/// In this crate's own format from an atom only, elsewhere from a text.
impl<'de> Deserialize<'de> for Atom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AtomVisitor;

        impl<'de> Visitor<'de> for AtomVisitor {
            type Value = Atom;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an atom")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Atom, D::Error> {
                deserializer.deserialize_str(self)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Atom, E> {
                Atom::new(text).map_err(E::custom)
            }

            // What serde keeps of an atom for flattened and untagged types.
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Atom, E> {
                Ok(value.into())
            }

            fn visit_unit<E: de::Error>(self) -> Result<Atom, E> {
                Ok(Atom::from_static("nil"))
            }
        }

        deserializer.deserialize_newtype_struct(token::ATOM, AtomVisitor)
    }
}

/// Whole and exact in this crate's own format. To formats for people it is what is nearest: binaries are strings where they
/// are UTF-8, tuples are lists, pids and the like are their text.
impl Serialize for Term {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return Readable(self).serialize(serializer);
        }
        match self {
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Atom(atom) => atom.serialize(serializer),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Binary(bytes) => serializer.serialize_bytes(bytes),
            term => serializer.serialize_newtype_struct(token::TERM, &Whole(term)),
        }
    }
}

/// A term as the bytes of its external format, without a version.
struct Whole<'t>(&'t Term);

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut encoder = Encoder::new();
        encoder.term(self.0).map_err(serde::ser::Error::custom)?;
        serializer.serialize_bytes(&encoder.finish().into_bytes())
    }
}

/// A term for a format for people.
struct Readable<'t>(&'t Term);

impl Serialize for Readable<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Term::Atom(atom) => match atom.as_str() {
                "true" => serializer.serialize_bool(true),
                "false" => serializer.serialize_bool(false),
                "nil" => serializer.serialize_unit(),
                text => serializer.serialize_str(text),
            },
            Term::Int(value) => serializer.serialize_i64(*value),
            Term::Float(value) => serializer.serialize_f64(*value),
            Term::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => serializer.serialize_str(text),
                Err(_) => serializer.serialize_bytes(bytes),
            },
            Term::List(items) | Term::Tuple(items) => {
                serializer.collect_seq(items.iter().map(Readable))
            }
            Term::Map(map) => {
                let mut pairs = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map.iter() {
                    match key {
                        Term::Atom(atom) => pairs.serialize_key(atom.as_str())?,
                        Term::Int(_) | Term::Binary(_) => pairs.serialize_key(&Readable(key))?,
                        key => pairs.serialize_key(&key.to_string())?,
                    }
                    pairs.serialize_value(&Readable(value))?;
                }
                pairs.end()
            }
            other => serializer.collect_str(other),
        }
    }
}

/// Whole and exact from this crate's own format. From other formats, and where serde keeps what it reads for flattened and
/// untagged types, it is what is nearest: text is a binary, also where it was an atom.
impl<'de> Deserialize<'de> for Term {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(token::TERM, TermVisitor)
    }
}

struct TermVisitor;

impl<'de> Visitor<'de> for TermVisitor {
    type Value = Term;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a term")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Term, D::Error> {
        match take_handed() {
            Some(term) => Ok(term),
            None => deserializer.deserialize_any(self),
        }
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Term, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Term, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Term, E> {
        Ok(value.into())
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Term, E> {
        Ok(BigInt::from(value).into())
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Term, E> {
        Ok(BigInt::from(value).into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Term, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Term, E> {
        Ok(text.into())
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Term, E> {
        Ok(bytes.into())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Term, E> {
        Ok(Term::atom("nil"))
    }

    fn visit_none<E: de::Error>(self) -> Result<Term, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Term, D::Error> {
        Term::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Term, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = elements.next_element()? {
            items.push(item);
        }
        Ok(Term::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Term, A::Error> {
        let mut map = Map::new();
        while let Some((key, value)) = pairs.next_entry::<Term, Term>()? {
            if key.as_str() == Some(token::TERM)
                && let Some(bytes) = value.as_binary()
            {
                return opened(&bytes.clone().into_bytes()).map_err(de::Error::custom);
            }
            if map.insert(key, value).is_some() {
                return Err(de::Error::custom("a map has the same key twice"));
            }
        }
        Ok(Term::Map(map))
    }
}

/// What it is instead, for the text of an error.
fn unexpected(term: &Term) -> String {
    match term {
        Term::Atom(atom) => format!("the atom {atom}"),
        Term::Int(value) => format!("the integer {value}"),
        Term::BigInt(_) => "an integer".to_owned(),
        Term::Float(value) => format!("the float {value:?}"),
        Term::Binary(bytes) => format!("a binary of {} bytes", bytes.len()),
        Term::BitBinary(_) => "a bitstring".to_owned(),
        Term::List(items) => format!("a list of {} elements", items.len()),
        Term::ImproperList(_) => "an improper list".to_owned(),
        Term::Tuple(items) => format!("a tuple of {} elements", items.len()),
        Term::Map(map) => format!("a map of {} keys", map.len()),
        Term::Pid(_) => "a pid".to_owned(),
        Term::Port(_) => "a port".to_owned(),
        Term::Reference(_) => "a reference".to_owned(),
        Term::Fun(_) | Term::Export(_) => "a fun".to_owned(),
        Term::Record(_) => "a native record".to_owned(),
    }
}

/// A part that is of one kind.
pub(super) fn part<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &str,
    part: impl FnOnce(Term) -> Result<T, Term>,
) -> Result<T, D::Error> {
    part(Term::deserialize(deserializer)?)
        .map_err(|term| de::Error::invalid_type(Unexpected::Other(&unexpected(&term)), &expected))
}

macro_rules! parts {
    ($($type:ident $words:literal)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Term::from(self.clone()).serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                part(deserializer, $words, |term| match term {
                    Term::$type(value) => Ok(value),
                    term => Err(term),
                })
            }
        }
    )*};
}

parts! {
    Pid "a pid"
    Port "a port"
    Reference "a reference"
    Fun "a fun"
    Export "an external fun"
    Record "a native record"
    Binary "a binary"
    BitBinary "a bitstring"
    Map "a map"
}

/// The bytes of a binary, sharing those it was read from where they are large.
pub(super) fn binary<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    part(deserializer, "a binary", |term| match term {
        Term::Binary(binary) => Ok(binary.into_bytes()),
        term => Err(term),
    })
}
