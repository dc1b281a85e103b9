//! What becomes a term by `Term::from`.

use bytes::Bytes;
use num_bigint::BigInt;

use crate::{Atom, Binary, BitBinary, Export, Fun, Map, Pid, Port, Record, Reference, Term};

macro_rules! from_small_integer {
    ($($type:ty)*) => {$(
        impl From<$type> for Term {
            fn from(value: $type) -> Self {
                Self::Int(value.into())
            }
        }
    )*};
}

macro_rules! from_variant {
    ($($type:ident)*) => {$(
        impl From<$type> for Term {
            fn from(value: $type) -> Self {
                Self::$type(value)
            }
        }
    )*};
}

from_small_integer!(i8 i16 i32 i64 u8 u16 u32);
from_variant!(Atom Binary BitBinary Map Pid Port Reference Fun Export Record);

impl From<u64> for Term {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or_else(|_| Self::BigInt(value.into()), Self::Int)
    }
}

impl From<BigInt> for Term {
    /// An `Int` where it fits.
    fn from(value: BigInt) -> Self {
        i64::try_from(&value).map_or_else(|_| Self::BigInt(value), Self::Int)
    }
}

impl From<f64> for Term {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<bool> for Term {
    /// `true` or `false`
    fn from(value: bool) -> Self {
        Self::Atom(value.into())
    }
}

impl From<&str> for Term {
    /// A binary, as strings are in Elixir.
    fn from(value: &str) -> Self {
        Self::Binary(value.into())
    }
}

impl From<String> for Term {
    /// A binary, as strings are in Elixir.
    fn from(value: String) -> Self {
        Self::Binary(value.into())
    }
}

impl From<&[u8]> for Term {
    /// A binary.
    fn from(value: &[u8]) -> Self {
        Self::Binary(value.into())
    }
}

impl From<Bytes> for Term {
    /// A binary, sharing the bytes unless they are short.
    fn from(value: Bytes) -> Self {
        Self::Binary(value.into())
    }
}

impl From<Vec<Self>> for Term {
    /// A list.
    fn from(value: Vec<Self>) -> Self {
        Self::List(value)
    }
}

impl From<&Self> for Term {
    fn from(value: &Self) -> Self {
        value.clone()
    }
}

impl From<&Atom> for Term {
    fn from(value: &Atom) -> Self {
        Self::Atom(value.clone())
    }
}

impl From<&Pid> for Term {
    fn from(value: &Pid) -> Self {
        Self::Pid(value.clone())
    }
}

impl From<&Reference> for Term {
    fn from(value: &Reference) -> Self {
        Self::Reference(value.clone())
    }
}

impl FromIterator<Self> for Term {
    /// A list.
    fn from_iter<I: IntoIterator<Item = Self>>(items: I) -> Self {
        Self::List(items.into_iter().collect())
    }
}

impl FromIterator<(Self, Self)> for Term {
    /// A map; a later value of a key replaces an earlier one.
    fn from_iter<I: IntoIterator<Item = (Self, Self)>>(pairs: I) -> Self {
        Self::Map(pairs.into_iter().collect())
    }
}
