//! A process as its own code sees it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use etf::{Pid, Reference, Term};
use tokio::time::timeout;

use super::large::Decoding;
use super::queue::Taken;
use super::{Body, Envelope, Exit, Inner};
use crate::error::SendError;
use crate::node::{Destination, Shared};
use crate::work;

/// A process of this node, held by the code that it is.
///
/// To the cluster it is a process like any other: it has a pid, receives messages, can be given a
/// name, monitored and linked to, and ends. [`Node::spawn`](crate::Node::spawn) gives it to a task;
/// [`Node::register`](crate::Node::register) and [`Node::process`](crate::Node::process) give it to
/// whoever wants to receive messages in code of its own. It ends when its task does or it is
/// dropped, or by an exit signal; then nothing is received any more.
///
/// Its mailbox holds up to 1,000,000 messages or 256 MiB (see [`Limits`](crate::Limits)); over that
/// it is ended with the reason `mailbox_full`, which its monitors and links see.
#[derive(Debug)]
pub struct Process {
    inner: Arc<Inner>,
    pid: Pid,
    shared: Arc<Shared>,
    /// Messages that were taken out of the queue at once.
    taken: Taken,
    /// Messages that a selective receive has read over; still counted in the queue.
    skipped: VecDeque<Message>,
    /// The message before those in the queue, if it is large and was waited for.
    decoding: Option<Box<Decoding>>,
    /// Whether it ends when it is dropped; a process with a task ends with that.
    alone: bool,
}

/// A message that was received.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who sent it, where the distribution protocol tells: a hint, since the sender chose it.
    pub from: Option<Pid>,
    /// What was sent.
    pub term: Term,
    /// What it counts in the mailbox.
    size: usize,
}

impl Message {
    /// What stands where a message was, while a selective receive looks at it.
    const PLACEHOLDER: Self = Self { from: None, term: Term::NIL, size: 0 };
}

impl Process {
    /// The handle of a process that lives as long as the handle does.
    pub(crate) fn alone(inner: Arc<Inner>, shared: Arc<Shared>) -> Self {
        let mut process = Self::of_task(inner, shared);
        process.alone = true;
        process
    }

    /// The handle of a process that lives as long as its task does.
    pub(super) fn of_task(inner: Arc<Inner>, shared: Arc<Shared>) -> Self {
        let pid = shared.processes.ids.pid(inner.id);
        let (taken, skipped) = (Taken::default(), VecDeque::new());
        Self { inner, pid, shared, taken, skipped, decoding: None, alone: false }
    }

    /// The pid that others know this process by.
    #[must_use]
    pub fn pid(&self) -> &Pid {
        &self.pid
    }

    /// The oldest message; `None` once the process was ended.
    ///
    /// Cancelling the wait loses no message. A message that is malformed costs its sender's node
    /// the link, as it does in OTP, and one over the limits is dropped and counted.
    pub async fn recv(&mut self) -> Option<Message> {
        if self.inner.queue.is_closed() {
            return None;
        }
        // In this form, because whatever lives across the wait is paid for by every idle process.
        if let Some(message) = self.skipped.pop_front() {
            self.inner.queue.release(message.size);
            return Some(message);
        }
        let message = self.next().await?;
        self.inner.queue.release(message.size);
        Some(message)
    }

    /// The oldest message that `wanted` takes: the others stay, in their order. `None` once the
    /// process was ended.
    ///
    /// `wanted` gives the message back when it does not want it. Cancelling the wait loses no
    /// message.
    pub async fn receive<T>(
        &mut self,
        mut wanted: impl FnMut(Message) -> Result<T, Message>,
    ) -> Option<T> {
        if self.inner.queue.is_closed() {
            return None;
        }
        // Those that were read over stay where they are while they are looked at: to take each out
        // and put it back would be quadratic in their number.
        for at in 0..self.skipped.len() {
            let Some(place) = self.skipped.get_mut(at) else { break };
            let size = place.size;
            match wanted(std::mem::replace(place, Message::PLACEHOLDER)) {
                Ok(taken) => {
                    self.skipped.remove(at);
                    self.inner.queue.release(size);
                    return Some(taken);
                }
                Err(message) => *place = message,
            }
        }
        loop {
            let message = self.next().await?;
            let size = message.size;
            match wanted(message) {
                Ok(taken) => {
                    self.inner.queue.release(size);
                    return Some(taken);
                }
                Err(message) => self.skipped.push_back(message),
            }
        }
    }

    /// As [`Process::receive`], for at most so long. `None` when the time is over as well.
    pub async fn receive_within<T>(
        &mut self,
        time: Duration,
        wanted: impl FnMut(Message) -> Result<T, Message>,
    ) -> Option<T> {
        timeout(time, self.receive(wanted)).await.ok().flatten()
    }

    /// Ends a monitor and takes its `DOWN` message out of the mailbox if it has arrived
    /// (`erlang:demonitor/2` with `flush`).
    pub fn demonitor_flush(&mut self, reference: &Reference) {
        if self.demonitor(reference) {
            return;
        }
        if let Some(decoding) = self.decoding.take() {
            let (envelope, size) = decoding.undo();
            self.keep(envelope, size);
        }
        while let Some((envelope, size)) = self.inner.queue.try_pop(&mut self.taken) {
            self.keep(envelope, size);
        }
        let down = |message: &Message| match message.term.as_tuple() {
            Some([down, Term::Reference(of), ..]) => down.is_atom("DOWN") && of == reference,
            _ => false,
        };
        if let Some(at) = self.skipped.iter().position(down)
            && let Some(message) = self.skipped.remove(at)
        {
            self.inner.queue.release(message.size);
        }
    }

    /// Sends a message from this process: see [`Node::send`](crate::Node::send).
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(&self, to: impl Into<Destination>, message: Term) -> Result<(), SendError> {
        self.shared.send(&self.pid, to.into(), message).await
    }

    /// Ends the process with a reason that its links and monitors see.
    pub fn stop(self, reason: &Exit) {
        self.shared.end_process(&self.inner, &reason.0);
    }

    pub(crate) fn parts(&self) -> (&Arc<Shared>, &Arc<Inner>) {
        (&self.shared, &self.inner)
    }

    /// The next message that can be read, still counted in the queue.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.decoded().await {
                return Some(message);
            }
            // No message is held across the wait: each idle process would have the room for one.
            if let Some(message) = self.try_next() {
                return Some(message);
            }
            if self.decoding.is_some() {
                continue;
            }
            if self.inner.queue.is_closed() {
                return None;
            }
            self.inner.queue.wait().await;
        }
    }

    /// The next message that can be read, if it is there; a large one begins to be decoded.
    fn try_next(&mut self) -> Option<Message> {
        let limits = &self.shared.limits.terms;
        loop {
            let (envelope, size) = self.inner.queue.try_read(&mut self.taken, limits)?;
            let Envelope { from, body } = envelope;
            match body {
                Body::Encoded(raw, link) if work::is_long(&raw) => {
                    self.decoding = Some(Decoding::begin(from, (raw, link), size, limits));
                    return None;
                }
                body => {
                    if let Some(message) = self.read(Envelope { from, body }, size) {
                        return Some(message);
                    }
                }
            }
        }
    }

    /// The large message that is being decoded, if there is one and it can be read.
    async fn decoded(&mut self) -> Option<Message> {
        let decoding = self.decoding.as_mut()?;
        let term = decoding.term().await;
        let Decoding { from, size, .. } = *self.decoding.take()?;
        match term {
            Some(term) => Some(Message { from, term, size }),
            None => {
                self.inner.queue.release(size);
                None
            }
        }
    }

    fn keep(&mut self, envelope: Envelope, size: usize) {
        if let Some(message) = self.read(envelope, size) {
            self.skipped.push_back(message);
        }
    }

    fn read(&self, envelope: Envelope, size: usize) -> Option<Message> {
        let Envelope { from, body } = envelope;
        match body.into_term(&self.shared.limits.terms) {
            Ok(term) => Some(Message { from, term, size }),
            Err(_) => {
                self.inner.queue.release(size);
                None
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.alone {
            self.shared.end_process(&self.inner, &Exit::normal().0);
        }
    }
}
