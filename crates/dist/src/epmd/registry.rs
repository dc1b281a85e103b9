//! Who is registered with the embedded server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::protocol::{self, Node};

/// Creations below this have a meaning of their own, or had one.
const FIRST_CREATION: u32 = 4;

/// The registered nodes. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Registry(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    nodes: BTreeMap<String, Entry>,
    next_id: u64,
    next_creation: u32,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    node: Node,
}

/// A registration, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Registered {
    registry: Registry,
    name: String,
    id: u64,
    /// The creation given out.
    pub(super) creation: u32,
}

impl Registry {
    /// Creations are given out in order, beginning with `seed`, so that a node that comes back has
    /// another than before.
    pub(super) fn new(seed: u32) -> Self {
        let next_creation = seed.max(FIRST_CREATION);
        Self(Arc::new(Mutex::new(State { nodes: BTreeMap::new(), next_id: 0, next_creation })))
    }

    /// `None` when the name is taken.
    pub(super) fn register(&self, node: Node) -> Option<Registered> {
        let mut state = self.lock();
        if state.nodes.contains_key(&node.name) {
            return None;
        }
        let (id, creation) = (state.next_id, state.next_creation);
        state.next_id += 1;
        state.next_creation = creation.checked_add(1).unwrap_or(FIRST_CREATION);
        let name = node.name.clone();
        state.nodes.insert(name.clone(), Entry { id, node });
        drop(state);
        Some(Registered { registry: self.clone(), name, id, creation })
    }

    pub(super) fn port2(&self, name: &str) -> Vec<u8> {
        protocol::port2_answer(self.lock().nodes.get(name).map(|entry| &entry.node))
    }

    pub(super) fn names(&self, port: u16) -> Vec<u8> {
        protocol::names_answer(port, self.lock().nodes.values().map(|entry| &entry.node))
    }

    pub(super) fn dump(&self, port: u16) -> Vec<u8> {
        let state = self.lock();
        protocol::dump_answer(port, state.nodes.values().map(|entry| (entry.id, &entry.node)))
    }

    /// The state is whole between any two statements above, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut state = self.registry.lock();
        if state.nodes.get(&self.name).is_some_and(|entry| entry.id == self.id) {
            state.nodes.remove(&self.name);
        }
    }
}
