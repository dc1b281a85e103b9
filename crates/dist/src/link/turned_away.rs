//! Peers that are turned away, in the log: as many as one can read, and of the others how many.
//!
//! Whoever reaches the port can cause as many as they like.

use std::time::Duration;

use tokio::time::Instant;

/// How many are said in one period.
const SAID: u32 = 10;
const PERIOD: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct TurnedAway {
    /// When the period ends that the first of them began.
    over: Option<Instant>,
    said: u32,
    unsaid: u64,
}

impl TurnedAway {
    /// One more: whether it is to be said.
    pub(super) fn one(&mut self, now: Instant) -> bool {
        self.over.get_or_insert(now + PERIOD);
        if self.said < SAID {
            self.said += 1;
            return true;
        }
        self.unsaid += 1;
        false
    }

    /// When [`TurnedAway::count`] is to be asked, if it is.
    pub(super) fn due(&self) -> Option<Instant> {
        self.over
    }

    /// Begins anew once the period is over. How many were not said, if there were any.
    pub(super) fn count(&mut self, now: Instant) -> Option<u64> {
        if self.over.is_none_or(|over| now < over) {
            return None;
        }
        let unsaid = std::mem::take(self).unsaid;
        (unsaid > 0).then_some(unsaid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_minute_are_said_and_the_others_counted() {
        let start = Instant::now();
        let mut turned_away = TurnedAway::default();
        assert_eq!(turned_away.due(), None);
        assert_eq!((0..1000).filter(|_| turned_away.one(start)).count(), 10);
        assert_eq!(turned_away.due(), Some(start + PERIOD));
        assert_eq!(turned_away.count(start + PERIOD / 2), None);
        assert_eq!(turned_away.count(start + PERIOD), Some(990));
        assert_eq!((turned_away.due(), turned_away.count(start + PERIOD)), (None, None));
        assert!(turned_away.one(start + 2 * PERIOD));
        assert_eq!(turned_away.count(start + 3 * PERIOD), None, "all were said");
    }
}
