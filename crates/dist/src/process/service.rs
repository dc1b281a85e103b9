//! Processes without a mailbox.

use std::fmt;

use super::Envelope;

/// What a process of the node itself does with its messages: whoever delivers one runs it, the
/// reader of a link among them, so it never waits.
///
/// It has no mailbox that could overflow, a peer that floods it holds up nobody but itself, and it
/// knows of a link's loss before anything that comes over the next link. Otherwise it is a process
/// like any other: it has a pid and maybe a name, and can be monitored, linked to and ended.
pub(crate) trait Service: fmt::Debug + Send + Sync {
    /// Takes a message. Called without a lock of the node's held.
    fn take(&self, envelope: Envelope);

    /// The process has ended.
    fn ended(&self) {}
}
