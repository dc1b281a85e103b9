//! Channel names: checked once, quoted in one place.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a notification channel: 1 to 63 bytes of UTF-8 without NUL.
///
/// Postgres truncates a longer name in `LISTEN` (with a notice) and refuses it in `pg_notify`, so
/// that the two would never meet: a longer name is refused here. The name is taken as it stands. It
/// is always quoted, so upper case and lower case are two channels, as in `LISTEN "Name"`.
///
/// Cheap to clone.
///
/// ```
/// use pgnotify::Channel;
///
/// let channel = Channel::new("My channel")?;
/// assert_eq!(channel.as_str(), "My channel");
/// assert_eq!(channel.quoted(), "\"My channel\"");
/// assert!(Channel::new("x".repeat(64)).is_err());
/// # Ok::<(), pgnotify::ChannelError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(Arc<str>);

impl Channel {
    /// Longest name in bytes: `NAMEDATALEN - 1`.
    pub const MAX_BYTES: usize = 63;

    /// Checks a name.
    pub fn new(name: impl AsRef<str>) -> Result<Self, ChannelError> {
        let name = name.as_ref();
        if name.is_empty() {
            Err(ChannelError::Empty)
        } else if name.len() > Self::MAX_BYTES {
            Err(ChannelError::TooLong { bytes: name.len() })
        } else if name.contains('\0') {
            Err(ChannelError::Nul)
        } else {
            Ok(Self(name.into()))
        }
    }

    /// The name as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as an SQL identifier: in double quotes, quotes in it doubled.
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl AsRef<str> for Channel {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Channel {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Channel {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Channel {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl FromStr for Channel {
    type Err = ChannelError;

    fn from_str(name: &str) -> Result<Self, ChannelError> {
        Self::new(name)
    }
}

impl TryFrom<&str> for Channel {
    type Error = ChannelError;

    fn try_from(name: &str) -> Result<Self, ChannelError> {
        Self::new(name)
    }
}

impl TryFrom<String> for Channel {
    type Error = ChannelError;

    fn try_from(name: String) -> Result<Self, ChannelError> {
        Self::new(name)
    }
}

/// Why a string is not a [`Channel`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The name is empty.
    #[error("a channel name cannot be empty")]
    Empty,
    /// The name is longer than [`Channel::MAX_BYTES`].
    #[error("a channel name has at most 63 bytes, this one has {bytes}")]
    TooLong {
        /// Length of the name in bytes.
        bytes: usize,
    },
    /// The name contains a NUL character.
    #[error("a channel name cannot contain a NUL character")]
    Nul,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_limit_is_in_bytes() {
        assert!(Channel::new("é".repeat(31)).is_ok());
        assert_eq!(Channel::new("é".repeat(32)), Err(ChannelError::TooLong { bytes: 64 }));
        assert!(Channel::new("x".repeat(63)).is_ok());
    }

    #[test]
    fn empty_and_nul_are_refused() {
        assert_eq!(Channel::new(""), Err(ChannelError::Empty));
        assert_eq!(Channel::new("a\0b"), Err(ChannelError::Nul));
    }

    proptest! {
        /// No name can end its own quotes: between the outer quotes every quote is one of a pair.
        #[test]
        fn quoting_is_undone_by_the_server(name in "[\"a-zA-Z é;-]{1,30}") {
            let quoted = Channel::new(&name).unwrap().quoted();
            let inner = quoted.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
            prop_assert!(!inner.replace("\"\"", "").contains('"'));
            prop_assert_eq!(inner.replace("\"\"", "\""), name);
        }
    }
}
