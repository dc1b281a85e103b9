//! One look at what a term is.

use super::skip::{array, length, text};
use super::{Elements, MapView, View};
use crate::tag;

/// What a term is; see [`View::kind`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ViewKind<'a> {
    /// An atom: its text, in UTF-8.
    Atom(&'a [u8]),
    /// An integer that fits 64 bits with a sign.
    Int(i64),
    /// A binary.
    Binary(&'a [u8]),
    /// A tuple.
    Tuple(Elements<'a>),
    /// A list, proper or not.
    List(Elements<'a>),
    /// A map.
    Map(MapView<'a>),
    /// Any other, which the other methods of [`View`] tell apart: greater integers, floats, bitstrings, identifiers, funs,
    /// native records, and atoms that an old peer wrote in Latin-1 with other than ASCII.
    Other,
}

impl<'a> View<'a> {
    /// What it is, for a walk over all kinds of terms: one look at the tag instead of one for each kind.
    ///
    /// ```
    /// use etf::{Limits, RawTerm, View, ViewKind, term};
    ///
    /// fn sum(view: View<'_>) -> i64 {
    ///     match view.kind() {
    ///         ViewKind::Int(value) => value,
    ///         ViewKind::Tuple(elements) | ViewKind::List(elements) => elements.map(sum).sum(),
    ///         ViewKind::Map(map) => map.iter().map(|(key, value)| sum(key) + sum(value)).sum(),
    ///         _ => 0,
    ///     }
    /// }
    ///
    /// let raw = RawTerm::encode(&term!({1, [2, 300], #{a => 4}})).unwrap();
    /// assert_eq!(sum(raw.view(&Limits::default()).unwrap()), 307);
    /// ```
    #[must_use]
    #[inline]
    pub fn kind(self) -> ViewKind<'a> {
        self.usual_kind().unwrap_or(ViewKind::Other)
    }

    #[inline]
    fn usual_kind(self) -> Option<ViewKind<'a>> {
        let (tag, rest) = self.tagged()?;
        Some(match tag {
            tag::SMALL_INTEGER => ViewKind::Int((*rest.first()?).into()),
            tag::INTEGER => ViewKind::Int(i32::from_be_bytes(array(rest)?).into()),
            tag::SMALL_ATOM_UTF8 | tag::ATOM_UTF8 => ViewKind::Atom(text(tag, rest)?),
            tag::ATOM_CACHE_REF => {
                let atom = self.frame.atoms.get(usize::from(*rest.first()?))?;
                ViewKind::Atom(atom.as_str().as_bytes())
            }
            tag::BINARY => ViewKind::Binary(rest.get(4..)?.get(..length(rest)?)?),
            tag::SMALL_TUPLE | tag::LARGE_TUPLE => ViewKind::Tuple(self.as_tuple()?),
            tag::NIL | tag::STRING | tag::LIST => ViewKind::List(self.as_list()?),
            tag::MAP => ViewKind::Map(self.as_map()?),
            _ => return self.rare_kind(),
        })
    }

    #[cold]
    fn rare_kind(self) -> Option<ViewKind<'a>> {
        let (tag, rest) = self.tagged()?;
        match tag {
            tag::SMALL_BIG | tag::LARGE_BIG => self.as_int().map(ViewKind::Int),
            tag::SMALL_ATOM | tag::ATOM => {
                text(tag, rest).filter(|text| text.is_ascii()).map(ViewKind::Atom)
            }
            tag::BIT_BINARY => self.as_binary().map(ViewKind::Binary),
            _ => None,
        }
    }
}
