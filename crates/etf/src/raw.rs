use std::sync::{Arc, LazyLock};

use bytes::Bytes;

use crate::{Atom, DecodeError, Decoder, EncodeError, Limits, Term, View};

/// A term that is not decoded yet: the payload of a message on its way to the process that will decode it.
///
/// It has the bytes and, from the header of its own frame, the atoms that they refer to.
#[derive(Debug, Clone)]
pub struct RawTerm {
    bytes: Bytes,
    atoms: Arc<[Atom]>,
    versioned: bool,
}

impl RawTerm {
    /// Payloads of up to this many bytes are copied. It is what a reader asks of its socket at once,
    /// so no payload keeps a buffer alive that is many times as large: a mailbox is charged for
    /// the payload alone.
    const COPIED: usize = 64 * 1024;

    /// A term from those bytes, in which tag 82 refers to `atoms`; `versioned` when 131 leads it.
    ///
    /// Up to 64 KiB are copied, larger ones stay a slice of the buffer that they came in.
    #[must_use]
    pub fn new(bytes: &Bytes, atoms: Arc<[Atom]>, versioned: bool) -> Self {
        Self::part_of(bytes, bytes, atoms, versioned)
    }

    /// As [`RawTerm::new`], of a part of the bytes.
    ///
    /// # Panics
    /// When it is over 64 KiB and no part of them.
    #[must_use]
    pub fn part_of(bytes: &Bytes, part: &[u8], atoms: Arc<[Atom]>, versioned: bool) -> Self {
        let small = part.len() <= Self::COPIED;
        let bytes = if small { Bytes::copy_from_slice(part) } else { bytes.slice_ref(part) };
        Self { bytes, atoms, versioned }
    }

    /// A term that is known, in the form it has when it has come from a peer.
    ///
    /// # Errors
    /// When the term cannot be encoded.
    pub fn encode(term: &Term) -> Result<Self, EncodeError> {
        let bytes = crate::encode(term)?.into_bytes();
        Ok(Self { bytes, atoms: no_atoms(), versioned: true })
    }

    /// The term; nothing may follow it.
    ///
    /// # Errors
    /// When the bytes are malformed, or over the limits.
    pub fn decode(&self, limits: &Limits) -> Result<Term, DecodeError> {
        Decoder::new(&self.bytes, &self.atoms, limits).whole(self.versioned)
    }

    /// The term where it stands, once it is known to be one; nothing may follow it. See [`View`].
    ///
    /// # Errors
    /// As [`RawTerm::decode`].
    pub fn view(&self, limits: &Limits) -> Result<View<'_>, DecodeError> {
        View::checked(&self.bytes, &self.atoms, limits, self.versioned)
    }

    /// The bytes, in which tag 82 refers to the atoms of the frame's header.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The atoms of the frame's header, which tag 82 refers to.
    #[must_use]
    pub fn atoms(&self) -> &[Atom] {
        &self.atoms
    }

    /// The same, shared.
    #[must_use]
    pub fn shared_atoms(&self) -> Arc<[Atom]> {
        self.atoms.clone()
    }

    /// Whether 131 leads the bytes.
    #[cfg(feature = "serde")]
    pub(crate) const fn is_versioned(&self) -> bool {
        self.versioned
    }

    /// The length in bytes of what is not decoded.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that this holds alive: those of the term, and the atoms of its frame.
    #[must_use]
    pub fn retained(&self) -> usize {
        let atoms = self.atoms.iter().map(|atom| size_of::<Atom>() + atom.retained());
        self.bytes.len() + atoms.sum::<usize>()
    }

    /// Whether there is not a byte (and so no term).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// An empty list of atoms, without an allocation each time.
pub(crate) fn no_atoms() -> Arc<[Atom]> {
    static NONE: LazyLock<Arc<[Atom]>> = LazyLock::new(|| Arc::from([]));
    NONE.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_does_not_keep_a_read_buffer_much_larger_than_itself() {
        for len in [1, 4096, 4097, 20_000, 65_535] {
            let buffer = Bytes::from(vec![7; 1 << 20]);
            let raw = RawTerm::new(&buffer.slice(10..10 + len), no_atoms(), true);
            assert!(buffer.is_unique(), "{len} bytes keep a megabyte");
            assert_eq!(raw.len(), len);
        }
    }
}
