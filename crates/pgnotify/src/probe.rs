//! When to ask whether we still hear, and what the answer means.
//!
//! A probe is a notification of ours on a channel that nobody else knows. On a direct connection we
//! send it through the connection itself. Behind a pooler that would prove nothing: in transaction
//! mode the pooler lends us, for the length of our NOTIFY, very likely the backend on which our
//! LISTEN once ran, and so we hear ourselves and never anybody else. There the probe comes from a
//! second, short connection (a witness).
//!
//! ```text
//!            time                confirmed             time              answered
//!  Waiting ───────► Sending ──────────────► Listening ──────► Checking ─────────► swallowed
//!     ▲                │ failed, or              │               │
//!     │                │ heard and confirmed     │ heard         │ heard
//!     └────────────────┴─────────────────────────┴───────────────┘
//! ```
//!
//! A query that is not answered at all is not the probe's concern: every query has its deadline,
//! after which the connection counts as silent.

use std::time::Duration;

use tokio::time::Instant;

/// The state of probing on one connection. Time is an argument.
#[derive(Debug)]
pub(crate) struct Probe {
    interval: Duration,
    timeout: Duration,
    serial: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next probe is due then.
    Waiting { until: Instant },
    /// Sent and not confirmed yet.
    Sending { heard: bool },
    /// Postgres has committed it, so it should come.
    Listening { until: Instant },
    /// It did not come; is the connection alive otherwise?
    Checking,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Notify the probe channel with this serial number, then call `confirmed` or `failed`.
    Send(u64),
    /// Run any query on the listening connection, then call `checked`.
    Check,
}

/// Queries are answered, and our own notification was not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Swallowed;

impl Probe {
    /// The first probe is due at `first`.
    pub(crate) fn new(interval: Duration, timeout: Duration, first: Instant) -> Self {
        Self { interval, timeout, serial: 0, state: State::Waiting { until: first } }
    }

    /// When to call [`poll`](Self::poll) next; `None` while an answer is awaited.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until } | State::Listening { until } => Some(until),
            State::Sending { .. } | State::Checking => None,
        }
    }

    /// What is due, if anything.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Action> {
        match self.state {
            State::Waiting { until } if now >= until => {
                self.serial += 1;
                self.state = State::Sending { heard: false };
                Some(Action::Send(self.serial))
            }
            State::Listening { until } if now >= until => {
                self.state = State::Checking;
                Some(Action::Check)
            }
            _ => None,
        }
    }

    /// A probe came back. True if it is the present one.
    pub(crate) fn heard(&mut self, serial: u64, now: Instant) -> bool {
        if serial != self.serial {
            return false;
        }
        match self.state {
            State::Waiting { .. } => return false,
            State::Sending { .. } => self.state = State::Sending { heard: true },
            State::Listening { .. } | State::Checking => self.wait(now),
        }
        true
    }

    /// Something else was heard that could not have been heard on a connection that is dead or pooled:
    /// the next probe can wait. (Every notification wakes every listening backend of the database,
    /// so in a lively cluster probes would only be noise.)
    pub(crate) fn heard_others(&mut self, now: Instant) {
        if matches!(self.state, State::Waiting { .. }) {
            self.wait(now);
        }
    }

    /// Postgres has committed the notification.
    pub(crate) fn confirmed(&mut self, now: Instant) {
        match self.state {
            State::Sending { heard: true } => self.wait(now),
            State::Sending { heard: false } => {
                self.state = State::Listening { until: now + self.timeout };
            }
            _ => {}
        }
    }

    /// What was asked for failed, but there was an answer, or the witness is to blame: nothing is
    /// proved, try again next time.
    pub(crate) fn failed(&mut self, now: Instant) {
        if matches!(self.state, State::Sending { .. } | State::Checking) {
            self.wait(now);
        }
    }

    /// The query of [`Action::Check`] was answered.
    pub(crate) fn checked(&self) -> Result<(), Swallowed> {
        if self.state == State::Checking { Err(Swallowed) } else { Ok(()) }
    }

    fn wait(&mut self, now: Instant) {
        self.state = State::Waiting { until: now + self.interval };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);
    const TIMEOUT: Duration = Duration::from_secs(5);

    fn probe() -> (Probe, Instant) {
        let start = Instant::now();
        (Probe::new(INTERVAL, TIMEOUT, start), start)
    }

    #[test]
    fn a_healthy_connection_is_asked_every_interval() {
        let (mut probe, mut now) = probe();
        for serial in 1..5 {
            assert_eq!(probe.deadline(), Some(now));
            assert_eq!(probe.poll(now), Some(Action::Send(serial)));
            assert_eq!(probe.deadline(), None);
            // Postgres sends a session its own notification before the confirmation.
            assert!(probe.heard(serial, now));
            probe.confirmed(now);
            assert_eq!(probe.poll(now + INTERVAL - Duration::from_nanos(1)), None);
            now += INTERVAL;
        }
    }

    #[test]
    fn a_witness_is_confirmed_before_it_is_heard() {
        let (mut probe, now) = probe();
        probe.poll(now);
        probe.confirmed(now);
        assert_eq!(probe.deadline(), Some(now + TIMEOUT));
        assert!(probe.heard(1, now));
        assert_eq!(probe.deadline(), Some(now + INTERVAL));
    }

    #[test]
    fn not_heard_and_yet_answering_is_swallowed() {
        let (mut probe, now) = probe();
        probe.poll(now);
        probe.confirmed(now);
        assert_eq!(probe.poll(now + TIMEOUT), Some(Action::Check));
        assert_eq!(probe.checked(), Err(Swallowed));
    }

    #[test]
    fn heard_late_is_heard() {
        let (mut probe, now) = probe();
        probe.poll(now);
        probe.confirmed(now);
        assert_eq!(probe.poll(now + TIMEOUT), Some(Action::Check));
        assert!(probe.heard(1, now + TIMEOUT));
        assert_eq!(probe.checked(), Ok(()));
    }

    #[test]
    fn what_others_say_puts_the_next_probe_off_and_settles_none() {
        let (mut probe, now) = probe();
        probe.heard_others(now);
        assert_eq!(probe.deadline(), Some(now + INTERVAL));
        assert_eq!(probe.poll(now + INTERVAL), Some(Action::Send(1)));
        probe.confirmed(now + INTERVAL);
        probe.heard_others(now + INTERVAL);
        assert_eq!(probe.deadline(), Some(now + INTERVAL + TIMEOUT));
    }

    #[test]
    fn an_old_probe_proves_nothing() {
        let (mut probe, now) = probe();
        assert!(!probe.heard(0, now));
        probe.poll(now);
        probe.failed(now);
        assert!(!probe.heard(1, now));
        probe.poll(now + INTERVAL);
        assert!(!probe.heard(1, now + INTERVAL));
        assert!(probe.heard(2, now + INTERVAL));
    }

    proptest! {
        /// Whatever comes in whatever order, there is always something to wait for: a time, or an
        /// answer that was asked for.
        #[test]
        fn never_stuck(events in prop::collection::vec((0_u8..4, 0_u64..4, 0_u64..8), 0..100)) {
            let (mut probe, mut now) = probe();
            let mut asked: Option<Action> = None;
            for (event, serial, seconds) in events {
                now += Duration::from_secs(seconds);
                match (event, asked) {
                    (0, None) => asked = probe.poll(now),
                    (0, Some(_)) => prop_assert_eq!(probe.poll(now), None),
                    (1, _) => {
                        let heard = probe.heard(serial, now);
                        // The answer to the check does not matter any more.
                        asked = asked.filter(|action| !(heard && *action == Action::Check));
                    }
                    (2, Some(Action::Send(_))) => {
                        probe.confirmed(now);
                        asked = None;
                    }
                    (2, Some(Action::Check)) if probe.checked().is_err() => return Ok(()),
                    (2, Some(Action::Check)) => asked = None,
                    (3, Some(_)) => {
                        probe.failed(now);
                        asked = None;
                    }
                    _ => {}
                }
                prop_assert!(probe.deadline().is_some() || asked.is_some());
            }
        }
    }
}
