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
    parts: Vec<Bytes>,
    len: usize,
}

impl Rope {
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
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Bytes> + DoubleEndedIterator {
        self.parts.iter()
    }

    /// Adds a piece at the end.
    pub fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.len += part.len();
            self.parts.push(part);
        }
    }

    /// All in one piece; copies only if there are several.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        match self.parts.pop() {
            None => Bytes::new(),
            Some(only) if self.parts.is_empty() => only,
            Some(last) => {
                let mut all = BytesMut::with_capacity(self.len);
                self.parts.iter().chain([&last]).for_each(|part| all.extend_from_slice(part));
                all.freeze()
            }
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
    type IntoIter = std::vec::IntoIter<Bytes>;

    fn into_iter(self) -> Self::IntoIter {
        self.parts.into_iter()
    }
}
