//! How long to wait before the next dial.

use std::time::Duration;

/// Exponential back-off with full jitter: a wait is uniform between nothing and a ceiling that doubles with every
/// failure, so that nodes which failed together do not try again together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The ceiling of the first wait.
    pub base: Duration,
    /// The ceiling of every wait.
    pub cap: Duration,
}

impl Backoff {
    /// The wait after `failures` failures in a row before this one; `random` is uniform over all of `u64`.
    pub fn delay(&self, failures: u32, random: u64) -> Duration {
        let doubled = 1u32.checked_shl(failures).unwrap_or(u32::MAX);
        let ceiling = self.base.saturating_mul(doubled).min(self.cap);
        let nanos = ceiling.as_nanos().min(u128::from(u64::MAX));
        let jittered = (nanos * u128::from(random)) >> 64;
        Duration::from_nanos(u64::try_from(jittered).unwrap_or(u64::MAX))
    }
}

impl Default for Backoff {
    /// 500 ms doubling to 30 s.
    fn default() -> Self {
        Self { base: Duration::from_millis(500), cap: Duration::from_secs(30) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let ceilings: Vec<u64> = (0..9)
            .map(|n| {
                let nearly = Backoff::default().delay(n, u64::MAX) + Duration::from_millis(1);
                u64::try_from(nearly.as_millis()).unwrap()
            })
            .collect();
        assert_eq!(ceilings, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
    }

    #[test]
    fn jitter_is_full() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay(3, 0), Duration::ZERO);
        assert_eq!(backoff.delay(3, 1 << 63), Duration::from_secs(2));
    }

    proptest! {
        #[test]
        fn never_over_the_cap(failures: u32, random: u64) {
            prop_assert!(Backoff::default().delay(failures, random) <= Duration::from_secs(30));
        }
    }
}
