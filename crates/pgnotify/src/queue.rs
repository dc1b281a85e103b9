//! The bounded queue of events between driver and consumer. The driver never waits for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::Event;

/// A queue of at most `capacity` events.
pub(crate) fn queue(capacity: usize) -> (Sender, Receiver) {
    let shared = Arc::new(Mutex::new(Queue {
        events: VecDeque::new(),
        capacity: capacity.max(1),
        dropped: 0,
        closed: false,
        waker: None,
    }));
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

/// The driver's end. The queue closes when it is dropped.
#[derive(Debug)]
pub(crate) struct Sender(Arc<Mutex<Queue>>);

/// The consumer's end.
#[derive(Debug)]
pub(crate) struct Receiver(Arc<Mutex<Queue>>);

#[derive(Debug)]
struct Queue {
    events: VecDeque<Event>,
    capacity: usize,
    /// Events dropped since the consumer last looked.
    dropped: u64,
    closed: bool,
    waker: Option<Waker>,
}

impl Sender {
    /// Adds an event. In a full queue the oldest notification makes room, so that changes of state
    /// are kept; if there is none, the oldest event.
    pub(crate) fn push(&self, event: Event) {
        let mut queue = lock(&self.0);
        if queue.events.len() >= queue.capacity {
            let oldest = queue
                .events
                .iter()
                .position(|event| matches!(event, Event::Notification { .. }))
                .unwrap_or(0);
            queue.events.remove(oldest);
            queue.dropped += 1;
        }
        queue.events.push_back(event);
        wake(queue);
    }

    /// Counts events that were dropped before they could be queued.
    pub(crate) fn dropped(&self, count: u64) {
        let mut queue = lock(&self.0);
        queue.dropped += count;
        wake(queue);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut queue = lock(&self.0);
        queue.closed = true;
        wake(queue);
    }
}

impl Receiver {
    /// The next event; `Lagged` before the first one that follows a gap.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut queue = lock(&self.0);
        if queue.dropped > 0 {
            return Poll::Ready(Some(Event::Lagged(std::mem::take(&mut queue.dropped))));
        }
        if let Some(event) = queue.events.pop_front() {
            return Poll::Ready(Some(event));
        }
        if queue.closed {
            return Poll::Ready(None);
        }
        queue.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    // Nothing panics while the lock is held; if it did, the queue would still be whole.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes the consumer after the lock is released.
fn wake(mut queue: MutexGuard<'_, Queue>) {
    let waker = queue.waker.take();
    drop(queue);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Channel, Error};

    fn notification(payload: &str) -> Event {
        let channel = Channel::new("c").unwrap();
        Event::Notification { channel, payload: payload.into(), pid: 1 }
    }

    fn lost() -> Event {
        Event::Lost {
            reason: Error::Closed { server: "s".into() },
            retry_in: Duration::ZERO,
            failures: 1,
            failed_attempts: 1,
        }
    }

    fn drain(receiver: &Receiver) -> Vec<String> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut seen = Vec::new();
        while let Poll::Ready(Some(event)) = receiver.poll_next(&mut cx) {
            seen.push(match event {
                Event::Notification { payload, .. } => payload,
                Event::Lost { .. } => "lost".into(),
                Event::Lagged(n) => format!("lagged {n}"),
                other => format!("{other:?}"),
            });
        }
        seen
    }

    #[test]
    fn the_oldest_notifications_make_room_and_are_counted() {
        let (sender, receiver) = queue(3);
        for payload in ["1", "2", "3", "4", "5"] {
            sender.push(notification(payload));
        }
        assert_eq!(drain(&receiver), ["lagged 2", "3", "4", "5"]);
        sender.push(notification("6"));
        assert_eq!(drain(&receiver), ["6"]);
    }

    #[test]
    fn a_change_of_state_outlives_notifications() {
        let (sender, receiver) = queue(2);
        sender.push(lost());
        for payload in ["1", "2", "3"] {
            sender.push(notification(payload));
        }
        assert_eq!(drain(&receiver), ["lagged 2", "lost", "3"]);
    }

    #[test]
    fn changes_of_state_alone_are_bounded_too() {
        let (sender, receiver) = queue(2);
        for _ in 0..10 {
            sender.push(lost());
        }
        assert_eq!(drain(&receiver), ["lagged 8", "lost", "lost"]);
    }

    #[test]
    fn what_is_queued_is_read_after_the_driver_ended() {
        let (sender, receiver) = queue(2);
        sender.push(notification("1"));
        drop(sender);
        assert_eq!(drain(&receiver), ["1"]);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(receiver.poll_next(&mut cx), Poll::Ready(None)));
    }
}
