//! Checking that bytes are a term, without making one: for [`View`](crate::View).
//!
//! All checks are those of the decoder, in its order, and the same is charged to the same limits: what passes here can be decoded, and
//! what does not is refused with the same error. What is rare is decoded and dropped.

use super::quick::{FEW, run};
use super::stack::Stack;
use super::{DecodeErrorKind, Decoder, Place, RECURSED, Result, is_container};
use crate::encode::MAX_ARITY;
use crate::inline::starts_with_ascii;
use crate::{Atom, AtomError, Binary, Reference, ReferenceError, tag};

/// A term that has others inside, of which some are still to be checked.
#[derive(Clone, Copy, Default)]
struct Level {
    kind: Kind,
    /// Of how many maps it is (in) a key.
    keys: u8,
    /// How many elements are still to come.
    missing: usize,
    /// Offset of the tag.
    start: usize,
    /// How many keys were noted before its own.
    noted: usize,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Kind {
    #[default]
    Tuple,
    List,
    /// The tail is the element that is missing.
    ListAndTail,
    Map,
}

/// What a walk over the bytes has to remember.
#[derive(Default)]
struct Notes {
    /// The terms that the current one stands in, outermost first.
    outer: Stack<Level, 6>,
    /// Offsets of the keys of all maps that are not complete.
    keys: Stack<usize, { Decoder::FLAT_KEYS }>,
}

impl Decoder<'_> {
    /// Checks that the bytes are one term, and no more; `versioned` when 131 leads it.
    pub(crate) fn validate(mut self, versioned: bool) -> Result<(), super::DecodeError> {
        self.validate_whole(versioned).map_err(|kind| self.blame(kind))
    }

    fn validate_whole(&mut self, versioned: bool) -> Result<()> {
        if versioned {
            self.version()?;
        }
        self.cursor.mark();
        let tag = self.cursor.u8()?;
        if is_container(tag) {
            self.skip_nested(tag, Place::OUTERMOST)?;
        } else {
            self.skip_scalar(tag)?;
        }
        self.end()
    }

    /// The term that has others inside and starts with this tag; small tuples by recursion, as far as the decoder does that.
    fn skip_nested(&mut self, tag: u8, place: Place) -> Result<()> {
        if tag == tag::SMALL_TUPLE && place.level < RECURSED {
            self.skip_small_tuple(place)
        } else {
            self.skip_container(tag, place)
        }
    }

    fn skip_small_tuple(&mut self, place: Place) -> Result<()> {
        let mut missing = usize::from(self.cursor.u8()?);
        self.check_room(missing, place.pending)?;
        self.budget.elements(missing)?;
        self.check_depth(place)?;
        loop {
            missing = self.skip_quick(missing, place.inside(), |_, _| {})?;
            if missing == 0 {
                return Ok(());
            }
            missing -= 1;
            self.cursor.mark();
            let tag = self.cursor.u8()?;
            if is_container(tag) {
                let (level, pending) = (place.level + 1, place.pending + missing);
                self.skip_nested(tag, Place { level, keys: place.keys, pending })?;
            } else {
                self.skip_scalar(tag)?;
            }
        }
    }

    fn skip_container(&mut self, tag: u8, place: Place) -> Result<()> {
        let mut notes = Notes::default();
        let Some(mut level) = self.enter(tag, place, &notes)? else { return Ok(()) };
        let mut pending = place.pending;
        loop {
            let place = Place { level: place.level + notes.outer.len(), keys: level.keys, pending };
            let Some(tag) = self.skip_elements(&mut level, place, &mut notes)? else {
                if !self.leave(&mut level, pending, &mut notes)? {
                    continue;
                }
                match notes.outer.pop() {
                    None => return Ok(()),
                    Some(above) => {
                        level = above;
                        pending -= level.missing;
                    }
                }
                continue;
            };
            let is_key = level.kind == Kind::Map && !level.missing.is_multiple_of(2);
            let inner = Place {
                level: place.level + 1,
                keys: level.keys + u8::from(is_key),
                pending: pending + level.missing,
            };
            if tag == tag::SMALL_TUPLE && inner.level < RECURSED {
                self.skip_small_tuple(inner)?;
            } else if let Some(inner) = self.enter(tag, inner, &notes)? {
                pending += level.missing;
                notes.outer.push(std::mem::replace(&mut level, inner));
            }
        }
    }

    /// Reads the start of a term that has others inside. One that is kept as its bytes is read to its end.
    fn enter(&mut self, tag: u8, place: Place, notes: &Notes) -> Result<Option<Level>> {
        let start = self.cursor.marked();
        let (kind, count) = match tag {
            tag::SMALL_TUPLE => (Kind::Tuple, usize::from(self.cursor.u8()?)),
            tag::LARGE_TUPLE => (Kind::Tuple, self.cursor.length()?),
            tag::LIST => (Kind::List, self.cursor.length()?),
            tag::MAP => {
                let pairs = self.cursor.length()?;
                (Kind::Map, pairs.checked_mul(2).ok_or(DecodeErrorKind::Truncated)?)
            }
            _ => return self.container(tag, place).map(|_| None),
        };
        self.check_room(count, place.pending)?;
        if kind == Kind::Tuple && count > MAX_ARITY {
            return Err(DecodeErrorKind::Arity { arity: count }.into());
        }
        self.budget.elements(count)?;
        self.check_depth(place)?;
        let noted = notes.keys.len();
        Ok(Some(Level { kind, keys: place.keys, missing: count, start, noted }))
    }

    /// Reads elements until none is missing, or one has others inside: its tag is returned.
    fn skip_elements(
        &mut self,
        level: &mut Level,
        place: Place,
        notes: &mut Notes,
    ) -> Result<Option<u8>> {
        loop {
            level.missing = if level.kind == Kind::Map {
                self.skip_quick(level.missing, None, |missing, position| {
                    if missing.is_multiple_of(2) {
                        notes.keys.push(position);
                    }
                })?
            } else {
                self.skip_quick(level.missing, place.inside(), |_, _| {})?
            };
            if level.missing == 0 {
                return Ok(None);
            }
            self.cursor.mark();
            level.missing -= 1;
            let tag = self.cursor.u8()?;
            if is_container(tag) {
                return Ok(Some(tag));
            }
            self.skip_scalar(tag)?;
        }
    }

    /// Reads elements as long as they are of the usual kinds and nothing is wrong with them, as [`Decoder::quick`] does: how
    /// many are missing then. Where no place is told, each, also the one that is left to others, is begun with how many are missing
    /// and its offset.
    #[inline]
    fn skip_quick(
        &mut self,
        mut missing: usize,
        tuples: Option<Place>,
        mut begin: impl FnMut(usize, usize),
    ) -> Result<usize> {
        let mut rest = self.cursor.rest();
        while missing > 0 {
            begin(missing, self.input.len() - rest.len());
            rest = match rest {
                [tag::INTEGER, _, _, _, _, tag::INTEGER, ..]
                    if missing > FEW && tuples.is_some() =>
                {
                    let (words, after) = run::<5>(rest, tag::INTEGER, missing);
                    missing -= words.len() - 1;
                    after
                }
                [tag::SMALL_INTEGER, _, tag::SMALL_INTEGER, ..]
                    if missing > FEW && tuples.is_some() =>
                {
                    let (bytes, after) = run::<2>(rest, tag::SMALL_INTEGER, missing);
                    missing -= bytes.len() - 1;
                    after
                }
                [tag::SMALL_INTEGER, _, rest @ ..]
                | [tag::INTEGER, _, _, _, _, rest @ ..]
                | [tag::NIL, rest @ ..] => rest,
                [tag::SMALL_ATOM_UTF8, length, rest @ ..] => {
                    let length = usize::from(*length);
                    let Some(after) = rest.get(length..) else { break };
                    if length > Atom::INLINE || !starts_with_ascii(rest, length) {
                        break;
                    }
                    after
                }
                [tag::BINARY, 0, 0, 0, length, rest @ ..] => {
                    let length = usize::from(*length);
                    let Some(rest) = rest.get(length..) else { break };
                    if length > Binary::INLINE && !self.budget.take(length) {
                        break;
                    }
                    rest
                }
                [tag::ATOM_CACHE_REF, index, rest @ ..] => {
                    if usize::from(*index) >= self.atoms.len() {
                        break;
                    }
                    rest
                }
                [tag::SMALL_TUPLE, arity @ ..] => {
                    let Some(place) = tuples else { break };
                    self.cursor.set_rest(rest);
                    self.cursor.mark();
                    self.cursor.set_rest(arity);
                    let pending = place.pending + missing - 1;
                    self.skip_small_tuple(Place { pending, ..place })?;
                    self.cursor.rest()
                }
                _ => break,
            };
            missing -= 1;
        }
        self.cursor.set_rest(rest);
        Ok(missing)
    }

    /// Whether a term ends here that has its elements.
    fn leave(&mut self, level: &mut Level, pending: usize, notes: &mut Notes) -> Result<bool> {
        match level.kind {
            Kind::Tuple | Kind::ListAndTail => Ok(true),
            Kind::Map => {
                let keys = notes.keys.from(level.noted);
                if !self.are_distinct(keys) {
                    self.cursor.mark_at(level.start);
                    return Err(DecodeErrorKind::DuplicateKey.into());
                }
                notes.keys.truncate(level.noted);
                Ok(true)
            }
            Kind::List => self.skip_tail(level, pending),
        }
    }

    /// What follows the elements of a list: whether the list ends here.
    fn skip_tail(&mut self, level: &mut Level, pending: usize) -> Result<bool> {
        match self.cursor.peek() {
            Some(tag::NIL) => {
                self.cursor.u8()?;
                Ok(true)
            }
            Some(tag::LIST) => {
                self.cursor.mark();
                self.cursor.u8()?;
                let count = self.cursor.length()?;
                self.check_room(count, pending)?;
                self.budget.elements(count)?;
                level.missing = count;
                Ok(false)
            }
            Some(tag::STRING) => {
                self.cursor.mark();
                self.cursor.u8()?;
                self.skip_string()?;
                Ok(true)
            }
            _ => {
                self.cursor.mark();
                self.budget.elements(1)?;
                level.missing = 1;
                level.kind = Kind::ListAndTail;
                Ok(false)
            }
        }
    }

    fn skip_scalar(&mut self, tag: u8) -> Result<()> {
        match tag {
            tag::SMALL_INTEGER => {
                self.cursor.u8()?;
            }
            tag::INTEGER => {
                self.cursor.u32()?;
            }
            tag::NIL => {}
            tag::STRING => self.skip_string()?,
            tag::BINARY => self.skip_binary()?,
            tag::NEW_FLOAT => {
                if !f64::from_be_bytes(self.cursor.array()?).is_finite() {
                    return Err(DecodeErrorKind::Float.into());
                }
            }
            tag::NEW_PID => {
                self.skip_atom()?;
                self.cursor.take(12)?;
            }
            tag::NEWER_REFERENCE => {
                let words = usize::from(self.cursor.u16()?);
                self.skip_atom()?;
                self.cursor.u32()?;
                self.budget.allocation(Reference::HEAP_SIZE)?;
                if words > Reference::MAX_WORDS {
                    return Err(DecodeErrorKind::from(ReferenceError::Words { words }).into());
                }
                self.cursor.take(4 * words)?;
                if words == 0 {
                    return Err(DecodeErrorKind::from(ReferenceError::Words { words }).into());
                }
            }
            tag::SMALL_ATOM_UTF8 => {
                let length = self.cursor.u8()?.into();
                self.skip_utf8_atom(length)?;
            }
            tag::ATOM_UTF8 => {
                let length = self.cursor.u16()?.into();
                self.skip_utf8_atom(length)?;
            }
            tag::ATOM_CACHE_REF => self.skip_header_atom()?,
            tag => drop(self.scalar(tag)?),
        }
        Ok(())
    }

    fn skip_string(&mut self) -> Result<()> {
        let length = self.cursor.u16()?.into();
        self.cursor.take(length)?;
        self.budget.elements(length)
    }

    fn skip_binary(&mut self) -> Result<()> {
        let length = self.cursor.length()?;
        self.cursor.take(length)?;
        if length > Binary::INLINE && self.is_copied(length) {
            self.budget.allocation(length)?;
        }
        Ok(())
    }

    /// An atom where nothing else may stand.
    fn skip_atom(&mut self) -> Result<()> {
        match self.cursor.peek() {
            Some(tag @ (tag::SMALL_ATOM_UTF8 | tag::ATOM_CACHE_REF)) => {
                self.cursor.mark();
                self.cursor.u8()?;
                self.skip_scalar(tag)
            }
            _ => self.atom().map(drop),
        }
    }

    fn skip_header_atom(&mut self) -> Result<()> {
        let index = self.cursor.u8()?;
        match self.atoms.get(usize::from(index)) {
            Some(_) => Ok(()),
            None => Err(DecodeErrorKind::NoSuchAtom { index }.into()),
        }
    }

    fn skip_utf8_atom(&mut self, length: usize) -> Result<()> {
        let text = self.cursor.take(length)?;
        let text = std::str::from_utf8(text).map_err(|_| DecodeErrorKind::AtomEncoding)?;
        if length <= Atom::INLINE {
            return Ok(());
        }
        let chars = if length > Atom::MAX_CHARS { text.chars().count() } else { 0 };
        if chars > Atom::MAX_CHARS {
            return Err(DecodeErrorKind::from(AtomError::TooLong { chars }).into());
        }
        self.budget.allocation(length + 2 * size_of::<usize>())
    }
}
