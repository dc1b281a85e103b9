//! Who may dial: how many at one time, and how many a second.

use std::time::Instant;

use super::{Limits, entry::Class};
use crate::gate::Gate;

/// Anybody who can write to the channel can have as many names dialled as they like, so no class of names can take what
/// another one needs:
///
/// - Of the dials at one time, names never dialled hold at most five eighths, names that fail at most half, both together
///   three quarters.
/// - Of those that may begin at once, both leave a quarter to names that were connected not long ago.
/// - These two take turns.
#[derive(Debug)]
pub(super) struct Slots {
    all: usize,
    known: usize,
    new: usize,
    failing: usize,
    rate: Gate,
    /// The part of a burst that is for known names.
    spare: u32,
    /// Of the two that take turns, which had the last one.
    last: Class,
}

impl Slots {
    /// No slot at all counts as one, and no dial a second too.
    pub(super) fn new(limits: &Limits) -> Self {
        let burst = limits.dials_burst.max(1);
        Self {
            all: limits.parallel_dials.max(1),
            known: 0,
            new: 0,
            failing: 0,
            rate: Gate::new(limits.dials_per_second, burst),
            spare: burst / 4,
            last: Class::Failing,
        }
    }

    /// Whether anybody at all may dial now.
    pub(super) fn are_open(&self, now: Instant) -> bool {
        self.rate.is_open(now, 0)
    }

    pub(super) fn may_dial(&self, class: Class, now: Instant) -> bool {
        self.are_free(class) && self.rate.is_open(now, self.spare(class))
    }

    /// When a name that is due then may be dialled; `None` if somebody has to be done first.
    pub(super) fn dials_at(&self, class: Class, due: Instant) -> Option<Instant> {
        let open = self.rate.opens_at(self.spare(class));
        self.are_free(class).then(|| open.map_or(due, |open| open.max(due)))
    }

    /// The least goes first.
    pub(super) fn turn(&self, class: Class) -> u8 {
        match class {
            Class::Known => 0,
            class if class != self.last => 1,
            _ => 2,
        }
    }

    pub(super) fn take(&mut self, class: Class, now: Instant) {
        *self.held(class) += 1;
        self.rate.admit(now);
        if class != Class::Known {
            self.last = class;
        }
    }

    pub(super) fn give_back(&mut self, class: Class) {
        let held = self.held(class);
        *held = held.saturating_sub(1);
    }

    fn are_free(&self, class: Class) -> bool {
        let others = self.new + self.failing < self.all - self.all / 4;
        let any = self.known + self.new + self.failing < self.all;
        any && match class {
            Class::Known => true,
            Class::New => others && self.new < self.all - self.all * 3 / 8,
            Class::Failing => others && self.failing < self.all - self.all / 2,
        }
    }

    fn spare(&self, class: Class) -> u32 {
        if class == Class::Known { 0 } else { self.spare }
    }

    fn held(&mut self, class: Class) -> &mut usize {
        match class {
            Class::Known => &mut self.known,
            Class::New => &mut self.new,
            Class::Failing => &mut self.failing,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ALL: [Class; 3] = [Class::Failing, Class::New, Class::Known];

    fn slots(parallel_dials: usize, dials_per_second: u32) -> Slots {
        let limits = Limits { parallel_dials, ..Limits::default().dial_rate(dials_per_second) };
        Slots::new(&limits)
    }

    fn fill(slots: &mut Slots, class: Class, now: Instant) -> usize {
        let mut taken = 0;
        while slots.may_dial(class, now) {
            slots.take(class, now);
            taken += 1;
        }
        taken
    }

    #[test]
    fn each_class_leaves_room_for_the_others() {
        let now = Instant::now();
        let mut few = slots(16, 1000);
        let by_worth = [Class::New, Class::Failing, Class::Known];
        assert_eq!(by_worth.map(|class| fill(&mut few, class, now)), [10, 2, 4]);
        let mut few = slots(16, 1000);
        assert_eq!(ALL.map(|class| fill(&mut few, class, now)), [8, 4, 4]);
        few.give_back(Class::New);
        assert!(few.may_dial(Class::New, now) && !few.may_dial(Class::Failing, now));
    }

    #[test]
    fn one_slot_serves_everybody() {
        for class in ALL {
            assert_eq!(fill(&mut slots(0, 0), class, Instant::now()), 1);
        }
    }

    #[test]
    fn known_names_need_not_wait_for_others() {
        let start = Instant::now();
        let mut slots = slots(1000, 50);
        assert_eq!(ALL.map(|class| fill(&mut slots, class, start)), [75, 0, 25]);
        assert!(!slots.are_open(start));
        let later = start + Duration::from_secs(1);
        assert_eq!(ALL.map(|class| fill(&mut slots, class, later)), [25, 0, 25]);
        let next = slots.dials_at(Class::New, later).unwrap();
        assert!(next > later && slots.may_dial(Class::New, next));
    }

    #[test]
    fn new_and_failing_names_take_turns() {
        let now = Instant::now();
        let mut slots = slots(16, 50);
        let turns = [Class::New, Class::Failing, Class::New].map(|class| {
            let turns = ALL.map(|class| slots.turn(class));
            slots.take(class, now);
            turns
        });
        assert_eq!(turns, [[2, 1, 0], [1, 2, 0], [2, 1, 0]]);
    }
}
