//! Terms that mean something only to a BEAM: kept as the bytes of the wire, to be sent on.

use std::fmt;

use bytes::Bytes;

/// A closure (NEW_FUN_EXT), kept as bytes that any other frame can carry: atoms in full, sizes right.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fun(pub(crate) Bytes);

/// An external fun, `fun m:f/1` (EXPORT_EXT), kept as bytes that any other frame can carry.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Export(pub(crate) Bytes);

/// A native record of OTP 29 (RECORD_EXT), kept as bytes that any other frame can carry.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record(pub(crate) Bytes);

impl Fun {
    /// The external term format of it, without the leading 131.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl Export {
    /// The external term format of it, without the leading 131.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl Record {
    /// The external term format of it, without the leading 131.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Fun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fun({} bytes)", self.0.len())
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Export({} bytes)", self.0.len())
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({} bytes)", self.0.len())
    }
}
