//! A limit on how often something may happen.

use std::time::{Duration, Instant};

/// Lets `rate` things a second pass on average, and `burst` of them at once (a leaky bucket, kept as one instant).
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    interval: Duration,
    burst: Duration,
    /// When the bucket is empty again.
    empty_at: Option<Instant>,
}

impl Gate {
    /// A rate of zero counts as one a second.
    pub(crate) fn new(rate: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / rate.max(1);
        Self { interval, burst: interval * burst, empty_at: None }
    }

    pub(crate) fn admit(&mut self, now: Instant) -> bool {
        let empty_at = self.empty_at.map_or(now, |at| at.max(now));
        let admitted = empty_at - now < self.burst;
        if admitted {
            self.empty_at = Some(empty_at + self.interval);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let start = Instant::now();
        let mut gate = Gate::new(10, 5);
        let admitted = |gate: &mut Gate, at| (0..100).filter(|_| gate.admit(at)).count();
        assert_eq!(admitted(&mut gate, start), 5);
        assert_eq!(admitted(&mut gate, start), 0);
        assert_eq!(admitted(&mut gate, start + Duration::from_millis(200)), 2);
        assert_eq!(admitted(&mut gate, start + Duration::from_secs(60)), 5);
    }
}
