//! Links: one connection to one peer, with a task that reads it and a task that writes it.

mod counters;
mod dial;
mod half_open;
mod lanes;
mod listen;
mod outbox;
mod pace;
mod reader;
mod relations;
mod secure;
mod segments;
mod setup;
mod socket;
mod turned_away;
mod waits;
mod writer;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use etf::{DecodeError, Pid, ShortEncoder, Term};
use futures::future::BoxFuture;
use tokio::task::consume_budget;
use tokio_util::sync::CancellationToken;

pub(crate) use counters::Counters;
pub use counters::LinkCounters;
pub(crate) use dial::{dial, dial_dynamic};
pub(crate) use listen::{accept, bind};
pub(crate) use outbox::{Outbox, Refused, Share};
pub(crate) use relations::{NoRelation, Relation, Relations};
pub(crate) use secure::Security;
pub(crate) use socket::Socket;

use crate::error::{DownReason, SendError};
use crate::flags::Flags;
use crate::node::{Peer, PeerStats, Refusals, Shared};
use crate::wire::incoming::Framing;
use crate::wire::lane::Lane;
use crate::wire::outgoing::Message;
use crate::work;

/// A link without keeping it alive: what a message that waits in a mailbox knows of its way.
pub(crate) type WeakLink = Weak<Link>;

/// One connection to one peer.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) peer: Peer,
    /// What both sides can do.
    pub(crate) flags: Flags,
    /// How both frame what they send, as the flags have it.
    framing: Framing,
    /// The pid of our node itself, whose signals have no common order.
    node_pid: Pid,
    pub(crate) outbox: Outbox,
    pub(crate) relations: Relations,
    pub(crate) counters: Counters,
    /// Those of the node.
    refusals: Arc<Refusals>,
    started: Instant,
    /// When something was last read and written, in microseconds since `started`.
    last_read: AtomicU64,
    last_write: AtomicU64,
    reason: Mutex<Option<DownReason>>,
    closing: CancellationToken,
    /// Cancelled once the link is out of the table and everybody was told.
    down: CancellationToken,
}

impl Link {
    /// A link to `peer` over which nothing was sent yet.
    pub(crate) fn new(peer: Peer, flags: Flags, shared: &Shared) -> Self {
        let limits = &shared.limits;
        Self {
            peer,
            flags,
            framing: Framing::of(flags),
            node_pid: shared.self_pid.clone(),
            outbox: Outbox::new(
                Framing::of(flags),
                limits.queue_bytes,
                limits.reserve_bytes,
                limits.long_bytes,
                shared.long_messages.clone(),
            ),
            relations: Relations::default(),
            counters: Counters::default(),
            refusals: shared.refusals.clone(),
            started: Instant::now(),
            last_read: AtomicU64::new(0),
            last_write: AtomicU64::new(0),
            reason: Mutex::default(),
            closing: CancellationToken::new(),
            down: CancellationToken::new(),
        }
    }

    /// Starts the two tasks of the link.
    pub(crate) fn run(self: &Arc<Self>, socket: Socket, rest: &[u8], shared: &Arc<Shared>) {
        let span = tracing::info_span!(parent: None, "link", peer = %self.peer.name);
        let (read, write) = socket.split();
        let reader = reader::run(self.clone(), read, rest.to_vec(), shared.clone());
        let writer = writer::run(self.clone(), write);
        shared.tasks.spawn(tracing::Instrument::instrument(reader, span.clone()));
        shared.tasks.spawn(tracing::Instrument::instrument(writer, span));
    }

    /// A control tuple and what belongs behind it, encoded for this link and no other.
    ///
    /// # Errors
    /// When a term has no external form, for example a list of more than 2^32-1 elements.
    pub(crate) fn encode(
        &self,
        control: &Term,
        payload: Option<&Term>,
    ) -> Result<Message, etf::EncodeError> {
        Message::encode(self.framing, &self.node_pid, control, payload)
    }

    /// Queues a process's message if `write` finds it short, and that can be done at once. False when it is to be sent
    /// as every other is.
    ///
    /// # Errors
    /// When the link is gone.
    pub(crate) fn try_send_short<'t>(
        &self,
        write: impl FnOnce(&mut ShortEncoder<'t>) -> Option<()>,
    ) -> Result<bool, Refused> {
        if !self.framing.atoms || !self.outbox.has_room(ShortEncoder::MOST) {
            return Ok(false);
        }
        let mut encoder = ShortEncoder::new();
        if write(&mut encoder).is_none() {
            return Ok(false);
        }
        self.outbox.try_send_short(&encoder)
    }

    /// Sends a message of a process, waiting for room in the queue. Cancelling the wait sends nothing.
    ///
    /// # Errors
    /// When the link is gone, or the payload has no external form.
    pub(crate) async fn send(
        self: &Arc<Self>,
        control: Term,
        payload: Term,
    ) -> Result<(), SendError> {
        // As waiting for room does: who sends without end lets others run.
        consume_budget().await;
        let short = self.try_send_short(|encoder| {
            encoder.term(&control)?;
            encoder.term(&payload)
        });
        if short.map_err(|refused| self.refused(refused))? {
            return Ok(());
        }
        self.send_long(control, payload).await
    }

    /// As [`Link::send`], of a message that is not short or has to wait.
    ///
    /// The future is boxed, or those of all processes that may ever send would have room for it.
    ///
    /// # Errors
    /// As [`Link::send`].
    pub(crate) fn send_long(
        self: &Arc<Self>,
        control: Term,
        payload: Term,
    ) -> BoxFuture<'static, Result<(), SendError>> {
        let link = self.clone();
        Box::pin(async move {
            let message = link.encode_away(control, payload).await?;
            link.outbox.send(message).await.map_err(|refused| link.refused(refused))
        })
    }

    /// What a sender is told.
    pub(crate) fn refused(&self, refused: Refused) -> SendError {
        let node = self.peer.name.clone();
        match refused {
            Refused::Closed => SendError::LinkDown(node),
            Refused::Busy => SendError::Busy(node),
        }
    }

    /// As [`Link::encode`]. A large message is encoded where it holds up no task.
    ///
    /// # Errors
    /// As [`Link::encode`].
    async fn encode_away(
        self: &Arc<Self>,
        control: Term,
        payload: Term,
    ) -> Result<Message, etf::EncodeError> {
        if !work::is_large(&payload) {
            return self.encode(&control, Some(&payload));
        }
        let link = self.clone();
        let encode = move |payload: &Term| link.encode(&control, Some(payload));
        work::away_with(payload, encode).await
    }

    /// As [`Link::encode_away`], for whoever still needs the payload.
    pub(crate) async fn encode_keeping(
        self: &Arc<Self>,
        control: Term,
        payload: Option<Term>,
    ) -> (Result<Message, etf::EncodeError>, Option<Term>) {
        if !payload.as_ref().is_some_and(work::is_large) {
            return (self.encode(&control, payload.as_ref()), payload);
        }
        let link = self.clone();
        work::away(move || (link.encode(&control, payload.as_ref()), payload)).await
    }

    /// Sends what the node itself has to say, without ever waiting. A peer that lets 8 MiB of it
    /// lie loses the link.
    pub(crate) fn answer(&self, control: &Term, payload: Option<&Term>) {
        match self.encode(control, payload) {
            Ok(message) => self.answer_message(message),
            Err(error) => tracing::error!(%error, "an answer could not be encoded"),
        }
    }

    /// As [`Link::answer`], of a process of ours that the control tuple may not tell: what it has sent
    /// before comes first.
    pub(crate) fn answer_of(&self, process: &Pid, control: &Term, payload: Option<&Term>) {
        match self.encode(control, payload) {
            Ok(mut message) => {
                message.lane = Lane::of_process(process);
                self.answer_message(message);
            }
            Err(error) => tracing::error!(%error, "an answer could not be encoded"),
        }
    }

    /// As [`Link::answer`], of what is encoded already.
    pub(crate) fn answer_message(&self, message: Message) {
        if self.outbox.answer(message) == Err(Refused::Busy) {
            self.close(DownReason::NotReading);
        }
    }

    /// Ends the link; the first reason stays.
    pub(crate) fn close(&self, reason: DownReason) {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.outbox.close();
        self.closing.cancel();
    }

    /// Whether the link was ended, though not everybody may have been told.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Ends the link in order: what is queued is still written.
    pub(crate) fn finish(&self, reason: DownReason) {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.outbox.finish();
    }

    /// Waits until the link is closed and everybody who had to be told was told.
    pub(crate) async fn wait_down(&self) {
        self.down.cancelled().await;
    }

    /// Why the link ended.
    pub(crate) fn down_reason(&self) -> DownReason {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        reason.clone().unwrap_or(DownReason::Closed)
    }

    pub(crate) fn set_down(&self) {
        self.outbox.close();
        self.down.cancel();
    }

    /// A term of the peer's that could not be read.
    pub(crate) fn refused_payload(&self, error: &DecodeError) {
        self.refusals.count(error);
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(peer = %self.peer.name, %error, "a message was refused");
    }

    /// How it is doing.
    pub(crate) fn stats(&self) -> PeerStats {
        let (waiting, waited) = self.outbox.waited();
        let up_for = self.age();
        PeerStats {
            peer: self.peer.clone(),
            up_for,
            read_ago: up_for.saturating_sub(self.last_read()),
            written_ago: up_for.saturating_sub(self.last_write()),
            queued_bytes: self.outbox.queued_bytes(),
            waiting,
            waited,
            counters: self.counters(),
        }
    }

    /// What it has carried.
    pub(crate) fn counters(&self) -> LinkCounters {
        self.counters.snapshot(self.relations.len())
    }

    /// The reader read this much; the link's age now.
    fn on_read(&self, bytes: usize) -> Duration {
        let age = self.age();
        self.counters.bytes_read(bytes);
        self.last_read.store(micros(age), Ordering::Relaxed);
        age
    }

    /// The writer wrote this much.
    fn on_write(&self, bytes: usize) {
        self.counters.bytes_written(bytes);
        self.last_write.store(micros(self.age()), Ordering::Relaxed);
    }

    /// How long the link has been up.
    fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// When something was last written, as the link's age then.
    fn last_write(&self) -> Duration {
        Duration::from_micros(self.last_write.load(Ordering::Relaxed))
    }

    /// When something was last read, as the link's age then.
    fn last_read(&self) -> Duration {
        Duration::from_micros(self.last_read.load(Ordering::Relaxed))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
