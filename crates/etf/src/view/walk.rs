//! A term read over once, from its first byte to its last.

use super::skip::{length, skip};
use super::{Frame, View, ViewKind, only_tail};
use crate::tag;

/// What a [`Walk`] comes to next.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Step<'a> {
    /// An atom: its text, in UTF-8.
    Atom(&'a [u8]),
    /// An integer that fits 64 bits with a sign.
    Int(i64),
    /// A binary.
    Binary(&'a [u8]),
    /// A tuple of so many elements, which come next.
    Tuple(usize),
    /// A list of so many elements, one at least, which come next; then comes what it ends with: [`Step::Nil`], another list that
    /// continues it, or any other term.
    List(usize),
    /// A list of integers that are bytes, which ends here.
    Bytes(&'a [u8]),
    /// The empty list, and the end of a list.
    Nil,
    /// A map of so many keys; they come next, each with its value behind it.
    Map(usize),
    /// Any other, as a whole: see [`ViewKind::Other`](crate::ViewKind::Other).
    Other(View<'a>),
}

/// All parts of a term in the order of the wire, each once: what has others inside comes before these.
///
/// To read all of a term takes the least time so. Made by [`View::walk`].
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    wire: &'a [u8],
    /// How many terms are still to come, besides those inside of them.
    missing: usize,
    frame: Frame<'a>,
}

impl<'a> View<'a> {
    /// Reads all of it over, in the order of the wire.
    ///
    /// ```
    /// use etf::{Limits, RawTerm, Step, term};
    ///
    /// let raw = RawTerm::encode(&term!({1, [2, 300], #{a => 4}})).unwrap();
    /// let mut sum = 0;
    /// for step in raw.view(&Limits::default()).unwrap().walk() {
    ///     match step {
    ///         Step::Int(value) => sum += value,
    ///         Step::Bytes(bytes) => sum += bytes.iter().map(|byte| i64::from(*byte)).sum::<i64>(),
    ///         _ => {}
    ///     }
    /// }
    /// assert_eq!(sum, 307);
    /// ```
    #[must_use]
    #[inline]
    pub const fn walk(self) -> Walk<'a> {
        Walk { wire: self.wire, missing: 1, frame: self.frame }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Step<'a>;

    #[inline]
    fn next(&mut self) -> Option<Step<'a>> {
        self.missing = self.missing.checked_sub(1)?;
        // Each arm makes the whole of it, so that what is made of it can follow right there.
        match self.wire {
            [tag::SMALL_INTEGER, value, rest @ ..] => {
                self.wire = rest;
                Some(Step::Int((*value).into()))
            }
            [tag::INTEGER, a, b, c, d, rest @ ..] => {
                self.wire = rest;
                Some(Step::Int(i32::from_be_bytes([*a, *b, *c, *d]).into()))
            }
            [tag::SMALL_ATOM_UTF8, length, rest @ ..] => {
                let (text, rest) = rest.split_at_checked((*length).into())?;
                self.wire = rest;
                Some(Step::Atom(text))
            }
            [tag::ATOM_CACHE_REF, index, rest @ ..] => {
                self.wire = rest;
                Some(Step::Atom(self.frame.atoms.get(usize::from(*index))?.as_bytes()))
            }
            [tag::BINARY, a, b, c, d, rest @ ..] => {
                let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                let (bytes, rest) = rest.split_at_checked(length)?;
                self.wire = rest;
                Some(Step::Binary(bytes))
            }
            [tag::SMALL_TUPLE, arity, rest @ ..] => {
                let arity = usize::from(*arity);
                self.missing += arity;
                self.wire = rest;
                Some(Step::Tuple(arity))
            }
            [tag::NIL, rest @ ..] => {
                self.wire = rest;
                Some(Step::Nil)
            }
            _ => {
                // By value, so that the position can stay at hand from one step to the next.
                let (step, walk) = self.clone().rare()?;
                *self = walk;
                Some(step)
            }
        }
    }
}

impl<'a> Walk<'a> {
    /// What is not of the usual kinds, or starts a list or map.
    #[inline(never)]
    fn rare(mut self) -> Option<(Step<'a>, Self)> {
        let (step, rest) = match self.wire {
            [tag::LIST, 0, 0, 0, 0, tail @ ..] => {
                // It is what it ends with.
                self.wire = only_tail(tail);
                self.missing += 1;
                return Some((self.next()?, self));
            }
            [tag::LIST, rest @ ..] => {
                let count = length(rest)?;
                self.missing = self.missing.checked_add(count)?.checked_add(1)?;
                (Step::List(count), rest.get(4..)?)
            }
            [tag::STRING, a, b, rest @ ..] => {
                let (bytes, rest) = rest.split_at_checked(u16::from_be_bytes([*a, *b]).into())?;
                (Step::Bytes(bytes), rest)
            }
            [tag::MAP, rest @ ..] => {
                let pairs = length(rest)?;
                self.missing = self.missing.checked_add(pairs.checked_mul(2)?)?;
                (Step::Map(pairs), rest.get(4..)?)
            }
            [tag::LARGE_TUPLE, rest @ ..] => {
                let arity = length(rest)?;
                self.missing = self.missing.checked_add(arity)?;
                (Step::Tuple(arity), rest.get(4..)?)
            }
            wire => {
                let view = View { wire, frame: self.frame };
                let step = match view.kind() {
                    ViewKind::Atom(text) => Step::Atom(text),
                    ViewKind::Int(value) => Step::Int(value),
                    ViewKind::Binary(bytes) => Step::Binary(bytes),
                    _ => Step::Other(view),
                };
                (step, skip(wire))
            }
        };
        self.wire = rest;
        Some((step, self))
    }
}
