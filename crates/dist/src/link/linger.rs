//! When a reader that just had a message looks for the next one before it sleeps.
//!
//! A BEAM's schedulers do the same (`+sbwt`): being woken by the kernel takes longer than answering
//! a call, and who calls again and again has its next call under way by then. It pays for exactly
//! that. Where the other side takes longer, looking is in vain and takes a core away from it; where
//! many call, the next message is there at once, and who sleeps a little finds several, to be
//! answered in one write. So a reader that finds itself in either of these does without for a while.

use std::time::Duration;

/// How long it looks.
pub(super) const LINGER: Duration = Duration::from_micros(50);

/// Nobody takes an answer in and calls again in less; what comes sooner is somebody else's.
const AT_ONCE: Duration = Duration::from_micros(10);

/// For how many reads it does without.
const WITHOUT: u32 = 16;

/// What one reader has found out about its peer.
#[derive(Debug, Default)]
pub(super) struct Linger {
    without: u32,
}

impl Linger {
    /// Whether to look for more, now that something was read.
    pub(super) fn is_worth_it(&mut self) -> bool {
        let is = self.without == 0;
        self.without = self.without.saturating_sub(1);
        is
    }

    /// What came of it: after so long there was more, or there was nothing in time.
    pub(super) fn found(&mut self, after: Option<Duration>) {
        if after.is_none_or(|after| after < AT_ONCE) {
            self.without = WITHOUT;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_calls_again_and_again_is_waited_for() {
        let mut linger = Linger::default();
        for _ in 0..100 {
            assert!(linger.is_worth_it());
            linger.found(Some(Duration::from_micros(30)));
        }
    }

    #[test]
    fn neither_a_stream_nor_a_slow_peer_is_waited_for_but_is_tried_again() {
        for after in [None, Some(Duration::from_micros(2))] {
            let mut linger = Linger::default();
            for _ in 0..3 {
                assert!(linger.is_worth_it());
                linger.found(after);
                for _ in 0..WITHOUT {
                    assert!(!linger.is_worth_it());
                }
            }
        }
    }
}
