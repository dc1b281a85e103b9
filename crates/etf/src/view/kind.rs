//! One look at what a term is.

use super::skip::text;
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
        let frame = self.frame;
        // Each arm makes the whole of it, so that what is made of it can follow right there.
        match self.wire {
            [tag::SMALL_INTEGER, value, ..] => ViewKind::Int((*value).into()),
            [tag::INTEGER, a, b, c, d, ..] => {
                ViewKind::Int(i32::from_be_bytes([*a, *b, *c, *d]).into())
            }
            [tag::SMALL_ATOM_UTF8, length, rest @ ..] => {
                ViewKind::Atom(rest.get(..usize::from(*length)).unwrap_or_default())
            }
            [tag::ATOM_CACHE_REF, index, ..] => match frame.atoms.get(usize::from(*index)) {
                Some(atom) => ViewKind::Atom(atom.as_bytes()),
                None => ViewKind::Other,
            },
            [tag::BINARY, a, b, c, d, rest @ ..] => {
                let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                ViewKind::Binary(rest.get(..length).unwrap_or_default())
            }
            [tag::SMALL_TUPLE, arity, rest @ ..] => {
                ViewKind::Tuple(Elements::tuple((*arity).into(), rest, frame))
            }
            [tag::LIST, a, b, c, d, rest @ ..] => {
                let count = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                ViewKind::List(Elements::of_list(count, rest, frame))
            }
            [tag::MAP, a, b, c, d, rest @ ..] => {
                let pairs = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                ViewKind::Map(MapView::new(pairs, rest, frame))
            }
            _ => self.rare_kind().unwrap_or(ViewKind::Other),
        }
    }

    fn rare_kind(self) -> Option<ViewKind<'a>> {
        let (tag, rest) = self.tagged()?;
        match tag {
            tag::ATOM_UTF8 => text(tag, rest).map(ViewKind::Atom),
            tag::LARGE_TUPLE => self.as_tuple().map(ViewKind::Tuple),
            tag::NIL | tag::STRING => self.as_list().map(ViewKind::List),
            tag::SMALL_BIG | tag::LARGE_BIG => self.as_int().map(ViewKind::Int),
            tag::SMALL_ATOM | tag::ATOM => {
                text(tag, rest).filter(|text| text.is_ascii()).map(ViewKind::Atom)
            }
            tag::BIT_BINARY => self.as_binary().map(ViewKind::Binary),
            _ => None,
        }
    }
}
