use super::{DecodeErrorKind, Result};
use crate::{Limits, Term};

/// What a decoder may still spend.
#[derive(Debug)]
pub(super) struct Budget {
    elements: usize,
    memory: usize,
}

impl Budget {
    /// What an allocation costs besides its bytes.
    pub(super) const ALLOCATION: usize = 16;

    pub(super) const fn new(limits: &Limits) -> Self {
        Self { elements: limits.elements, memory: limits.memory }
    }

    /// Elements and bytes that are left.
    #[cfg(feature = "serde")]
    pub(super) const fn left(&self) -> (usize, usize) {
        (self.elements, self.memory)
    }

    /// Charges for a vector of that many terms.
    #[inline]
    pub(super) fn elements(&mut self, count: usize) -> Result<()> {
        let Some(left) = self.elements.checked_sub(count) else {
            return spent(DecodeErrorKind::Elements);
        };
        self.elements = left;
        // What is too many for this is too much in any case.
        self.allocation(count.saturating_mul(size_of::<Term>()))
    }

    /// Charges for an allocation of that many bytes.
    #[inline]
    pub(super) fn allocation(&mut self, bytes: usize) -> Result<()> {
        if self.take(bytes) { Ok(()) } else { spent(DecodeErrorKind::Memory) }
    }

    /// The same, where nothing is charged for what there is no memory for: whether there was.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let left = self.memory.checked_sub(bytes.saturating_add(Self::ALLOCATION));
        self.memory = left.unwrap_or(self.memory);
        left.is_some()
    }
}

/// Out of the way of what is fast.
#[cold]
fn spent<T>(limit: DecodeErrorKind) -> Result<T> {
    Err(limit.into())
}
