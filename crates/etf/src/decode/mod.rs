//! The decoder: one pass over a slice, without recursion.

mod budget;
mod compressed;
mod cursor;
mod error;
mod opaque;
mod open;
#[cfg(feature = "serde")]
mod resume;
mod scalar;

use bytes::Bytes;

use self::budget::Budget;
pub use self::compressed::decode_compressed;
use self::cursor::Cursor;
pub use self::error::{DecodeError, DecodeErrorKind};
use self::open::{Kind, Open};
use crate::encode::MAX_ARITY;
use crate::{Atom, Limits, Term, tag};

/// Decodes one term with its leading 131; nothing may follow it.
///
/// Large binaries are slices of the input; see [`Decoder`].
///
/// # Errors
/// When the bytes are malformed, or over the limits; [`DecodeError::is_limit`] tells which.
pub fn decode(bytes: &Bytes, limits: &Limits) -> Result<Term, DecodeError> {
    let mut decoder = Decoder::new(bytes, &[], limits);
    let term = decoder.term_with_version()?;
    decoder.finish()?;
    Ok(term)
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

/// How many of the levels may be keys of maps: a key is compared and hashed again at each of them.
const MAX_KEYS: usize = 8;

type Result<T, E = DecodeErrorKind> = std::result::Result<T, E>;

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
        self.cursor.mark();
        match self.cursor.u8() {
            Ok(tag::VERSION) => self.term(),
            Ok(_) => Err(self.blame(DecodeErrorKind::NoVersion)),
            Err(kind) => Err(self.blame(kind)),
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
        self.cursor.mark();
        match self.cursor.remaining() {
            0 => Ok(()),
            count => Err(self.blame(DecodeErrorKind::Trailing { count })),
        }
    }

    fn blame(&self, kind: DecodeErrorKind) -> DecodeError {
        let offset = self.cursor.marked();
        DecodeError { kind, offset, tag: self.input.get(offset).copied() }
    }

    fn walk(&mut self) -> Result<Term> {
        self.cursor.mark();
        let tag = self.cursor.u8()?;
        if !is_container(tag) {
            return self.scalar(tag);
        }
        if self.max_depth == 0 {
            return Err(DecodeErrorKind::Depth);
        }
        let mut open = self.begin(tag, 0)?;
        let mut outer: Vec<Open> = Vec::new();
        // Elements still to come in `outer`, each of at least one byte.
        let mut pending = 0;
        loop {
            if let Some(mut inner) = self.fill(&mut open, pending)? {
                inner.keys = open.keys + usize::from(open.is_at_key());
                // The new one stands inside of `open` and those.
                if outer.len() + 2 > self.max_depth || inner.keys > MAX_KEYS {
                    return Err(DecodeErrorKind::Depth);
                }
                pending += open.missing;
                outer.push(std::mem::replace(&mut open, inner));
                continue;
            }
            let Some(term) = self.close(&mut open, pending)? else { continue };
            match outer.pop() {
                None => return Ok(term),
                Some(above) => {
                    open = above;
                    pending -= open.missing;
                    open.items.push(term);
                }
            }
        }
    }

    /// Reads elements until none is missing, or one has others inside: that is returned.
    fn fill(&mut self, open: &mut Open, pending: usize) -> Result<Option<Open>> {
        while open.missing > 0 {
            open.missing -= 1;
            self.cursor.mark();
            let term = match self.cursor.u8()? {
                tag::SMALL_INTEGER => Term::Int(self.cursor.u8()?.into()),
                tag::INTEGER => Term::Int(i32::from_be_bytes(self.cursor.array()?).into()),
                tag::ATOM_CACHE_REF => Term::Atom(self.header_atom()?),
                tag::NIL => Term::NIL,
                tag if is_container(tag) => {
                    return self.begin(tag, pending + open.missing).map(Some);
                }
                tag => self.scalar(tag)?,
            };
            open.items.push(term);
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
            return Err(DecodeErrorKind::Arity { arity: count });
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
    fn check_room(&self, count: usize, pending: usize) -> Result<()> {
        match count.checked_add(pending) {
            Some(needed) if needed <= self.cursor.remaining() => Ok(()),
            _ => Err(DecodeErrorKind::Truncated),
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
