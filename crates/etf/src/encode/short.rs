//! Short messages, which most are: written on the stack, so that they take one allocation of their own size or none.
//!
//! Only of the usual kinds of terms; others, and what is longer, are left to the encoder for everything.

use std::slice;

use super::{SHORT, as_byte};
use crate::inline::Inline;
use crate::{Atom, Pid, Reference, Term, tag};

/// How many different atoms a short frame may have.
const ATOMS: usize = 16;

/// Writes the terms of a short frame with a distribution header, without an allocation.
///
/// What is over 256 bytes, has more than 16 different atoms, or terms of unusual kinds is refused with `None`, and then
/// this encoder is of no more use: [`Encoder::with_header`](crate::Encoder::with_header) writes everything. What is written
/// here it writes the same, except that it may have an atom in full that is an entry here.
///
/// ```
/// let message = etf::term!({ok, ok, 1});
/// let mut encoder = etf::ShortEncoder::new();
/// encoder.term(&message).unwrap();
/// assert_eq!(encoder.as_bytes(), [104, 3, 82, 0, 82, 0, 97, 1]);
/// assert_eq!(encoder.atoms(), [&etf::Atom::from_static("ok")]);
/// ```
#[derive(Debug)]
pub struct ShortEncoder<'t> {
    bytes: [u8; SHORT],
    len: usize,
    atoms: Entries<'t>,
}

impl Default for ShortEncoder<'_> {
    fn default() -> Self {
        Self { bytes: [0; SHORT], len: 0, atoms: Entries { all: [&NO_ATOM; ATOMS], count: 0 } }
    }
}

impl<'t> ShortEncoder<'t> {
    /// The most bytes that are written.
    pub const MOST: usize = SHORT;

    /// An encoder that has written nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes bytes as they are.
    #[inline]
    pub fn bytes<const N: usize>(&mut self, bytes: [u8; N]) -> Option<()> {
        self.write(|room, _| put(bytes, room))
    }

    /// Writes an atom.
    #[inline]
    pub fn atom(&mut self, value: &'t Atom) -> Option<()> {
        self.write(|room, atoms| atoms.put(value, room))
    }

    /// Writes a pid.
    #[inline]
    pub fn pid(&mut self, value: &'t Pid) -> Option<()> {
        self.write(|room, atoms| pid(value, room, atoms))
    }

    /// Writes a term, without a version.
    #[inline]
    pub fn term(&mut self, term: &'t Term) -> Option<()> {
        self.write(|room, atoms| all(slice::from_ref(term), room, atoms))
    }

    /// What was written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The entries of the header that it needs.
    #[must_use]
    pub fn atoms(&self) -> &[&'t Atom] {
        self.atoms.all.get(..self.atoms.count).unwrap_or_default()
    }

    #[inline]
    fn write(
        &mut self,
        write: impl for<'r> FnOnce(&'r mut [u8], &mut Entries<'t>) -> Option<&'r mut [u8]>,
    ) -> Option<()> {
        let left = write(self.bytes.get_mut(self.len..)?, &mut self.atoms)?.len();
        self.len = SHORT - left;
        Some(())
    }
}

/// The term with its leading 131; `None` if it is longer than there is room, or has unusual parts.
#[inline]
pub(super) fn encode<'r>(term: &Term, room: &'r mut [u8; SHORT]) -> Option<&'r [u8]> {
    let left = match term {
        Term::Tuple(items) => {
            let arity = u8::try_from(items.len()).ok()?;
            let room = put([tag::VERSION, tag::SMALL_TUPLE, arity], room)?;
            all(items, room, &mut InFull)?
        }
        term => all(slice::from_ref(term), put([tag::VERSION], room)?, &mut InFull)?,
    };
    let left = left.len();
    room.get(..SHORT - left)
}

/// How atoms are written.
trait Atoms<'t> {
    fn put<'r>(&mut self, atom: &'t Atom, room: &'r mut [u8]) -> Option<&'r mut [u8]>;
}

struct InFull;

impl Atoms<'_> for InFull {
    #[inline]
    fn put<'r>(&mut self, atom: &Atom, room: &'r mut [u8]) -> Option<&'r mut [u8]> {
        match atom.parts() {
            Ok(text) => inline(text, put([tag::SMALL_ATOM_UTF8, text.len()], room)?),
            Err(text) => {
                let length = u8::try_from(text.len()).ok()?;
                copy(text.as_bytes(), put([tag::SMALL_ATOM_UTF8, length], room)?)
            }
        }
    }
}

/// The entries of a header: atoms are written as numbers of these.
#[derive(Debug)]
struct Entries<'t> {
    all: [&'t Atom; ATOMS],
    count: usize,
}

/// Stands where there is no entry.
static NO_ATOM: Atom = Atom::from_static("");

impl<'t> Atoms<'t> for Entries<'t> {
    #[inline]
    fn put<'r>(&mut self, atom: &'t Atom, room: &'r mut [u8]) -> Option<&'r mut [u8]> {
        let known = self.all.get(..self.count)?.iter().position(|entry| *entry == atom);
        let number = match known {
            Some(number) => number,
            None => {
                let number = self.count;
                *self.all.get_mut(number)? = atom;
                self.count += 1;
                number
            }
        };
        put([tag::ATOM_CACHE_REF, u8::try_from(number).ok()?], room)
    }
}

/// Where there is room, and what is left of it; `None` when there is not enough.
fn write<'t, 'r>(
    term: &'t Term,
    room: &'r mut [u8],
    atoms: &mut impl Atoms<'t>,
) -> Option<&'r mut [u8]> {
    match term {
        Term::Float(value) if value.is_finite() => {
            put(value.to_be_bytes(), put([tag::NEW_FLOAT], room)?)
        }
        Term::List(items) => list(items, room, atoms),
        Term::Map(map) => all(map.items(), header(tag::MAP, map.len(), room)?, atoms),
        Term::Pid(value) => pid(value, room, atoms),
        Term::Reference(value) => reference(value, room, atoms),
        Term::ImproperList(list) => {
            let room = all(list.items(), header(tag::LIST, list.items().len(), room)?, atoms)?;
            all(slice::from_ref(list.tail()), room, atoms)
        }
        Term::Int(_) | Term::Atom(_) | Term::Binary(_) | Term::Tuple(_) => {
            all(slice::from_ref(term), room, atoms)
        }
        _ => None,
    }
}

/// The same of several terms, the usual kinds without a call for each.
///
/// Recursive, and never deep: each level takes two bytes or more.
fn all<'t, 'r>(
    terms: &'t [Term],
    mut room: &'r mut [u8],
    atoms: &mut impl Atoms<'t>,
) -> Option<&'r mut [u8]> {
    for term in terms {
        room = match term {
            Term::Int(value) => integer(*value, room)?,
            Term::Atom(atom) => atoms.put(atom, room)?,
            Term::Binary(bytes) => match bytes.parts() {
                Ok(bytes) => inline(bytes, put([tag::BINARY, 0, 0, 0, bytes.len()], room)?)?,
                Err(bytes) => copy(bytes, header(tag::BINARY, bytes.len(), room)?)?,
            },
            Term::Tuple(items) => {
                let arity = u8::try_from(items.len()).ok()?;
                all(items, put([tag::SMALL_TUPLE, arity], room)?, atoms)?
            }
            term => write(term, room, atoms)?,
        };
    }
    Some(room)
}

fn list<'t, 'r>(
    items: &'t [Term],
    room: &'r mut [u8],
    atoms: &mut impl Atoms<'t>,
) -> Option<&'r mut [u8]> {
    if items.is_empty() {
        return put([tag::NIL], room);
    }
    // No element is shorter than a byte.
    let short = u8::try_from(items.len()).ok()?;
    if !items.iter().all(|item| as_byte(item).is_some()) {
        let room = all(items, header(tag::LIST, items.len(), room)?, atoms)?;
        return put([tag::NIL], room);
    }
    let room = put([tag::STRING, 0, short], room)?;
    items.iter().filter_map(as_byte).try_fold(room, |room, byte| put([byte], room))
}

#[inline]
fn pid<'t, 'r>(
    pid: &'t Pid,
    room: &'r mut [u8],
    atoms: &mut impl Atoms<'t>,
) -> Option<&'r mut [u8]> {
    let room = atoms.put(&pid.node, put([tag::NEW_PID], room)?)?;
    let room = put(pid.id.to_be_bytes(), room)?;
    let room = put(pid.serial.to_be_bytes(), room)?;
    put(pid.creation.to_be_bytes(), room)
}

fn reference<'t, 'r>(
    reference: &'t Reference,
    room: &'r mut [u8],
    atoms: &mut impl Atoms<'t>,
) -> Option<&'r mut [u8]> {
    let words = reference.words();
    let room = put([tag::NEWER_REFERENCE, 0, u8::try_from(words.len()).ok()?], room)?;
    let room = atoms.put(reference.node(), room)?;
    let room = put(reference.creation().to_be_bytes(), room)?;
    words.iter().try_fold(room, |room, word| put(word.to_be_bytes(), room))
}

#[inline]
fn integer(value: i64, room: &mut [u8]) -> Option<&mut [u8]> {
    if let Ok(byte) = u8::try_from(value) {
        return put([tag::SMALL_INTEGER, byte], room);
    }
    let [a, b, c, d] = i32::try_from(value).ok()?.to_be_bytes();
    put([tag::INTEGER, a, b, c, d], room)
}

#[inline]
fn header(tag: u8, len: usize, room: &mut [u8]) -> Option<&mut [u8]> {
    // What is longer has no room here.
    put([tag, 0, 0, 0, u8::try_from(len).ok()?], room)
}

#[inline]
fn put<const N: usize>(bytes: [u8; N], room: &mut [u8]) -> Option<&mut [u8]> {
    let (place, left) = room.split_first_chunk_mut()?;
    *place = bytes;
    Some(left)
}

/// A copy of a length that is known takes few steps, where there is room for all of it.
#[inline]
fn inline<'a>(bytes: &Inline, room: &'a mut [u8]) -> Option<&'a mut [u8]> {
    match room.first_chunk_mut() {
        Some(place) => *place = *bytes.all(),
        None => return copy(bytes, room),
    }
    room.get_mut(bytes.len().into()..)
}

#[inline]
fn copy<'a>(bytes: &[u8], room: &'a mut [u8]) -> Option<&'a mut [u8]> {
    let (place, left) = room.split_at_mut_checked(bytes.len())?;
    place.copy_from_slice(bytes);
    Some(left)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Atom, Encoder, term};

    /// As the encoder for everything writes it.
    fn written(term: &Term) -> Bytes {
        let mut encoder = Encoder::new();
        encoder.version();
        encoder.term(term).unwrap();
        encoder.finish().into_bytes()
    }

    fn terms() -> Vec<Term> {
        let nested = (0..200).fold(term!(x), |term, _| Term::Tuple(vec![term]));
        let pid = |node| Pid { node: Atom::from_static(node), id: 1, serial: 2, creation: 3 };
        let reference = |words| Reference::new(Atom::from_static("a@h"), 3, words).unwrap();
        vec![
            term!({(pid("a@h")), [(pid("b@h")), (Term::atom("a@h"))]}),
            term!({[alias | (Term::Reference(reference(&[1, 2, 3])))], (Term::atom("a@h"))}),
            Term::Reference(reference(&[1, 2, 3, 4, 5])),
            term!({"$gen_cast", {event, 42, "hello"}}),
            term!([]),
            term!([1, 255]),
            term!([1, 256, (-1)]),
            term!(#{a => [], "b" => #{1 => {}}}),
            term!({70000, 1.5, [a | b]}),
            Term::from(i64::MIN),
            Term::Atom(Atom::new("é".repeat(128)).unwrap()),
            Term::List(vec![Term::Int(7); 251]),
            Term::List(vec![Term::Int(7); 256]),
            Term::Tuple(vec![Term::NIL; 253]),
            Term::Tuple(vec![Term::NIL; 254]),
            nested,
        ]
    }

    #[test]
    fn what_is_short_is_written_as_by_the_encoder_for_everything() {
        for term in terms() {
            assert_eq!(crate::encode(&term).unwrap().into_bytes(), written(&term), "{term}");
        }
    }

    #[test]
    fn behind_a_header_too() {
        let mut refused = 0;
        for term in terms() {
            let mut short = ShortEncoder::new();
            if short.term(&term).is_none() {
                refused += 1;
                continue;
            }
            let mut encoder = Encoder::with_header();
            encoder.term(&term).unwrap();
            let (body, atoms) = encoder.finish_with_atoms();
            assert_eq!(short.as_bytes(), body.into_bytes(), "{term}");
            assert_eq!(short.atoms(), atoms.iter().collect::<Vec<_>>(), "{term}");
        }
        assert!(refused < terms().len() / 2, "{refused}");
        let atoms = |count: u32| {
            let atoms = (0..count).map(|n| Term::Atom(Atom::new(format!("a{n}")).unwrap()));
            Term::List(atoms.collect())
        };
        assert_eq!(ShortEncoder::new().term(&atoms(17)), None);
        let (most, node) = (atoms(15), Atom::from_static("a@h"));
        let pid = Pid { node: node.clone(), id: 1, serial: 2, creation: 3 };
        let mut short = ShortEncoder::new();
        short.bytes([104, 3]).unwrap();
        short.term(&most).unwrap();
        short.pid(&pid).unwrap();
        short.atom(&node).unwrap();
        assert_eq!((short.atoms().len(), short.as_bytes().len()), (16, 2 + 36 + 15 + 2));
    }

    #[test]
    fn what_just_fits_is_short_and_what_does_not_is_none() {
        let binary = |len: usize| Term::from(vec![1; len].as_slice());
        let version_tag_and_length = 6;
        let mut room = [0; SHORT];
        let fits = encode(&binary(SHORT - version_tag_and_length), &mut room).unwrap();
        assert_eq!(fits.len(), SHORT);
        assert!(encode(&binary(SHORT - version_tag_and_length + 1), &mut room).is_none());
        assert!(encode(&Term::Float(f64::NAN), &mut room).is_none());
    }
}
