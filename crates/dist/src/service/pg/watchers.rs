//! Who watches a scope or a group of it.

use std::collections::HashMap;

use etf::{Pid, Term};

use super::PgEvent;
use crate::service::buffer::{Bounds, Receiver, Sender, buffer};

/// What waits for one monitor.
const BOUNDS: Bounds = Bounds { items: 1024, bytes: 64 << 20 };

/// The monitors of one scope.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    last: u64,
    of_all: HashMap<u64, Sender<PgEvent>>,
    of_group: HashMap<Term, HashMap<u64, Sender<PgEvent>>>,
}

impl Watchers {
    /// Adds one: of a group, or of all of them.
    pub(super) fn add(&mut self, group: Option<&Term>) -> (u64, Receiver<PgEvent>) {
        let (sender, receiver) = buffer(BOUNDS);
        self.last += 1;
        let watchers = match group {
            None => &mut self.of_all,
            Some(group) => self.of_group.entry(group.clone()).or_default(),
        };
        watchers.insert(self.last, sender);
        (self.last, receiver)
    }

    /// Takes one away.
    pub(super) fn remove(&mut self, id: u64, group: Option<&Term>) {
        let Some(group) = group else {
            self.of_all.remove(&id);
            return;
        };
        if let Some(watchers) = self.of_group.get_mut(group) {
            watchers.remove(&id);
            if watchers.is_empty() {
                self.of_group.remove(group);
            }
        }
    }

    /// Tells those whom it concerns.
    pub(super) fn tell(
        &self,
        group: &Term,
        pids: &[Pid],
        event: impl Fn(Term, Vec<Pid>) -> PgEvent,
    ) {
        let size = size_of::<PgEvent>() + size_of_val(pids);
        let of_group = self.of_group.get(group);
        for watcher in self.of_all.values().chain(of_group.into_iter().flat_map(HashMap::values)) {
            watcher.push(event(group.clone(), pids.to_vec()), size);
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.of_all.len() + self.of_group.values().map(HashMap::len).sum::<usize>()
    }
}
