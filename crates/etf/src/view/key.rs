//! The terms that most keys of maps are, told apart without decoding them.

use std::hash::{Hash, Hasher};

use super::skip::{array, length, text};
use crate::atom::spread;
use crate::{Atom, Term, tag};

/// An atom, an integer of 64 bits or a binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    /// Its text.
    Atom(&'a [u8]),
    Int(i64),
    Binary(&'a [u8]),
}

impl<'a> Key<'a> {
    /// The key at the start of bytes that have been checked; `None` if it is of another kind, or in a rare form.
    pub(crate) fn read(wire: &'a [u8], atoms: &'a [Atom]) -> Option<Self> {
        let (tag, rest) = wire.split_first()?;
        match *tag {
            tag @ (tag::SMALL_ATOM_UTF8 | tag::ATOM_UTF8) => text(tag, rest).map(Self::Atom),
            tag::ATOM_CACHE_REF => {
                let atom = atoms.get(usize::from(*rest.first()?))?;
                Some(Self::Atom(atom.as_bytes()))
            }
            tag::SMALL_INTEGER => Some(Self::Int((*rest.first()?).into())),
            tag::INTEGER => Some(Self::Int(i32::from_be_bytes(array(rest)?).into())),
            tag::BINARY => rest.get(4..)?.get(..length(rest)?).map(Self::Binary),
            _ => None,
        }
    }

    /// The same of a term. Other integers may be written in ways that [`Key::read`] does not read.
    pub(crate) fn of(term: &'a Term) -> Option<Self> {
        match term {
            Term::Atom(atom) => Some(Self::Atom(atom.as_bytes())),
            Term::Int(value) => Some(Self::Int(*value)),
            Term::Binary(bytes) => Some(Self::Binary(bytes)),
            _ => None,
        }
    }
}

impl Key<'_> {
    /// How many bytes are compared to tell it from another.
    pub(crate) const fn size(self) -> usize {
        match self {
            Self::Atom(bytes) | Self::Binary(bytes) => bytes.len(),
            Self::Int(_) => size_of::<i64>(),
        }
    }

    /// A number that is the same for equal keys and mostly differs for others; see [`spread`].
    #[inline]
    pub(crate) fn spread(self) -> u64 {
        match self {
            Self::Atom(bytes) | Self::Binary(bytes) => spread(bytes),
            Self::Int(value) => spread(&value.to_be_bytes()),
        }
    }
}

impl Hash for Key<'_> {
    /// Only what differs in most maps.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Atom(bytes) | Self::Binary(bytes) => state.write(bytes),
            Self::Int(value) => state.write_i64(*value),
        }
    }
}
