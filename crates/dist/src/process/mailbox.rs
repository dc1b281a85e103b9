//! Mailboxes: what a Rust task receives messages with.

use std::sync::Arc;

use etf::{DecodeError, Pid, Term};

use super::{Body, Envelope, Process};
use crate::error::DownReason;
use crate::link::WeakLink;
use crate::node::Shared;

/// A process whose messages are received by whoever holds it.
///
/// To the cluster it is a process: it has a pid and a name, can be monitored and linked to, and
/// ends with the reason `normal` when it is dropped. It traps exits: an exit signal arrives as the
/// message `{'EXIT', From, Reason}`, and only `exit(Pid, kill)` ends it.
///
/// It holds up to 1,000,000 messages or 256 MiB (see [`Limits`](crate::Limits)); over that it is
/// ended with the reason `mailbox_full`, which its monitors and links see.
#[derive(Debug)]
pub struct Mailbox {
    process: Arc<Process>,
    pid: Pid,
    shared: Arc<Shared>,
}

/// A message that was received.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who sent it, where the distribution protocol tells: a hint, since the sender chose it.
    pub from: Option<Pid>,
    /// What was sent.
    pub term: Term,
}

impl Mailbox {
    pub(crate) fn new(process: Arc<Process>, shared: Arc<Shared>) -> Self {
        let pid = shared.processes.ids.pid(process.id);
        Self { process, pid, shared }
    }

    pub(crate) fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// The pid that others know this mailbox by.
    #[must_use]
    pub fn pid(&self) -> &Pid {
        &self.pid
    }

    /// The next message, in the order of arrival; `None` once the process was ended, by
    /// `exit(Pid, kill)`, by its own overflow or by the node's shutdown.
    ///
    /// Cancelling the wait loses no message. A message that is malformed costs its sender's node
    /// the link, as it does in OTP, and one over the limits is dropped and counted.
    pub async fn recv(&mut self) -> Option<Message> {
        loop {
            let Envelope { from, body } = self.process.queue.pop().await?;
            match body {
                Body::Term(term) => return Some(Message { from, term }),
                Body::Encoded(raw, link) => match raw.decode(&self.shared.limits.terms) {
                    Ok(term) => return Some(Message { from, term }),
                    Err(error) => self.refuse(&error, &link),
                },
            }
        }
    }

    fn refuse(&self, error: &DecodeError, link: &WeakLink) {
        let Some(link) = link.upgrade() else { return };
        link.refused_payload(error);
        if !error.is_limit() {
            link.close(DownReason::Malformed(format!("a message: {error}")));
        }
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.shared.end_process(&self.process, &Term::atom("normal"));
    }
}
