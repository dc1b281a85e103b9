use std::cmp::Ordering;
use std::sync::Arc;

use thiserror::Error;

use crate::Atom;

/// A process identifier (NEW_PID_EXT).
///
/// Whatever a peer sends is kept as it is; what a node makes up itself obeys tighter bounds (ids under 2^15 and serials under
/// 2^13 towards OTP 23), which are that node's affair.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pid {
    /// The node that the process runs on.
    pub node: Atom,
    /// The first number that Erlang prints after the node.
    pub id: u32,
    /// The second number that Erlang prints after the node.
    pub serial: u32,
    /// Which incarnation of the node: a pid of an older one is dead.
    pub creation: u32,
}

/// A port identifier (NEW_PORT_EXT, V4_PORT_EXT).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Port(Box<PortParts>);

/// Boxed, because ports are rare and every term would have to be as large as one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PortParts {
    node: Atom,
    id: u64,
    creation: u32,
}

impl Port {
    /// A port of that node.
    #[must_use]
    pub fn new(node: Atom, id: u64, creation: u32) -> Self {
        Self(Box::new(PortParts { node, id, creation }))
    }

    /// The node that the port is open on.
    #[must_use]
    pub fn node(&self) -> &Atom {
        &self.0.node
    }

    /// The number that Erlang prints after the node.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Which incarnation of the node.
    #[must_use]
    pub fn creation(&self) -> u32 {
        self.0.creation
    }

    /// Bytes that this holds alive beside itself.
    #[must_use]
    pub fn retained(&self) -> usize {
        Self::HEAP_SIZE + self.node().retained()
    }

    pub(crate) const HEAP_SIZE: usize = size_of::<PortParts>();
}

/// A reference (NEWER_REFERENCE_EXT): what `make_ref/0`, monitors, aliases and calls are known by.
///
/// A clone shares the words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference(Arc<ReferenceParts>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct ReferenceParts {
    node: Atom,
    creation: u32,
    len: u8,
    /// Words past `len` are zero.
    words: [u32; Reference::MAX_WORDS],
}

impl Reference {
    /// The greatest number of words (OTP 24 and later; OTP 23 has 3).
    pub const MAX_WORDS: usize = 5;

    /// A reference of that node; the words are in the order of the wire, the first printed last.
    ///
    /// # Errors
    /// When there is no word, or more than five. OTP reads a reference without words past its end.
    pub fn new(node: Atom, creation: u32, words: &[u32]) -> Result<Self, ReferenceError> {
        let wrong = ReferenceError::Words { words: words.len() };
        let mut stored = [0; Self::MAX_WORDS];
        stored.get_mut(..words.len()).ok_or(wrong.clone())?.copy_from_slice(words);
        let len = u8::try_from(words.len()).ok().filter(|len| *len > 0).ok_or(wrong)?;
        Ok(Self(Arc::new(ReferenceParts { node, creation, len, words: stored })))
    }

    /// The node that made it.
    #[must_use]
    pub fn node(&self) -> &Atom {
        &self.0.node
    }

    /// Which incarnation of the node made it.
    #[must_use]
    pub fn creation(&self) -> u32 {
        self.0.creation
    }

    /// One to five words, in the order of the wire.
    #[must_use]
    pub fn words(&self) -> &[u32] {
        self.0.words.get(..usize::from(self.0.len)).unwrap_or_default()
    }

    /// Bytes that this holds alive beside itself.
    #[must_use]
    pub fn retained(&self) -> usize {
        Self::HEAP_SIZE + self.node().retained()
    }

    pub(crate) const HEAP_SIZE: usize = size_of::<ReferenceParts>() + 2 * size_of::<usize>();
}

/// Why words are not a reference.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// No word, or more than five.
    #[error("a reference has 1 to 5 words, not {words}")]
    Words {
        /// How many words were given.
        words: usize,
    },
}

/// Erlang's order: serial and id decide before the node does.
impl Ord for Pid {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.serial, self.id)
            .cmp(&(other.serial, other.id))
            .then_with(|| self.node.cmp(&other.node))
            .then_with(|| self.creation.cmp(&other.creation))
    }
}

impl PartialOrd for Pid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Erlang's order: the node decides before the id does.
impl Ord for Port {
    fn cmp(&self, other: &Self) -> Ordering {
        self.node()
            .cmp(other.node())
            .then_with(|| (self.creation(), self.id()).cmp(&(other.creation(), other.id())))
    }
}

impl PartialOrd for Port {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Erlang's order: the node decides before the words do, and these are one number, the first word its least part.
impl Ord for Reference {
    fn cmp(&self, other: &Self) -> Ordering {
        self.node()
            .cmp(other.node())
            .then_with(|| self.creation().cmp(&other.creation()))
            .then_with(|| self.0.words.iter().rev().cmp(other.0.words.iter().rev()))
            .then_with(|| self.0.len.cmp(&other.0.len))
    }
}

impl PartialOrd for Reference {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
