//! Decoding a term in the middle of something that is not read by a decoder.

use bytes::Bytes;

use super::Decoder;
use crate::{Atom, Limits};

impl<'a> Decoder<'a> {
    /// A decoder that goes on after the first `at` bytes, with what is left of the limits.
    pub(crate) fn resume(bytes: &'a Bytes, at: usize, atoms: &'a [Atom], left: &Limits) -> Self {
        let mut decoder = Self::new(bytes, atoms, left);
        // Past the end there is nothing to read, and that is an error of the first read.
        let _ = decoder.cursor.take(at.min(bytes.len()));
        decoder
    }

    /// What may still be spent: elements and memory.
    pub(crate) const fn left(&self) -> (usize, usize) {
        self.budget.left()
    }
}
