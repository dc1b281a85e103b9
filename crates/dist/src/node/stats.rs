//! How a node is doing at a moment, for whoever watches over it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use etf::DecodeError;

use super::{Node, NodeCounts, Peer};
use crate::link::LinkCounters;
use crate::process::ProcessKind;

/// A link that is up, and how it is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStats {
    /// Who is at its other end.
    pub peer: Peer,
    /// Since when it is up.
    pub up_for: Duration,
    /// How long ago something was read last, ticks included. A peer with OTP's tick time of 60 s looks every 15 s
    /// whether it has sent something since, and else ticks: it is heard at least every 30 s.
    pub read_ago: Duration,
    /// How long ago something was written last, ticks included.
    pub written_ago: Duration,
    /// Bytes that wait to be written. A message that is longer than the queue's room counts as that
    /// ([`Limits::queue_bytes`](super::Limits), [`Limits::long_bytes`](super::Limits)).
    pub queued_bytes: usize,
    /// How many senders wait for room in the queue now.
    pub waiting: usize,
    /// How long senders have waited for room, added up over all of them, those who still wait included.
    pub waited: Duration,
    /// What it has carried.
    pub counters: LinkCounters,
}

/// What a node consists of and what waits in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStats {
    /// How many of everything there are.
    pub counts: NodeCounts,
    /// The mailboxes of the processes of each kind, in the order of [`ProcessKind::ALL`].
    pub mailboxes: Vec<MailboxStats>,
    /// How many terms of peers were refused since the node was started, by [`DecodeErrorKind::word`](etf::DecodeErrorKind::word); only
    /// reasons that there were.
    pub refused: Vec<(&'static str, u64)>,
}

/// The mailboxes of all processes of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailboxStats {
    /// The kind.
    pub kind: ProcessKind,
    /// How many processes of it live.
    pub processes: usize,
    /// Messages that wait in their mailboxes.
    pub messages: usize,
    /// What these messages hold, in bytes.
    pub bytes: usize,
    /// Messages in the fullest of them.
    pub longest: usize,
}

/// Terms that were refused, by reason.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<&'static str, u64>>);

impl Node {
    /// The links that are up and how each is doing, in no particular order. Looks at each link once and
    /// keeps none from carrying messages.
    ///
    /// ```no_run
    /// # fn run(node: dist::Node) {
    /// for peer in node.peers() {
    ///     println!("{}: {} bytes are queued", peer.peer.name, peer.queued_bytes);
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStats> {
        self.shared.links.links().iter().map(|link| link.stats()).collect()
    }

    /// What the node consists of and what waits in it. Looks at every process once.
    #[must_use]
    pub fn stats(&self) -> NodeStats {
        NodeStats {
            counts: self.counts(),
            mailboxes: self.shared.processes.mailboxes(),
            refused: self.shared.refusals.so_far(),
        }
    }
}

impl MailboxStats {
    /// Of no process.
    pub(crate) fn none(kind: ProcessKind) -> Self {
        Self { kind, processes: 0, messages: 0, bytes: 0, longest: 0 }
    }

    /// With one process more.
    pub(crate) fn add(&mut self, messages: usize, bytes: usize) {
        self.processes += 1;
        self.messages += messages;
        self.bytes += bytes;
        self.longest = self.longest.max(messages);
    }
}

impl Refusals {
    pub(crate) fn count(&self, error: &DecodeError) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(error.kind.word()).or_default() += 1;
    }

    fn so_far(&self) -> Vec<(&'static str, u64)> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.iter().map(|(reason, count)| (*reason, *count)).collect()
    }
}
