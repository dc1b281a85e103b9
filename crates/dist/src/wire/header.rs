//! Distribution headers: which atoms the terms of a frame refer to, and which part of a message the frame is
//! (`erl_ext_dist`, "Distribution Header"; `erts_prepare_dist_ext` in OTP's `external.c`).

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use etf::{Atom, AtomError};

use super::slots::Slots;

/// Leads every frame that has a header.
const VERSION: u8 = 131;

/// A whole message.
const NORMAL: u8 = 68;

/// The first fragment of a message: control tuple and the start of the payload.
const FIRST_FRAGMENT: u8 = 69;

/// A later fragment of a message.
const FRAGMENT: u8 = 70;

/// In the half byte of a reference: the atom follows and goes into the slot.
const NEW_ENTRY: u8 = 8;

/// In the half byte of a reference: the segment of the slot.
const SEGMENT: u8 = 7;

/// In the half byte after the last reference: all lengths in this header have two bytes.
const LONG_ATOMS: u8 = 1;

/// What leads a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Header {
    /// The frame is a whole message.
    Normal {
        /// What tag 82 refers to in its terms.
        atoms: Arc<[Atom]>,
    },
    /// The frame is the first fragment of a message.
    First {
        /// Which of the messages that are being put together it belongs to.
        part: Part,
        /// What tag 82 refers to in the terms of the whole message.
        atoms: Arc<[Atom]>,
    },
    /// The frame is a later fragment of a message.
    Continuation {
        /// Which of the messages that are being put together it belongs to.
        part: Part,
    },
}

/// The place of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// The message: unique among those in progress on the connection.
    pub(crate) sequence: u64,
    /// Counts down to 1, which is the last fragment.
    pub(crate) fragment: u64,
}

/// Why the start of a frame is no header. The connection cannot go on: the caches differ now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    /// The frame ends inside the header.
    #[error("the distribution header is cut short")]
    Truncated,
    /// The frame starts with something else.
    #[error("a frame starts with {first} {second} and not with a distribution header")]
    NoHeader {
        /// Its first byte.
        first: u8,
        /// Its second byte.
        second: u8,
    },
    /// Fragments are counted down to 1.
    #[error("a fragment has the number 0")]
    FragmentZero,
    /// A reference to a slot into which no atom was put on this connection.
    #[error("slot {slot} of the atom cache is not set")]
    UnsetSlot {
        /// Segment * 256 + index.
        slot: usize,
    },
    /// The text of an atom is not UTF-8.
    #[error("an atom in the distribution header is not valid UTF-8")]
    AtomEncoding,
    /// The text of an atom is too long.
    #[error("an atom in the distribution header: {0}")]
    Atom(#[from] AtomError),
}

/// How many of the last headers are remembered: a conversation has few that differ.
const RECENT: usize = 4;

/// The atoms that the peer has sent on one connection, by slot.
#[derive(Debug, Default)]
pub(crate) struct AtomCache {
    slots: Slots,
    /// Headers without a new atom, as they stood in their frames, and what they refer to: most
    /// messages have the same header as one shortly before. None is older than the last new atom.
    recent: VecDeque<Known>,
}

/// A header and the atoms that it refers to.
type Known = (Box<[u8]>, Arc<[Atom]>);

impl AtomCache {
    /// A cache in which no slot is set.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Reads the header of a frame: the header, and what follows it.
    ///
    /// # Errors
    /// When the frame does not start with a header, or that is malformed.
    pub(crate) fn read<'f>(&mut self, frame: &'f [u8]) -> Result<(Header, &'f [u8]), HeaderError> {
        let mut rest = Rest(frame);
        let header = match rest.array()? {
            [VERSION, NORMAL] => Header::Normal { atoms: self.atoms(&mut rest)? },
            [VERSION, FIRST_FRAGMENT] => {
                let part = Part::read(&mut rest)?;
                Header::First { part, atoms: self.atoms(&mut rest)? }
            }
            [VERSION, FRAGMENT] => Header::Continuation { part: Part::read(&mut rest)? },
            [first, second] => return Err(HeaderError::NoHeader { first, second }),
        };
        Ok((header, rest.0))
    }

    /// The atoms of the header of a whole message, and what follows it: only where a message shortly
    /// before had the same header. [`AtomCache::read`] reads any, and gives the same for this one.
    pub(crate) fn again<'f>(&self, frame: &'f [u8]) -> Option<(&Arc<[Atom]>, &'f [u8])> {
        let [VERSION, NORMAL, count, rest @ ..] = frame else { return None };
        let (whole, body) = rest.split_at_checked(length_of_known((*count).into()))?;
        Some((self.recent(whole)?, body))
    }

    /// What a header refers to that has been there shortly before, without its count.
    fn recent(&self, whole: &[u8]) -> Option<&Arc<[Atom]>> {
        let (_, atoms) = self.recent.iter().find(|(header, _)| **header == *whole)?;
        Some(atoms)
    }

    /// Reads the references of a header and resolves them.
    fn atoms(&mut self, rest: &mut Rest<'_>) -> Result<Arc<[Atom]>, HeaderError> {
        let [count] = rest.array()?;
        if count == 0 {
            // Not even the flags follow.
            return Ok(no_atoms());
        }
        let count = usize::from(count);
        // If none of the atoms is new, this is the whole header.
        let whole = rest.0.get(..length_of_known(count));
        if let Some(whole) = whole
            && let Some(atoms) = self.recent(whole)
        {
            let atoms = atoms.clone();
            rest.take(whole.len())?;
            return Ok(atoms);
        }
        let flags = rest.take(count / 2 + 1)?;
        let is_new = |at| half_byte(flags, at) & NEW_ENTRY != 0;
        let long_atoms = half_byte(flags, count) & LONG_ATOMS != 0;
        let mut atoms = Vec::with_capacity(count);
        for at in 0..count {
            atoms.push(self.atom(half_byte(flags, at), long_atoms, rest)?);
        }
        let atoms: Arc<[Atom]> = atoms.into();
        if (0..count).any(is_new) {
            // A slot may have another atom now.
            self.recent.clear();
        } else if let Some(whole) = whole {
            self.recent.truncate(RECENT - 1);
            self.recent.push_front((whole.into(), atoms.clone()));
        }
        Ok(atoms)
    }

    fn atom(&mut self, flags: u8, long: bool, rest: &mut Rest<'_>) -> Result<Atom, HeaderError> {
        let [index] = rest.array()?;
        let slot = usize::from(flags & SEGMENT) << 8 | usize::from(index);
        if flags & NEW_ENTRY == 0 {
            return self.slots.get(slot).cloned().ok_or(HeaderError::UnsetSlot { slot });
        }
        let length = if long {
            u16::from_be_bytes(rest.array()?)
        } else {
            u8::from_be_bytes(rest.array()?).into()
        };
        let text = std::str::from_utf8(rest.take(length.into())?)
            .map_err(|_| HeaderError::AtomEncoding)?;
        let atom = Atom::new(text)?;
        self.slots.set(slot, atom.clone());
        Ok(atom)
    }
}

impl Part {
    /// Writes it behind the two bytes that lead a fragment.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        out.extend(self.sequence.to_be_bytes());
        out.extend(self.fragment.to_be_bytes());
    }

    fn read(rest: &mut Rest<'_>) -> Result<Self, HeaderError> {
        let sequence = u64::from_be_bytes(rest.array()?);
        match u64::from_be_bytes(rest.array()?) {
            0 => Err(HeaderError::FragmentZero),
            fragment => Ok(Self { sequence, fragment }),
        }
    }
}

/// The length of a header with so many references, none of them to a new atom, behind their count.
const fn length_of_known(count: usize) -> usize {
    count / 2 + 1 + count
}

/// An empty list of atoms, without an allocation each time.
pub(crate) fn no_atoms() -> Arc<[Atom]> {
    static NONE: LazyLock<Arc<[Atom]>> = LazyLock::new(|| Arc::from([]));
    NONE.clone()
}

/// The flags of one reference: the lower half of a byte for an even one, the upper for an odd one.
fn half_byte(flags: &[u8], at: usize) -> u8 {
    let both = flags.get(at / 2).copied().unwrap_or_default();
    if at.is_multiple_of(2) { both & 0xf } else { both >> 4 }
}

/// What has not been read of a frame.
struct Rest<'f>(&'f [u8]);

impl<'f> Rest<'f> {
    fn take(&mut self, count: usize) -> Result<&'f [u8], HeaderError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(HeaderError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(HeaderError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }
}

#[cfg(test)]
mod tests;
