//! Locks, names, and the monitors that both hang on.

use std::collections::HashMap;

use etf::{Atom, Pid, Term};

use super::message::{External, KnownNode, LockId, Named};
use crate::process::heap;

/// How many locks and names there may be: far more than any cluster has, and a bound on what a peer
/// can make us keep.
pub(super) const MOST: usize = 1_000_000;
/// What they may hold, in bytes.
pub(super) const MOST_BYTES: usize = 256 * 1024 * 1024;
/// What an entry counts beside its terms.
const OVERHEAD: usize = 256;

/// A monitor, by a number of ours.
pub(crate) type WatchId = u64;

/// Whose end matters, and to what.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Held {
    Lock(Term),
    Name(Term),
}

/// The monitors there are.
#[derive(Debug, Default)]
pub(super) struct Watches {
    held: HashMap<WatchId, (Pid, Held)>,
    last: WatchId,
}

/// `global_locks`
#[derive(Debug, Default)]
pub(super) struct Locks {
    of: HashMap<Term, Lock>,
    bytes: usize,
}

/// One lock. Whoever asks with the same requester holds it together with those that have it.
#[derive(Debug)]
pub(super) struct Lock {
    requester: Term,
    holders: Vec<(Pid, WatchId)>,
}

/// What became of a lock when a holder let it go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Released {
    /// It was the last holder.
    Free(Option<WatchId>),
    /// Others hold it still.
    Held(Option<WatchId>),
    /// There is no such lock.
    Unknown,
}

/// `global_names`
#[derive(Debug, Default)]
pub(super) struct Names {
    of: HashMap<Term, Entry>,
    by_pid: HashMap<Pid, Vec<Term>>,
    bytes: usize,
}

/// A registered name.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) pid: Pid,
    pub(super) method: Term,
    pub(super) watch: WatchId,
    /// Who registered it, where the process is one of a C node.
    pub(super) registrar: Option<Atom>,
}

impl Watches {
    pub(super) fn add(&mut self, pid: Pid, held: Held) -> WatchId {
        self.last += 1;
        self.held.insert(self.last, (pid, held));
        self.last
    }

    pub(super) fn remove(&mut self, id: WatchId) -> Option<(Pid, Held)> {
        self.held.remove(&id)
    }

    /// The monitors of processes of a node.
    pub(super) fn of_node(&self, node: &Atom) -> Vec<WatchId> {
        let of = self.held.iter().filter(|(_, (pid, _))| pid.node == *node);
        of.map(|(id, _)| *id).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }
}

impl Locks {
    /// Whether somebody who asks with this requester would get the lock.
    pub(super) fn can_set(&self, id: &LockId) -> bool {
        self.of.get(&id.resource).is_none_or(|lock| lock.requester == id.requester)
    }

    pub(super) fn is_set(&self, resource: &Term) -> bool {
        self.of.contains_key(resource)
    }

    pub(super) fn holds(&self, id: &LockId, pid: &Pid) -> bool {
        self.of.get(&id.resource).is_some_and(|lock| lock.is_held_by(pid))
    }

    pub(super) fn get(&self, resource: &Term) -> Option<&Lock> {
        self.of.get(resource)
    }

    pub(super) fn is_full(&self) -> bool {
        self.of.len() >= MOST || self.bytes >= MOST_BYTES
    }

    pub(super) fn insert(&mut self, id: &LockId, pid: Pid, watch: WatchId) {
        let bytes = size(id);
        let lock = self.of.entry(id.resource.clone()).or_insert_with(|| {
            self.bytes += bytes;
            Lock { requester: id.requester.clone(), holders: Vec::new() }
        });
        lock.holders.push((pid, watch));
        self.bytes += OVERHEAD;
    }

    /// Takes a holder's hold away.
    pub(super) fn release(&mut self, id: &LockId, pid: &Pid) -> Released {
        match self.of.get(&id.resource) {
            Some(lock) if lock.requester == id.requester => {
                self.drop_holder(&id.resource, |(holder, _)| holder == pid)
            }
            _ => Released::Unknown,
        }
    }

    /// As [`Locks::release`], for the holder that was monitored.
    pub(super) fn holder_down(&mut self, resource: &Term, watch: WatchId) -> Released {
        self.drop_holder(resource, |(_, id)| *id == watch)
    }

    fn drop_holder(&mut self, resource: &Term, is: impl Fn(&(Pid, WatchId)) -> bool) -> Released {
        let Some(lock) = self.of.get_mut(resource) else { return Released::Unknown };
        let Some(at) = lock.holders.iter().position(is) else { return Released::Held(None) };
        let (_, watch) = lock.holders.swap_remove(at);
        self.bytes = self.bytes.saturating_sub(OVERHEAD);
        if !lock.holders.is_empty() {
            return Released::Held(Some(watch));
        }
        if let Some(lock) = self.of.remove(resource) {
            let id = LockId { resource: resource.clone(), requester: lock.requester };
            self.bytes = self.bytes.saturating_sub(size(&id));
        }
        Released::Free(Some(watch))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }
}

impl Lock {
    pub(super) fn requester(&self) -> &Term {
        &self.requester
    }

    pub(super) fn is_held_by(&self, pid: &Pid) -> bool {
        self.holders.iter().any(|(holder, _)| holder == pid)
    }
}

impl Names {
    pub(super) fn get(&self, name: &Term) -> Option<&Entry> {
        self.of.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Term, &Entry)> {
        self.of.iter()
    }

    pub(super) fn has_name(&self, pid: &Pid) -> bool {
        self.by_pid.contains_key(pid)
    }

    pub(super) fn is_full(&self) -> bool {
        self.of.len() >= MOST || self.bytes >= MOST_BYTES
    }

    pub(super) fn insert(&mut self, named: Named, watch: WatchId, registrar: Option<Atom>) {
        let Named { name, pid, method } = named;
        self.bytes += OVERHEAD + 2 * heap(&name) + heap(&method);
        self.by_pid.entry(pid.clone()).or_default().push(name.clone());
        self.of.insert(name, Entry { pid, method, watch, registrar });
    }

    pub(super) fn remove(&mut self, name: &Term) -> Option<Entry> {
        let entry = self.of.remove(name)?;
        let counted = OVERHEAD + 2 * heap(name) + heap(&entry.method);
        self.bytes = self.bytes.saturating_sub(counted);
        if let Some(names) = self.by_pid.get_mut(&entry.pid) {
            names.retain(|other| other != name);
            if names.is_empty() {
                self.by_pid.remove(&entry.pid);
            }
        }
        Some(entry)
    }

    /// The names of processes of C nodes.
    pub(super) fn external(&self) -> Vec<External> {
        let external = self.of.iter().filter_map(|(name, entry)| {
            let registrar = entry.registrar.clone()?;
            Some(External { name: name.clone(), pid: entry.pid.clone(), registrar })
        });
        external.collect()
    }
}

fn size(id: &LockId) -> usize {
    OVERHEAD + 2 * heap(&id.resource) + heap(&id.requester)
}

/// The greatest node, which is locked first (`the_boss/1`).
pub(super) fn boss(own: &Atom, known: &[Atom]) -> Atom {
    known.iter().chain([own]).max().unwrap_or(own).clone()
}

/// Without our own, and those there are already.
pub(super) fn names_of(known: &[KnownNode]) -> Vec<Atom> {
    known.iter().map(|known| known.node.clone()).collect()
}
