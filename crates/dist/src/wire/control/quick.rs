//! Control tuples of plain messages, read where they stand: nearly all frames are such, and to make a term of a
//! control tuple first takes longer than to read it. Whatever has another form than BEAM nodes
//! give these four is left to [`Control::parse`].

use etf::{Atom, Pid, Reference};

use super::{Control, op};

const SMALL_TUPLE: u8 = 104;
const SMALL_INTEGER: u8 = 97;
const NEW_PID: u8 = 88;
const NEWER_REFERENCE: u8 = 90;
const ATOM_CACHE_REF: u8 = 82;

/// The control tuple of a plain message. The fields are those of [`Control`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plain {
    Send { from: Option<Pid>, to: Pid },
    RegSend { from: Pid, to: Atom },
    AliasSend { from: Pid, alias: Reference },
}

impl Plain {
    /// The control tuple at the start of a frame's terms and what follows it, if it is that of a plain
    /// message.
    pub(crate) fn parse<'f>(frame: &'f [u8], atoms: &[Atom]) -> Option<(Self, &'f [u8])> {
        let mut fields = Fields { rest: frame, atoms };
        let [SMALL_TUPLE, arity, SMALL_INTEGER, op] = fields.array()? else { return None };
        let plain = match (i64::from(op), arity) {
            (op::SEND_SENDER, 3) => Self::Send { from: Some(fields.pid()?), to: fields.pid()? },
            (op::SEND, 3) => {
                fields.atom()?;
                Self::Send { from: None, to: fields.pid()? }
            }
            (op::REG_SEND, 4) => {
                let from = fields.pid()?;
                fields.atom()?;
                Self::RegSend { from, to: fields.atom()? }
            }
            (op::ALIAS_SEND, 3) => {
                Self::AliasSend { from: fields.pid()?, alias: fields.reference()? }
            }
            _ => return None,
        };
        Some((plain, fields.rest))
    }
}

impl From<Plain> for Control {
    fn from(plain: Plain) -> Self {
        match plain {
            Plain::Send { from, to } => Self::Send { from, to },
            Plain::RegSend { from, to } => Self::RegSend { from, to },
            Plain::AliasSend { from, alias } => Self::AliasSend { from, alias },
        }
    }
}

/// What has not been read of a tuple.
struct Fields<'f, 'a> {
    rest: &'f [u8],
    atoms: &'a [Atom],
}

impl Fields<'_, '_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn atom(&mut self) -> Option<Atom> {
        let [ATOM_CACHE_REF, index] = self.array()? else { return None };
        self.atoms.get(usize::from(index)).cloned()
    }

    fn pid(&mut self) -> Option<Pid> {
        let [NEW_PID] = self.array()? else { return None };
        Some(Pid {
            node: self.atom()?,
            id: self.u32()?,
            serial: self.u32()?,
            creation: self.u32()?,
        })
    }

    fn reference(&mut self) -> Option<Reference> {
        let [NEWER_REFERENCE, 0, count] = self.array()? else { return None };
        let (node, creation) = (self.atom()?, self.u32()?);
        let mut words = [0; Reference::MAX_WORDS];
        let words = words.get_mut(..usize::from(count))?;
        for word in &mut *words {
            *word = self.u32()?;
        }
        Reference::new(node, creation, words).ok()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use etf::{Decoder, Limits};
    use proptest::prelude::*;

    use super::*;

    const PID: [u8; 15] = [NEW_PID, ATOM_CACHE_REF, 0, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7];
    const REFERENCE: [u8; 17] =
        [NEWER_REFERENCE, 0, 2, ATOM_CACHE_REF, 1, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 9];

    fn atoms() -> [Atom; 2] {
        ["a@h", "b@h"].map(Atom::from_static)
    }

    /// What the other way of reading makes of it.
    fn parsed(frame: &[u8]) -> Option<(Control, usize)> {
        let (bytes, atoms, limits) = (Bytes::copy_from_slice(frame), atoms(), Limits::default());
        let mut decoder = Decoder::new(&bytes, &atoms, &limits);
        let control = Control::parse(decoder.term().ok()?).ok()?;
        Some((control, decoder.position()))
    }

    /// What the quick way makes of it.
    fn quick(frame: &[u8], atoms: &[Atom]) -> Option<(Control, usize)> {
        let (plain, rest) = Plain::parse(frame, atoms)?;
        Some((plain.into(), frame.len() - rest.len()))
    }

    fn frames() -> Vec<Vec<u8>> {
        let tuple = |op: i64, fields: &[&[u8]]| {
            let op = u8::try_from(op).unwrap();
            let arity = u8::try_from(fields.len() + 1).unwrap();
            [&[SMALL_TUPLE, arity, SMALL_INTEGER, op], fields.concat().as_slice(), b"rest"].concat()
        };
        let atom = &[ATOM_CACHE_REF, 1][..];
        vec![
            tuple(op::SEND_SENDER, &[&PID, &PID]),
            tuple(op::SEND, &[atom, &PID]),
            tuple(op::REG_SEND, &[&PID, atom, atom]),
            tuple(op::ALIAS_SEND, &[&PID, &REFERENCE]),
        ]
    }

    #[test]
    fn a_plain_message_is_read_at_once_and_as_it_is_read_otherwise() {
        for frame in frames() {
            let quick = quick(&frame, &atoms());
            assert_eq!(quick.as_ref().map(|(_, length)| *length), Some(frame.len() - 4));
            assert_eq!(quick, parsed(&frame));
        }
    }

    #[test]
    fn anything_else_is_left_alone() {
        for frame in [&[SMALL_TUPLE, 3, SMALL_INTEGER, 1][..], &[SMALL_TUPLE, 3], &[]] {
            assert_eq!(quick(frame, &atoms()), None);
        }
        assert_eq!(quick(&frames()[0], &[]), None);
    }

    proptest! {
        #[test]
        fn it_never_reads_anything_else_than_the_other_way(
            which in 0..4_usize,
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut frame = frames().swap_remove(which);
            for (at, byte) in changes {
                let at = at.index(frame.len());
                frame[at] = byte;
            }
            for frame in [&frame[..], &frame[..cut.index(frame.len())]] {
                if let Some(quick) = quick(frame, &atoms()) {
                    prop_assert_eq!(Some(quick), parsed(frame));
                }
            }
        }
    }
}
