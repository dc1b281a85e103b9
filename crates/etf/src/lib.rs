//! The Erlang External Term Format: terms, a bounded decoder, an encoder.
//!
//! ```
//! use bytes::Bytes;
//! use etf::{Limits, term};
//!
//! let bytes = etf::encode(&term!({hello, "world"})).unwrap().into_bytes();
//! let term = etf::decode(&bytes, &Limits::default()).unwrap();
//! assert_eq!(term.to_string(), r#"{hello,<<"world">>}"#);
//! ```
//!
//! The format is that of OTP's `erl_ext_dist`; every tag that OTP 23 to 29 puts on the wire is read. What a peer sends is
//! decoded within [`Limits`] and never panics.

mod atom;
mod bits;
mod convert;
mod decode;
mod encode;
#[doc(hidden)]
pub mod fuzz;
mod header;
mod ids;
mod inline;
mod limits;
pub mod literal;
mod macros;
mod map;
mod opaque;
mod order;
mod print;
mod raw;
mod rope;
#[cfg(feature = "serde")]
mod serde;
mod tag;
mod term;
mod view;

pub use bytes::Bytes;
pub use num_bigint::BigInt;

pub use crate::atom::{Atom, AtomError};
pub use crate::bits::{Binary, BitBinary, BitBinaryError};
pub use crate::decode::{DecodeError, DecodeErrorKind, Decoder, decode, decode_compressed};
pub use crate::encode::{EncodeError, Encoder, ShortEncoder, encode};
pub use crate::ids::{Pid, Port, Reference, ReferenceError};
pub use crate::limits::Limits;
pub use crate::map::{DuplicateKey, IntoIter, Map};
pub use crate::opaque::{Export, Fun, Record};
pub use crate::print::Elixir;
pub use crate::raw::RawTerm;
pub use crate::rope::Rope;
#[cfg(feature = "serde")]
pub use crate::serde::{
    DeserializeError, SerializeError, bigint, binary, charlist, from_bytes, from_term, keyword,
    record, to_bytes, to_term,
};
#[cfg(feature = "jiff")]
pub use crate::serde::{date, date_time, naive_date_time, time};
pub use crate::term::{ImproperList, Term};
pub use crate::view::{Elements, MapView, Step, View, ViewKind, Walk};

/// The examples of the README work.
#[cfg(all(doctest, feature = "serde"))]
#[doc = include_str!("../README.md")]
mod readme {}
