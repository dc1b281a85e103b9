use super::DecodeErrorKind;
use crate::{Limits, Term};

/// What a decoder may still spend.
#[derive(Debug)]
pub(super) struct Budget {
    elements: usize,
    memory: usize,
}

impl Budget {
    /// What an allocation costs besides its bytes.
    const ALLOCATION: usize = 16;

    pub(super) const fn new(limits: &Limits) -> Self {
        Self { elements: limits.elements, memory: limits.memory }
    }

    /// Elements and bytes that are left.
    #[cfg(feature = "serde")]
    pub(super) const fn left(&self) -> (usize, usize) {
        (self.elements, self.memory)
    }

    /// Charges for a vector of that many terms.
    pub(super) fn elements(&mut self, count: usize) -> Result<(), DecodeErrorKind> {
        self.elements = self.elements.checked_sub(count).ok_or(DecodeErrorKind::Elements)?;
        self.allocation(count.checked_mul(size_of::<Term>()).ok_or(DecodeErrorKind::Memory)?)
    }

    /// Charges for an allocation of that many bytes.
    pub(super) fn allocation(&mut self, bytes: usize) -> Result<(), DecodeErrorKind> {
        let cost = bytes.saturating_add(Self::ALLOCATION);
        self.memory = self.memory.checked_sub(cost).ok_or(DecodeErrorKind::Memory)?;
        Ok(())
    }
}
