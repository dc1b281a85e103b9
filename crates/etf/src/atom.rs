use std::borrow::Borrow;
use std::fmt;

use smol_str::SmolStr;
use thiserror::Error;

/// An atom: a name of at most 255 characters.
///
/// Short names (up to 23 bytes) are stored inline, longer ones behind a reference count, so a clone never copies
/// text. There is no global table: an atom that a peer sends lives as long as the terms that mention it.
///
/// `Display` quotes as Erlang does (`'hello world'`, `'Elixir.Enum'`); [`Atom::as_str`] is the bare text.
/// The order is Erlang's, by code points.
///
/// ```
/// let atom = etf::Atom::new("hello world").unwrap();
/// assert_eq!(atom.as_str(), "hello world");
/// assert_eq!(atom.to_string(), "'hello world'");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Atom(SmolStr);

impl Atom {
    /// The greatest number of characters (not bytes) that an atom may have.
    pub const MAX_CHARS: usize = 255;

    /// Texts of up to this many bytes are stored inline.
    pub(crate) const INLINE: usize = 23;

    /// An atom of that text, which may be empty.
    ///
    /// # Errors
    /// When the text has more than 255 characters.
    pub fn new(text: impl AsRef<str>) -> Result<Self, AtomError> {
        let text = text.as_ref();
        // No character is shorter than a byte, so most texts need not be counted.
        if text.len() > Self::MAX_CHARS && text.chars().nth(Self::MAX_CHARS).is_some() {
            return Err(AtomError::TooLong { chars: text.chars().count() });
        }
        Ok(Self(SmolStr::new(text)))
    }

    /// An atom of a literal, without an allocation.
    ///
    /// # Panics
    /// When the literal has more than 255 characters; at compile time where the call is in a constant.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        assert!(
            char_count(text.as_bytes()) <= Self::MAX_CHARS,
            "an atom has at most 255 characters"
        );
        Self(SmolStr::new_static(text))
    }

    /// An atom of the first so many bytes of these, if they are a text that is stored inline.
    #[inline]
    pub(crate) fn inline(bytes: &[u8], length: usize) -> Option<Self> {
        /// In this place it takes few steps to see that a text is ASCII.
        #[repr(align(8))]
        struct Aligned([u8; 16]);

        if let Some(padded) = padded(bytes, length) {
            let aligned = Aligned(padded.to_le_bytes());
            return Some(Self(SmolStr::new(std::str::from_utf8(&aligned.0).ok()?.get(..length)?)));
        }
        if length > Self::INLINE {
            return None;
        }
        Some(Self(SmolStr::new(std::str::from_utf8(bytes.get(..length)?).ok()?)))
    }

    /// The text, without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// A number that is the same for equal atoms and mostly differs for others: where an atom belongs
    /// in a small table. Cheap, and nothing to defend a table with against chosen atoms.
    #[doc(hidden)]
    #[must_use]
    pub fn spread(&self) -> u32 {
        // The ends tell most atoms apart; what is in the middle of a long one does not matter here.
        let text = self.as_str().as_bytes();
        let part = |bytes: &[u8]| bytes.iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        let start = text.first_chunk::<8>().map_or_else(|| part(text), |eight| part(eight));
        let end = text.last_chunk::<8>().map_or(0, |eight| part(eight));
        let mixed =
            (start ^ end.rotate_left(29) ^ text.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        u32::try_from(mixed >> 32).unwrap_or_default()
    }

    /// Bytes on the heap that this atom holds alive: none when the text is inline.
    pub(crate) fn heap_size(&self) -> usize {
        if self.0.is_heap_allocated() { self.0.len() + 2 * size_of::<usize>() } else { 0 }
    }
}

/// The first so many bytes of these, 1 to 16, with zeros behind them; `None` where not so many follow that they can be
/// taken all at once.
#[inline]
pub(crate) fn padded(bytes: &[u8], length: usize) -> Option<u128> {
    let spare = 16_usize.checked_sub(length).filter(|spare| *spare < 16)?;
    Some(u128::from_le_bytes(*bytes.first_chunk()?) & (u128::MAX >> (8 * spare)))
}

/// Why a text is not an atom.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AtomError {
    /// More than 255 characters.
    #[error("an atom has at most 255 characters, not {chars}")]
    TooLong {
        /// How many characters the text has.
        chars: usize,
    },
}

/// Characters of a UTF-8 text: every byte that does not continue one.
const fn char_count(mut utf8: &[u8]) -> usize {
    let mut count = 0;
    while let [byte, rest @ ..] = utf8 {
        if *byte & 0xc0 != 0x80 {
            count += 1;
        }
        utf8 = rest;
    }
    count
}

impl fmt::Debug for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Atom({self})")
    }
}

impl AsRef<str> for Atom {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Atom {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Atom {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Atom {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl TryFrom<&str> for Atom {
    type Error = AtomError;

    fn try_from(text: &str) -> Result<Self, AtomError> {
        Self::new(text)
    }
}

impl From<bool> for Atom {
    fn from(value: bool) -> Self {
        Self::from_static(if value { "true" } else { "false" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const _: Atom = Atom::from_static("checked at compile time");

    #[test]
    fn counts_characters_and_not_bytes() {
        let widest = "é".repeat(255);
        assert_eq!(Atom::new(&widest).unwrap().as_str(), widest);
        assert_eq!(Atom::new("é".repeat(256)), Err(AtomError::TooLong { chars: 256 }));
        assert_eq!(char_count(widest.as_bytes()), 255);
        assert_eq!(Atom::new("").unwrap().as_str(), "");
    }

    #[test]
    fn short_text_is_inline_and_long_text_shared() {
        assert_eq!(Atom::new("n".repeat(23)).unwrap().heap_size(), 0);
        assert!(Atom::new("n".repeat(24)).unwrap().heap_size() >= 24);
        assert_eq!(Atom::from_static("a literal that is longer than inline").heap_size(), 0);
    }
}
