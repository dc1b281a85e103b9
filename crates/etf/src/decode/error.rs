use thiserror::Error;

use crate::{AtomError, ReferenceError};

/// Why bytes are not a term, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind} (at byte {offset}{})", Tag(*tag))]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// Offset into the decoded bytes of the tag that is wrong, or of the first byte where there is none.
    pub offset: usize,
    /// The tag at the offset, if there is one.
    pub tag: Option<u8>,
}

/// What is wrong with bytes that are not a term.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The bytes end inside the term, or cannot hold as many elements as it claims.
    #[error("the term is cut short")]
    Truncated,
    /// The bytes do not start with 131.
    #[error("the term does not start with the version 131")]
    NoVersion,
    /// Bytes follow the term.
    #[error("{count} bytes follow the term")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// A tag that is not known, or not allowed where it stands.
    #[error("no term starts with this tag")]
    UnknownTag,
    /// COMPRESSED, which only [`decode_compressed`](crate::decode_compressed) reads, and no frame may hold.
    #[error("a compressed term is not accepted here")]
    Compressed,
    /// Compressed data that does not inflate to what it claims.
    #[error("the compressed data is damaged")]
    BadCompression,
    /// Compressed data of more than the caller takes.
    #[error("the compressed term has {size} bytes, more than the limit")]
    Inflated {
        /// What it claims to inflate to.
        size: usize,
    },
    /// LOCAL_EXT, which only the node that wrote it can read.
    #[error("a term in a node's own local format cannot be read")]
    Local,
    /// A reference to an atom that the frame's header does not have.
    #[error("the header has no atom {index}")]
    NoSuchAtom {
        /// The index into the header's atoms.
        index: u8,
    },
    /// An atom's text is not UTF-8.
    #[error("an atom is not valid UTF-8")]
    AtomEncoding,
    /// An atom of more than 255 characters.
    #[error(transparent)]
    Atom(#[from] AtomError),
    /// A float that is NaN, infinite, or (in the old form) not a number.
    #[error("a float is not a finite number")]
    Float,
    /// A bitstring whose last byte has a wrong number of bits.
    #[error("a bitstring has a wrong number of bits in its last byte")]
    Bits,
    /// A reference without a word, or of more than five.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The same key twice in a map, or the same field in a native record.
    #[error("a map has the same key twice")]
    DuplicateKey,
    /// A part of the term is not of the type that it must be, such as a pid whose node is not an atom.
    #[error("expected {expected}")]
    Expected {
        /// What should stand there.
        expected: &'static str,
    },
    /// A tuple of 2^24 elements or more, which no BEAM can hold.
    #[error("a tuple of {arity} elements is too large")]
    Arity {
        /// Its elements.
        arity: usize,
    },
    /// An integer of more than 4,194,296 bytes, which no BEAM can hold.
    #[error("an integer is too large")]
    Integer,
    /// More levels of nesting than [`Limits::depth`](crate::Limits::depth).
    #[error("the term is nested deeper than the limit")]
    Depth,
    /// More elements than [`Limits::elements`](crate::Limits::elements).
    #[error("the term has more elements than the limit")]
    Elements,
    /// More memory than [`Limits::memory`](crate::Limits::memory).
    #[error("the term needs more memory than the limit")]
    Memory,
}

impl DecodeErrorKind {
    /// One word for it, such as `depth`: for counters.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::NoVersion => "no_version",
            Self::Trailing { .. } => "trailing",
            Self::UnknownTag => "unknown_tag",
            Self::Compressed => "compressed",
            Self::BadCompression => "bad_compression",
            Self::Inflated { .. } => "inflated",
            Self::Local => "local",
            Self::NoSuchAtom { .. } => "no_such_atom",
            Self::AtomEncoding => "atom_encoding",
            Self::Atom(_) => "atom",
            Self::Float => "float",
            Self::Bits => "bits",
            Self::Reference(_) => "reference",
            Self::DuplicateKey => "duplicate_key",
            Self::Expected { .. } => "expected",
            Self::Arity { .. } => "arity",
            Self::Integer => "integer",
            Self::Depth => "depth",
            Self::Elements => "elements",
            Self::Memory => "memory",
        }
    }
}

impl DecodeError {
    /// Whether the bytes may be a term, but one over our limits; otherwise they are malformed.
    ///
    /// What is malformed closes a link; what is over a limit is only dropped.
    #[must_use]
    pub const fn is_limit(&self) -> bool {
        use DecodeErrorKind::{Arity, Depth, Elements, Inflated, Integer, Memory};
        matches!(self.kind, Depth | Elements | Memory | Arity { .. } | Integer | Inflated { .. })
    }
}

struct Tag(Option<u8>);

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |tag| write!(f, ", tag {tag}"))
    }
}
