use super::{DecodeErrorKind, Result};

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

    /// What has not been read.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Goes on with the last part of what has not been read.
    pub(super) const fn set_rest(&mut self, rest: &'a [u8]) {
        self.rest = rest;
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
}

/// Out of the way of what is fast.
#[cold]
fn truncated<T>() -> Result<T> {
    Err(DecodeErrorKind::Truncated.into())
}
