//! What waits for a reader that may be slow: bounded, the oldest is dropped first, and the reader is told how much.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// How much waits for one reader.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) items: usize,
    pub(super) bytes: usize,
}

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    Item(T),
    /// This many were dropped, all of them older than what comes next.
    Lagged(u64),
    /// There will be no more.
    End,
}

/// Puts items in. It never waits.
#[derive(Debug)]
pub(super) struct Sender<T>(Arc<Shared<T>>);

/// Takes them out.
#[derive(Debug)]
pub(super) struct Receiver<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    bounds: Bounds,
}

#[derive(Debug)]
struct State<T> {
    /// Each with its bytes.
    items: VecDeque<(T, usize)>,
    bytes: usize,
    dropped: u64,
    ended: bool,
    reader: Option<Waker>,
}

/// A buffer and both its ends.
pub(super) fn buffer<T>(bounds: Bounds) -> (Sender<T>, Receiver<T>) {
    let state = State { items: VecDeque::new(), bytes: 0, dropped: 0, ended: false, reader: None };
    let shared = Arc::new(Shared { state: Mutex::new(state), bounds });
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Sender<T> {
    /// Adds an item that holds so many bytes. The newest always stays, whatever its size.
    pub(super) fn push(&self, item: T, bytes: usize) {
        let bounds = self.0.bounds;
        let mut state = self.0.lock();
        let mut gone = Vec::new();
        while state.items.len() >= bounds.items.max(1)
            || state.bytes.saturating_add(bytes) > bounds.bytes
        {
            let Some((oldest, size)) = state.items.pop_front() else { break };
            state.bytes -= size;
            state.dropped += 1;
            gone.push(oldest);
        }
        state.bytes += bytes;
        state.items.push_back((item, bytes));
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl<T> Drop for Sender<T> {
    /// What was put in can still be read.
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }
}

impl<T> Receiver<T> {
    /// The next item, or how many were dropped before it.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Next<T>> {
        let mut state = self.0.lock();
        if state.dropped > 0 {
            return Poll::Ready(Next::Lagged(std::mem::take(&mut state.dropped)));
        }
        if let Some((item, bytes)) = state.items.pop_front() {
            state.bytes -= bytes;
            if state.items.is_empty() {
                // A burst must not be paid for until the reader ends.
                state.items.shrink_to(16);
            }
            return Poll::Ready(Next::Item(item));
        }
        if state.ended {
            return Poll::Ready(Next::End);
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    async fn next<T>(receiver: &mut Receiver<T>) -> Next<T> {
        std::future::poll_fn(|context| receiver.poll(context)).await
    }

    #[tokio::test]
    async fn the_oldest_is_dropped_and_said_to_be() {
        let (sender, mut receiver) = buffer(Bounds { items: 2, bytes: 100 });
        for n in 1..=5 {
            sender.push(n, 1);
        }
        assert_eq!(next(&mut receiver).await, Next::Lagged(3));
        assert_eq!(next(&mut receiver).await, Next::Item(4));
        sender.push(6, 1);
        sender.push(7, 1);
        assert_eq!(next(&mut receiver).await, Next::Lagged(1));
        assert_eq!(next(&mut receiver).await, Next::Item(6));
        assert_eq!(next(&mut receiver).await, Next::Item(7));
        assert!(next(&mut receiver).now_or_never().is_none());
    }

    #[tokio::test]
    async fn bytes_are_bounded_but_the_newest_stays() {
        let (sender, mut receiver) = buffer(Bounds { items: 10, bytes: 100 });
        sender.push(1, 60);
        sender.push(2, 40);
        sender.push(3, 1);
        assert_eq!(next(&mut receiver).await, Next::Lagged(1));
        sender.push(4, 1000);
        assert_eq!(next(&mut receiver).await, Next::Lagged(2));
        assert_eq!(next(&mut receiver).await, Next::Item(4));
        assert_eq!(receiver.0.lock().bytes, 0);
    }

    #[tokio::test]
    async fn a_reader_is_woken_by_an_item_and_by_the_end() {
        let (sender, mut receiver) = buffer(Bounds { items: 10, bytes: 100 });
        let reading = tokio::spawn(async move { (next(&mut receiver).await, receiver) });
        tokio::task::yield_now().await;
        sender.push(1, 1);
        let (first, mut receiver) = reading.await.unwrap();
        assert_eq!(first, Next::Item(1));
        sender.push(2, 1);
        drop(sender);
        assert_eq!(next(&mut receiver).await, Next::Item(2));
        assert_eq!(next(&mut receiver).await, Next::End);
    }
}
