//! The decoder: one pass over a slice, with recursion for the first few levels alone.

mod budget;
mod compressed;
mod cursor;
mod distinct;
mod error;
mod opaque;
mod open;
mod plain;
mod quick;
#[cfg(feature = "serde")]
mod resume;
mod scalar;
mod stack;
mod validate;

use bytes::Bytes;

use self::budget::Budget;
pub use self::compressed::decode_compressed;
use self::cursor::Cursor;
pub use self::error::{DecodeError, DecodeErrorKind};
use self::open::{Kind, Open};
pub(crate) use self::plain::is_plain;
use crate::encode::MAX_ARITY;
use crate::{Atom, Limits, Term, tag};

/// Decodes one term with its leading 131; nothing may follow it.
///
/// Large binaries are slices of the input; see [`Decoder`].
///
/// # Errors
/// When the bytes are malformed, or over the limits; [`DecodeError::is_limit`] tells which.
pub fn decode(bytes: &Bytes, limits: &Limits) -> Result<Term, DecodeError> {
    Decoder::new(bytes, &[], limits).whole(true)
}

/// Decodes the terms of one frame, one after the other, within one budget.
///
/// A binary of the input becomes a slice of it, without a copy, unless it has less than 256 bytes or a quarter of the input: then it is
/// copied, so that a small term never keeps a large buffer alive.
///
/// ```
/// use etf::{Atom, Decoder, Limits, term};
/// let bytes = bytes::Bytes::from_static(b"\x68\x02\x52\x00\x61\x01");
/// let header = [Atom::from_static("from_the_header")];
/// let mut decoder = Decoder::new(&bytes, &header, &Limits::default());
/// assert_eq!(decoder.term().unwrap(), term!({from_the_header, 1}));
/// assert_eq!(decoder.position(), 6);
/// ```
#[derive(Debug)]
pub struct Decoder<'a> {
    input: &'a Bytes,
    cursor: Cursor<'a>,
    atoms: &'a [Atom],
    budget: Budget,
    max_depth: usize,
    /// How many header references were read so far: a term with any cannot be kept as the bytes it came in.
    header_refs: usize,
}

/// Where a term stands.
#[derive(Clone, Copy)]
struct Place {
    /// In how many others.
    level: usize,
    /// Of how many maps it is (in) a key.
    keys: u8,
    /// How many elements of others are still to come after it.
    pending: usize,
}

impl Place {
    /// In no other term.
    const OUTERMOST: Self = Self { level: 0, keys: 0, pending: 0 };

    /// Where the last element of a term here is, if that is so near to the outermost that it is read by recursion.
    #[inline]
    fn inside(self) -> Option<Self> {
        let level = self.level + 1;
        (level < RECURSED).then_some(Self { level, ..self })
    }
}

/// How many of the levels may be keys of maps: a key is compared and hashed again at each of them.
const MAX_KEYS: u8 = 8;

/// How many levels are read by recursion.
const RECURSED: usize = 16;

/// The kind is boxed so that all results of the many small functions fit registers.
type Result<T, E = Box<DecodeErrorKind>> = std::result::Result<T, E>;

impl<'a> Decoder<'a> {
    /// A decoder of those bytes, in which tag 82 refers to `atoms`: those of the frame's header, or none.
    #[must_use]
    pub fn new(bytes: &'a Bytes, atoms: &'a [Atom], limits: &Limits) -> Self {
        Self {
            input: bytes,
            cursor: Cursor::new(bytes),
            atoms,
            budget: Budget::new(limits),
            max_depth: limits.depth.min(Limits::MAX_DEPTH),
            header_refs: 0,
        }
    }

    /// The next term, which no 131 leads.
    ///
    /// After an error the position is unspecified.
    ///
    /// # Errors
    /// When the bytes are malformed, or over the limits.
    pub fn term(&mut self) -> Result<Term, DecodeError> {
        self.walk().map_err(|kind| self.blame(kind))
    }

    /// The next term, which 131 leads.
    ///
    /// # Errors
    /// As [`Decoder::term`], and when there is no 131.
    pub fn term_with_version(&mut self) -> Result<Term, DecodeError> {
        self.version().map_err(|kind| self.blame(kind))?;
        self.term()
    }

    /// The term that is all of the bytes; `versioned` when 131 leads it.
    #[inline]
    pub(crate) fn whole(mut self, versioned: bool) -> Result<Term, DecodeError> {
        // A tuple, as most messages are, becomes a term only where that belongs: each move of one waits for all of its parts to be
        // written, as they are read in other sizes.
        match self.whole_tuple(versioned) {
            Ok(Some(items)) => Ok(Term::Tuple(items)),
            Ok(None) => self.whole_other().map_err(|kind| self.blame(kind)),
            Err(kind) => Err(self.blame(kind)),
        }
    }

    /// The elements of the small tuple that is all of the bytes; `None`, and only the 131 is read, where it starts with another tag.
    #[inline]
    fn whole_tuple(&mut self, versioned: bool) -> Result<Option<Vec<Term>>> {
        if versioned {
            self.version()?;
        }
        self.cursor.mark();
        let [tag::SMALL_TUPLE, rest @ ..] = self.cursor.rest() else { return Ok(None) };
        self.cursor.set_rest(rest);
        let items = self.small_tuple(Place::OUTERMOST)?;
        self.end()?;
        Ok(Some(items))
    }

    #[inline(never)]
    fn whole_other(&mut self) -> Result<Term> {
        let term = self.walk()?;
        self.end()?;
        Ok(term)
    }

    /// Reads the 131.
    #[inline]
    fn version(&mut self) -> Result<()> {
        self.cursor.mark();
        match self.cursor.u8()? {
            tag::VERSION => Ok(()),
            _ => Err(DecodeErrorKind::NoVersion.into()),
        }
    }

    /// How many bytes have been read.
    #[must_use]
    pub fn position(&self) -> usize {
        self.cursor.position()
    }

    /// What has not been read, sharing the input.
    #[must_use]
    pub fn rest(&self) -> Bytes {
        self.input.slice(self.position()..)
    }

    /// Whether all bytes have been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cursor.remaining() == 0
    }

    /// Demands that all bytes have been read.
    ///
    /// # Errors
    /// [`DecodeErrorKind::Trailing`] when some have not.
    pub fn finish(&mut self) -> Result<(), DecodeError> {
        self.end().map_err(|kind| self.blame(kind))
    }

    #[inline]
    fn end(&mut self) -> Result<()> {
        self.cursor.mark();
        match self.cursor.remaining() {
            0 => Ok(()),
            count => Err(DecodeErrorKind::Trailing { count }.into()),
        }
    }

    #[cold]
    fn blame(&self, kind: impl Into<Box<DecodeErrorKind>>) -> DecodeError {
        let offset = self.cursor.marked();
        DecodeError { kind: *kind.into(), offset, tag: self.input.get(offset).copied() }
    }

    #[inline]
    fn walk(&mut self) -> Result<Term> {
        self.cursor.mark();
        let tag = self.cursor.u8()?;
        if is_container(tag) { self.nested(tag, Place::OUTERMOST) } else { self.scalar(tag) }
    }

    /// The term that has others inside and starts with this tag; the first few levels are read by recursion,
    /// which is quicker than a stack of our own and of which the stack has room.
    fn nested(&mut self, tag: u8, place: Place) -> Result<Term> {
        if place.level >= RECURSED {
            return self.container(tag, place);
        }
        if tag == tag::SMALL_TUPLE {
            return self.small_tuple(place).map(Term::Tuple);
        }
        let mut open = self.begin(tag, place.pending)?;
        open.keys = place.keys;
        self.check_depth(place)?;
        loop {
            while let Some(tag) = self.fill(&mut open, place.level, place.pending)? {
                let inner = Place {
                    level: place.level + 1,
                    keys: open.keys + u8::from(open.is_at_key()),
                    pending: place.pending + open.missing,
                };
                self.nested_into(tag, inner, &mut open.items)?;
            }
            if let Some(term) = self.close(&mut open, place.pending)? {
                return Ok(term);
            }
        }
    }

    /// The elements of the kind that most messages and most elements of lists are.
    fn small_tuple(&mut self, place: Place) -> Result<Vec<Term>> {
        let arity = usize::from(self.cursor.u8()?);
        self.check_room(arity, place.pending)?;
        self.budget.elements(arity)?;
        self.check_depth(place)?;
        let mut items = Vec::with_capacity(arity);
        let mut missing = arity;
        loop {
            missing = self.quick(missing, place.inside(), &mut items)?;
            if missing == 0 {
                break;
            }
            missing -= 1;
            self.cursor.mark();
            let tag = self.cursor.u8()?;
            if is_container(tag) {
                let (level, pending) = (place.level + 1, place.pending + missing);
                self.nested_into(tag, Place { level, keys: place.keys, pending }, &mut items)?;
            } else {
                items.push(self.scalar(tag)?);
            }
        }
        Ok(items)
    }

    /// Reads as [`Decoder::nested`] to where the term belongs.
    #[inline]
    fn nested_into(&mut self, tag: u8, place: Place, items: &mut Vec<Term>) -> Result<()> {
        if tag == tag::SMALL_TUPLE && place.level < RECURSED {
            let inner = self.small_tuple(place)?;
            items.push(Term::Tuple(inner));
        } else {
            items.push(self.nested(tag, place)?);
        }
        Ok(())
    }

    #[inline]
    fn check_depth(&self, place: Place) -> Result<()> {
        if place.level >= self.max_depth || place.keys > MAX_KEYS {
            return Err(DecodeErrorKind::Depth.into());
        }
        Ok(())
    }

    /// The same of any number of levels.
    fn container(&mut self, tag: u8, place: Place) -> Result<Term> {
        // Elements still to come in what this one stands in, each of at least one byte.
        let mut pending = place.pending;
        let mut open = self.begin(tag, pending)?;
        open.keys = place.keys;
        self.check_depth(place)?;
        let mut outer: Vec<Open> = Vec::new();
        loop {
            let level = place.level + outer.len();
            if let Some(tag) = self.fill(&mut open, level, pending)? {
                pending += open.missing;
                let mut inner = self.begin(tag, pending)?;
                inner.keys = open.keys + u8::from(open.is_at_key());
                outer.push(std::mem::replace(&mut open, inner));
                let level = place.level + outer.len();
                self.check_depth(Place { level, keys: open.keys, pending })?;
            } else if let Some(term) = self.close(&mut open, pending)? {
                let Some(above) = outer.pop() else { return Ok(term) };
                open = above;
                pending -= open.missing;
                open.items.push(term);
            }
        }
    }

    /// Reads elements until none is missing, or one has others inside: its tag is returned.
    fn fill(&mut self, open: &mut Open, level: usize, pending: usize) -> Result<Option<u8>> {
        let place = Place { level, keys: open.keys, pending };
        // Of a map some are keys.
        let tuples = if matches!(open.kind, Kind::Map) { None } else { place.inside() };
        loop {
            open.missing = self.quick(open.missing, tuples, &mut open.items)?;
            if open.missing == 0 {
                break;
            }
            self.cursor.mark();
            open.missing -= 1;
            let tag = self.cursor.u8()?;
            if is_container(tag) {
                return Ok(Some(tag));
            }
            open.items.push(self.scalar(tag)?);
        }
        Ok(None)
    }

    /// Reads the start of a term that has others inside.
    fn begin(&mut self, tag: u8, pending: usize) -> Result<Open> {
        let (kind, count) = match tag {
            tag::SMALL_TUPLE => (Kind::Tuple, usize::from(self.cursor.u8()?)),
            tag::LARGE_TUPLE => (Kind::Tuple, self.cursor.length()?),
            tag::LIST => (Kind::List, self.cursor.length()?),
            tag::MAP => {
                let pairs = self.cursor.length()?;
                (Kind::Map, pairs.checked_mul(2).ok_or(DecodeErrorKind::Truncated)?)
            }
            tag::NEW_FUN => (Kind::Fun, self.fun_header()?),
            _ => (Kind::Record, self.record_header()?),
        };
        self.check_room(count, pending)?;
        if matches!(kind, Kind::Tuple) && count > MAX_ARITY {
            return Err(DecodeErrorKind::Arity { arity: count }.into());
        }
        self.budget.elements(count)?;
        Ok(Open {
            kind,
            items: Vec::with_capacity(count),
            missing: count,
            start: self.cursor.marked(),
            header_refs: self.header_refs,
            keys: 0,
        })
    }

    /// Whether the bytes can hold that many elements besides those that are pending.
    #[inline]
    fn check_room(&self, count: usize, pending: usize) -> Result<()> {
        match count.checked_add(pending) {
            Some(needed) if needed <= self.cursor.remaining() => Ok(()),
            _ => Err(DecodeErrorKind::Truncated.into()),
        }
    }
}

/// Whether a term with this tag has others inside; see [`Decoder::begin`].
const fn is_container(tag: u8) -> bool {
    matches!(
        tag,
        tag::SMALL_TUPLE | tag::LARGE_TUPLE | tag::LIST | tag::MAP | tag::NEW_FUN | tag::RECORD
    )
}

#[cfg(test)]
mod tests;
