//! Processes in a group, each as often as it joined.

use std::collections::HashMap;

use etf::{Pid, Term};

/// The groups of one node: none of them is empty.
pub(super) type Groups = HashMap<Term, Bag>;

/// Processes, each with how often it is in here. In no order: to leave must not take longer in a
/// group of a hundred thousand.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Bag {
    of: HashMap<Pid, usize>,
    len: usize,
}

impl Bag {
    /// Puts one more in.
    pub(super) fn add(&mut self, pid: Pid) {
        *self.of.entry(pid).or_default() += 1;
        self.len += 1;
    }

    /// Takes one out. False when it is not in here.
    pub(super) fn remove(&mut self, pid: &Pid) -> bool {
        match self.of.get_mut(pid) {
            None => return false,
            Some(1) => drop(self.of.remove(pid)),
            Some(count) => *count -= 1,
        }
        self.len -= 1;
        true
    }

    /// How many are in here, each as often as it joined.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All of them, each as often as it joined.
    pub(super) fn pids(&self) -> impl Iterator<Item = &Pid> {
        self.of.iter().flat_map(|(pid, count)| std::iter::repeat_n(pid, *count))
    }

    /// What is in here and not in `other`, each as often as that is so.
    pub(super) fn minus(&self, other: &Self) -> Vec<Pid> {
        let more = self.of.iter().flat_map(|(pid, count)| {
            let there = other.of.get(pid).copied().unwrap_or_default();
            std::iter::repeat_n(pid.clone(), count.saturating_sub(there))
        });
        more.collect()
    }
}

impl FromIterator<Pid> for Bag {
    fn from_iter<I: IntoIterator<Item = Pid>>(pids: I) -> Self {
        let mut bag = Self::default();
        pids.into_iter().for_each(|pid| bag.add(pid));
        bag
    }
}

/// Takes a process out of a group once, and an empty group out of the groups. False when it is not
/// in there.
pub(super) fn take(groups: &mut Groups, group: &Term, pid: &Pid) -> bool {
    let Some(bag) = groups.get_mut(group) else { return false };
    let taken = bag.remove(pid);
    if bag.len() == 0 {
        groups.remove(group);
    }
    taken
}
