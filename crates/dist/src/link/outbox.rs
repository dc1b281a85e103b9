//! What waits to be written to one peer.
//!
//! One queue, in wire order, filled by whoever sends and emptied by the link's writer. It has the
//! bytes that will be written: whoever queues a message writes its header and copies it behind those
//! before it, so that nothing is allocated or done for each of them later. Messages of
//! processes wait for room in it (1 MiB, like the BEAM's `+zdbbl`). What the node itself must
//! answer never waits: two nodes that are both full would wait for each other. It has a reserve
//! instead, and a link whose reserve is used up is closed. The queue belongs to one connection:
//! what was put into it is never sent on the next.
//!
//! Long messages have lanes of their own beside the queue, see [`super::lanes`], and do not take its
//! room: they wait for budgets of the link and of the node.

use std::borrow::Borrow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Buf;
use etf::{Atom, ShortEncoder};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit, TryAcquireError};
use tokio::task::consume_budget;

use super::counters::Tally;
use super::lanes::Lanes;
use super::segments::Segments;
use super::waits::Waits;
use crate::wire::incoming::Framing;
use crate::wire::outgoing::{Message, Outgoing, Place};

/// Of this many answers, however long, the peer has to have read one.
const SHARES: usize = 16;

/// How many lanes have a turn before what was queued meanwhile is looked at.
const TURNS: usize = 16;

/// What most headers take at most, in bytes, and what is not counted of any. A peer may have asked about
/// new atoms, which are longer than the answers that they are the headers of.
const SHORT_HEAD: usize = 64;

/// Atoms of more bytes than this count as their texts: in a header they take that much if the peer does not
/// know them, and a message of 500 bytes can have 255 of 1,020 bytes.
const SHORT_ATOM: usize = 32;

/// Which part of the room is taken at once for short messages.
const AT_ONCE: u32 = 128;

/// How much room for bytes is kept between batches, by the queue and by the writer.
const KEEP: usize = 32 * 1024;

/// The queue of one link.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Room for processes' messages, in bytes. Short headers are not counted.
    room: Semaphore,
    /// The whole of that room.
    bound: u32,
    /// How many bytes of the node's own answers may wait.
    reserve: usize,
    /// What this link's long messages may take.
    long: Share,
    /// What those of all links of the node may take.
    long_of_node: Share,
    /// Whether any lane has something.
    laned: AtomicBool,
    /// Told when no lane has anything any more, or nothing is taken any more.
    emptied: Notify,
    filled: Notify,
    /// Told when answers were written, or never will be.
    drained: Notify,
    waits: Waits,
}

/// A budget in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    bytes: Arc<Semaphore>,
    whole: u32,
}

#[derive(Debug)]
struct State {
    queued: Batch,
    outgoing: Outgoing,
    lanes: Lanes,
    /// The room of a batch that was written, for the next.
    spare: Vec<u8>,
    /// Room for short messages that was taken and not used yet.
    taken: u32,
    /// Bytes of the node's own answers that are queued or being written.
    reserved: usize,
    tick: bool,
    phase: Phase,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Phase {
    Open,
    /// Nothing more is taken; what is queued is still written.
    Finishing,
    Closed,
}

/// A message or a fragment of one, and what its writing gives back.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) place: Place,
    pub(crate) message: Message,
    pub(super) cost: Cost,
}

#[derive(Debug)]
pub(super) enum Cost {
    Room(u32),
    Reserve(usize),
    /// Of the budgets for long messages; given back when dropped.
    Long {
        _link: OwnedSemaphorePermit,
        _node: Option<OwnedSemaphorePermit>,
    },
    Nothing,
}

/// What the writer takes in one go.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(super) segments: Segments,
    pub(super) tally: Tally,
    /// What its writing gives back: room, of the reserve, and whatever is given back when it is dropped.
    room: usize,
    reserve: usize,
    long: Vec<Cost>,
    /// True when a tick is due and no frame was queued that would serve as one.
    pub(super) tick: bool,
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The link is gone.
    Closed,
    /// There is no room at the moment.
    Busy,
}

impl Outbox {
    /// An empty queue with room for `bound` bytes of messages and `reserve` bytes of answers, and
    /// lanes for `long` bytes, which the links of a node have to find in `long_of_node` as well.
    pub(crate) fn new(
        framing: Framing,
        bound: u32,
        reserve: usize,
        long: u32,
        long_of_node: Share,
    ) -> Self {
        Self {
            state: Mutex::new(State::new(framing)),
            room: Semaphore::new(usize::try_from(bound).unwrap_or(usize::MAX)),
            bound,
            reserve,
            long: Share::new(long),
            long_of_node,
            laned: AtomicBool::new(false),
            emptied: Notify::new(),
            filled: Notify::new(),
            drained: Notify::new(),
            waits: Waits::default(),
        }
    }

    /// What waits to be written, in bytes: messages of processes and answers of the node. Counts what the
    /// first who waits for room has of it so far, and a message that is longer than the room as the room.
    pub(crate) fn queued_bytes(&self) -> usize {
        let room = usize::try_from(self.bound).unwrap_or(usize::MAX);
        let state = self.lock();
        let messages = room.saturating_sub(self.room.available_permits());
        let unused = usize::try_from(state.taken).unwrap_or(usize::MAX);
        messages.saturating_sub(unused) + self.long.taken() + state.reserved
    }

    /// How many processes wait for room, and how long they and those before them have waited altogether.
    pub(crate) fn waited(&self) -> (usize, Duration) {
        self.waits.so_far()
    }

    /// Whether it still takes messages.
    pub(crate) fn is_open(&self) -> bool {
        !self.room.is_closed()
    }

    /// Queues a process's message, waiting for room first. Cancelling the wait queues nothing.
    ///
    /// # Errors
    /// When the link is gone.
    pub(crate) async fn send(&self, message: Message) -> Result<(), Refused> {
        self.send_if(message, || true).await
    }

    /// As [`Outbox::send`], unless `still` says, once there is room, that it need not be sent any
    /// more.
    ///
    /// # Errors
    /// When the link is gone.
    pub(crate) async fn send_if(
        &self,
        message: Message,
        still: impl FnOnce() -> bool,
    ) -> Result<(), Refused> {
        if self.is_for_lane(&message) {
            let cost = self.waits.until(Box::pin(self.hold(message.len()))).await?;
            return if still() { self.push(message, cost) } else { Ok(()) };
        }
        let cost = self.cost(&message);
        // As waiting does: who sends without end lets others run.
        consume_budget().await;
        let permit = match self.room.try_acquire_many(cost) {
            Ok(permit) => permit,
            // There is none while others wait, so nobody is overtaken.
            Err(_) => {
                let room = Box::pin(self.room.acquire_many(cost));
                self.waits.until(room).await.map_err(|_| Refused::Closed)?
            }
        };
        if still() {
            self.push(message, Cost::Room(cost))?;
            permit.forget();
        }
        Ok(())
    }

    /// Queues a process's message if there is room at once.
    ///
    /// # Errors
    /// [`Refused::Busy`] when there is none, [`Refused::Closed`] when the link is gone.
    pub(crate) fn try_send(&self, message: Message) -> Result<(), Refused> {
        let refused = |error| match error {
            TryAcquireError::Closed => Refused::Closed,
            TryAcquireError::NoPermits => Refused::Busy,
        };
        if self.is_for_lane(&message) {
            let link = self.long.try_take(message.len()).map_err(refused)?;
            let node = if self.is_first() {
                None
            } else {
                Some(self.long_of_node.try_take(message.len()).map_err(refused)?)
            };
            return self.push(message, Cost::Long { _link: link, _node: node });
        }
        let cost = self.cost(&message);
        let permit = self.room.try_acquire_many(cost).map_err(refused)?;
        self.push(message, Cost::Room(cost))?;
        permit.forget();
        Ok(())
    }

    /// Whether so many bytes have room at the moment: none have while a process waits for some.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.room.available_permits() >= bytes
    }

    /// Queues a process's short message, if there is room at once and no lane has anything. False when
    /// it is to be sent as every other is.
    ///
    /// # Errors
    /// When the link is gone.
    pub(crate) fn try_send_short(&self, message: &ShortEncoder<'_>) -> Result<bool, Refused> {
        let cost = self.capped(message.as_bytes().len() + in_header(message.atoms()));
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(Refused::Closed);
        }
        if !state.lanes.is_empty() || !state.take_room(cost, self.bound / AT_ONCE, &self.room) {
            return Ok(false);
        }
        let was_empty = !state.has_something();
        state.queue_short(message, cost);
        drop(state);
        if was_empty {
            self.filled.notify_one();
        }
        Ok(true)
    }

    /// Queues an answer of the node itself, without ever waiting.
    ///
    /// # Errors
    /// [`Refused::Busy`] when the reserve is used up: the link has to be closed then.
    pub(crate) fn answer(&self, message: Message) -> Result<(), Refused> {
        // A long reason of an exit says nothing about whether the peer reads: it counts as a share.
        let size = message.len().min(self.reserve.div_ceil(SHARES));
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(Refused::Closed);
        }
        if state.reserved.saturating_add(size) > self.reserve {
            return Err(Refused::Busy);
        }
        state.reserved += size;
        self.put(state, message, Cost::Reserve(size));
        Ok(())
    }

    /// Waits until no more than a quarter of the reserve is used: for what the node says of its own
    /// accord, in any number. At the link's end nothing is waited for.
    pub(crate) async fn calm(&self) {
        loop {
            let mut drained = std::pin::pin!(self.drained.notified());
            // From here on it is told, though it does not wait yet.
            drained.as_mut().enable();
            {
                let state = self.lock();
                if state.reserved <= self.reserve / 4 || state.phase != Phase::Open {
                    return;
                }
            }
            drained.await;
        }
    }

    /// Asks for a tick, unless something else is about to be written.
    pub(crate) fn tick(&self) {
        self.lock().tick = true;
        self.filled.notify_one();
    }

    /// Takes no more; what is queued is still written, and then the writer ends.
    pub(crate) fn finish(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Finishing;
        }
        drop(state);
        self.refuse_all();
    }

    /// Takes no more and forgets what is queued.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.phase = Phase::Closed;
        let forgotten = (std::mem::take(&mut state.queued), std::mem::take(&mut state.lanes));
        drop(state);
        drop(forgotten);
        self.refuse_all();
    }

    /// Wakes all who wait.
    fn refuse_all(&self) {
        self.room.close();
        self.long.bytes.close();
        self.emptied.notify_waiters();
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// For the writer: all that is queued and one fragment from each lane, waiting until there is
    /// something. `None` at the end.
    pub(crate) async fn next(&self) -> Option<Batch> {
        loop {
            let filled = self.filled.notified();
            {
                let mut state = self.lock();
                if state.has_something() {
                    if !state.lanes.is_empty() {
                        // Behind what is queued: that may be of a sender that has a lane by now.
                        state.queue_from_lanes();
                        if state.lanes.is_empty() {
                            self.laned.store(false, Ordering::Relaxed);
                            self.emptied.notify_waiters();
                        }
                    }
                    let (batch, unused) = state.take();
                    drop(state);
                    self.room.add_permits(unused);
                    return Some(batch);
                }
                if state.phase != Phase::Open {
                    return None;
                }
            }
            filled.await;
        }
    }

    /// For the writer: the batch was written, its room is free again.
    pub(crate) fn written(&self, batch: Batch) {
        let Batch { segments, room, reserve, long, .. } = batch;
        drop(long);
        let mut state = self.lock();
        state.reserved = state.reserved.saturating_sub(reserve);
        state.keep(segments.into_room());
        drop(state);
        if reserve > 0 {
            self.drained.notify_waiters();
        }
        if room > 0 {
            self.room.add_permits(room);
        }
    }

    /// A message larger than the whole room must not wait for ever: it counts as the room.
    fn cost(&self, message: &Message) -> u32 {
        self.capped(message.len() + in_header(&message.atoms))
    }

    fn capped(&self, size: usize) -> u32 {
        u32::try_from(size).map_or(self.bound, |size| size.min(self.bound))
    }

    /// Whether a message has to find its place in the budgets for lanes: because it is long, or has to
    /// wait for a long one of its sender. It must not take the room of others meanwhile.
    fn is_for_lane(&self, message: &Message) -> bool {
        // Whoever has put something into its lane sees this set.
        let laned = self.laned.load(Ordering::Relaxed);
        message.is_long() || (laned && self.lock().lanes.holds(message.lane))
    }

    /// Waits for these budgets. The first message in the lanes of a link needs none of the node's:
    /// peers that do not read must not keep others from being sent anything.
    async fn hold(&self, size: usize) -> Result<Cost, Refused> {
        let link = self.long.take(size).await?;
        let node = loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            // From here on it is told, though it does not wait yet.
            emptied.as_mut().enable();
            {
                let state = self.lock();
                if state.phase != Phase::Open {
                    return Err(Refused::Closed);
                }
                if state.lanes.is_empty() {
                    break None;
                }
            }
            tokio::select! {
                node = self.long_of_node.take(size) => break Some(node?),
                () = emptied => {}
            }
        };
        Ok(Cost::Long { _link: link, _node: node })
    }

    /// Whether no lane has anything.
    fn is_first(&self) -> bool {
        self.lock().lanes.is_empty()
    }

    fn push(&self, message: Message, cost: Cost) -> Result<(), Refused> {
        let state = self.lock();
        if state.phase != Phase::Open {
            return Err(Refused::Closed);
        }
        self.put(state, message, cost);
        Ok(())
    }

    /// Queues a message, or has it wait in its sender's lane.
    fn put(&self, mut state: MutexGuard<'_, State>, message: Message, cost: Cost) {
        let was_empty = !state.has_something();
        if message.is_long() || (!state.lanes.is_empty() && state.lanes.holds(message.lane)) {
            state.lanes.push(Frame { place: Place::Whole, message, cost });
            self.laned.store(true, Ordering::Relaxed);
        } else {
            state.queue(Place::Whole, &message, cost);
        }
        drop(state);
        // The writer was woken by the first, and takes all that are there.
        if was_empty {
            self.filled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the long ones of these atoms may take in a header.
fn in_header(atoms: &[impl Borrow<Atom>]) -> usize {
    let lengths = atoms.iter().map(|atom| atom.borrow().as_bytes().len());
    lengths.filter(|length| *length > SHORT_ATOM).sum()
}

impl State {
    fn new(framing: Framing) -> Self {
        Self {
            queued: Batch::default(),
            outgoing: Outgoing::new(framing),
            lanes: Lanes::default(),
            spare: Vec::new(),
            taken: 0,
            reserved: 0,
            tick: false,
            phase: Phase::Open,
        }
    }

    /// Whether there is anything for the writer.
    fn has_something(&self) -> bool {
        self.queued.segments.has_remaining() || !self.lanes.is_empty() || self.tick
    }

    /// Adds a frame to what is queued.
    fn queue(&mut self, place: Place, message: &Message, cost: Cost) {
        let queued = &mut self.queued;
        let before = queued.segments.remaining();
        queued.segments.frame(&mut self.outgoing, place, message);
        queued.tally.count(place);
        match cost {
            Cost::Room(cost) => queued.room += usize::try_from(cost).unwrap_or(usize::MAX),
            Cost::Reserve(size) => {
                let frame = queued.segments.remaining() - before;
                let head = frame.saturating_sub(message.len() + SHORT_HEAD);
                queued.reserve += size + head;
                self.reserved += head;
            }
            Cost::Long { .. } => queued.long.push(cost),
            Cost::Nothing => {}
        }
    }

    /// Finds room for a short message, in what was taken for such as it if there is enough: to take room for each
    /// alone is as much work as to queue it.
    fn take_room(&mut self, cost: u32, at_once: u32, room: &Semaphore) -> bool {
        if self.taken < cost {
            let Some(more) = [cost.max(at_once), cost]
                .into_iter()
                .find(|more| room.try_acquire_many(*more).map(SemaphorePermit::forget).is_ok())
            else {
                return false;
            };
            self.taken += more;
        }
        self.taken -= cost;
        true
    }

    /// The same of a short message.
    fn queue_short(&mut self, message: &ShortEncoder<'_>, cost: u32) {
        let queued = &mut self.queued;
        queued.segments.short_frame(&mut self.outgoing, message);
        queued.tally.count(Place::Whole);
        queued.room += usize::try_from(cost).unwrap_or(usize::MAX);
    }

    fn queue_from_lanes(&mut self) {
        let mut frames = Vec::new();
        self.lanes.take(TURNS, &mut frames);
        for Frame { place, message, cost } in frames {
            self.queue(place, &message, cost);
        }
    }

    /// Takes what is queued, and says how much of the room that was taken for it was not used.
    fn take(&mut self) -> (Batch, usize) {
        let segments = Segments::with_room(std::mem::take(&mut self.spare));
        let mut batch = std::mem::replace(&mut self.queued, Batch { segments, ..Batch::default() });
        batch.tick = std::mem::take(&mut self.tick) && !batch.segments.has_remaining();
        (batch, usize::try_from(std::mem::take(&mut self.taken)).unwrap_or_default())
    }

    /// Keeps room for later, unless it is much.
    fn keep(&mut self, room: Vec<u8>) {
        if room.capacity() <= KEEP {
            self.spare = room;
        }
    }
}

impl Share {
    /// A budget of so many bytes.
    pub(crate) fn new(whole: u32) -> Self {
        let bytes = Semaphore::new(usize::try_from(whole).unwrap_or(usize::MAX));
        Self { bytes: Arc::new(bytes), whole }
    }

    /// How much of it is taken.
    fn taken(&self) -> usize {
        let whole = usize::try_from(self.whole).unwrap_or(usize::MAX);
        whole.saturating_sub(self.bytes.available_permits())
    }

    /// Waits for this much of it. More than the whole counts as the whole.
    async fn take(&self, size: usize) -> Result<OwnedSemaphorePermit, Refused> {
        let taken = self.bytes.clone().acquire_many_owned(self.of(size)).await;
        taken.map_err(|_| Refused::Closed)
    }

    fn try_take(&self, size: usize) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.bytes.clone().try_acquire_many_owned(self.of(size))
    }

    fn of(&self, size: usize) -> u32 {
        u32::try_from(size).map_or(self.whole, |size| size.min(self.whole))
    }
}

#[cfg(test)]
mod tests;
