//! Elements of the kinds that most are, in one loop.

use super::Decoder;
use crate::{Atom, Binary, Term, tag};

impl Decoder<'_> {
    /// Reads elements as long as they are of the usual kinds and nothing is wrong with them: how many are missing then.
    ///
    /// What stops it stays to be read by those who read all kinds and say what is wrong.
    pub(super) fn quick(&mut self, mut missing: usize, items: &mut Vec<Term>) -> usize {
        // Not in memory, where each step would wait for the one before.
        let mut rest = self.cursor.rest();
        while missing > 0 {
            rest = match rest {
                [tag::SMALL_INTEGER, value, rest @ ..] => {
                    put(items, *value, |value| Term::Int(value.into()));
                    rest
                }
                [tag::INTEGER, a, b, c, d, rest @ ..] => {
                    put(items, [*a, *b, *c, *d], |word| Term::Int(i32::from_be_bytes(word).into()));
                    rest
                }
                [tag::SMALL_ATOM_UTF8, length, rest @ ..] => {
                    let length = usize::from(*length);
                    let Some(atom) = Atom::inline(rest, length) else { break };
                    put(items, atom, Term::Atom);
                    rest.get(length..).unwrap_or_default()
                }
                [tag::BINARY, 0, 0, 0, length, rest @ ..] => {
                    let length = usize::from(*length);
                    let Some(after) = rest.get(length..) else { break };
                    if length > Binary::INLINE {
                        break;
                    }
                    put(items, rest, |rest| {
                        Term::Binary(Binary::inline(rest, length).unwrap_or_default())
                    });
                    after
                }
                [tag::ATOM_CACHE_REF, index, rest @ ..] => {
                    let Some(atom) = self.atoms.get(usize::from(*index)) else { break };
                    self.header_refs += 1;
                    put(items, atom, |atom| Term::Atom(atom.clone()));
                    rest
                }
                [tag::NIL, rest @ ..] => {
                    put(items, (), |()| Term::NIL);
                    rest
                }
                _ => break,
            };
            missing -= 1;
        }
        self.cursor.set_rest(rest);
        missing
    }
}

/// Pushes a term that is made where it belongs: one that is there before room is made is moved, as making room may unwind,
/// and that costs more than making it, as its parts were written and are read in different sizes.
#[inline]
fn put<T>(items: &mut Vec<Term>, value: T, term: impl FnMut(T) -> Term) {
    items.extend(Some(value).into_iter().map(term));
}
