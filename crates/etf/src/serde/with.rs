//! What a field is on request, by `#[serde(with = "…")]`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Visitor};

use super::token;

/// Asks for a value under one of our tokens; every format but our own looks through it.
fn ask<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
    token: &'static str,
) -> Result<T, D::Error> {
    struct Inner<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Inner<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a value")
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(
            self,
            deserializer: D,
        ) -> Result<T, D::Error> {
            T::deserialize(deserializer)
        }
    }

    deserializer.deserialize_newtype_struct(token, Inner(PhantomData))
}

/// A value, or an option of one: what the helpers for types of other crates take.
pub trait Maybe<T>: Sized {
    /// The value, if there is one.
    fn as_option(&self) -> Option<&T>;

    /// The same from a value, if it can be without one.
    fn from_option(value: Option<T>) -> Option<Self>;
}

impl<T> Maybe<T> for T {
    fn as_option(&self) -> Option<&T> {
        Some(self)
    }

    fn from_option(value: Option<T>) -> Option<Self> {
        value
    }
}

impl<T> Maybe<T> for Option<T> {
    fn as_option(&self) -> Option<&T> {
        self.as_ref()
    }

    fn from_option(value: Self) -> Option<Self> {
        Some(value)
    }
}

macro_rules! under_a_token {
    ($(#[$doc:meta])* $name:ident, $token:ident) => {
        $(#[$doc])*
        pub mod $name {
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            /// For `#[serde(with = "…")]`.
            ///
            /// # Errors
            /// The serializer's, and when the value cannot be written so.
            pub fn serialize<T: Serialize + ?Sized, S: Serializer>(
                value: &T,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                serializer.serialize_newtype_struct(super::token::$token, value)
            }

            /// For `#[serde(with = "…")]`.
            ///
            /// # Errors
            /// The deserializer's.
            pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<T, D::Error> {
                super::ask(deserializer, super::token::$token)
            }
        }
    };
}

under_a_token! {
    /// A string as a charlist, a list of code points: `"abc"` in Erlang, `~c"abc"` in Elixir. A binary is read as well.
    ///
    /// For `String`, `Option<String>`, and whatever else is a string to serde.
    ///
    /// ```
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct File {
    ///     #[serde(with = "etf::charlist")]
    ///     path: String,
    /// }
    /// let term = etf::to_term(&File { path: "/tmp".into() })?;
    /// assert_eq!(term.elixir().to_string(), r#"%{path: ~c"/tmp"}"#);
    /// assert_eq!(etf::from_term::<File>(&term)?.path, "/tmp");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    charlist, CHARLIST
}

under_a_token! {
    /// A struct or map as a keyword list: `[{name, 1}]` in Erlang, `[name: 1]` in Elixir.
    ///
    /// Keys that are strings are written as atoms. Read are also property lists, where an atom stands for `{Atom, true}`; what
    /// is neither is read over.
    ///
    /// ```
    /// #[derive(Default, serde::Serialize, serde::Deserialize)]
    /// #[serde(default)]
    /// struct Options {
    ///     timeout: u32,
    ///     trace: bool,
    /// }
    ///
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Start(String, #[serde(with = "etf::keyword")] Options);
    ///
    /// let options = Options { timeout: 5000, trace: false };
    /// let term = etf::to_term(&Start("a".into(), options))?;
    /// assert_eq!(term.elixir().to_string(), r#"{"a", [timeout: 5000, trace: false]}"#);
    /// let start: Start = etf::from_term(&etf::term!({"a", [trace]}))?;
    /// assert!(start.1.trace);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    keyword, KEYWORD
}

under_a_token! {
    /// A struct as an Erlang record: a tuple of the struct's name and its fields, in their order.
    ///
    /// `skip_serializing_if` is of no use there: a field that is skipped is an error.
    ///
    /// ```
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// #[serde(rename = "file_info")]
    /// struct FileInfo { size: u64, access: etf::Atom }
    ///
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// #[serde(transparent)]
    /// struct Reply(#[serde(with = "etf::record")] FileInfo);
    ///
    /// let info = FileInfo { size: 7, access: etf::Atom::from_static("read") };
    /// let term = etf::to_term(&Reply(info))?;
    /// assert_eq!(term.to_string(), "{file_info,7,read}");
    /// assert_eq!(etf::from_term::<Reply>(&term)?.0.size, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    record, RECORD
}

/// Bytes as a binary: for `Vec<u8>`, which would be a list of integers, and `Bytes`, which shares what it was read from. (For
/// an `Option` of them there is `serde_bytes`.)
///
/// ```
/// use etf::Bytes;
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Blob(#[serde(with = "etf::binary")] Bytes, u8);
/// let term = etf::to_term(&Blob(Bytes::from_static(&[0, 255]), 1))?;
/// assert_eq!(term.to_string(), "{<<0,255>>,1}");
/// # Ok::<(), etf::SerializeError>(())
/// ```
pub mod binary {
    use bytes::Bytes;
    use serde::{Deserializer, Serializer};

    /// For `#[serde(with = "etf::binary")]`.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<T: AsRef<[u8]> + ?Sized, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(value.as_ref())
    }

    /// For `#[serde(with = "etf::binary")]`.
    ///
    /// # Errors
    /// The deserializer's.
    pub fn deserialize<'de, T: From<Bytes>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        super::super::types::binary(deserializer).map(T::from)
    }
}

/// An integer of any size: for [`BigInt`](crate::BigInt) or an `Option` of it, which serde would make a tuple of its digits. (Up to `i128` and
/// `u128` nothing is needed.)
pub mod bigint {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::Maybe;
    use crate::{BigInt, Term};

    /// For `#[serde(with = "etf::bigint")]`.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<T: Maybe<BigInt>, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_option().map(|value| Term::from(value.clone())).serialize(serializer)
    }

    /// For `#[serde(with = "etf::bigint")]`.
    ///
    /// # Errors
    /// The deserializer's.
    pub fn deserialize<'de, T: Maybe<BigInt>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let value = Option::<Integer>::deserialize(deserializer)?.map(|Integer(value)| value);
        T::from_option(value).ok_or_else(|| de::Error::custom("nil is no integer"))
    }

    struct Integer(BigInt);

    impl<'de> Deserialize<'de> for Integer {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            super::super::types::part(deserializer, "an integer", |term| match term {
                Term::Int(value) => Ok(Self(value.into())),
                Term::BigInt(value) => Ok(Self(value)),
                term => Err(term),
            })
        }
    }
}
