//! Short messages, which most are: written on the stack, so that they take one allocation of their own size.
//!
//! Only of the usual kinds of terms; others, and what is longer, are left to the encoder for everything.

use std::slice;

use bytes::Bytes;

use super::{SHORT, as_byte};
use crate::{Rope, Term, tag};

/// The term with its leading 131; `None` if it is longer than [`SHORT`] or has unusual parts.
pub(super) fn encode(term: &Term) -> Option<Rope> {
    let mut bytes = [0; SHORT];
    let room = put([tag::VERSION], &mut bytes)?;
    let left = all(slice::from_ref(term), room)?.len();
    Some(Bytes::copy_from_slice(bytes.get(..SHORT - left)?).into())
}

/// Where there is room, and what is left of it; `None` when there is not enough.
fn write<'a>(term: &Term, room: &'a mut [u8]) -> Option<&'a mut [u8]> {
    match term {
        Term::Float(value) if value.is_finite() => {
            put(value.to_be_bytes(), put([tag::NEW_FLOAT], room)?)
        }
        Term::List(items) => list(items, room),
        Term::Map(map) => all(map.items(), header(tag::MAP, map.len(), room)?),
        Term::Int(_) | Term::Atom(_) | Term::Binary(_) | Term::Tuple(_) => {
            all(slice::from_ref(term), room)
        }
        _ => None,
    }
}

/// The same of several terms, the usual kinds without a call for each.
///
/// Recursive, and never deep: each level takes two bytes or more.
fn all<'a>(terms: &[Term], mut room: &'a mut [u8]) -> Option<&'a mut [u8]> {
    for term in terms {
        room = match term {
            Term::Int(value) => integer(*value, room)?,
            Term::Atom(atom) => {
                let text = atom.as_bytes();
                let length = u8::try_from(text.len()).ok()?;
                copy(text, put([tag::SMALL_ATOM_UTF8, length], room)?)?
            }
            Term::Binary(bytes) => copy(bytes, header(tag::BINARY, bytes.len(), room)?)?,
            Term::Tuple(items) => {
                let arity = u8::try_from(items.len()).ok()?;
                all(items, put([tag::SMALL_TUPLE, arity], room)?)?
            }
            term => write(term, room)?,
        };
    }
    Some(room)
}

fn list<'a>(items: &[Term], room: &'a mut [u8]) -> Option<&'a mut [u8]> {
    if items.is_empty() {
        return put([tag::NIL], room);
    }
    // No element is shorter than a byte.
    let short = u8::try_from(items.len()).ok()?;
    if !items.iter().all(|item| as_byte(item).is_some()) {
        let room = all(items, header(tag::LIST, items.len(), room)?)?;
        return put([tag::NIL], room);
    }
    let room = put([tag::STRING, 0, short], room)?;
    items.iter().filter_map(as_byte).try_fold(room, |room, byte| put([byte], room))
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

#[inline]
fn copy<'a>(bytes: &[u8], room: &'a mut [u8]) -> Option<&'a mut [u8]> {
    let (place, left) = room.split_at_mut_checked(bytes.len())?;
    place.copy_from_slice(bytes);
    Some(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Atom, Encoder, term};

    /// As the encoder for everything writes it.
    fn written(term: &Term) -> Bytes {
        let mut encoder = Encoder::new();
        encoder.version();
        encoder.term(term).unwrap();
        encoder.finish().into_bytes()
    }

    #[test]
    fn what_is_short_is_written_as_by_the_encoder_for_everything() {
        let nested = (0..200).fold(term!(x), |term, _| Term::Tuple(vec![term]));
        let all = [
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
        ];
        for term in all {
            assert_eq!(crate::encode(&term).unwrap().into_bytes(), written(&term), "{term}");
        }
    }

    #[test]
    fn what_just_fits_is_short_and_what_does_not_is_none() {
        let binary = |len: usize| Term::from(vec![1; len].as_slice());
        let version_tag_and_length = 6;
        let fits = encode(&binary(SHORT - version_tag_and_length)).unwrap();
        assert_eq!(fits.len(), SHORT);
        assert!(encode(&binary(SHORT - version_tag_and_length + 1)).is_none());
        assert!(encode(&Term::Float(f64::NAN)).is_none());
    }
}
