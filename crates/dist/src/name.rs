//! Node names.

use std::borrow::Borrow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use etf::Atom;

/// The name of a node, `base@host`: 3 to 255 bytes of printable ASCII with exactly one `@`.
///
/// Distribution sends names as Latin-1 in one message and as UTF-8 in another, and a name of 256
/// bytes or more stops other nodes' discovery, so only ASCII is accepted and every name is checked
/// before anything is done with it. Names are compared byte by byte, as the BEAM compares atoms: which of two nodes yields
/// in a simultaneous connect depends on this order.
///
/// ```
/// use dist::NodeName;
///
/// let name: NodeName = "rust@10.0.0.4".parse()?;
/// assert_eq!((name.base(), name.host()), ("rust", "10.0.0.4"));
/// assert!(name.is_long_host());
/// assert!("rust".parse::<NodeName>().is_err());
/// # Ok::<(), dist::NodeNameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeName(Atom);

impl NodeName {
    /// The most bytes a name may have, and the host that a node without a name sends.
    pub const MAX_LEN: usize = 255;

    /// Checks `name` and takes it.
    ///
    /// # Errors
    ///
    /// [`NodeNameError`] says which rule the name breaks.
    pub fn new(name: impl AsRef<str>) -> Result<Self, NodeNameError> {
        let name = name.as_ref();
        check_text(name)?;
        let (base, host) = name.split_once('@').ok_or(NodeNameError::NoAt)?;
        if host.contains('@') {
            return Err(NodeNameError::TwoAts);
        }
        if base.is_empty() {
            return Err(NodeNameError::EmptyBase);
        }
        if host.is_empty() {
            return Err(NodeNameError::EmptyHost);
        }
        Atom::new(name).map(Self).map_err(|_| NodeNameError::TooLong { len: name.len() })
    }

    /// Puts the two halves together.
    ///
    /// # Errors
    ///
    /// [`NodeNameError`] when the two do not make a name.
    pub fn from_parts(base: &str, host: &str) -> Result<Self, NodeNameError> {
        Self::new(format!("{base}@{host}"))
    }

    /// Takes a name whose parts were checked before.
    #[expect(clippy::expect_used, reason = "the caller has checked the parts and the length")]
    pub(crate) fn from_checked(name: &str) -> Self {
        Self::new(name).expect("the parts of the name were checked")
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// What stands before the `@`: the name that EPMD knows.
    #[must_use]
    pub fn base(&self) -> &str {
        self.halves().0
    }

    /// What stands after the `@`: where the node's EPMD is looked for.
    #[must_use]
    pub fn host(&self) -> &str {
        self.halves().1
    }

    /// Whether this is what OTP calls a long name: the host has a dot, or is an IP address.
    ///
    /// A node started with `-name` refuses to dial a host for which this is false, one started with
    /// `-sname` a host with a dot (`net_kernel.erl`, `setup_check`); neither checks when it accepts.
    #[must_use]
    pub fn is_long_host(&self) -> bool {
        let host = self.host();
        host.contains('.') || host.parse::<IpAddr>().is_ok()
    }

    /// The name as it stands in pids and references.
    #[must_use]
    pub fn as_atom(&self) -> &Atom {
        &self.0
    }

    fn halves(&self) -> (&str, &str) {
        self.as_str().split_once('@').unwrap_or((self.as_str(), ""))
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeName({})", self.as_str())
    }
}

impl AsRef<str> for NodeName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for NodeName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl FromStr for NodeName {
    type Err = NodeNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl TryFrom<&str> for NodeName {
    type Error = NodeNameError;

    fn try_from(name: &str) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl TryFrom<&Atom> for NodeName {
    type Error = NodeNameError;

    fn try_from(name: &Atom) -> Result<Self, Self::Error> {
        Self::new(name.as_str())
    }
}

impl From<NodeName> for Atom {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl From<&NodeName> for Atom {
    fn from(name: &NodeName) -> Self {
        name.0.clone()
    }
}

impl PartialEq<str> for NodeName {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for NodeName {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

/// Checks the host that a node without a name of its own sends ([`NAME_ME`](crate::Flags::NAME_ME)).
pub(crate) fn check_host(host: &str) -> Result<(), NodeNameError> {
    check_text(host)?;
    if host.contains('@') { Err(NodeNameError::TwoAts) } else { Ok(()) }
}

fn check_text(text: &str) -> Result<(), NodeNameError> {
    if text.is_empty() {
        return Err(NodeNameError::Empty);
    }
    if text.len() > NodeName::MAX_LEN {
        return Err(NodeNameError::TooLong { len: text.len() });
    }
    match text.bytes().find(|b| !b.is_ascii_graphic()) {
        Some(byte) => Err(NodeNameError::BadByte { byte }),
        None => Ok(()),
    }
}

/// Why a text is not a node name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeNameError {
    /// Nothing at all.
    #[error("the node name is empty")]
    Empty,
    /// More than [`NodeName::MAX_LEN`] bytes.
    #[error("the node name has {len} bytes, at most 255 are allowed")]
    TooLong {
        /// How many bytes it has.
        len: usize,
    },
    /// A space, a control character or a byte that is not ASCII.
    #[error(
        "the node name contains the byte 0x{byte:02x}; only printable ASCII without spaces is allowed"
    )]
    BadByte {
        /// The first such byte.
        byte: u8,
    },
    /// No `@`.
    #[error("the node name has no @; it must be base@host")]
    NoAt,
    /// More than one `@`.
    #[error("the node name has more than one @; it must be base@host")]
    TwoAts,
    /// Nothing before the `@`.
    #[error("nothing stands before the @ of the node name")]
    EmptyBase,
    /// Nothing after the `@`.
    #[error("nothing stands after the @ of the node name")]
    EmptyHost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_otp_takes() {
        for (name, base, host, long) in [
            ("a@b", "a", "b", false),
            ("n1@127.0.0.1", "n1", "127.0.0.1", true),
            ("n1@db.example.org", "n1", "db.example.org", true),
            ("realtime@fdaa:0:1::3", "realtime", "fdaa:0:1::3", true),
            ("we-ird_/.:*@h", "we-ird_/.:*", "h", false),
        ] {
            let name: NodeName = name.parse().unwrap();
            assert_eq!((name.base(), name.host(), name.is_long_host()), (base, host, long));
        }
    }

    #[test]
    fn says_which_rule_is_broken() {
        let long = format!("{}@h", "a".repeat(254));
        for (name, error) in [
            ("", NodeNameError::Empty),
            ("a", NodeNameError::NoAt),
            ("a@", NodeNameError::EmptyHost),
            ("@b", NodeNameError::EmptyBase),
            ("@", NodeNameError::EmptyBase),
            ("a@b@c", NodeNameError::TwoAts),
            ("a@@c", NodeNameError::TwoAts),
            ("a b@c", NodeNameError::BadByte { byte: b' ' }),
            ("a@b\n", NodeNameError::BadByte { byte: b'\n' }),
            ("\u{e9}@b", NodeNameError::BadByte { byte: 0xc3 }),
            (long.as_str(), NodeNameError::TooLong { len: 256 }),
        ] {
            assert_eq!(NodeName::new(name), Err(error), "{name:?}");
        }
        assert!(NodeName::new(&long[1..]).is_ok());
    }

    #[test]
    fn is_an_atom() {
        let name = NodeName::new("a@b").unwrap();
        assert_eq!(name.as_atom().as_str(), "a@b");
        assert_eq!(NodeName::try_from(&Atom::from(&name)), Ok(name));
        assert_eq!(NodeName::try_from(&Atom::new("rex").unwrap()), Err(NodeNameError::NoAt));
    }

    #[test]
    fn orders_as_atoms_do() {
        let mut names = ["b@a", "a@b", "B@a", "a@a"].map(|n| NodeName::new(n).unwrap());
        names.sort();
        assert_eq!(names.map(|n| n.to_string()), ["B@a", "a@a", "a@b", "b@a"]);
    }
}
