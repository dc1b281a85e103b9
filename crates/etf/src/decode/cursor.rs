use super::{DecodeErrorKind, Result};
use crate::{Term, tag};

/// A position in a slice. Reading past the end is [`DecodeErrorKind::Truncated`].
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    len: usize,
    /// How many bytes there were from the tag on that is to be blamed.
    mark: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, len: bytes.len(), mark: bytes.len() }
    }

    pub(super) const fn position(&self) -> usize {
        self.len - self.rest.len()
    }

    pub(super) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Remembers the position as that of the tag to be blamed for an error.
    pub(super) const fn mark(&mut self) {
        self.mark = self.rest.len();
    }

    /// Blames an earlier tag.
    pub(super) const fn mark_at(&mut self, position: usize) {
        self.mark = self.len.saturating_sub(position);
    }

    pub(super) const fn marked(&self) -> usize {
        self.len - self.mark
    }

    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else { return truncated() };
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else { return truncated() };
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) const fn peek(&self) -> Option<u8> {
        if let [first, ..] = self.rest { Some(*first) } else { None }
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8> {
        let Some((first, rest)) = self.rest.split_first() else { return truncated() };
        self.rest = rest;
        Ok(*first)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A length of four bytes.
    #[inline]
    pub(super) fn length(&mut self) -> Result<usize> {
        Ok(usize::try_from(self.u32()?).map_err(|_| DecodeErrorKind::Truncated)?)
    }

    /// Reads integers of one and of four bytes, as many as stand here but at most `missing`: how many are missing then.
    ///
    /// A loop of its own, because lists of integers are long; run by run, so that it has no more to do than to copy.
    pub(super) fn integers(&mut self, mut missing: usize, items: &mut Vec<Term>) -> usize {
        loop {
            let taken = match self.peek() {
                Some(tag::SMALL_INTEGER) => self.run(missing, items, |[tag, value]| {
                    (tag == tag::SMALL_INTEGER).then_some(value.into())
                }),
                Some(tag::INTEGER) => self.run(missing, items, |[tag, a, b, c, d]| {
                    (tag == tag::INTEGER).then_some(i32::from_be_bytes([a, b, c, d]).into())
                }),
                _ => return missing,
            };
            missing -= taken;
            if taken == 0 {
                return missing;
            }
        }
    }

    /// Reads over integers of one and of four bytes, as many as stand here but at most `most`: how many there were.
    pub(super) fn skip_integers(&mut self, most: usize) -> usize {
        let mut rest = self.rest;
        let mut count = 0;
        while count < most {
            rest = match rest {
                [tag::INTEGER, _, _, _, _, rest @ ..] | [tag::SMALL_INTEGER, _, rest @ ..] => rest,
                _ => break,
            };
            count += 1;
        }
        self.rest = rest;
        count
    }

    /// Reads integers of `N` bytes until there is another term: how many there were.
    fn run<const N: usize>(
        &mut self,
        most: usize,
        items: &mut Vec<Term>,
        value: impl Fn([u8; N]) -> Option<i64>,
    ) -> usize {
        let (all, _) = self.rest.as_chunks::<N>();
        let count = all.iter().take(most).take_while(|bytes| value(**bytes).is_some()).count();
        let (run, _) = all.split_at_checked(count).unwrap_or_default();
        items.extend(run.iter().map(|bytes| Term::Int(value(*bytes).unwrap_or_default())));
        self.rest = self.rest.get(count * N..).unwrap_or_default();
        count
    }
}

/// Out of the way of what is fast.
#[cold]
fn truncated<T>() -> Result<T> {
    Err(DecodeErrorKind::Truncated.into())
}
