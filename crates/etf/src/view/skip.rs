//! Passing over a term that has been checked.

use crate::opaque::FUN_HEADER;
use crate::tag;

/// What follows the term that these bytes start with.
///
/// It counts the terms still to come, because a term may be nested deeper than a stack.
pub(super) fn skip(mut wire: &[u8]) -> &[u8] {
    let mut missing = 1_usize;
    while missing > 0 {
        missing -= 1;
        wire = match wire {
            // Most are of these kinds.
            [tag::SMALL_INTEGER | tag::ATOM_CACHE_REF, _, rest @ ..]
            | [tag::INTEGER, _, _, _, _, rest @ ..]
            | [tag::NIL, rest @ ..] => rest,
            [tag::SMALL_ATOM_UTF8, length, rest @ ..]
            | [tag::BINARY, 0, 0, 0, length, rest @ ..] => {
                rest.get(usize::from(*length)..).unwrap_or_default()
            }
            [tag::SMALL_TUPLE, arity, rest @ ..] => {
                missing += usize::from(*arity);
                rest
            }
            [tag, rest @ ..] => {
                let Some((bytes, terms)) = extent(*tag, rest) else { return &[] };
                missing = missing.saturating_add(terms);
                rest.get(bytes..).unwrap_or_default()
            }
            [] => return &[],
        };
    }
    wire
}

/// How many bytes and then how many terms belong to a term after its tag.
#[inline]
fn extent(tag: u8, rest: &[u8]) -> Option<(usize, usize)> {
    let first = || rest.first().copied().map(usize::from);
    // The node of an identifier, and what follows it.
    let after_atom = |skipped: usize, fixed: usize| {
        let atom = rest.get(skipped..)?;
        let (tag, text) = atom.split_first()?;
        let (bytes, _) = extent(*tag, text)?;
        Some((skipped + 1 + bytes + fixed, 0))
    };
    Some(match tag {
        tag::SMALL_INTEGER | tag::ATOM_CACHE_REF => (1, 0),
        tag::INTEGER => (4, 0),
        tag::NIL => (0, 0),
        tag::SMALL_ATOM_UTF8 | tag::SMALL_ATOM => (1 + first()?, 0),
        tag::ATOM_UTF8 | tag::ATOM | tag::STRING => (2 + short(rest)?, 0),
        tag::BINARY => (4 + length(rest)?, 0),
        tag::SMALL_TUPLE => (1, first()?),
        tag::LARGE_TUPLE => (4, length(rest)?),
        tag::LIST => (4, length(rest)?.checked_add(1)?),
        tag::MAP => (4, length(rest)?.checked_mul(2)?),
        tag::NEW_FLOAT => (8, 0),
        tag::FLOAT => (31, 0),
        tag::SMALL_BIG => (2 + first()?, 0),
        tag::LARGE_BIG | tag::BIT_BINARY => (5 + length(rest)?, 0),
        tag::NEW_PID => after_atom(0, 12)?,
        tag::PID | tag::NEW_PORT => after_atom(0, if tag == tag::PID { 9 } else { 8 })?,
        tag::V4_PORT => after_atom(0, 12)?,
        tag::PORT | tag::REFERENCE => after_atom(0, 5)?,
        tag::NEWER_REFERENCE => after_atom(2, 4 + 4 * short(rest)?)?,
        tag::NEW_REFERENCE => after_atom(2, 1 + 4 * short(rest)?)?,
        tag::EXPORT => (0, 3),
        // Its size may be wrong; the number of free variables is not.
        tag::NEW_FUN => (FUN_HEADER - 1, 4 + length(rest.get(FUN_HEADER - 5..)?)?),
        tag::RECORD => (5, length(rest)?.checked_mul(2)?.checked_add(2)?),
        _ => return None,
    })
}

/// A length of four bytes.
#[inline]
pub(super) fn length(rest: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(array(rest)?)).ok()
}

/// A length of two bytes.
#[inline]
fn short(rest: &[u8]) -> Option<usize> {
    Some(u16::from_be_bytes(array(rest)?).into())
}

#[inline]
pub(super) fn array<const N: usize>(rest: &[u8]) -> Option<[u8; N]> {
    rest.first_chunk().copied()
}

/// The text of an atom that is written out.
#[inline]
pub(super) fn text(tag: u8, rest: &[u8]) -> Option<&[u8]> {
    match tag {
        tag::SMALL_ATOM_UTF8 | tag::SMALL_ATOM => {
            let (length, rest) = rest.split_first()?;
            rest.get(..usize::from(*length))
        }
        tag::ATOM_UTF8 | tag::ATOM => rest.get(2..)?.get(..short(rest)?),
        _ => None,
    }
}
