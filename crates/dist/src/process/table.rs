//! The processes of this node, by pid, by name and by alias.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use etf::{Atom, Pid, Reference};

use super::{Ids, Inner, ProcessId, ProcessKind, Service};
use crate::error::RegisterError;
use crate::key::{Key, QuickMap};
use crate::node::{Limits, MailboxStats};

/// Names that the node itself answers for (see [`crate::service`]), and those by which OTP finds
/// something else than a process of ours.
const RESERVED: [&str; 5] = ["undefined", "net_kernel", "rex", "global_name_server", "erts"];

/// All processes of one node.
#[derive(Debug)]
pub(crate) struct Processes {
    pub(crate) ids: Ids,
    tables: RwLock<Tables>,
    /// Whether a name was ever taken away: then a process may be monitored by one that it has no
    /// more.
    renamed: AtomicBool,
}

#[derive(Debug, Default)]
struct Tables {
    by_id: QuickMap<ProcessId, Arc<Inner>>,
    by_name: QuickMap<Key, Arc<Inner>>,
    by_alias: HashMap<Reference, ProcessId>,
    /// Set at shutdown: nothing new.
    closed: bool,
}

impl Processes {
    /// No processes, with ids from `ids`.
    pub(crate) fn new(ids: Ids) -> Self {
        Self { ids, tables: RwLock::default(), renamed: AtomicBool::new(false) }
    }

    /// A new process; `None` once the node is shutting down.
    pub(crate) fn spawn(&self, limits: &Limits) -> Option<Arc<Inner>> {
        self.spawn_with(limits, None)
    }

    /// As [`Processes::spawn`], with a service in the place of its mailbox.
    pub(crate) fn spawn_with(
        &self,
        limits: &Limits,
        service: Option<Arc<dyn Service>>,
    ) -> Option<Arc<Inner>> {
        let mut tables = self.write();
        if tables.closed {
            return None;
        }
        loop {
            if let Entry::Vacant(vacant) = tables.by_id.entry(self.ids.process()) {
                let process = Arc::new(Inner::new(*vacant.key(), limits, service));
                vacant.insert(process.clone());
                return Some(process);
            }
        }
    }

    /// Gives a process a name.
    ///
    /// # Errors
    /// When the name is taken, the process has one, or the node itself answers for it.
    pub(crate) fn register(&self, name: &Atom, process: &Arc<Inner>) -> Result<(), RegisterError> {
        if RESERVED.contains(&name.as_str()) {
            return Err(RegisterError::Reserved(name.to_string()));
        }
        self.register_service(name, process)
    }

    /// As [`Processes::register`], for what the node itself answers for.
    ///
    /// # Errors
    /// When the name is taken or the process has one.
    pub(crate) fn register_service(
        &self,
        name: &Atom,
        process: &Arc<Inner>,
    ) -> Result<(), RegisterError> {
        let mut tables = self.write();
        if let Some(name) = process.name() {
            return Err(RegisterError::Named(name.to_string()));
        }
        match tables.by_name.entry(Key(name.clone())) {
            Entry::Occupied(_) => Err(RegisterError::Taken(name.to_string())),
            Entry::Vacant(_) if !process.set_name(Some(name.clone())) => Err(RegisterError::Ended),
            Entry::Vacant(vacant) => {
                vacant.insert(process.clone());
                Ok(())
            }
        }
    }

    /// Takes a name away from whoever has it. False when nobody has, or the node itself.
    pub(crate) fn unregister(&self, name: &Atom) -> bool {
        if RESERVED.contains(&name.as_str()) {
            return false;
        }
        let mut tables = self.write();
        let process = tables.by_name.remove(name.as_bytes());
        self.renamed.store(true, Ordering::Relaxed);
        process.map(|process| process.set_name(None)).is_some()
    }

    /// Makes an alias known, unless its process was taken out meanwhile.
    pub(crate) fn add_alias(&self, alias: Reference, process: ProcessId) {
        let mut tables = self.write();
        if tables.by_id.contains_key(&process) {
            tables.by_alias.insert(alias, process);
        }
    }

    /// Forgets an alias.
    pub(crate) fn remove_alias(&self, alias: &Reference) {
        self.write().by_alias.remove(alias);
    }

    /// The live process with this alias.
    pub(crate) fn by_alias(&self, alias: &Reference) -> Option<Arc<Inner>> {
        let tables = self.read();
        tables.by_id.get(tables.by_alias.get(alias)?).cloned()
    }

    /// The live process with this pid.
    pub(crate) fn by_pid(&self, pid: &Pid) -> Option<Arc<Inner>> {
        self.by_id(self.ids.own(pid)?)
    }

    /// The live process with this id.
    pub(crate) fn by_id(&self, id: ProcessId) -> Option<Arc<Inner>> {
        self.read().by_id.get(&id).cloned()
    }

    /// The live process with this name.
    pub(crate) fn by_name(&self, name: &Atom) -> Option<Arc<Inner>> {
        self.read().by_name.get(name.as_bytes()).cloned()
    }

    /// All registered names.
    pub(crate) fn names(&self) -> Vec<Atom> {
        self.read().by_name.keys().map(|Key(name)| name.clone()).collect()
    }

    /// Takes a process that has ended, and its aliases, out of the tables.
    pub(crate) fn remove<'a>(&self, process: &Inner, aliases: impl Iterator<Item = &'a Reference>) {
        let mut tables = self.write();
        tables.by_id.remove(&process.id);
        if let Some(name) = process.name() {
            tables.by_name.remove(name.as_bytes());
        }
        for alias in aliases {
            tables.by_alias.remove(alias);
        }
    }

    /// Makes no more processes, and gives all that live.
    pub(crate) fn close(&self) -> Vec<Arc<Inner>> {
        let mut tables = self.write();
        tables.closed = true;
        tables.by_id.values().cloned().collect()
    }

    /// How many processes live, and how many aliases they have.
    pub(crate) fn len(&self) -> (usize, usize) {
        let tables = self.read();
        (tables.by_id.len(), tables.by_alias.len())
    }

    /// Ends a monitor by a name that its process may have lost meanwhile. False when there is none.
    pub(crate) fn demonitored_by_name(&self, name: &Atom, reference: &Reference) -> bool {
        if self.by_name(name).is_some_and(|process| process.demonitored(reference)) {
            return true;
        }
        // Rare enough to look at each.
        self.renamed.load(Ordering::Relaxed)
            && self.read().by_id.values().any(|process| process.demonitored(reference))
    }

    /// How many links and monitors the live processes have, counted at both ends.
    pub(crate) fn relations(&self) -> usize {
        self.read().by_id.values().map(|process| process.relations()).sum()
    }

    /// What waits in the mailboxes of each kind of process.
    pub(crate) fn mailboxes(&self) -> Vec<MailboxStats> {
        let mut of: Vec<MailboxStats> = ProcessKind::ALL.map(MailboxStats::none).into();
        // To look at a million queues takes long, and who delivers must not wait for that.
        let processes: Vec<_> = self.read().by_id.values().cloned().collect();
        for process in processes {
            let kind = process.kind();
            let (messages, bytes) = process.queue.held();
            if let Some(stats) = of.iter_mut().find(|stats| stats.kind == kind) {
                stats.add(messages, bytes);
            }
        }
        of
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes() -> Processes {
        Processes::new(Ids::new(Atom::from_static("rust@h"), 4))
    }

    #[test]
    fn a_process_is_found_by_pid_name_and_alias_until_it_is_removed() {
        let processes = processes();
        let process = processes.spawn(&Limits::default()).unwrap();
        let pid = processes.ids.pid(process.id);
        let name = Atom::from_static("scorer");
        let alias = processes.ids.reference();
        processes.register(&name, &process).unwrap();
        processes.add_alias(alias.clone(), process.id);
        assert!(Arc::ptr_eq(&processes.by_pid(&pid).unwrap(), &process));
        assert!(Arc::ptr_eq(&processes.by_name(&name).unwrap(), &process));
        assert!(Arc::ptr_eq(&processes.by_alias(&alias).unwrap(), &process));
        processes.remove(&process, [alias.clone()].iter());
        // One that comes too late stays with nobody.
        processes.add_alias(alias.clone(), process.id);
        assert!(processes.by_pid(&pid).is_none());
        assert!(processes.by_name(&name).is_none());
        assert!(processes.by_alias(&alias).is_none());
        assert_eq!(processes.len(), (0, 0));
    }

    #[test]
    fn a_name_is_given_once_and_a_process_has_one() {
        let processes = processes();
        let name = Atom::from_static("scorer");
        let first = processes.spawn(&Limits::default()).unwrap();
        let second = processes.spawn(&Limits::default()).unwrap();
        processes.register(&name, &first).unwrap();
        assert!(matches!(processes.register(&name, &second), Err(RegisterError::Taken(_))));
        let other = Atom::from_static("other");
        assert!(matches!(processes.register(&other, &first), Err(RegisterError::Named(_))));
        let rex = Atom::from_static("rex");
        assert!(matches!(processes.register(&rex, &second), Err(RegisterError::Reserved(_))));
        assert!(processes.unregister(&name));
        assert!(!processes.unregister(&name));
        processes.register(&name, &second).unwrap();
        processes.register(&other, &first).unwrap();
    }
}
