//! Atoms as keys of the tables that every message is looked up in.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use etf::Atom;
use foldhash::fast::RandomState;

/// A table that is looked into for every message. Its hash is quick, and nothing to defend a large
/// table with against chosen keys: who chooses these is this program, or a peer that has shown that
/// it knows the cookie, besides the few whose handshake is under way or which are being dialled.
pub(crate) type QuickMap<K, V> = HashMap<K, V, RandomState>;

/// An atom as a key, looked up by its bytes: an atom's own hash is that of a text, for which the bytes
/// would be checked each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) Atom);

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_bytes().hash(state);
    }
}
