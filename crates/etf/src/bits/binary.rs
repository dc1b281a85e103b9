use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use bytes::Bytes;

use crate::inline::Inline;

/// A binary: bytes, used as a slice of them.
///
/// Short ones (up to 23 bytes) are stored inline, longer ones behind a reference count, so a clone never copies more than these
/// and a short one never keeps the buffer alive that it came from. Equality, order and hash are those of the bytes.
///
/// ```
/// let binary = etf::Binary::from("hello");
/// assert_eq!(binary.len(), 5);
/// assert_eq!(binary, *b"hello");
/// assert_eq!(binary.into_bytes(), "hello");
/// ```
#[derive(Clone)]
pub struct Binary(Repr);

#[derive(Clone)]
enum Repr {
    Inline(Inline),
    Shared(Bytes),
}

// Where one has its pointers the other has its bytes.
const _: () = assert!(size_of::<Binary>() == size_of::<Bytes>());

impl Binary {
    /// So many bytes are stored inline.
    pub(crate) const INLINE: usize = Inline::MAX;

    /// The first so many bytes of these, if they are few enough to be stored inline.
    #[inline]
    pub(crate) fn inline(bytes: &[u8], length: usize) -> Option<Self> {
        Some(Self(Repr::Inline(Inline::new(bytes, length)?)))
    }

    /// Of bytes that are not to be kept alive.
    pub(crate) fn copied(bytes: &[u8]) -> Self {
        Self::inline(bytes, bytes.len())
            .unwrap_or_else(|| Self(Repr::Shared(Bytes::copy_from_slice(bytes))))
    }

    /// The bytes, for those who share them; short ones are copied.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::Shared(bytes) => bytes,
            Repr::Inline(bytes) => Bytes::copy_from_slice(&bytes),
        }
    }

    /// Bytes that this holds alive beside itself: none when they are stored inline.
    #[must_use]
    pub fn retained(&self) -> usize {
        self.shared().map_or(0, Bytes::len)
    }

    /// The bytes, unless they are stored inline.
    #[inline]
    pub(crate) const fn shared(&self) -> Option<&Bytes> {
        if let Repr::Shared(bytes) = &self.0 { Some(bytes) } else { None }
    }

    /// The bytes that are stored inline, or those that are shared.
    #[inline]
    pub(crate) const fn parts(&self) -> Result<&Inline, &Bytes> {
        match &self.0 {
            Repr::Inline(bytes) => Ok(bytes),
            Repr::Shared(bytes) => Err(bytes),
        }
    }

    pub(crate) fn detach(&mut self) {
        if let Repr::Shared(bytes) = &mut self.0 {
            *bytes = Bytes::copy_from_slice(bytes);
        }
    }
}

impl Deref for Binary {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline(bytes) => bytes,
            Repr::Shared(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Binary {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for Binary {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl Default for Binary {
    /// No bytes.
    fn default() -> Self {
        Self(Repr::Inline(Inline::EMPTY))
    }
}

impl From<Bytes> for Binary {
    /// Shares the bytes, unless they are short.
    fn from(bytes: Bytes) -> Self {
        Self::inline(&bytes, bytes.len()).unwrap_or(Self(Repr::Shared(bytes)))
    }
}

impl From<Vec<u8>> for Binary {
    fn from(bytes: Vec<u8>) -> Self {
        Self::inline(&bytes, bytes.len()).unwrap_or_else(|| Self(Repr::Shared(bytes.into())))
    }
}

impl From<String> for Binary {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&[u8]> for Binary {
    fn from(bytes: &[u8]) -> Self {
        Self::copied(bytes)
    }
}

impl<const N: usize> From<&[u8; N]> for Binary {
    fn from(bytes: &[u8; N]) -> Self {
        Self::copied(bytes)
    }
}

impl From<&str> for Binary {
    fn from(text: &str) -> Self {
        Self::copied(text.as_bytes())
    }
}

impl From<Binary> for Bytes {
    fn from(binary: Binary) -> Self {
        binary.into_bytes()
    }
}

impl FromIterator<u8> for Binary {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        Vec::from_iter(bytes).into()
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Binary {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

impl PartialEq<Binary> for [u8] {
    fn eq(&self, other: &Binary) -> bool {
        *self == **other
    }
}

impl Eq for Binary {}

impl PartialOrd for Binary {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Binary {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(other)
    }
}

impl Hash for Binary {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Binary {
    /// As a literal of bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    /// From every type that it can be made of, and out of the middle of a buffer.
    fn all_of(bytes: &[u8]) -> Vec<Binary> {
        let buffer = [b"before ", bytes, b" and much that comes behind it"].concat();
        let mut all = vec![
            Binary::from(bytes),
            Binary::from(bytes.to_vec()),
            Binary::from(Bytes::from(buffer.clone()).slice(7..7 + bytes.len())),
            bytes.iter().copied().collect(),
        ];
        all.extend(Binary::inline(&buffer[7..], bytes.len()));
        all.extend(std::str::from_utf8(bytes).ok().map(Binary::from));
        all.extend(std::str::from_utf8(bytes).ok().map(|text| Binary::from(text.to_owned())));
        all
    }

    #[test]
    fn it_is_its_bytes_however_it_was_made() {
        let hasher = RandomState::new();
        let lengths = [0, 1, 5, 15, 16, 22, 23, 24, 25, 300];
        for (at, length) in lengths.into_iter().enumerate() {
            let bytes = vec![b'x'; length];
            for binary in all_of(&bytes) {
                assert_eq!(binary, bytes);
                assert_eq!((&*binary, binary.as_ref()), (&*bytes, &*bytes));
                assert_eq!(hasher.hash_one(&binary), hasher.hash_one(&*bytes));
                assert_eq!(binary.retained(), if length > 23 { length } else { 0 });
                assert_eq!(binary.clone().into_bytes(), bytes);
                for (other_at, other) in lengths.into_iter().enumerate() {
                    let other = Binary::from(vec![b'x'; other]);
                    assert_eq!(binary.cmp(&other), at.cmp(&other_at));
                    assert_eq!(binary == other, at == other_at);
                }
            }
        }
        assert_eq!(Binary::default(), []);
        let (greater, longer) = (Binary::from("b"), Binary::from(vec![b'a'; 100]));
        assert!(greater > longer);
        assert_eq!(format!("{:?}", Binary::from(b"a\"\0")), r#"b"a\"\x00""#);
    }

    #[test]
    fn a_short_one_keeps_nothing_alive() {
        let buffer = Bytes::from(vec![7; 100]);
        let short = Binary::from(buffer.slice(10..33));
        assert!(buffer.is_unique());
        let long = Binary::from(buffer.slice(10..34));
        assert!(!buffer.is_unique());
        assert_eq!(short, long[1..]);
    }
}
