//! Elements of the kinds that most are, in one loop.

use super::{Decoder, Place, Result};
use crate::inline::starts_with_ascii;
use crate::{Atom, Binary, Term, tag};

impl Decoder<'_> {
    /// Reads elements as long as they are of the usual kinds and nothing is wrong with them: how many are missing then. Small tuples
    /// are among these where it is told in what place they are: that of the last element.
    ///
    /// What stops it stays to be read by those who read all kinds and say what is wrong.
    // A call of its own would cost a small tuple a tenth of what it takes.
    #[inline(always)]
    pub(super) fn quick(
        &mut self,
        mut missing: usize,
        tuples: Option<Place>,
        items: &mut Vec<Term>,
    ) -> Result<usize> {
        // Not in memory, where each step would wait for the one before.
        let mut rest = self.cursor.rest();
        while missing > 0 {
            rest = match rest {
                // Of integers there are many or few.
                [tag::INTEGER, _, _, _, _, tag::INTEGER, ..] if missing > FEW => {
                    let (words, after) = run(rest, tag::INTEGER, missing);
                    missing -= words.len() - 1;
                    let word =
                        |[_, word @ ..]: &[u8; 5]| Term::Int(i32::from_be_bytes(*word).into());
                    items.extend(words.iter().map(word));
                    after
                }
                [tag::SMALL_INTEGER, _, tag::SMALL_INTEGER, ..] if missing > FEW => {
                    let (bytes, after) = run(rest, tag::SMALL_INTEGER, missing);
                    missing -= bytes.len() - 1;
                    items.extend(bytes.iter().map(|[_, byte]| Term::Int((*byte).into())));
                    after
                }
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
                    let Some(after) = rest.get(length..) else { break };
                    if length > Atom::INLINE || !starts_with_ascii(rest, length) {
                        break;
                    }
                    put(items, rest, |rest| Term::Atom(Atom::of_ascii(rest, length)));
                    after
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
                [tag::SMALL_TUPLE, arity @ ..] => {
                    let Some(place) = tuples else { break };
                    self.cursor.set_rest(rest);
                    self.cursor.mark();
                    self.cursor.set_rest(arity);
                    let pending = place.pending + missing - 1;
                    let inner = self.small_tuple(Place { pending, ..place })?;
                    put(items, inner, Term::Tuple);
                    self.cursor.rest()
                }
                _ => break,
            };
            missing -= 1;
        }
        self.cursor.set_rest(rest);
        Ok(missing)
    }
}

/// So many elements are looked at one by one.
pub(super) const FEW: usize = 8;

/// The terms of `N` bytes with this tag that follow each other at the start of these bytes, up to so many, and what comes then.
#[inline]
pub(super) fn run<const N: usize>(rest: &[u8], tag: u8, most: usize) -> (&[[u8; N]], &[u8]) {
    let (all, _) = rest.as_chunks();
    let count = all.iter().take(most).take_while(|term| term.first() == Some(&tag)).count();
    (all.get(..count).unwrap_or_default(), rest.get(count * N..).unwrap_or_default())
}

/// Pushes a term that is made where it belongs: one that is there before room is made is moved, as making room may unwind,
/// and that costs more than making it, as its parts were written and are read in different sizes.
#[inline]
fn put<T>(items: &mut Vec<Term>, value: T, term: impl FnMut(T) -> Term) {
    items.extend(Some(value).into_iter().map(term));
}
