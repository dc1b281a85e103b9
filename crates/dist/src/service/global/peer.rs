//! What is known of one other node.

use etf::{Atom, Term};

use super::machine::Now;
use super::message::{External, InitConnect, KnownNode, LockId, Named, Op};
use super::resolver::Resolver;

/// Another node, as long as it is connected or known.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// There is a connection.
    pub(super) up: bool,
    /// It belongs to our partition, and the version it speaks; 0 as long as nobody has told.
    pub(super) known: Option<u32>,
    /// It has answered our wish to connect, or begun itself, and which version it speaks.
    pub(super) pending: Option<u32>,
    /// A name of its own was lost since it could not be reached, while others told us of it.
    pub(super) lacks: bool,
    /// We asked for the connection's end, so it is not one that was lost.
    pub(super) removing: bool,
    /// It has the same names as we.
    pub(super) synced: bool,
    /// The attempt to connect the two partitions.
    pub(super) session: Option<Session>,
    /// A message of the other side's attempt that came before ours.
    pub(super) early: Option<InitConnect>,
    /// When the next attempt begins, after one that came to nothing.
    pub(super) retry: Option<Now>,
    /// When the connection is ended, if it still belongs to no partition then.
    pub(super) doubt: Option<Now>,
    /// How many were cancelled.
    pub(super) restarts: u32,
}

/// One attempt to connect two partitions.
#[derive(Debug)]
pub(super) struct Session {
    /// What tells this attempt's messages from those of others.
    pub(super) mine: i64,
    /// The same on the other side, and the version that both speak.
    pub(super) his: Option<(Term, u32)>,
    pub(super) wait: Wait,
    pub(super) resolver: Option<Resolver>,
    pub(super) ops: Ops,
    pub(super) lock: Option<LockId>,
}

/// Which of the two came first: our locker's word, or the other side's names.
#[derive(Debug, Default)]
pub(super) enum Wait {
    #[default]
    Neither,
    LockIsSet,
    Names(Vec<Named>),
}

/// Which of the two came first: what we found out, or what the other side did.
#[derive(Debug, Default)]
pub(super) enum Ops {
    #[default]
    Neither,
    Ours(Vec<Op>),
    His {
        ops: Vec<Op>,
        known: Vec<KnownNode>,
        external: Vec<External>,
    },
}

impl Session {
    pub(super) fn new(mine: i64) -> Self {
        Self { mine, his: None, wait: Wait::Neither, resolver: None, ops: Ops::Neither, lock: None }
    }

    /// Whether a message with this tag belongs to this attempt.
    pub(super) fn is(&self, tag: &Term) -> bool {
        *tag == Term::Int(self.mine)
    }
}

impl Peer {
    /// The version that it speaks, if it told.
    pub(super) fn vsn(&self) -> u32 {
        self.known.or(self.pending).unwrap_or(0)
    }

    pub(super) fn is_potentially_known(&self) -> bool {
        self.known.is_some() || self.pending.is_some()
    }

    /// Nothing is left to remember.
    pub(super) fn is_nothing(&self) -> bool {
        !self.up && self.known.is_none() && !self.synced
    }
}

/// Whether two nodes are on one host.
pub(super) fn same_host(a: &Atom, b: &Atom) -> bool {
    let host = |node: &Atom| node.as_str().split_once('@').map(|(_, host)| host.to_owned());
    host(a).is_some_and(|own| host(b) == Some(own))
}
