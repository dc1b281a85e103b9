//! Who may take one of the dials that can be under way.

use super::entry::Class;

/// Each class of names leaves room for the better ones: names never reached hold at most three quarters of the slots,
/// names that keep failing at most half.
#[derive(Debug)]
pub(super) struct Slots {
    all: usize,
    known: usize,
    new: usize,
    failing: usize,
}

impl Slots {
    /// No slot at all counts as one.
    pub(super) fn new(all: usize) -> Self {
        Self { all: all.max(1), known: 0, new: 0, failing: 0 }
    }

    pub(super) fn are_free(&self, class: Class) -> bool {
        let quarter = self.all / 4;
        let known = self.known + self.new + self.failing < self.all;
        let new = self.new + self.failing < self.all - quarter;
        let failing = self.failing < self.all - self.all / 2;
        match class {
            Class::Known => known,
            Class::New => known && new,
            Class::Failing => known && new && failing,
        }
    }

    pub(super) fn take(&mut self, class: Class) {
        *self.held(class) += 1;
    }

    pub(super) fn give_back(&mut self, class: Class) {
        let held = self.held(class);
        *held = held.saturating_sub(1);
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
    use super::*;

    fn fill(slots: &mut Slots, class: Class) -> usize {
        let before = slots.known + slots.new + slots.failing;
        while slots.are_free(class) {
            slots.take(class);
        }
        slots.known + slots.new + slots.failing - before
    }

    #[test]
    fn the_worse_leave_room_for_the_better() {
        let mut slots = Slots::new(16);
        let taken = [Class::Failing, Class::New, Class::Known].map(|class| fill(&mut slots, class));
        assert_eq!(taken, [8, 4, 4]);
        slots.give_back(Class::New);
        assert!(!slots.are_free(Class::Failing));
        assert!(slots.are_free(Class::New));
    }

    #[test]
    fn one_slot_serves_everybody() {
        for class in [Class::Failing, Class::New, Class::Known] {
            assert_eq!(fill(&mut Slots::new(0), class), 1);
        }
    }
}
