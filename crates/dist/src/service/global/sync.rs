//! `global:sync/0`: waiting until all connected nodes have the same names.

use std::collections::HashSet;

use etf::Atom;

use super::machine::{CommandId, Effect, Machine};

/// Somebody who waits for nodes.
#[derive(Debug)]
pub(super) struct Sync {
    id: CommandId,
    nodes: HashSet<Atom>,
}

impl Machine {
    pub(super) fn sync(&mut self, id: CommandId) {
        let behind = self.peers.iter().filter(|(_, peer)| peer.up && !peer.synced);
        let nodes = behind.map(|(node, _)| node.clone()).collect();
        self.syncs.push(Sync { id, nodes });
        self.answer_syncs();
    }

    pub(super) fn synced_with(&mut self, node: &Atom) {
        for sync in &mut self.syncs {
            sync.nodes.remove(node);
        }
        self.answer_syncs();
    }

    /// Nobody waits for a node that is gone.
    pub(super) fn lost_for_syncs(&mut self, node: &Atom) {
        self.synced_with(node);
    }

    fn answer_syncs(&mut self) {
        for sync in self.syncs.extract_if(.., |sync| sync.nodes.is_empty()) {
            self.effects.push(Effect::Answer { id: sync.id, answer: true });
        }
    }
}
