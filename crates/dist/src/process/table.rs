//! The processes of this node, by pid and by name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use etf::{Atom, Pid};

use super::{Ids, Process, ProcessId};
use crate::error::RegisterError;
use crate::node::Limits;

/// Names that the node itself answers for (see [`crate::service`]), and those by which OTP finds
/// something else than a process of ours.
const RESERVED: [&str; 5] = ["undefined", "net_kernel", "rex", "global_name_server", "erts"];

/// All processes of one node.
#[derive(Debug)]
pub(crate) struct Processes {
    pub(crate) ids: Ids,
    tables: RwLock<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    by_id: HashMap<ProcessId, Arc<Process>>,
    by_name: HashMap<Atom, Arc<Process>>,
}

impl Processes {
    /// No processes, with ids from `ids`.
    pub(crate) fn new(ids: Ids) -> Self {
        Self { ids, tables: RwLock::default() }
    }

    /// A new process.
    pub(crate) fn spawn(&self, limits: &Limits) -> Arc<Process> {
        let mut tables = self.write();
        loop {
            if let Entry::Vacant(vacant) = tables.by_id.entry(self.ids.process()) {
                let process = Arc::new(Process::new(*vacant.key(), limits));
                vacant.insert(process.clone());
                return process;
            }
        }
    }

    /// Gives a process a name.
    ///
    /// # Errors
    /// When the name is taken or is one that the node itself answers for.
    pub(crate) fn register(
        &self,
        name: &Atom,
        process: &Arc<Process>,
    ) -> Result<(), RegisterError> {
        if RESERVED.contains(&name.as_str()) {
            return Err(RegisterError::Reserved(name.to_string()));
        }
        match self.write().by_name.entry(name.clone()) {
            Entry::Occupied(_) => Err(RegisterError::Taken(name.to_string())),
            Entry::Vacant(vacant) => {
                vacant.insert(process.clone());
                process.named(name.clone());
                Ok(())
            }
        }
    }

    /// The live process with this pid.
    pub(crate) fn by_pid(&self, pid: &Pid) -> Option<Arc<Process>> {
        self.by_id(self.ids.own(pid)?)
    }

    /// The live process with this id.
    pub(crate) fn by_id(&self, id: ProcessId) -> Option<Arc<Process>> {
        self.read().by_id.get(&id).cloned()
    }

    /// The live process with this name.
    pub(crate) fn by_name(&self, name: &Atom) -> Option<Arc<Process>> {
        self.read().by_name.get(name).cloned()
    }

    /// Takes a process out of both tables.
    pub(crate) fn remove(&self, process: &Process) {
        let mut tables = self.write();
        tables.by_id.remove(&process.id);
        if let Some(name) = process.name() {
            tables.by_name.remove(name);
        }
    }

    /// Every live process.
    pub(crate) fn all(&self) -> Vec<Arc<Process>> {
        self.read().by_id.values().cloned().collect()
    }

    /// How many processes live.
    pub(crate) fn len(&self) -> usize {
        self.read().by_id.len()
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
    fn a_process_is_found_by_pid_and_name_until_it_is_removed() {
        let processes = processes();
        let process = processes.spawn(&Limits::default());
        let pid = processes.ids.pid(process.id);
        let name = Atom::from_static("scorer");
        processes.register(&name, &process).unwrap();
        assert!(Arc::ptr_eq(&processes.by_pid(&pid).unwrap(), &process));
        assert!(Arc::ptr_eq(&processes.by_name(&name).unwrap(), &process));
        processes.remove(&process);
        assert!(processes.by_pid(&pid).is_none());
        assert!(processes.by_name(&name).is_none());
        assert_eq!(processes.len(), 0);
    }

    #[test]
    fn a_name_is_given_once() {
        let processes = processes();
        let name = Atom::from_static("scorer");
        let first = processes.spawn(&Limits::default());
        let second = processes.spawn(&Limits::default());
        processes.register(&name, &first).unwrap();
        assert!(matches!(processes.register(&name, &second), Err(RegisterError::Taken(_))));
        let rex = Atom::from_static("rex");
        assert!(matches!(processes.register(&rex, &second), Err(RegisterError::Reserved(_))));
    }
}
