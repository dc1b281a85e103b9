//! From messages to frames, as the two nodes have settled on framing them (see [`super::incoming`]).
//!
//! The sender of a message encodes it, with numbers for the atoms that its header will have. What
//! has an order is given out here, when the message takes its place among those that will be written:
//! the slots of the atom cache and the numbers of sequences.

use std::borrow::Borrow;
use std::collections::VecDeque;

use etf::{Atom, EncodeError, Encoder, Pid, Rope, Term};

use super::frame::PASS_THROUGH;
use super::header::Part;
use super::incoming::Framing;
use super::lane::Lane;
use super::slots::{SLOTS, Slots};

/// What a fragment has of control tuple and payload, as in OTP (`ERTS_DIST_FRAGMENT_SIZE`).
pub(crate) const FRAGMENT: usize = 64 * 1024;

/// The longest body that has place in a frame, whatever stands in its header.
const LONGEST: usize = u32::MAX as usize - (1 << 20);

/// Most control tuples and payloads together are no longer.
const SMALL: usize = 192;

/// The lengths of atoms that need two bytes.
const LONG: usize = 256;

/// A control tuple and what belongs behind it, encoded for one connection.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// What stands behind the header.
    pub(crate) body: Rope,
    /// The entries of the header.
    pub(crate) atoms: Vec<Atom>,
    /// How much of the body is the control tuple, which no fragment may cut.
    pub(crate) control: usize,
    /// Whose signals it must not overtake, and which must not overtake it.
    pub(crate) lane: Lane,
    /// Whether it may go in fragments.
    fragments: bool,
}

/// How a body, or a part of one, is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A whole message.
    Whole,
    /// The first fragment of a message.
    First(Part),
    /// A later one.
    Next(Part),
}

/// The sending side of one connection.
#[derive(Debug)]
pub(crate) struct Outgoing {
    framing: Framing,
    /// What the peer knows.
    slots: Slots,
    /// Headers of which the peer knows all atoms, the last first: most messages have one of a few. None is older
    /// than the last new atom.
    recent: VecDeque<Header>,
}

/// The entries of a header, and as they are written.
#[derive(Debug)]
struct Header {
    atoms: Vec<Atom>,
    bytes: Vec<u8>,
}

/// How many headers are remembered.
const RECENT: usize = 4;

impl Message {
    /// Encodes a message for a connection with this framing; `node` is the pid of the sending node
    /// itself.
    ///
    /// # Errors
    /// When a term has no external form, for example a list of more than 2^32-1 elements, or the
    /// message is longer than a frame can be and cannot go in fragments.
    pub(crate) fn encode(
        framing: Framing,
        node: &Pid,
        control: &Term,
        payload: Option<&Term>,
    ) -> Result<Self, EncodeError> {
        let version = !framing.has_headers();
        let mut encoder = if framing.atoms { Encoder::with_header() } else { Encoder::new() };
        encoder.reserve(SMALL);
        if version {
            encoder.bytes(&[PASS_THROUGH]);
            encoder.version();
        }
        encoder.term(control)?;
        let control_length = encoder.len();
        if let Some(payload) = payload {
            if version {
                encoder.version();
            }
            encoder.term(payload)?;
        }
        let (body, atoms) = encoder.finish_with_atoms();
        let fragments = framing.fragments;
        // What no fragment may cut.
        let uncut = if fragments { control_length } else { body.len() };
        if uncut > LONGEST {
            return Err(EncodeError::TooLong { what: "a message", len: uncut });
        }
        let lane = if fragments { Lane::of(control, node) } else { Lane::NONE };
        Ok(Self { body, atoms, control: control_length, lane, fragments })
    }

    /// Whether it goes in several fragments.
    pub(crate) fn is_long(&self) -> bool {
        self.fragments && self.len() > self.first_length()
    }

    /// How much of it the first fragment has.
    pub(crate) fn first_length(&self) -> usize {
        FRAGMENT.max(self.control)
    }

    /// A part of the body of a message, with the entries of the header where it has one.
    pub(crate) fn part(body: Rope, atoms: Vec<Atom>) -> Self {
        Self { body, atoms, control: 0, lane: Lane::NONE, fragments: false }
    }

    /// Anything, to be queued in a lane.
    #[cfg(test)]
    pub(crate) fn of_body(body: Rope, lane: Lane) -> Self {
        Self { lane, fragments: true, ..Self::part(body, Vec::new()) }
    }

    /// Its length in bytes, without the header.
    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }
}

impl Outgoing {
    /// The sending side of a connection that came up.
    pub(crate) fn new(framing: Framing) -> Self {
        Self { framing, slots: Slots::default(), recent: VecDeque::new() }
    }

    /// Writes what stands before a body, or a part of one.
    pub(crate) fn head(&mut self, place: Place, atoms: &[impl Borrow<Atom>], out: &mut Vec<u8>) {
        match place {
            Place::Whole if !self.framing.has_headers() => {}
            Place::Whole => {
                out.extend([131, 68]);
                self.entries(atoms, out);
            }
            Place::First(part) => {
                out.extend([131, 69]);
                part.write(out);
                self.entries(atoms, out);
            }
            Place::Next(part) => {
                out.extend([131, 70]);
                part.write(out);
            }
        }
    }

    /// Writes the entries of a header.
    fn entries(&mut self, atoms: &[impl Borrow<Atom>], out: &mut Vec<u8>) {
        if atoms.is_empty() {
            // Not even the flags follow.
            return out.push(0);
        }
        if let Some(header) = self.recent.iter().find(|header| header.is_of(atoms)) {
            return out.extend_from_slice(&header.bytes);
        }
        let start = out.len();
        if self.new_entries(atoms, out) {
            // A slot may have another atom now.
            self.recent.clear();
        } else {
            self.recent.truncate(RECENT - 1);
            let atoms = atoms.iter().map(|atom| atom.borrow().clone()).collect();
            let bytes = out.get(start..).unwrap_or_default().into();
            self.recent.push_front(Header { atoms, bytes });
        }
    }

    /// The same: `N`, a half byte of flags for each and one for all, and the references. True when one of the
    /// atoms was not known to the peer.
    fn new_entries(&mut self, atoms: &[impl Borrow<Atom>], out: &mut Vec<u8>) -> bool {
        let mut any_new = false;
        let count = u8::try_from(atoms.len()).unwrap_or(u8::MAX);
        out.push(count);
        let flags_at = out.len();
        out.resize(flags_at + usize::from(count) / 2 + 1, 0);
        let long = atoms.iter().any(|atom| atom.borrow().as_bytes().len() >= LONG);
        set_half(out, flags_at, count.into(), u8::from(long));
        for (at, atom) in atoms.iter().enumerate().take(count.into()) {
            let atom = atom.borrow();
            let (slot, known) = self.slot(atom);
            any_new |= !known;
            let [segment, index] = slot.to_be_bytes();
            set_half(out, flags_at, at, segment | if known { 0 } else { 8 });
            out.push(index);
            if !known {
                let text = atom.as_bytes();
                // At most 255 characters of 4 bytes.
                let [high, low] = u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes();
                if long {
                    out.push(high);
                }
                out.push(low);
                out.extend_from_slice(text);
            }
        }
        any_new
    }

    /// The slot of an atom, and whether the peer knows that it is there. Each atom has two slots to
    /// choose from; what is in the first gives way when both are taken.
    fn slot(&mut self, atom: &Atom) -> (u16, bool) {
        let first = usize::try_from(atom.spread()).unwrap_or_default() % SLOTS;
        let second = first ^ 1;
        let (slot, known) = match (self.slots.get(first), self.slots.get(second)) {
            (Some(there), _) if there == atom => (first, true),
            (_, Some(there)) if there == atom => (second, true),
            (Some(_), None) => (second, false),
            _ => (first, false),
        };
        if !known {
            self.slots.set(slot, atom.clone());
        }
        (u16::try_from(slot).unwrap_or_default(), known)
    }
}

impl Header {
    fn is_of(&self, atoms: &[impl Borrow<Atom>]) -> bool {
        let pairs = self.atoms.iter().zip(atoms);
        self.atoms.len() == atoms.len() && pairs.into_iter().all(|(a, b)| a == b.borrow())
    }
}

/// Sets the half byte `at` of the flags that begin at `start`: the lower half of a byte for an even
/// one, the upper for an odd one.
fn set_half(out: &mut [u8], start: usize, at: usize, bits: u8) {
    if let Some(both) = out.get_mut(start + at / 2) {
        *both |= if at.is_multiple_of(2) { bits } else { bits << 4 };
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use etf::{Limits, term};
    use proptest::prelude::*;

    use super::*;
    use crate::wire::fragment::{Budget, FragmentLimits};
    use crate::wire::incoming::Incoming;

    fn framing(atoms: bool, fragments: bool) -> Framing {
        Framing { atoms, fragments }
    }

    fn incoming(framing: Framing) -> Incoming {
        let limits = FragmentLimits { sequences: 64, bytes: 1 << 30 };
        Incoming::new(framing, limits, Budget::new(1 << 30), Limits::default())
    }

    fn frame(outgoing: &mut Outgoing, message: &Message) -> Bytes {
        let mut out = Vec::new();
        outgoing.head(Place::Whole, &message.atoms, &mut out);
        message.body.iter().for_each(|part| out.extend_from_slice(part));
        out.into()
    }

    fn pid() -> Pid {
        Pid { node: Atom::from_static("a@h"), id: 1, serial: 0, creation: 7 }
    }

    fn reg_send() -> Term {
        term!({6, (pid()), (Term::atom("")), to})
    }

    #[test]
    fn each_mix_of_flags_has_its_frame() {
        for (atoms, fragments, start) in [
            (false, false, &[112, 131, 104, 4][..]),
            (false, true, &[131, 68, 0, 104, 4]),
            // Three entries, all new.
            (true, true, &[131, 68, 3]),
            (true, false, &[131, 68, 3]),
        ] {
            let framing = framing(atoms, fragments);
            let message = Message::encode(framing, &pid(), &reg_send(), Some(&term!(1))).unwrap();
            let frame = frame(&mut Outgoing::new(framing), &message);
            assert!(frame.starts_with(start), "{framing:?}: {frame:?}");
            let got = incoming(framing).take(&frame).unwrap().unwrap();
            assert!(got.control.is_ok());
            assert_eq!(got.payload.unwrap().decode(&Limits::default()), Ok(term!(1)));
        }
    }

    #[test]
    fn what_the_peer_knows_is_not_sent_again() {
        let framing = framing(true, true);
        let mut outgoing = Outgoing::new(framing);
        let message = Message::encode(framing, &pid(), &reg_send(), None).unwrap();
        let first = frame(&mut outgoing, &message);
        let second = frame(&mut outgoing, &message);
        assert_eq!(first.len() - second.len(), "a@h".len() + "to".len() + 3);
        let mut incoming = incoming(framing);
        for frame in [first, second] {
            assert!(incoming.take(&frame).unwrap().unwrap().control.is_ok());
        }
    }

    proptest! {
        /// More atoms than slots, long ones among them: slots are overwritten, also within a header.
        #[test]
        fn any_atoms_are_read_back(
            messages in prop::collection::vec(prop::collection::vec((0..3000_u32, any::<bool>()), 0..300), 1..12),
        ) {
            let framing = framing(true, true);
            let (mut outgoing, mut incoming) = (Outgoing::new(framing), incoming(framing));
            for names in messages {
                let atoms = names.iter().map(|(number, long)| {
                    let pad = if *long { "é".repeat(200) } else { String::new() };
                    Term::Atom(Atom::new(format!("a{number}{pad}")).unwrap())
                });
                let payload = Term::List(atoms.collect());
                let message = Message::encode(framing, &pid(), &reg_send(), Some(&payload)).unwrap();
                let got = incoming.take(&frame(&mut outgoing, &message)).unwrap().unwrap();
                prop_assert_eq!(got.payload.unwrap().decode(&Limits::default()), Ok(payload));
            }
        }
    }
}
