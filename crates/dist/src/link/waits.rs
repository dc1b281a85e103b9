//! How long senders wait for room.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;

/// Those who wait for one link, and the time that all of them together have waited. Whoever need not wait
/// does not touch it.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    /// What has been waited until `since`.
    total: Duration,
    since: Option<Instant>,
}

/// One who waits, until it is dropped.
struct Waiting<'a>(&'a Waits);

impl Waits {
    /// Waits until it is ready, counting the time.
    pub(super) async fn until<T>(&self, ready: impl Future<Output = T>) -> T {
        let mut ready = pin!(ready);
        if let Some(at_once) = ready.as_mut().now_or_never() {
            return at_once;
        }
        let _waiting = Waiting::new(self);
        ready.await
    }

    /// How many wait, and how long they and those before them have waited altogether.
    pub(super) fn so_far(&self) -> (usize, Duration) {
        let mut state = self.lock();
        state.count(Instant::now());
        (state.waiting, state.total)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Adds what has been waited up to now.
    fn count(&mut self, now: Instant) {
        let since = self.since.replace(now).unwrap_or(now);
        let waiting = u32::try_from(self.waiting).unwrap_or(u32::MAX);
        self.total += now.saturating_duration_since(since).saturating_mul(waiting);
    }
}

impl<'a> Waiting<'a> {
    fn new(waits: &'a Waits) -> Self {
        let mut state = waits.lock();
        state.count(Instant::now());
        state.waiting += 1;
        drop(state);
        Self(waits)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.count(Instant::now());
        state.waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn who_waits_is_counted_until_it_stops() {
        let waits = Waits::default();
        assert_eq!(waits.until(ready(1)).await, 1);
        assert_eq!(waits.so_far(), (0, Duration::ZERO));

        let mut first = Box::pin(waits.until(pending::<()>()));
        let mut second = Box::pin(waits.until(pending::<()>()));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(waits.so_far().0, 2);
        drop(first);
        assert_eq!(waits.so_far().0, 1);
        drop(second);
        let (waiting, total) = waits.so_far();
        assert!(waiting == 0 && total > Duration::ZERO, "{total:?}");
        assert_eq!(waits.so_far(), (0, total), "nobody waits any more");
    }

    #[test]
    fn the_time_of_each_counts() {
        let start = Instant::now();
        let mut state = State { waiting: 3, total: Duration::ZERO, since: Some(start) };
        state.count(start + Duration::from_secs(2));
        state.waiting = 1;
        state.count(start + Duration::from_secs(3));
        assert_eq!(state.total, Duration::from_secs(7));
    }
}
