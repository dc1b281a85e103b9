//! Processes of this node: what has a pid, receives messages, and can be monitored and linked to.

mod ids;
mod mailbox;
mod queue;
mod table;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use etf::{Atom, Pid, Reference};

pub(crate) use ids::{Ids, ProcessId};
pub use mailbox::{Mailbox, Message};
pub(crate) use queue::{Body, Envelope, Queue};
pub(crate) use table::Processes;

use crate::link::{Link, Relation};
use crate::node::Limits;
use crate::wire::control::PidOrName;

/// One process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: ProcessId,
    pub(crate) queue: Queue,
    name: OnceLock<Atom>,
    state: Mutex<State>,
}

/// Who is to be told when the process ends.
#[derive(Debug, Default)]
struct State {
    ended: bool,
    watchers: HashMap<Reference, Watcher>,
    links: HashMap<Pid, Relation>,
}

/// A process elsewhere that monitors one of ours.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) pid: Pid,
    /// What it called our process: a monitor by name reports the name.
    pub(crate) watched: PidOrName,
    pub(crate) relation: Relation,
}

/// Who has to hear of a process's end.
#[derive(Debug, Default)]
pub(crate) struct Bereaved {
    pub(crate) watchers: HashMap<Reference, Watcher>,
    pub(crate) links: HashMap<Pid, Relation>,
}

/// Why a relation with a process was not made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoRelation {
    /// The process has ended.
    Ended,
    /// The peer holds more relations than we keep.
    TooMany,
}

impl Process {
    fn new(id: ProcessId, limits: &Limits) -> Self {
        Self {
            id,
            queue: Queue::new(limits.mailbox_messages, limits.mailbox_bytes),
            name: OnceLock::new(),
            state: Mutex::default(),
        }
    }

    /// The registered name.
    pub(crate) fn name(&self) -> Option<&Atom> {
        self.name.get()
    }

    fn named(&self, name: Atom) {
        // The table lets a name be given to a process only while it holds its lock.
        let _ = self.name.set(name);
    }

    /// Lets a process on the other side of `link` monitor this one.
    ///
    /// # Errors
    /// [`NoRelation`].
    pub(crate) fn monitored_by(
        &self,
        pid: Pid,
        reference: Reference,
        watched: PidOrName,
        link: &Arc<Link>,
    ) -> Result<(), NoRelation> {
        let mut state = self.lock();
        if state.ended {
            return Err(NoRelation::Ended);
        }
        let relation = Relation::new(link, self.id).ok_or(NoRelation::TooMany)?;
        state.watchers.insert(reference, Watcher { pid, watched, relation });
        Ok(())
    }

    /// Ends the monitor with this reference. False when there is none.
    pub(crate) fn demonitored(&self, reference: &Reference) -> bool {
        let removed = self.lock().watchers.remove(reference);
        removed.is_some()
    }

    /// Links this process with one on the other side of `link`; once is as good as twice.
    ///
    /// # Errors
    /// [`NoRelation`].
    pub(crate) fn linked_with(&self, pid: Pid, link: &Arc<Link>) -> Result<(), NoRelation> {
        let mut state = self.lock();
        if state.ended {
            return Err(NoRelation::Ended);
        }
        if let Entry::Vacant(vacant) = state.links.entry(pid) {
            vacant.insert(Relation::new(link, self.id).ok_or(NoRelation::TooMany)?);
        }
        Ok(())
    }

    /// Takes the link with `pid` away. False when there was none.
    pub(crate) fn unlinked_from(&self, pid: &Pid) -> bool {
        let removed = self.lock().links.remove(pid);
        removed.is_some()
    }

    /// Forgets every relation across a link that is lost, and tells which pids were linked.
    pub(crate) fn lost(&self, link: &Arc<Link>) -> Vec<Pid> {
        let across = |relation: &Relation| Arc::ptr_eq(&relation.link, link);
        let mut state = self.lock();
        let watchers: Vec<_> =
            state.watchers.extract_if(|_, watcher| across(&watcher.relation)).collect();
        let links: Vec<_> = state.links.extract_if(|_, relation| across(relation)).collect();
        drop(state);
        drop(watchers);
        links.into_iter().map(|(pid, _)| pid).collect()
    }

    /// Ends the process: its queue is closed, and who has to be told is handed over, once.
    pub(crate) fn end(&self) -> Option<Bereaved> {
        let mut state = self.lock();
        if std::mem::replace(&mut state.ended, true) {
            return None;
        }
        let State { watchers, links, .. } = std::mem::take(&mut *state);
        state.ended = true;
        drop(state);
        self.queue.close();
        Some(Bereaved { watchers, links })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
