//! The name of the Postgres channel that a cluster meets on.

use std::fmt;

/// The most bytes of an identifier that Postgres keeps (`NAMEDATALEN - 1`).
pub const MAX_CHANNEL_BYTES: usize = 63;

/// A channel as libcluster_postgres names it: given, or derived from the cookie.
///
/// A derived channel very nearly *is* the cookie, so `Debug` and `Display` do not show it.
///
/// ```
/// let channel = beamjoin::ChannelName::from_cookie("my-cookie.1")?;
/// assert_eq!(channel.as_str(), "my_cookie_1");
/// assert_eq!(channel.to_string(), "derived from the cookie");
/// # Ok::<(), beamjoin::ChannelError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ChannelName {
    name: String,
    derived: bool,
    truncated: bool,
}

impl ChannelName {
    /// A channel that was named in so many words (`channel_name`).
    ///
    /// Postgres keeps the first 63 bytes of an identifier in LISTEN and NOTIFY alike, so Elixir nodes that were given a
    /// longer name meet on the cut one, and so does this node.
    ///
    /// # Errors
    /// An empty name, and one with a NUL byte, which Postgres cannot carry.
    pub fn explicit(name: &str) -> Result<Self, ChannelError> {
        if name.is_empty() {
            return Err(ChannelError::Empty);
        }
        if name.contains('\0') {
            return Err(ChannelError::Nul);
        }
        Ok(Self::cut(name, false))
    }

    /// The channel of nodes that were given none: the cookie with every byte but ASCII letters, digits and `_` replaced
    /// by `_` (libcluster_postgres `lib/strategy.ex`, `clean_cookie/1`).
    ///
    /// # Errors
    /// An empty cookie, and one that is not ASCII: what `\W` matches there differs between OTP 27 and 28, so the nodes
    /// of one cluster may not agree on a channel, and Postgres refuses some of the results as invalid UTF-8.
    pub fn from_cookie(cookie: &str) -> Result<Self, ChannelError> {
        if cookie.is_empty() {
            return Err(ChannelError::Empty);
        }
        if !cookie.is_ascii() {
            return Err(ChannelError::CookieNotAscii);
        }
        let keep = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
        Ok(Self::cut(&cookie.chars().map(keep).collect::<String>(), true))
    }

    fn cut(name: &str, derived: bool) -> Self {
        let fits = |(at, c): &(usize, char)| at + c.len_utf8() <= MAX_CHANNEL_BYTES;
        let kept: String = name.char_indices().take_while(fits).map(|(_, c)| c).collect();
        Self { truncated: kept.len() < name.len(), name: kept, derived }
    }

    /// The channel itself, 1 to 63 bytes. A secret when [`is_derived`](Self::is_derived).
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Whether it came from the cookie and must be kept out of logs.
    pub fn is_derived(&self) -> bool {
        self.derived
    }

    /// What may keep other nodes from being heard on this channel.
    pub fn warnings(&self) -> impl Iterator<Item = ChannelWarning> {
        let upper = self.name.chars().any(char::is_uppercase);
        [
            self.truncated.then_some(ChannelWarning::Truncated),
            upper.then_some(ChannelWarning::UpperCase),
            self.name.contains('"').then_some(ChannelWarning::Quote),
        ]
        .into_iter()
        .flatten()
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.derived {
            f.write_str("derived from the cookie")
        } else {
            write!(f, "{:?}", self.name)
        }
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelName({self})")
    }
}

/// Why there is no channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// Nothing was given, or the cookie is empty.
    #[error("a channel name has at least one character")]
    Empty,
    /// Postgres cannot carry a NUL byte.
    #[error("a channel name has no NUL byte")]
    Nul,
    /// OTP 27 and OTP 28 derive different channels from such a cookie.
    #[error(
        "no channel can be derived from a cookie that is not ASCII, because OTP releases derive different ones: \
         set channel_name here and on the Elixir nodes"
    )]
    CookieNotAscii,
}

/// Something about a channel that works here and not everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelWarning {
    /// It had more than 63 bytes.
    Truncated,
    /// It has upper-case letters.
    UpperCase,
    /// It has a double quote.
    Quote,
}

impl fmt::Display for ChannelWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => {
                "the channel name is over 63 bytes; Postgres cuts it there, and so does this node"
            }
            Self::UpperCase => {
                "the channel name has upper-case letters; libcluster_postgres 0.1, Supavisor and Logflare announce \
                 without quoting it, Postgres folds that to lower case, and such nodes are not heard"
            }
            Self::Quote => {
                "the channel name has a double quote, which libcluster_postgres does not escape: \
                 its nodes cannot use this channel"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn derived(cookie: &str) -> String {
        ChannelName::from_cookie(cookie).unwrap().as_str().to_owned()
    }

    #[test]
    fn a_cookie_is_cleaned_as_libcluster_postgres_cleans_it() {
        // Each pair was printed by `String.replace(cookie, ~r/\W/, "_")` on Elixir 1.14, OTP 25.
        assert_eq!(derived("my-cookie.1"), "my_cookie_1");
        assert_eq!(derived("MONSTER_cookie"), "MONSTER_cookie");
        assert_eq!(derived("a b\tc"), "a_b_c");
        assert_eq!(derived("--"), "__");
        assert_eq!(derived("x\"y'z"), "x_y_z");
    }

    #[test]
    fn a_cookie_that_is_not_ascii_needs_a_channel_name() {
        assert_eq!(ChannelName::from_cookie("gehäim"), Err(ChannelError::CookieNotAscii));
        assert_eq!(ChannelName::from_cookie(""), Err(ChannelError::Empty));
    }

    #[test]
    fn a_derived_channel_is_not_shown() {
        let channel = ChannelName::from_cookie("hush").unwrap();
        assert!(!format!("{channel} {channel:?}").contains("hush"));
        assert!(channel.is_derived());
        assert_eq!(ChannelName::explicit("cluster").unwrap().to_string(), "\"cluster\"");
    }

    #[test]
    fn what_postgres_cuts_is_cut_and_said() {
        let channel = ChannelName::explicit(&"é".repeat(40)).unwrap();
        assert_eq!(channel.as_str(), "é".repeat(31));
        assert_eq!(channel.warnings().collect::<Vec<_>>(), [ChannelWarning::Truncated]);
        let whole = ChannelName::explicit(&"c".repeat(63)).unwrap();
        assert_eq!((whole.as_str().len(), whole.warnings().count()), (63, 0));
    }

    #[test]
    fn what_other_strategies_cannot_hear_is_said() {
        let warnings = |name| ChannelName::explicit(name).unwrap().warnings().collect::<Vec<_>>();
        assert_eq!(warnings("Cluster"), [ChannelWarning::UpperCase]);
        assert_eq!(warnings("a\"b"), [ChannelWarning::Quote]);
        assert_eq!(warnings("cluster_1"), []);
        assert_eq!(ChannelName::explicit("a\0b"), Err(ChannelError::Nul));
    }

    proptest! {
        #[test]
        fn derived_channels_are_plain_identifiers(cookie in "[ -~]{1,300}") {
            let channel = ChannelName::from_cookie(&cookie).unwrap();
            prop_assert!(channel.as_str().len() <= MAX_CHANNEL_BYTES);
            prop_assert_eq!(channel.as_str().len(), cookie.len().min(MAX_CHANNEL_BYTES));
            prop_assert!(channel.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        }
    }
}
