use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use thiserror::Error;

use crate::inline::{Inline, starts_with_ascii};

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
#[derive(Clone)]
pub struct Atom(Text);

#[derive(Clone)]
enum Text {
    /// UTF-8; as bytes, because a decoder puts many here and few are looked at as a text.
    Inline(Inline),
    Static(&'static str),
    Shared(Arc<str>),
}

const _: () = assert!(size_of::<Atom>() == 24);

impl Atom {
    /// The greatest number of characters (not bytes) that an atom may have.
    pub const MAX_CHARS: usize = 255;

    /// Texts of up to this many bytes are stored inline.
    pub(crate) const INLINE: usize = Inline::MAX;

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
        let inline = Inline::new(text.as_bytes(), text.len());
        Ok(Self(inline.map_or_else(|| Text::Shared(text.into()), Text::Inline)))
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
        Self(Text::Static(text))
    }

    /// An atom of the first so many bytes of these, which are ASCII and few enough to be stored inline.
    #[inline]
    pub(crate) fn of_ascii(bytes: &[u8], length: usize) -> Self {
        debug_assert!(starts_with_ascii(bytes, length));
        Self(Text::Inline(Inline::new(bytes, length).unwrap_or(Inline::EMPTY)))
    }

    /// The text, without quotes.
    #[must_use]
    #[expect(clippy::expect_used, reason = "every way to make one has checked the bytes")]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Inline(bytes) => std::str::from_utf8(bytes).expect("an atom is UTF-8"),
            Text::Static(text) => text,
            Text::Shared(text) => text,
        }
    }

    /// The text in UTF-8: quicker to have than [`Atom::as_str`], which checks a short one again.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Inline(bytes) => bytes,
            Text::Static(text) => text.as_bytes(),
            Text::Shared(text) => text.as_bytes(),
        }
    }

    /// The text that is stored inline, or the one that is elsewhere.
    #[inline]
    pub(crate) fn parts(&self) -> Result<&Inline, &str> {
        match &self.0 {
            Text::Inline(bytes) => Ok(bytes),
            Text::Static(text) => Err(text),
            Text::Shared(text) => Err(text),
        }
    }

    /// A number that is the same for equal atoms and mostly differs for others: where an atom belongs
    /// in a small table. Cheap, and nothing to defend a table with against chosen atoms.
    #[doc(hidden)]
    #[must_use]
    pub fn spread(&self) -> u32 {
        u32::try_from(spread(self.as_bytes()) >> 32).unwrap_or_default()
    }

    /// Bytes that this holds alive beside itself: none when the text is stored inline. Equal atoms hold the same: a long literal
    /// counts as if it were a copy.
    #[must_use]
    pub fn retained(&self) -> usize {
        let length = self.as_bytes().len();
        if length > Self::INLINE { length + 2 * size_of::<usize>() } else { 0 }
    }
}

/// A number that is the same for equal bytes and mostly differs for others, in its higher half more than in the lower.
#[inline]
pub(crate) fn spread(bytes: &[u8]) -> u64 {
    // The ends tell most apart; what is in the middle of a long one does not matter here.
    let part = |bytes: &[u8]| bytes.iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
    let start = bytes.first_chunk::<8>().map_or_else(|| part(bytes), |eight| part(eight));
    let end = bytes.last_chunk::<8>().map_or(0, |eight| part(eight));
    (start ^ end.rotate_left(29) ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
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

impl PartialEq for Atom {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Atom {}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Atom {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Atom {
    /// As its text, which it can be looked up by.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
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
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Atom {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
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
        assert_eq!(Atom::new("n".repeat(23)).unwrap().retained(), 0);
        assert!(Atom::new("n".repeat(24)).unwrap().retained() >= 24);
        let literal = "a literal that is longer than inline";
        let (long, copied) = (Atom::from_static(literal), Atom::new(literal).unwrap());
        assert_eq!(long.retained(), copied.retained());
        assert_eq!(Atom::from_static("short").retained(), 0);
    }
}
