//! serde: types of Rust as terms, straight to the bytes and from them.

mod de;
mod error;
#[cfg(feature = "jiff")]
mod jiff;
mod ser;
mod types;
mod with;

use bytes::Bytes;
use serde::de::{Deserialize, DeserializeOwned};
use serde::ser::Serialize;

use self::de::Deserializer;
pub use self::error::{DeserializeError, SerializeError};
#[cfg(feature = "jiff")]
pub use self::jiff::{date, date_time, naive_date_time, time};
use self::ser::Serializer;
pub use self::with::{bigint, binary, charlist, keyword, record};
use crate::{Decoder, Encoder, Limits, RawTerm, Term, tag};

/// Names of newtype structs by which the types of this crate tell its own serializer and deserializer more than serde's
/// data model can say. To every other format they are newtype structs, which most of them look through.
mod token {
    /// Holds the external term format of a term, without a version.
    pub(super) const TERM: &str = "$etf::term";
    /// Holds the text of an atom.
    pub(super) const ATOM: &str = "$etf::atom";
    /// Holds a string that is to be a charlist.
    pub(super) const CHARLIST: &str = "$etf::charlist";
    /// Holds a struct or map that is to be a keyword list.
    pub(super) const KEYWORD: &str = "$etf::keyword";
    /// Holds a struct that is to be a tuple that starts with the struct's name.
    pub(super) const RECORD: &str = "$etf::record";
}

/// How the next value is written or read, where that is not as usual.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Plain,
    /// A string is an atom.
    Atom,
    /// A key of a map: a string may be an atom.
    Key,
    /// A string is a charlist.
    Charlist,
    /// A struct or map is a list of pairs.
    Keyword,
    /// A struct is a tuple that starts with its name.
    Record,
}

impl Mode {
    /// The mode that a newtype struct of this name asks for.
    fn of(name: &str) -> Option<Self> {
        match name {
            token::ATOM => Some(Self::Atom),
            token::CHARLIST => Some(Self::Charlist),
            token::KEYWORD => Some(Self::Keyword),
            token::RECORD => Some(Self::Record),
            _ => None,
        }
    }

    /// What can be written in it.
    const fn expected(self) -> &'static str {
        match self {
            Self::Plain => "anything",
            Self::Atom | Self::Key | Self::Charlist => "a string",
            Self::Keyword => "a struct or map",
            Self::Record => "a struct",
        }
    }
}

/// The external term format of a value, with its leading 131, without a [`Term`] in between.
///
/// | Rust | Erlang | Elixir |
/// |---|---|---|
/// | `bool`, integers up to 128 bits, floats | `true`, `7`, `7.5` | |
/// | `char`, and so `Vec<char>` | `$a`, `"abc"` | `?a`, `~c"abc"` |
/// | `String`, `&str`; bytes of `serde_bytes` or [`binary`] | `<<"abc">>` | `"abc"` |
/// | `None`, `()` | `nil` | `nil` |
/// | `Some(x)`, a newtype struct | `x` | |
/// | `Vec` and other sequences | `[1,2]` | |
/// | tuples, tuple structs, arrays | `{1,2}` | |
/// | a struct | `#{name => 1}` | `%{name: 1}` |
/// | a struct renamed to `Elixir.User` | | `%User{name: 1}` |
/// | `HashMap` and other maps | `#{<<"a">> => 1}` | `%{"a" => 1}` |
/// | a unit struct, a unit variant | `'Name'` | `:Name` |
/// | a variant with a value, with several, with fields | `{'Name',1}`, `{'Name',1,2}`, `{'Name',#{a => 1}}` | |
/// | `Ok(x)`, `Ok(())`, `Err(e)` | `{ok,X}`, `ok`, `{error,E}` | |
/// | [`Term`], [`Atom`](crate::Atom), [`Pid`](crate::Pid), … | as they are | |
///
/// Names are those of serde: `#[serde(rename_all = "snake_case")]` makes `:created` of a variant `Created`. On request, by
/// `#[serde(with = "…")]` on a field: [`charlist`], [`keyword`], [`record`], [`binary`], [`bigint`], and with the feature
/// `jiff` Elixir's dates.
///
/// A struct with parts that are flattened is no Elixir struct; its keys are atoms, also those of a flattened map. What is
/// flattened, untagged or internally tagged is read through a form of serde's own, in which an atom is a string, a tuple is
/// a list, and an enum is never a tuple: keep a [`Term`] and such enums out of it.
///
/// ```
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// #[serde(rename = "Elixir.MyApp.User")]
/// struct User {
///     name: String,
///     role: Role,
///     age: Option<u8>,
/// }
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// #[serde(rename_all = "snake_case")]
/// enum Role {
///     Admin,
///     MemberOf(String),
/// }
///
/// let ada = User { name: "Ada".into(), role: Role::MemberOf("staff".into()), age: None };
/// let bytes = etf::to_bytes(&ada)?;
/// assert_eq!(etf::from_bytes::<User>(&bytes, &etf::Limits::default())?, ada);
/// assert_eq!(
///     etf::to_term(&ada)?.elixir().to_string(),
///     r#"%MyApp.User{name: "Ada", role: {:member_of, "staff"}, age: nil}"#
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When a part of the value has no external form, such as a float that is not finite, or its own `Serialize` fails.
pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, SerializeError> {
    let mut out = Vec::with_capacity(128);
    out.push(tag::VERSION);
    value.serialize(&mut Serializer::new(&mut out))?;
    Ok(out.into())
}

/// A value of a type of Rust from the external term format, with its leading 131; nothing may follow it.
///
/// Reads what [`to_bytes`] writes, and a little more, as peers write it:
///
/// - where a struct is expected, keys may be atoms or binaries; keys that are neither are read over, as unknown ones are;
/// - an Elixir struct (renamed to `Elixir.…`) must not be another one; `__struct__` may be missing;
/// - `undefined` is `None`, too, and `ok`, `undefined` and `{}` are `()`;
/// - a string that is a key of a map may be an atom; a variant without a value may be a binary;
/// - an array or tuple may be a list of that length; a float may be an integer.
///
/// What it costs is bounded by the limits as it is for [`decode`](crate::decode()). In addition, types that contain themselves may
/// nest at most 128 levels deep, as they do on the stack; a [`Term`] in them may be as deep as the limits say. What nobody
/// asks for is read over, whatever its depth, and checked no further than that takes.
///
/// Whether a map has a key twice, which [`decode`](crate::decode()) refuses, is for its type to say: a struct and a [`Map`](crate::Map) refuse
/// it, `HashMap` and `BTreeMap` keep the last value.
///
/// `&str` and `&[u8]` can be borrowed from the bytes; a [`Term`], and what is read by [`binary`], shares large binaries.
///
/// # Errors
/// When the bytes are no term, over the limits, or not what the type expects: the error says what, where, and what was found.
pub fn from_bytes<'de, T: Deserialize<'de>>(
    bytes: &'de Bytes,
    limits: &Limits,
) -> Result<T, DeserializeError> {
    Deserializer::new(bytes, &[], limits).whole(true)
}

/// A value as a [`Term`], in the shapes of [`to_bytes`].
///
/// ```
/// let term = etf::to_term(&("Ada", Some(36), ["x"]))?;
/// assert_eq!(term.to_string(), r#"{<<"Ada">>,36,{<<"x">>}}"#);
/// # Ok::<(), etf::SerializeError>(())
/// ```
///
/// # Errors
/// As [`to_bytes`], and when it is nested deeper than [`Limits::MAX_DEPTH`].
pub fn to_term<T: Serialize + ?Sized>(value: &T) -> Result<Term, SerializeError> {
    // One implementation of every shape, so that bytes and terms cannot disagree.
    let mut out = Vec::with_capacity(128);
    value.serialize(&mut Serializer::new(&mut out))?;
    let own = Limits::UNBOUNDED.with_depth(Limits::MAX_DEPTH);
    Ok(Decoder::new(&out.into(), &[], &own).term()?)
}

/// A value of a type of Rust from a [`Term`], read as [`from_bytes`] reads it.
///
/// ```
/// use etf::term;
/// let (name, age): (String, Option<u8>) = etf::from_term(&term!({"Ada", nil}))?;
/// assert_eq!((name.as_str(), age), ("Ada", None));
/// let error = etf::from_term::<(String, u8)>(&term!({"Ada", 300})).unwrap_err();
/// assert_eq!(error.to_string(), "invalid value: integer `300`, expected u8, at [1]");
/// # Ok::<(), etf::DeserializeError>(())
/// ```
///
/// # Errors
/// When the term is not what the type expects, or cannot be encoded.
pub fn from_term<T: DeserializeOwned>(term: &Term) -> Result<T, DeserializeError> {
    let mut encoder = Encoder::new();
    encoder.term(term).map_err(<DeserializeError as serde::de::Error>::custom)?;
    let bytes = encoder.finish().into_bytes();
    // It is in memory already, so it may take as much again.
    let own = Limits::UNBOUNDED.with_depth(Limits::MAX_DEPTH);
    let read = Deserializer::new(&bytes, &[], &own).whole(false);
    read.map_err(DeserializeError::without_offset)
}

impl Encoder {
    /// Writes a value of a type of Rust, without a version; see [`to_bytes`].
    ///
    /// # Errors
    /// As [`to_bytes`]; what was written up to there stays.
    pub fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        value.serialize(&mut Serializer::new(self.buffer()))
    }
}

impl RawTerm {
    /// A value that is known, in the form it has when it has come from a peer; see [`to_bytes`].
    ///
    /// # Errors
    /// As [`to_bytes`].
    pub fn serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, SerializeError> {
        Ok(Self::new(&to_bytes(value)?, crate::raw::no_atoms(), true))
    }

    /// The term as a value of a type of Rust, without a [`Term`] in between; see [`from_bytes`].
    ///
    /// # Errors
    /// As [`from_bytes`].
    pub fn deserialize<'de, T: Deserialize<'de>>(
        &'de self,
        limits: &Limits,
    ) -> Result<T, DeserializeError> {
        Deserializer::new(self.as_bytes(), self.atoms(), limits).whole(self.is_versioned())
    }
}
