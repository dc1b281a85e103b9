//! Short messages, which most are: written on the stack, so that they take one allocation of their own size.
//!
//! Only of the usual kinds of terms; others, and what is longer, are left to the encoder for everything.

use bytes::Bytes;

use super::{SHORT, as_byte};
use crate::{Rope, Term, tag};

/// The term with its leading 131; `None` if it is longer than [`SHORT`] or has unusual parts.
pub(super) fn encode(term: &Term) -> Option<Rope> {
    let mut short = Short { bytes: [0; SHORT] };
    let after_version = short.put(0, [tag::VERSION])?;
    let len = short.term(after_version, term)?;
    Some(Bytes::copy_from_slice(short.bytes.get(..len)?).into())
}

struct Short {
    bytes: [u8; SHORT],
}

/// Each writes at a position and returns the one after.
impl Short {
    /// Recursive, and never deep: each level takes two bytes or more.
    fn term(&mut self, at: usize, term: &Term) -> Option<usize> {
        match term {
            Term::Atom(atom) => {
                let text = atom.as_str().as_bytes();
                let at = self.put(at, [tag::SMALL_ATOM_UTF8, u8::try_from(text.len()).ok()?])?;
                self.copy(at, text)
            }
            Term::Int(value) => self.integer(at, *value),
            Term::Binary(bytes) => {
                let at = self.header(at, tag::BINARY, bytes.len())?;
                self.copy(at, bytes)
            }
            Term::Float(value) if value.is_finite() => {
                let at = self.put(at, [tag::NEW_FLOAT])?;
                self.put(at, value.to_be_bytes())
            }
            Term::Tuple(items) => {
                let arity = u8::try_from(items.len()).ok()?;
                let at = self.put(at, [tag::SMALL_TUPLE, arity])?;
                self.terms(at, items)
            }
            Term::List(items) => self.list(at, items),
            Term::Map(map) => {
                let at = self.header(at, tag::MAP, map.len())?;
                self.terms(at, map.items())
            }
            _ => None,
        }
    }

    fn terms(&mut self, mut at: usize, terms: &[Term]) -> Option<usize> {
        for term in terms {
            at = self.term(at, term)?;
        }
        Some(at)
    }

    fn list(&mut self, at: usize, items: &[Term]) -> Option<usize> {
        if items.is_empty() {
            return self.put(at, [tag::NIL]);
        }
        // No element is shorter than a byte.
        let short = u8::try_from(items.len()).ok()?;
        if !items.iter().all(|item| as_byte(item).is_some()) {
            let at = self.header(at, tag::LIST, items.len())?;
            let at = self.terms(at, items)?;
            return self.put(at, [tag::NIL]);
        }
        let mut at = self.put(at, [tag::STRING, 0, short])?;
        for byte in items.iter().filter_map(as_byte) {
            at = self.put(at, [byte])?;
        }
        Some(at)
    }

    #[inline]
    fn integer(&mut self, at: usize, value: i64) -> Option<usize> {
        if let Ok(byte) = u8::try_from(value) {
            return self.put(at, [tag::SMALL_INTEGER, byte]);
        }
        let [a, b, c, d] = i32::try_from(value).ok()?.to_be_bytes();
        self.put(at, [tag::INTEGER, a, b, c, d])
    }

    #[inline]
    fn header(&mut self, at: usize, tag: u8, len: usize) -> Option<usize> {
        // What is longer has no room here.
        let len = u8::try_from(len).ok()?;
        self.put(at, [tag, 0, 0, 0, len])
    }

    #[inline]
    fn put<const N: usize>(&mut self, at: usize, bytes: [u8; N]) -> Option<usize> {
        *self.bytes.get_mut(at..)?.first_chunk_mut()? = bytes;
        Some(at + N)
    }

    #[inline]
    fn copy(&mut self, at: usize, bytes: &[u8]) -> Option<usize> {
        self.bytes.get_mut(at..)?.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(at + bytes.len())
    }
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
