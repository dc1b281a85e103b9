use super::{DecodeErrorKind, Result};

/// A position in a slice. Reading past the end is [`DecodeErrorKind::Truncated`].
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    len: usize,
    mark: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, len: bytes.len(), mark: 0 }
    }

    pub(super) const fn position(&self) -> usize {
        self.len - self.rest.len()
    }

    pub(super) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Remembers the position as that of the tag to be blamed for an error.
    pub(super) const fn mark(&mut self) {
        self.mark = self.position();
    }

    /// Blames an earlier tag.
    pub(super) const fn mark_at(&mut self, position: usize) {
        self.mark = position;
    }

    pub(super) const fn marked(&self) -> usize {
        self.mark
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DecodeErrorKind::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeErrorKind::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) const fn peek(&self) -> Option<u8> {
        if let [first, ..] = self.rest { Some(*first) } else { None }
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        let (first, rest) = self.rest.split_first().ok_or(DecodeErrorKind::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A length of four bytes.
    pub(super) fn length(&mut self) -> Result<usize> {
        usize::try_from(self.u32()?).map_err(|_| DecodeErrorKind::Truncated)
    }
}
