//! Which of our processes have something to do with processes across a link.
//!
//! When the link is lost, exactly these have to be told; a walk over all processes would make one
//! peer's leaving a matter of how many processes live here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Link;
use crate::process::ProcessId;

/// How many relations there may be across one link: far more than any system uses, and a bound on
/// what a peer can make us keep.
const MOST: usize = 4_000_000;

/// How many entries of an empty table stay allocated.
const KEPT: usize = 1024;

/// The processes with links and monitors across one link, and how many each has.
#[derive(Debug, Default)]
pub(crate) struct Relations(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    of: HashMap<ProcessId, u32>,
    total: usize,
    /// Set when the link is lost: who comes too late must not wait for a word that was said.
    lost: bool,
}

/// Why there is no relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRelation {
    /// The process has ended.
    Ended,
    /// The link is lost.
    Lost,
    /// There are more across this link than we keep.
    TooMany,
}

/// One link or monitor of a process across a link: counted as long as it is held.
#[derive(Debug)]
pub(crate) struct Relation {
    link: Arc<Link>,
    process: ProcessId,
}

impl Relation {
    /// Counts a relation of `process` across `link`.
    ///
    /// # Errors
    /// When the link is lost, or there are too many.
    pub(crate) fn new(link: &Arc<Link>, process: ProcessId) -> Result<Self, NoRelation> {
        let mut counts = link.relations.lock();
        if counts.lost {
            return Err(NoRelation::Lost);
        }
        if counts.total >= MOST {
            return Err(NoRelation::TooMany);
        }
        counts.total += 1;
        *counts.of.entry(process).or_default() += 1;
        drop(counts);
        Ok(Self { link: link.clone(), process })
    }

    /// The link.
    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
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
        if counts.of.is_empty() && counts.of.capacity() > KEPT {
            counts.of = HashMap::new();
        }
    }
}

impl Relations {
    /// Takes no more relations, and tells which processes have one.
    pub(crate) fn lose(&self) -> Vec<ProcessId> {
        let mut counts = self.lock();
        counts.lost = true;
        counts.of.keys().copied().collect()
    }

    /// Whether the link is lost: what is to be told of that has been, or is about to be.
    pub(crate) fn is_lost(&self) -> bool {
        self.lock().lost
    }

    /// How many relations there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
