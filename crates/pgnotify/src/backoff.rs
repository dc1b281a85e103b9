//! How long to wait before the next attempt: full-jitter exponential back-off.

use std::time::Duration;

/// Limits of the wait between attempts to connect.
///
/// The wait before attempt n is a random time between zero and `first * 2^n`, never more than a cap
/// ("full jitter": a cluster's many clients come back spread out, not in step). There are two caps:
///
/// * [`cap`](Self::cap) while the server cannot be reached, starts up, shuts down or is a standby.
///   It is short (1 s), so that after a restart of any length a client is back within about a
///   second of the server accepting connections.
/// * [`refused_cap`](Self::refused_cap) when the server answers and refuses us (password, no such
///   database, too many connections) or a pooler swallows LISTEN. Trying that often would only be a
///   nuisance.
///
/// Waits grow from `first` again when the kind of failure changes, and after a connection that
/// lasted [`stable_after`](Self::stable_after).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Upper bound of the first wait (100 ms).
    pub first: Duration,
    /// Upper bound of every wait while the server is away (1 s).
    pub cap: Duration,
    /// Upper bound of every wait while the server refuses us (15 s).
    pub refused_cap: Duration,
    /// A connection that lasted this long counts as a success (5 s).
    pub stable_after: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            cap: Duration::from_secs(1),
            refused_cap: Duration::from_secs(15),
            stable_after: Duration::from_secs(5),
        }
    }
}

/// What kind of failure the wait follows; decides the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server is not there, or not yet: it comes back by itself.
    Away,
    /// The server, or a pooler before it, answered and does not serve us.
    Refused,
}

/// Counts failures and gives the waits. Randomness and time are arguments.
#[derive(Debug)]
pub(crate) struct Waits {
    limits: Backoff,
    streak: Option<(Failure, u32)>,
}

impl Waits {
    pub(crate) fn new(limits: Backoff) -> Self {
        Self { limits, streak: None }
    }

    /// A connection was up for `lasted` and is gone.
    pub(crate) fn connection_ended(&mut self, lasted: Duration) {
        if lasted >= self.limits.stable_after {
            self.streak = None;
        }
    }

    /// The wait after one more failure; `unit` is a random number in `0.0..1.0`.
    pub(crate) fn next(&mut self, failure: Failure, unit: f64) -> Duration {
        let failures = match self.streak {
            Some((last, n)) if last == failure => n.saturating_add(1),
            _ => 0,
        };
        self.streak = Some((failure, failures));
        let cap = match failure {
            Failure::Away => self.limits.cap,
            Failure::Refused => self.limits.refused_cap,
        };
        let bound = 2_u32
            .checked_pow(failures)
            .and_then(|factor| self.limits.first.checked_mul(factor))
            .map_or(cap, |grown| grown.min(cap));
        bound.mul_f64(unit.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn waits() -> Waits {
        Waits::new(Backoff::default())
    }

    #[test]
    fn grows_from_the_first_wait_to_the_cap() {
        let mut waits = waits();
        let bounds: Vec<_> = (0..6).map(|_| waits.next(Failure::Away, 1.0).as_millis()).collect();
        assert_eq!(bounds, [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn a_refusal_is_tried_more_slowly() {
        let mut waits = waits();
        let last = (0..20).map(|_| waits.next(Failure::Refused, 1.0)).last();
        assert_eq!(last, Some(Duration::from_secs(15)));
    }

    #[test]
    fn another_kind_of_failure_starts_again() {
        let mut waits = waits();
        for _ in 0..20 {
            waits.next(Failure::Refused, 1.0);
        }
        assert_eq!(waits.next(Failure::Away, 1.0), 100 * MS);
        assert_eq!(waits.next(Failure::Refused, 1.0), 100 * MS);
    }

    #[test]
    fn only_a_stable_connection_starts_again() {
        let mut waits = waits();
        waits.next(Failure::Away, 1.0);
        waits.connection_ended(4999 * MS);
        assert_eq!(waits.next(Failure::Away, 1.0), 200 * MS);
        waits.connection_ended(5000 * MS);
        assert_eq!(waits.next(Failure::Away, 1.0), 100 * MS);
    }

    proptest! {
        #[test]
        fn never_over_the_cap_whatever_the_limits(
            first in 0_u64..10_000, cap in 0_u64..10_000, rounds in 1_usize..100, unit in 0.0_f64..1.0,
        ) {
            let limits = Backoff { first: MS * u32::try_from(first).unwrap(), cap: Duration::from_millis(cap), ..Backoff::default() };
            let mut waits = Waits::new(limits);
            for _ in 0..rounds {
                prop_assert!(waits.next(Failure::Away, unit) <= limits.cap);
            }
        }
    }
}
