//! When a reader that just had a message looks for the next one before it sleeps.
//!
//! A BEAM's schedulers do the same (`+sbwt`): being woken by the kernel takes longer than answering
//! a call, and who calls again and again has its next call under way by then. It pays for exactly
//! that. Where the other side takes longer, looking is in vain and takes a core away from it; where
//! many call, the next message is there at once, and who sleeps a little finds several, to be
//! answered in one write. So a reader that looked in vain does without for a while, longer each time;
//! not at once for long, because two that sleep are slow for each other, and one of them has to begin.

use std::time::Duration;

/// How long it looks.
pub(super) const LINGER: Duration = Duration::from_micros(50);

/// Nobody takes an answer in and calls again in less; what comes sooner is somebody else's.
const AT_ONCE: Duration = Duration::from_micros(10);

/// For how many reads at most it does without.
const WITHOUT: u32 = 16;

/// What one reader has found out about its peer.
#[derive(Debug, Default)]
pub(super) struct Linger {
    /// For how many reads it still does without.
    without: u32,
    /// For how many it did when it last looked in vain; 0 when it did not.
    vain: u32,
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
        match after {
            None => {
                self.vain = (2 * self.vain).clamp(1, WITHOUT);
                self.without = self.vain;
            }
            Some(after) if after < AT_ONCE => self.without = WITHOUT,
            Some(_) => self.vain = 0,
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

    fn reads_without(linger: &mut Linger) -> u32 {
        let mut reads = 0;
        while !linger.is_worth_it() {
            reads += 1;
        }
        reads
    }

    #[test]
    fn a_slow_peer_is_waited_for_more_and_more_seldom_and_soon_again_when_it_was_not_in_vain() {
        let mut linger = Linger::default();
        let mut reads = Vec::new();
        for _ in 0..7 {
            reads.push(reads_without(&mut linger));
            linger.found(None);
        }
        assert_eq!(reads, [0, 1, 2, 4, 8, 16, 16]);
        assert_eq!(reads_without(&mut linger), 16);
        linger.found(Some(Duration::from_micros(30)));
        assert_eq!(reads_without(&mut linger), 0);
        linger.found(None);
        assert_eq!(reads_without(&mut linger), 1);
    }

    #[test]
    fn a_stream_is_not_waited_for() {
        let mut linger = Linger::default();
        for without in [0, WITHOUT, WITHOUT] {
            assert_eq!(reads_without(&mut linger), without);
            linger.found(Some(Duration::from_micros(2)));
        }
    }
}
