//! Checking that bytes are a term, without making one: for [`View`](crate::View).
//!
//! All checks are those of the decoder, in its order, and the same is charged to the same limits: what passes here can be decoded, and
//! what does not is refused with the same error. What is rare is decoded and dropped.

use std::collections::HashSet;

use super::{DecodeErrorKind, Decoder, MAX_KEYS, Place, Result, is_container};
use crate::encode::MAX_ARITY;
use crate::map::distinct;
use crate::view::Key;
use crate::{AtomError, Limits, Reference, ReferenceError, Term, tag};

/// Atoms of up to this many bytes are stored inline.
const INLINE: usize = 23;

/// Maps of more keys have these compared by their hashes.
const FLAT: usize = 32;

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
    keys: Stack<usize, FLAT>,
}

impl Decoder<'_> {
    /// Checks the next term, which no 131 leads.
    pub(crate) fn validate(&mut self) -> Result<(), super::DecodeError> {
        self.validate_term().map_err(|kind| self.blame(kind))
    }

    fn validate_term(&mut self) -> Result<()> {
        self.cursor.mark();
        let tag = self.cursor.u8()?;
        if !is_container(tag) {
            return self.skip_scalar(tag);
        }
        let mut notes = Notes::default();
        let root = Place { level: 0, keys: 0, pending: 0 };
        let Some(mut level) = self.enter(tag, root, &notes)? else { return Ok(()) };
        let mut pending = 0;
        loop {
            let Some(tag) = self.skip_elements(&mut level, &mut notes)? else {
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
            let place = Place {
                level: notes.outer.len() + 1,
                keys: level.keys + u8::from(is_key),
                pending: pending + level.missing,
            };
            if let Some(inner) = self.enter(tag, place, &notes)? {
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
        if place.level >= self.max_depth || place.keys > MAX_KEYS {
            return Err(DecodeErrorKind::Depth.into());
        }
        let noted = notes.keys.len();
        Ok(Some(Level { kind, keys: place.keys, missing: count, start, noted }))
    }

    /// Reads elements until none is missing, or one has others inside: its tag is returned.
    fn skip_elements(&mut self, level: &mut Level, notes: &mut Notes) -> Result<Option<u8>> {
        while level.missing > 0 {
            self.cursor.mark();
            if level.kind == Kind::Map && level.missing.is_multiple_of(2) {
                notes.keys.push(self.cursor.position());
            }
            level.missing -= 1;
            match self.cursor.u8()? {
                tag::SMALL_INTEGER => {
                    self.cursor.u8()?;
                    if level.kind == Kind::List {
                        level.missing -= self.cursor.skip_integers(level.missing);
                    }
                }
                tag::INTEGER => {
                    self.cursor.u32()?;
                    if level.kind == Kind::List {
                        level.missing -= self.cursor.skip_integers(level.missing);
                    }
                }
                tag::SMALL_ATOM_UTF8 => {
                    let length = self.cursor.u8()?.into();
                    self.skip_utf8_atom(length)?;
                }
                tag::BINARY => self.skip_binary()?,
                tag::NIL => {}
                tag if is_container(tag) => return Ok(Some(tag)),
                tag => self.skip_scalar(tag)?,
            }
        }
        Ok(None)
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
        Ok(self.budget.elements(length)?)
    }

    fn skip_binary(&mut self) -> Result<()> {
        let length = self.cursor.length()?;
        self.cursor.take(length)?;
        if self.is_copied(length) {
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
        self.header_refs += 1;
        match self.atoms.get(usize::from(index)) {
            Some(_) => Ok(()),
            None => Err(DecodeErrorKind::NoSuchAtom { index }.into()),
        }
    }

    fn skip_utf8_atom(&mut self, length: usize) -> Result<()> {
        let text = self.cursor.take(length)?;
        // Checking this alone is a few instructions, and most atoms are of that kind.
        if length <= INLINE && text.is_ascii() {
            return Ok(());
        }
        let text = std::str::from_utf8(text).map_err(|_| DecodeErrorKind::AtomEncoding)?;
        if length <= INLINE {
            return Ok(());
        }
        // Of these some are kept elsewhere than on the heap.
        if text.starts_with(['\n', ' ']) {
            return self.keep_atom(text).map(drop);
        }
        let chars = if length > crate::Atom::MAX_CHARS { text.chars().count() } else { 0 };
        if chars > crate::Atom::MAX_CHARS {
            return Err(DecodeErrorKind::from(AtomError::TooLong { chars }).into());
        }
        Ok(self.budget.allocation(length + 2 * size_of::<usize>())?)
    }

    /// Whether no two of the keys at these offsets are the same.
    fn are_distinct(&self, keys: &[usize]) -> bool {
        let key = |at: &usize| Key::read(self.input.get(*at..).unwrap_or_default(), self.atoms);
        if keys.len() < 2 {
            return true;
        }
        if keys.iter().any(|at| key(at).is_none()) {
            return self.are_distinct_terms(keys);
        }
        if keys.len() <= FLAT {
            let mut later = keys.iter();
            while let Some(first) = later.next() {
                let first = key(first);
                if later.clone().any(|at| key(at) == first) {
                    return false;
                }
            }
            return true;
        }
        let mut seen = HashSet::with_capacity(keys.len());
        keys.iter().all(|at| key(at).is_some_and(|key| seen.insert(key)))
    }

    /// The same of keys of any kind, by decoding them.
    fn are_distinct_terms(&self, keys: &[usize]) -> bool {
        // They have passed the limits.
        let limits = Limits::UNBOUNDED;
        let decode = |at: &usize| {
            let bytes = self.input.slice((*at).min(self.input.len())..);
            Decoder::new(&bytes, self.atoms, &limits).term().ok()
        };
        let terms: Vec<Term> = keys.iter().filter_map(decode).collect();
        distinct(&terms)
    }
}

/// A stack of which the first few places take no allocation.
struct Stack<T, const N: usize> {
    inline: [T; N],
    len: usize,
    /// All of it, once it is longer than `N`.
    spilled: Vec<T>,
}

impl<T: Copy + Default, const N: usize> Default for Stack<T, N> {
    fn default() -> Self {
        Self { inline: [T::default(); N], len: 0, spilled: Vec::new() }
    }
}

impl<T: Copy, const N: usize> Stack<T, N> {
    const fn len(&self) -> usize {
        self.len
    }

    fn push(&mut self, item: T) {
        if self.spilled.is_empty() {
            if let Some(place) = self.inline.get_mut(self.len) {
                *place = item;
                self.len += 1;
                return;
            }
            self.spilled.extend_from_slice(&self.inline);
        }
        self.spilled.push(item);
        self.len += 1;
    }

    fn pop(&mut self) -> Option<T> {
        let last = self.from(self.len.checked_sub(1)?).first().copied();
        self.truncate(self.len - 1);
        last
    }

    fn from(&self, start: usize) -> &[T] {
        let all = if self.spilled.is_empty() { self.inline.as_slice() } else { &self.spilled };
        all.get(start..self.len).unwrap_or_default()
    }

    /// Back to a length that it had.
    fn truncate(&mut self, len: usize) {
        self.len = len;
        if len > N {
            self.spilled.truncate(len);
        } else if let Some(rest) = self.spilled.get(..len) {
            if let Some(places) = self.inline.get_mut(..len) {
                places.copy_from_slice(rest);
            }
            self.spilled.clear();
        }
    }
}
