//! What was heard on the channel, before anything is done about it.

use std::fmt;

use dist::NodeName;

/// The longest name that is read: OTP's limit, and what crashes an Elixir node's strategy begins one byte later.
pub(super) const MAX_NAME_BYTES: usize = 255;

/// What became of one announcement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A name that was not in the table; it will be dialled.
    New(NodeName),
    /// A name that is in the table already.
    Again(NodeName),
    /// Our own announcement.
    Own,
    /// Nothing to dial; `count` payloads have been ignored for this reason so far, this one included.
    Ignored {
        /// The reason.
        why: Ignored,
        /// How many so far.
        count: u64,
    },
}

/// Why a payload is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ignored {
    /// No bytes at all.
    Empty,
    /// Over 255 bytes.
    TooLong,
    /// Not UTF-8.
    NotUtf8,
    /// Not `base@host` in printable ASCII.
    NotAName,
    /// Our own name but for upper and lower case: another node could not be told from us.
    OwnNameInOtherCase,
    /// It matches none of the patterns that are allowed.
    NotAllowed,
    /// More new names a second than the limit.
    TooManyNew,
    /// The table is full of names that are connected or being dialled.
    TableFull,
}

impl Ignored {
    pub(super) const COUNT: usize = 8;

    /// One word for it, such as `not_a_name`: for counters.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too_long",
            Self::NotUtf8 => "not_utf8",
            Self::NotAName => "not_a_name",
            Self::OwnNameInOtherCase => "own_name_in_other_case",
            Self::NotAllowed => "not_allowed",
            Self::TooManyNew => "too_many_new",
            Self::TableFull => "table_full",
        }
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it is empty",
            Self::TooLong => "it is over 255 bytes",
            Self::NotUtf8 => "it is not UTF-8",
            Self::NotAName => "it is not a node name (base@host)",
            Self::OwnNameInOtherCase => "it is our own name in other case",
            Self::NotAllowed => "no pattern allows it",
            Self::TooManyNew => "too many new names are announced",
            Self::TableFull => "the table of names is full",
        })
    }
}

/// Reads a payload as libcluster_postgres writes it: the bare node name.
///
/// # Errors
/// The first reason that it is none, checked before anything is allocated for it.
pub fn parse_announcement(payload: &[u8]) -> Result<NodeName, Ignored> {
    if payload.is_empty() {
        return Err(Ignored::Empty);
    }
    if payload.len() > MAX_NAME_BYTES {
        return Err(Ignored::TooLong);
    }
    let text = str::from_utf8(payload).map_err(|_| Ignored::NotUtf8)?;
    // What a reader before us put in the place of such bytes.
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Ignored::NotUtf8);
    }
    NodeName::try_from(text).map_err(|_| Ignored::NotAName)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_that_are_no_names() {
        let why = |payload: &[u8]| parse_announcement(payload).unwrap_err();
        assert_eq!(why(b""), Ignored::Empty);
        assert_eq!(why(format!("a@{}", "h".repeat(254)).as_bytes()), Ignored::TooLong);
        assert_eq!(why(b"a\xff@host"), Ignored::NotUtf8);
        assert_eq!(why("a\u{fffd}@host".as_bytes()), Ignored::NotUtf8);
        for bad in
            ["nohost", "@host", "base@", "a@b@c", "a b@host", "a@ho\nst", "ä@host", "a@\u{7f}"]
        {
            assert_eq!(why(bad.as_bytes()), Ignored::NotAName, "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_read() {
        let name = format!("a@{}", "h".repeat(253));
        assert_eq!(parse_announcement(name.as_bytes()).unwrap().as_str(), name);
    }
}
