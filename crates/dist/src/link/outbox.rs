//! What waits to be written to one peer.
//!
//! One queue, in wire order, filled by whoever sends and emptied by the link's writer. Messages of
//! processes wait for room in it (1 MiB, like the BEAM's `+zdbbl`). What the node itself must
//! answer never waits: two nodes that are both full would wait for each other. It has a reserve
//! instead, and a link whose reserve is used up is closed. The queue belongs to one connection:
//! what was put into it is never sent on the next.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Notify, Semaphore};

use crate::wire::outgoing::Message;

/// Of this many answers, however long, the peer has to have read one.
const SHARES: usize = 16;

/// The queue of one link.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Room for processes' messages, in bytes.
    room: Semaphore,
    /// The whole of that room.
    bound: u32,
    /// How many bytes of the node's own answers may wait.
    reserve: usize,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Frame>,
    /// Bytes of the node's own answers that are queued or being written.
    reserved: usize,
    tick: bool,
    phase: Phase,
}

#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
enum Phase {
    #[default]
    Open,
    /// Nothing more is taken; what is queued is still written.
    Finishing,
    Closed,
}

/// A message, and what its writing gives back.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) message: Message,
    cost: Cost,
}

#[derive(Debug, Clone, Copy)]
enum Cost {
    Room(u32),
    Reserve(usize),
}

/// What the writer takes in one go.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) frames: Vec<Frame>,
    /// True when a tick is due and no frame was queued that would serve as one.
    pub(crate) tick: bool,
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
    /// An empty queue with room for `bound` bytes of messages and `reserve` bytes of answers.
    pub(crate) fn new(bound: u32, reserve: usize) -> Self {
        Self {
            state: Mutex::default(),
            room: Semaphore::new(usize::try_from(bound).unwrap_or(usize::MAX)),
            bound,
            reserve,
            filled: Notify::new(),
        }
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
        let cost = self.cost(&message);
        let permit = self.room.acquire_many(cost).await.map_err(|_| Refused::Closed)?;
        if still() {
            self.push(Frame { message, cost: Cost::Room(cost) })?;
            permit.forget();
        }
        Ok(())
    }

    /// Queues a process's message if there is room at once.
    ///
    /// # Errors
    /// [`Refused::Busy`] when there is none, [`Refused::Closed`] when the link is gone.
    pub(crate) fn try_send(&self, message: Message) -> Result<(), Refused> {
        let cost = self.cost(&message);
        let permit = self.room.try_acquire_many(cost).map_err(|error| match error {
            tokio::sync::TryAcquireError::Closed => Refused::Closed,
            tokio::sync::TryAcquireError::NoPermits => Refused::Busy,
        })?;
        self.push(Frame { message, cost: Cost::Room(cost) })?;
        permit.forget();
        Ok(())
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
        state.frames.push_back(Frame { message, cost: Cost::Reserve(size) });
        drop(state);
        self.filled.notify_one();
        Ok(())
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
        self.room.close();
        self.filled.notify_one();
    }

    /// Takes no more and forgets what is queued.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.phase = Phase::Closed;
        let forgotten = std::mem::take(&mut state.frames);
        drop(state);
        drop(forgotten);
        self.room.close();
        self.filled.notify_one();
    }

    /// For the writer: all that is queued, waiting until there is something. `None` at the end.
    pub(crate) async fn next(&self) -> Option<Batch> {
        loop {
            let filled = self.filled.notified();
            {
                let mut state = self.lock();
                if !state.frames.is_empty() || state.tick {
                    let frames = Vec::from(std::mem::take(&mut state.frames));
                    let tick = std::mem::take(&mut state.tick) && frames.is_empty();
                    return Some(Batch { frames, tick });
                }
                if state.phase != Phase::Open {
                    return None;
                }
            }
            filled.await;
        }
    }

    /// For the writer: the frames were written, their room is free again.
    pub(crate) fn written(&self, frames: &[Frame]) {
        let (mut room, mut reserve) = (0_usize, 0_usize);
        for frame in frames {
            match frame.cost {
                Cost::Room(cost) => room += usize::try_from(cost).unwrap_or(usize::MAX),
                Cost::Reserve(size) => reserve += size,
            }
        }
        if reserve > 0 {
            let mut state = self.lock();
            state.reserved = state.reserved.saturating_sub(reserve);
        }
        if room > 0 {
            self.room.add_permits(room);
        }
    }

    /// A message larger than the whole room must not wait for ever: it counts as the room.
    fn cost(&self, message: &Message) -> u32 {
        u32::try_from(message.len()).map_or(self.bound, |size| size.min(self.bound))
    }

    fn push(&self, frame: Frame) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(Refused::Closed);
        }
        state.frames.push_back(frame);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use etf::Rope;
    use futures::FutureExt;

    use super::*;

    fn sized(size: usize) -> Message {
        Message::of_body(Rope::from(Bytes::from(vec![0; size])))
    }

    #[tokio::test]
    async fn messages_come_out_in_the_order_they_went_in() {
        let outbox = Outbox::new(100, 100);
        outbox.send(sized(1)).await.unwrap();
        outbox.answer(sized(2)).unwrap();
        outbox.try_send(sized(3)).unwrap();
        let batch = outbox.next().await.unwrap();
        let sizes: Vec<_> = batch.frames.iter().map(|frame| frame.message.len()).collect();
        assert_eq!(sizes, [1, 2, 3]);
    }

    #[tokio::test]
    async fn a_sender_waits_until_its_predecessors_are_written() {
        let outbox = Arc::new(Outbox::new(10, 10));
        outbox.send(sized(8)).await.unwrap();
        assert_eq!(outbox.try_send(sized(8)), Err(Refused::Busy));
        let waiting = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.send(sized(8)).await }
        });
        let batch = outbox.next().await.unwrap();
        assert_eq!(batch.frames.len(), 1);
        outbox.written(&batch.frames);
        waiting.await.unwrap().unwrap();
        assert_eq!(outbox.next().await.unwrap().frames.len(), 1);
    }

    #[tokio::test]
    async fn a_message_larger_than_the_room_passes() {
        let outbox = Outbox::new(10, 10);
        outbox.send(sized(1000)).await.unwrap();
        let batch = outbox.next().await.unwrap();
        outbox.written(&batch.frames);
        assert_eq!(outbox.try_send(sized(10)), Ok(()));
    }

    #[tokio::test]
    async fn a_cancelled_wait_takes_no_room() {
        let outbox = Outbox::new(10, 10);
        outbox.send(sized(10)).await.unwrap();
        assert!(outbox.send(sized(10)).now_or_never().is_none());
        let batch = outbox.next().await.unwrap();
        assert_eq!(batch.frames.len(), 1);
        outbox.written(&batch.frames);
        assert_eq!(outbox.try_send(sized(10)), Ok(()));
    }

    #[tokio::test]
    async fn answers_do_not_wait_for_messages_but_have_a_bound_of_their_own() {
        let outbox = Outbox::new(10, 160);
        outbox.send(sized(10)).await.unwrap();
        for _ in 0..20 {
            outbox.answer(sized(8)).unwrap();
        }
        assert_eq!(outbox.answer(sized(8)), Err(Refused::Busy));
        let batch = outbox.next().await.unwrap();
        outbox.written(&batch.frames);
        assert_eq!(outbox.answer(sized(8)), Ok(()));
    }

    #[tokio::test]
    async fn an_answer_longer_than_the_bound_passes_but_not_any_number_of_them() {
        let outbox = Outbox::new(10, 160);
        for _ in 0..SHARES {
            outbox.answer(sized(1000)).unwrap();
        }
        assert_eq!(outbox.answer(sized(1000)), Err(Refused::Busy));
        let batch = outbox.next().await.unwrap();
        outbox.written(&batch.frames);
        assert_eq!(outbox.answer(sized(1000)), Ok(()));
    }

    #[tokio::test]
    async fn finishing_writes_what_is_queued_and_closing_forgets_it() {
        let outbox = Outbox::new(10, 10);
        outbox.send(sized(1)).await.unwrap();
        outbox.finish();
        assert_eq!(outbox.send(sized(1)).await, Err(Refused::Closed));
        assert_eq!(outbox.answer(sized(1)), Err(Refused::Closed));
        assert_eq!(outbox.next().await.unwrap().frames.len(), 1);
        assert!(outbox.next().await.is_none());

        let outbox = Outbox::new(10, 10);
        outbox.send(sized(1)).await.unwrap();
        outbox.close();
        assert!(outbox.next().await.is_none());
    }

    #[tokio::test]
    async fn closing_wakes_those_who_wait_for_room() {
        let outbox = Arc::new(Outbox::new(10, 10));
        outbox.send(sized(10)).await.unwrap();
        let waiting = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.send(sized(10)).await }
        });
        outbox.close();
        assert_eq!(waiting.await.unwrap(), Err(Refused::Closed));
    }

    #[tokio::test]
    async fn ticks_do_not_pile_up_and_yield_to_frames() {
        let outbox = Outbox::new(10, 10);
        outbox.tick();
        outbox.tick();
        let batch = outbox.next().await.unwrap();
        assert!(batch.tick && batch.frames.is_empty());
        assert!(outbox.next().now_or_never().is_none());
        outbox.tick();
        outbox.send(sized(1)).await.unwrap();
        let batch = outbox.next().await.unwrap();
        assert!(!batch.tick && batch.frames.len() == 1);
    }
}
