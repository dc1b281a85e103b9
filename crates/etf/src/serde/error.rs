use std::borrow::Cow;
use std::fmt;

use serde::{de, ser};
use thiserror::Error;

use crate::{AtomError, DecodeError, EncodeError};

/// Why a value has no external form.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SerializeError {
    /// A part of it cannot be said in the format.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A name of a field or variant, or a text that is to be an atom, is too long for one.
    #[error(transparent)]
    Atom(#[from] AtomError),
    /// It is nested deeper than a term of ours can be.
    #[error(transparent)]
    Depth(#[from] DecodeError),
    /// A tuple or struct that has not as many elements as it said.
    #[error("{announced} elements were announced and {written} written")]
    Count {
        /// How many it said it has.
        announced: usize,
        /// How many came.
        written: usize,
    },
    /// The same key twice in a map. A BEAM node disconnects on that.
    #[error("a map has the same key twice")]
    DuplicateKey,
    /// Something that cannot be what the field's `with` says.
    #[error("only {expected} can be written so")]
    Misplaced {
        /// What can.
        expected: &'static str,
    },
    /// What an implementation of `Serialize` said.
    #[error("{0}")]
    Custom(String),
}

impl ser::Error for SerializeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

/// Why a term is not a value of some type, and where.
///
/// `Display` says what was expected, what was found, and the path to it: `invalid type: the atom nil, expected a string, at
/// users[3].name (byte 57)`.
#[derive(Clone, PartialEq, Eq)]
pub struct DeserializeError(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    what: What,
    /// From the inside out.
    path: Vec<Segment>,
    offset: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// The bytes are no term, or over the limits.
    Decode(DecodeError),
    /// They are a term, but another one.
    Shape(String),
}

/// One step of the way to a part of a term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// Of a map, as text.
    Key(String),
    /// Of a list or tuple, from 0.
    Index(usize),
}

impl DeserializeError {
    /// What is wrong with the bytes, where they are no term or over the limits; `None` where they are a term, but not what
    /// the type expects.
    #[must_use]
    pub const fn decode_error(&self) -> Option<&DecodeError> {
        match &self.0.what {
            What::Decode(error) => Some(error),
            What::Shape(_) => None,
        }
    }

    /// The path to what is wrong, such as `users[3].name`: names of fields and keys, and positions in lists and tuples from 0.
    /// Empty where it is the term itself.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.0.path.iter().rev() {
            match segment {
                Segment::Index(index) => path.push_str(&format!("[{index}]")),
                Segment::Key(key) if path.is_empty() => path.push_str(key),
                Segment::Key(key) => path.push_str(&format!(".{key}")),
            }
        }
        path
    }

    /// The offset into the bytes of what is wrong, if they were bytes and it is known.
    #[must_use]
    pub const fn offset(&self) -> Option<usize> {
        self.0.offset
    }

    /// Adds a step of the way, further out than those before.
    pub(super) fn inside(mut self, segment: impl FnOnce() -> Segment) -> Self {
        self.0.path.push(segment());
        self
    }

    /// Notes where it was, unless that is known.
    pub(super) fn at(mut self, offset: usize) -> Self {
        self.0.offset.get_or_insert(offset);
        self
    }

    /// For terms, which have no bytes that anybody has seen.
    pub(super) fn without_offset(mut self) -> Self {
        self.0.offset = None;
        self
    }

    fn new(what: What, offset: Option<usize>) -> Self {
        Self(Box::new(Inner { what, path: Vec::new(), offset }))
    }
}

impl From<DecodeError> for DeserializeError {
    fn from(error: DecodeError) -> Self {
        let offset = Some(error.offset);
        Self::new(What::Decode(error), offset)
    }
}

impl de::Error for DeserializeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(What::Shape(message.to_string()), None)
    }
}

impl std::error::Error for DeserializeError {}

impl fmt::Display for DeserializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.0.what {
            What::Decode(error) => Cow::from(error.kind.to_string()),
            What::Shape(what) => Cow::from(what),
        };
        f.write_str(&what)?;
        if !self.0.path.is_empty() {
            write!(f, ", at {}", self.path())?;
        }
        self.0.offset.map_or(Ok(()), |offset| write!(f, " (byte {offset})"))
    }
}

impl fmt::Debug for DeserializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeserializeError({self})")
    }
}
