//! From frames to messages, in whatever way the two nodes have settled on framing them.
//!
//! | negotiated | a message |
//! |---|---|
//! | neither | `112, 131, control[, 131, payload]` |
//! | header or fragments | `131, 68, atoms…, control[, payload]` |
//! | fragments | also `131, 69, sequence, n, atoms…, control, part`, then `131, 70, sequence, n - 1, part` … |
//!
//! Without the header's flag a header has no atoms. Any other mix disconnects, as it does in OTP.

use std::sync::Arc;

use bytes::Bytes;
use etf::{Atom, DecodeError, Decoder, RawTerm};

use super::control::{Control, ControlError, Plain};
use super::fragment::{Budget, FragmentError, FragmentLimits, Sequences};
use super::frame::PASS_THROUGH;
use super::header::{AtomCache, Header, HeaderError, no_atoms};
use crate::flags::Flags;

/// The version byte in front of a term (`erl_ext_dist`).
const VERSION: u8 = 131;

/// How two nodes frame what they send each other, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Framing {
    /// Headers with atoms in them.
    pub(crate) atoms: bool,
    /// Messages in fragments.
    pub(crate) fragments: bool,
}

impl Framing {
    /// As the negotiated flags have it.
    pub(crate) fn of(negotiated: Flags) -> Self {
        Self {
            atoms: negotiated.contains(Flags::DIST_HDR_ATOM_CACHE),
            fragments: negotiated.contains(Flags::FRAGMENTS),
        }
    }

    /// Whether every frame starts with a header.
    pub(crate) fn has_headers(self) -> bool {
        self.atoms || self.fragments
    }
}

/// The receiving side of one connection.
#[derive(Debug)]
pub(crate) struct Incoming {
    framing: Framing,
    cache: AtomCache,
    sequences: Sequences<Head>,
    terms: etf::Limits,
    /// Frames so far that were fragments.
    fragments: u64,
}

/// A message as it came: what it is, and the term that belongs behind it, not decoded yet.
#[derive(Debug)]
pub(crate) struct Message {
    /// An operation that is not known is an `Err` that costs nothing.
    pub(crate) control: Result<Control, ControlError>,
    pub(crate) payload: Option<RawTerm>,
}

/// What the first fragment tells of a message.
#[derive(Debug)]
struct Head {
    control: Result<Control, ControlError>,
    atoms: Arc<[Atom]>,
}

/// Why a frame cannot be taken. The connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("an empty frame")]
    Empty,
    #[error("a frame that starts with {0}")]
    Lead(u8),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("a distribution header with atoms, which was not negotiated")]
    Atoms,
    #[error("a fragment, which was not negotiated")]
    Fragment,
    #[error("the control message: {0}")]
    Control(#[from] DecodeError),
    #[error("a payload that starts with {0}")]
    Payload(u8),
    #[error(transparent)]
    Sequence(#[from] FragmentError),
}

impl Incoming {
    /// The receiving side of a connection that came up.
    pub(crate) fn new(
        framing: Framing,
        fragments: FragmentLimits,
        node: Arc<Budget>,
        terms: etf::Limits,
    ) -> Self {
        let sequences = Sequences::new(fragments, node);
        Self { framing, cache: AtomCache::new(), sequences, terms, fragments: 0 }
    }

    /// How many of the frames that were taken were fragments.
    pub(crate) fn fragments(&self) -> u64 {
        self.fragments
    }

    /// A plain message of which all that has to do with the connection was there shortly before. `None` for
    /// any other frame, which nothing was done with then: [`Incoming::take`] takes all, this one too, and makes the
    /// same of it.
    pub(crate) fn plain(&self, frame: &Bytes) -> Option<(Plain, RawTerm)> {
        if !self.framing.atoms {
            return None;
        }
        let (atoms, body) = self.cache.again(frame)?;
        let (plain, payload) = Plain::parse(body, atoms)?;
        if payload.is_empty() {
            return None;
        }
        Some((plain, RawTerm::part_of(frame, payload, atoms.clone(), false)))
    }

    /// Takes a frame: a message, if it completes one.
    ///
    /// # Errors
    /// When it is not what may come on this connection.
    pub(crate) fn take(&mut self, frame: &Bytes) -> Result<Option<Message>, FrameError> {
        let lead = *frame.first().ok_or(FrameError::Empty)?;
        if self.framing.has_headers() {
            return self.with_header(frame, lead);
        }
        if lead != PASS_THROUGH {
            return Err(FrameError::Lead(lead));
        }
        let body = frame.slice(1..);
        let mut decoder = Decoder::new(&body, &[], &self.terms);
        let control = Control::parse(decoder.term_with_version()?);
        let payload = decoder.rest();
        let payload = match payload.first() {
            None => None,
            Some(&VERSION) => Some(RawTerm::new(&payload, no_atoms(), true)),
            Some(&other) => return Err(FrameError::Payload(other)),
        };
        Ok(Some(Message { control, payload }))
    }

    fn with_header(&mut self, frame: &Bytes, lead: u8) -> Result<Option<Message>, FrameError> {
        if lead != VERSION {
            return Err(FrameError::Lead(lead));
        }
        let (header, body) = self.cache.read(frame)?;
        self.fragments += u64::from(!matches!(header, Header::Normal { .. }));
        match header {
            Header::Normal { atoms } => self.whole(&frame.slice_ref(body), atoms).map(Some),
            _ if !self.framing.fragments => Err(FrameError::Fragment),
            Header::First { part, atoms } if part.fragment == 1 => {
                self.whole(&frame.slice_ref(body), atoms).map(Some)
            }
            Header::First { part, atoms } => {
                self.check(&atoms)?;
                let body = frame.slice_ref(body);
                let (control, payload) = self.control(&body, &atoms)?;
                let told = body.len() - payload.len() + atoms.iter().map(retained).sum::<usize>();
                self.sequences.first(part, Head { control, atoms }, told, &payload)?;
                Ok(None)
            }
            Header::Continuation { part } => {
                let Some((head, payload)) = self.sequences.next(part, body)? else {
                    return Ok(None);
                };
                let payload =
                    (!payload.is_empty()).then(|| RawTerm::new(&payload.into(), head.atoms, false));
                Ok(Some(Message { control: head.control, payload }))
            }
        }
    }

    fn whole(&self, body: &Bytes, atoms: Arc<[Atom]>) -> Result<Message, FrameError> {
        self.check(&atoms)?;
        let (control, payload) = self.control(body, &atoms)?;
        let payload = (!payload.is_empty()).then(|| RawTerm::new(&payload, atoms, false));
        Ok(Message { control, payload })
    }

    /// The control tuple, which no frame may cut, and what follows it.
    fn control(
        &self,
        body: &Bytes,
        atoms: &[Atom],
    ) -> Result<(Result<Control, ControlError>, Bytes), FrameError> {
        if let Some((plain, rest)) = Plain::parse(body, atoms) {
            return Ok((Ok(plain.into()), body.slice_ref(rest)));
        }
        let mut decoder = Decoder::new(body, atoms, &self.terms);
        let control = Control::parse(decoder.term()?);
        Ok((control, decoder.rest()))
    }

    fn check(&self, atoms: &[Atom]) -> Result<(), FrameError> {
        if self.framing.atoms || atoms.is_empty() { Ok(()) } else { Err(FrameError::Atoms) }
    }
}

/// What an atom holds.
fn retained(atom: &Atom) -> usize {
    size_of::<Atom>() + atom.as_str().len()
}

#[cfg(test)]
mod tests;
