//! Checking short messages of the usual kinds, in one loop that keeps nothing in memory.

use super::budget::Budget;
use crate::inline::starts_with_ascii;
use crate::{Atom, Binary, Limits, Reference, Term, tag};

/// What is longer is checked as all kinds are: a term that turns out not to be plain has been looked at in vain.
const MOST: usize = 256;

/// Whether these bytes are one term, which has no unusual parts and is within all limits.
///
/// Where it is not, or where that cannot be told at a glance, it may still be a term: see [`Decoder::validate`](super::Decoder).
pub(crate) fn is_plain(bytes: &[u8], atoms: &[Atom], limits: &Limits) -> bool {
    // Of so few bytes no sum overflows.
    bytes.len() <= MOST
        && Plain::default().read(bytes, atoms).is_some_and(|all| all.is_within(limits))
}

/// What has been read.
#[derive(Default)]
struct Plain {
    /// Terms that have others inside: so many levels there are at most.
    containers: usize,
    /// The terms inside of these.
    elements: usize,
    /// Bytes that are kept elsewhere, and their allocations.
    bytes: usize,
}

impl Plain {
    fn read(mut self, mut rest: &[u8], atoms: &[Atom]) -> Option<Self> {
        let mut missing = 1_usize;
        while missing > 0 {
            missing -= 1;
            let (tag, after) = rest.split_first()?;
            rest = match *tag {
                tag::SMALL_INTEGER => after.get(1..)?,
                tag::INTEGER => after.get(4..)?,
                tag::NIL => after,
                tag::SMALL_ATOM_UTF8 => after_text(after)?,
                tag::ATOM_CACHE_REF => after_index(after, atoms)?,
                tag::BINARY => {
                    let length = short(after)?;
                    if length > Binary::INLINE {
                        self.bytes += length + Budget::ALLOCATION;
                    }
                    after.get(4 + length..)?
                }
                tag::SMALL_TUPLE => {
                    let (arity, after) = after.split_first()?;
                    let arity = usize::from(*arity);
                    self.containers += 1;
                    self.elements += arity;
                    missing += arity;
                    after
                }
                tag::LIST => {
                    // The tail takes an allocation of its own where it is not the end.
                    let count = short(after)? + 1;
                    self.containers += 2;
                    self.elements += count;
                    missing += count;
                    after.get(4..)?
                }
                tag::NEW_PID => after_atom(after, atoms)?.get(12..)?,
                tag::NEWER_REFERENCE => {
                    let [0, words @ 1..=3, node @ ..] = after else { return None };
                    self.bytes += Reference::HEAP_SIZE + Budget::ALLOCATION;
                    after_atom(node, atoms)?.get(4 + 4 * usize::from(*words)..)?
                }
                _ => return None,
            };
        }
        rest.is_empty().then_some(self)
    }

    fn is_within(&self, limits: &Limits) -> bool {
        let memory =
            self.elements * size_of::<Term>() + self.containers * Budget::ALLOCATION + self.bytes;
        self.elements <= limits.elements
            && memory <= limits.memory
            && self.containers <= limits.depth.min(Limits::MAX_DEPTH)
    }
}

/// A length of four bytes that is one of few.
#[inline]
fn short(wire: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(*wire.first_chunk()?);
    u8::try_from(length).ok().map(usize::from)
}

/// What follows a text with its length before it, if it is short.
#[inline]
fn after_text(wire: &[u8]) -> Option<&[u8]> {
    let (length, rest) = wire.split_first()?;
    let length = usize::from(*length);
    (length <= Atom::INLINE && starts_with_ascii(rest, length)).then_some(())?;
    rest.get(length..)
}

/// What follows the number of an atom.
#[inline]
fn after_index<'a>(wire: &'a [u8], atoms: &[Atom]) -> Option<&'a [u8]> {
    let (index, rest) = wire.split_first()?;
    (usize::from(*index) < atoms.len()).then_some(rest)
}

/// What follows the atom that these bytes start with, if it is short.
fn after_atom<'a>(wire: &'a [u8], atoms: &[Atom]) -> Option<&'a [u8]> {
    match wire {
        [tag::SMALL_ATOM_UTF8, rest @ ..] => after_text(rest),
        [tag::ATOM_CACHE_REF, rest @ ..] => after_index(rest, atoms),
        _ => None,
    }
}
