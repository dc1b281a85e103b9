use std::iter::Chain;
use std::{option, vec};

use bytes::{Bytes, BytesMut};

/// Encoded bytes in several pieces, of which the large ones are shared with the terms they came from.
///
/// ```
/// let rope = etf::encode(&etf::term!(ok)).unwrap();
/// assert_eq!(rope.len(), 5);
/// assert_eq!(rope.into_bytes(), b"\x83w\x02ok".as_slice());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Rope {
    /// Most have one piece, and no need of a list.
    first: Option<Bytes>,
    more: Vec<Bytes>,
    len: usize,
}

impl Rope {
    /// A copy of these bytes, of which there is one at least.
    #[inline]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { first: Some(Bytes::copy_from_slice(bytes)), more: Vec::new(), len: bytes.len() }
    }

    /// The length in bytes of all pieces together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces, in order; none is empty.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Bytes> {
        self.first.iter().chain(&self.more)
    }

    /// Adds a piece at the end.
    pub fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.len += part.len();
            match self.first {
                None => self.first = Some(part),
                Some(_) => self.more.push(part),
            }
        }
    }

    /// All in one piece; copies only if there are several.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.first {
            Some(first) if !self.more.is_empty() => {
                let mut all = BytesMut::with_capacity(self.len);
                [first].iter().chain(&self.more).for_each(|part| all.extend_from_slice(part));
                all.freeze()
            }
            only => only.unwrap_or_default(),
        }
    }
}

impl From<Bytes> for Rope {
    fn from(part: Bytes) -> Self {
        let mut rope = Self::default();
        rope.push(part);
        rope
    }
}

impl Extend<Bytes> for Rope {
    fn extend<I: IntoIterator<Item = Bytes>>(&mut self, parts: I) {
        parts.into_iter().for_each(|part| self.push(part));
    }
}

impl IntoIterator for Rope {
    type Item = Bytes;
    type IntoIter = Chain<option::IntoIter<Bytes>, vec::IntoIter<Bytes>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.more)
    }
}
