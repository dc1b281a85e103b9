//! Distribution flags: what each side of a connection can do.

use std::fmt;
use std::ops::{BitAnd, BitOr};

/// A set of distribution capabilities (`DFLAG_*` in OTP's `dist.hrl`).
///
/// Each side sends its own in the handshake; what both have (the bitwise AND) decides how the
/// two talk, also about framing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u64);

/// The one table of flags: `name = bit, "what it means"`.
macro_rules! flags {
    ($($name:ident = $bit:expr, $doc:literal;)*) => {
        impl Flags {
            $(#[doc = $doc] pub const $name: Self = Self($bit);)*
        }

        /// Every flag we know, by rising bit.
        const TABLE: &[(u64, &str)] = &[$(($bit, stringify!($name)),)*];
    };
}

flags! {
    PUBLISHED = 0x1, "The node is visible; hidden when clear.";
    ATOM_CACHE = 0x2, "An atom cache that no OTP in use has.";
    EXTENDED_REFERENCES = 0x4, "References of several words.";
    DIST_MONITOR = 0x8, "Monitors between nodes.";
    FUN_TAGS = 0x10, "Funs have a tag of their own.";
    DIST_MONITOR_NAME = 0x20, "Monitors of a registered name.";
    HIDDEN_ATOM_CACHE = 0x40, "An atom cache that no OTP in use has.";
    NEW_FUN_TAGS = 0x80, "Funs in the form of tag 112.";
    EXTENDED_PIDS_PORTS = 0x100, "Pids and ports with wide numbers.";
    EXPORT_PTR_TAG = 0x200, "External funs, tag 113.";
    BIT_BINARIES = 0x400, "Binaries whose length is no multiple of 8 bits, tag 77.";
    NEW_FLOATS = 0x800, "Floats as IEEE 754, tag 70.";
    UNICODE_IO = 0x1000, "The I/O protocol with Unicode.";
    DIST_HDR_ATOM_CACHE = 0x2000, "Distribution headers with an atom cache, `131,68`.";
    SMALL_ATOM_TAGS = 0x4000, "Atoms with a length of one byte.";
    UTF8_ATOMS = 0x1_0000, "Atoms in UTF-8.";
    MAP_TAG = 0x2_0000, "Maps, tag 116.";
    BIG_CREATION = 0x4_0000, "Creations of 32 bits.";
    SEND_SENDER = 0x8_0000, "Control messages 22 and 23, which name the sender.";
    BIG_SEQTRACE_LABELS = 0x10_0000, "Trace labels that are any term.";
    EXIT_PAYLOAD = 0x40_0000, "Control messages 24 to 28, the exit reason as payload.";
    FRAGMENTS = 0x80_0000, "Messages in fragments, `131,69` and `131,70`.";
    HANDSHAKE_23 = 0x100_0000, "The handshake of OTP 23 (messages `N`).";
    UNLINK_ID = 0x200_0000, "Control messages 35 and 36, unlink with acknowledgement.";
    MANDATORY_25_DIGEST = 0x400_0000, "Stands for all of [`Flags::MANDATORY_25`].";
    SPAWN = 1 << 32, "Control messages 29 to 32, remote spawn.";
    NAME_ME = 1 << 33, "The sender has no name yet and asks for one.";
    V4_NC = 1 << 34, "Pids, ports and references of the largest size.";
    ALIAS = 1 << 35, "Control messages 33 and 34, messages to an alias.";
    ALTACT_SIG = 1 << 37, "Control message 37 (OTP 28).";
    NATIVE_RECORDS = 1 << 38, "Records as terms, tag 67 (OTP 29).";
}

impl Flags {
    /// No flag.
    pub const EMPTY: Self = Self(0);

    /// What OTP 25 demands of every peer, and what
    /// [`MANDATORY_25_DIGEST`](Self::MANDATORY_25_DIGEST) stands for (`dist.hrl`).
    pub const MANDATORY_25: Self = Self::EXTENDED_REFERENCES
        .with(Self::FUN_TAGS)
        .with(Self::NEW_FUN_TAGS)
        .with(Self::EXTENDED_PIDS_PORTS)
        .with(Self::EXPORT_PTR_TAG)
        .with(Self::BIT_BINARIES)
        .with(Self::NEW_FLOATS)
        .with(Self::UTF8_ATOMS)
        .with(Self::MAP_TAG)
        .with(Self::BIG_CREATION)
        .with(Self::HANDSHAKE_23);

    /// What we demand of a peer: the forms in which we send terms whatever was negotiated.
    ///
    /// OTP 23 and everything later has these, and so have the foreign nodes that OTP 25 talks to.
    pub const MANDATORY: Self = Self::MANDATORY_25;

    /// What we offer: everything that our reader can read, and nothing else.
    ///
    /// [`PUBLISHED`](Self::PUBLISHED) is added by a visible node. Read, but not yet tried with an OTP
    /// that has them: [`ALTACT_SIG`](Self::ALTACT_SIG) (28) and
    /// [`NATIVE_RECORDS`](Self::NATIVE_RECORDS) (29).
    pub const OFFERED: Self = Self::MANDATORY_25
        .with(Self::MANDATORY_25_DIGEST)
        .with(Self::DIST_MONITOR)
        .with(Self::DIST_MONITOR_NAME)
        .with(Self::UNICODE_IO)
        .with(Self::DIST_HDR_ATOM_CACHE)
        .with(Self::SMALL_ATOM_TAGS)
        .with(Self::SEND_SENDER)
        .with(Self::BIG_SEQTRACE_LABELS)
        .with(Self::EXIT_PAYLOAD)
        .with(Self::FRAGMENTS)
        .with(Self::UNLINK_ID)
        .with(Self::SPAWN)
        .with(Self::V4_NC)
        .with(Self::ALIAS);

    /// The flags with these bits; bits that we do not know are kept.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits as they travel.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These without those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What these flags mean once the digest is written out (`dist_util.erl`,
    /// `expand_mandatory_25_flag`): OTP 25 and later may send the digest alone.
    #[must_use]
    pub const fn expanded(self) -> Self {
        if self.contains(Self::MANDATORY_25_DIGEST) { self.with(Self::MANDATORY_25) } else { self }
    }

    /// The names of the flags set here, by rising bit; an unknown bit is named by its number.
    pub fn names(self) -> impl Iterator<Item = FlagName> {
        (0..u64::BITS).map(|shift| 1u64 << shift).filter(move |bit| self.0 & bit != 0).map(FlagName)
    }

    /// The names of those in `required` that are not set here.
    #[must_use]
    pub fn missing_names(self, required: Self) -> Vec<FlagName> {
        required.without(self).names().collect()
    }
}

impl BitAnd for Flags {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("none");
        }
        for (i, name) in self.names().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{name}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({:#x}: {self})", self.0)
    }
}

/// One flag, which prints as its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlagName(u64);

impl FlagName {
    /// The flag itself.
    #[must_use]
    pub const fn flag(self) -> Flags {
        Flags(self.0)
    }

    /// The name, if this is a flag that we know.
    #[must_use]
    pub fn known(self) -> Option<&'static str> {
        TABLE.iter().find(|(bit, _)| *bit == self.0).map(|(_, name)| *name)
    }
}

impl fmt::Display for FlagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flags that live nodes sent in their first message (captured, visible nodes).
    const SENT: [(u32, u64); 4] =
        [(23, 0x1_01df_7fbd), (25, 0xd_07df_7fbd), (27, 0xd_07df_7fbd), (29, 0x6d_07df_7fbd)];

    #[test]
    fn the_table_names_every_bit_that_otp_sends() {
        for (otp, bits) in SENT {
            for name in Flags::from_bits(bits).names() {
                assert!(name.known().is_some(), "OTP {otp} sends {name}");
            }
        }
    }

    #[test]
    fn every_otp_has_what_we_demand() {
        for (otp, bits) in SENT {
            let missing = Flags::from_bits(bits).missing_names(Flags::MANDATORY);
            assert!(missing.is_empty(), "OTP {otp} lacks {missing:?}");
        }
    }

    #[test]
    fn we_offer_what_the_newest_otp_does_but_for_what_we_cannot_read() {
        let newest = Flags::from_bits(SENT[3].1);
        assert!(newest.contains(Flags::OFFERED), "{}", Flags::OFFERED.without(newest));
        assert_eq!(
            newest.without(Flags::OFFERED).to_string(),
            "PUBLISHED ALTACT_SIG NATIVE_RECORDS"
        );
    }

    #[test]
    fn the_digest_stands_for_all() {
        let digest = Flags::MANDATORY_25_DIGEST;
        assert!(!digest.contains(Flags::MANDATORY_25));
        assert!(digest.expanded().contains(Flags::MANDATORY_25));
        assert_eq!(Flags::PUBLISHED.expanded(), Flags::PUBLISHED);
    }

    #[test]
    fn names_what_is_missing() {
        let weak = Flags::MANDATORY.without(Flags::UTF8_ATOMS).without(Flags::MAP_TAG);
        let missing: Vec<String> =
            weak.missing_names(Flags::MANDATORY).iter().map(ToString::to_string).collect();
        assert_eq!(missing, ["UTF8_ATOMS", "MAP_TAG"]);
    }

    #[test]
    fn prints_names_and_unknown_bits() {
        assert_eq!(Flags::EMPTY.to_string(), "none");
        let flags = Flags::from_bits(0x1 | 1 << 36);
        assert_eq!(flags.to_string(), "PUBLISHED 0x1000000000");
        assert_eq!(format!("{flags:?}"), "Flags(0x1000000001: PUBLISHED 0x1000000000)");
    }
}
