//! Which of our processes are linked or monitored across a link.
//!
//! When the link is lost, exactly these have to be told; a walk over all processes would make one
//! peer's leaving a matter of how many processes live here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Link;
use crate::process::ProcessId;

/// How many relations one peer can hold: far more than any system uses, and a bound on what a
/// peer can make us keep.
const MOST: usize = 4_000_000;

/// The processes with relations across one link, and how many each has.
#[derive(Debug, Default)]
pub(crate) struct Relations(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    of: HashMap<ProcessId, u32>,
    total: usize,
}

/// One relation of a process across a link: counted as long as it is held.
#[derive(Debug)]
pub(crate) struct Relation {
    pub(crate) link: Arc<Link>,
    process: ProcessId,
}

impl Relation {
    /// Counts a relation of `process` across `link`; `None` when the peer holds too many already.
    pub(crate) fn new(link: &Arc<Link>, process: ProcessId) -> Option<Self> {
        let mut counts = link.relations.lock();
        if counts.total >= MOST {
            return None;
        }
        counts.total += 1;
        *counts.of.entry(process).or_default() += 1;
        drop(counts);
        Some(Self { link: link.clone(), process })
    }
}

impl Drop for Relation {
    fn drop(&mut self) {
        let mut counts = self.link.relations.lock();
        counts.total -= 1;
        if let Some(count) = counts.of.get_mut(&self.process) {
            *count -= 1;
            if *count == 0 {
                counts.of.remove(&self.process);
            }
        }
        if counts.of.is_empty() {
            counts.of = HashMap::new();
        }
    }
}

impl Relations {
    /// Every process with a relation across the link.
    pub(crate) fn processes(&self) -> Vec<ProcessId> {
        self.lock().of.keys().copied().collect()
    }

    /// How many relations there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
