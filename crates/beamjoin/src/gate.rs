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
        let admitted = self.is_open(now, 0);
        if admitted {
            let empty_at = self.empty_at.map_or(now, |at| at.max(now));
            self.empty_at = Some(empty_at + self.interval);
        }
        admitted
    }

    /// Whether one more could pass, and leave `spare` places of the burst to others.
    pub(crate) fn is_open(&self, now: Instant, spare: u32) -> bool {
        self.opens_at(spare).is_none_or(|at| at <= now)
    }

    /// From when on that is so; `None` if it always was.
    pub(crate) fn opens_at(&self, spare: u32) -> Option<Instant> {
        let full = self.burst.saturating_sub(self.interval * spare);
        // A nanosecond more than full.
        self.empty_at?.checked_sub(full).map(|at| at + Duration::from_nanos(1))
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

    #[test]
    fn what_is_left_to_others_is_not_taken() {
        let start = Instant::now();
        let mut gate = Gate::new(10, 4);
        assert_eq!(gate.opens_at(3), None);
        let taken = (0..100).filter(|_| gate.is_open(start, 1) && gate.admit(start)).count();
        assert_eq!((taken, gate.is_open(start, 0)), (3, true));
        let open = gate.opens_at(1).unwrap();
        assert!(open > start && open <= start + Duration::from_millis(101));
        assert!(gate.is_open(open, 1) && !gate.is_open(open - Duration::from_nanos(1), 1));
    }
}
