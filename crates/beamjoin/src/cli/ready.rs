//! Whether we are a member of the cluster: what `/ready` and systemd are told.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use beamjoin::{DiscoveryStatus, Observer};
use dist::Node;

/// Tells whether the node is ready. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    node: Node,
    observer: Observer,
    /// How many nodes must be connected.
    peers: usize,
    stopping: Arc<AtomicBool>,
}

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Why the node is not ready: it is if there is nothing.
    pub(crate) reasons: Vec<String>,
    /// Nodes that are connected.
    pub(crate) connected: usize,
    /// Whether Postgres is connected.
    pub(crate) postgres: bool,
}

impl Readiness {
    pub(crate) fn new(node: Node, observer: Observer, peers: usize) -> Self {
        Self { node, observer, peers, stopping: Arc::default() }
    }

    /// From now on it is not ready any more.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let (discovery, connected) = (self.observer.discovery(), self.node.nodes().len());
        let reasons = if self.stopping.load(Ordering::Relaxed) {
            vec!["it is shutting down".to_owned()]
        } else {
            reasons(&discovery, connected, self.peers)
        };
        Verdict { reasons, connected, postgres: discovery.up }
    }
}

impl Verdict {
    pub(crate) fn is_ready(&self) -> bool {
        self.reasons.is_empty()
    }

    /// In a line.
    pub(crate) fn summary(&self) -> String {
        let nodes = if self.connected == 1 { "node" } else { "nodes" };
        let postgres = if self.postgres { "connected" } else { "not connected" };
        let mut summary = format!("{} {nodes} connected, Postgres {postgres}", self.connected);
        if !self.is_ready() {
            summary.push_str(&format!("; not ready: {}", self.reasons.join("; ")));
        }
        summary
    }
}

/// A node that has joined stays a member while Postgres is away, as links do not need it: all members of a cluster would
/// otherwise be taken out of service by one restart of the database. Without Postgres and alone it is in no cluster.
fn reasons(discovery: &DiscoveryStatus, connected: usize, wanted: usize) -> Vec<String> {
    let mut reasons = Vec::new();
    let lost = match &discovery.last_loss {
        Some(reason) if !discovery.up => format!(" ({reason})"),
        _ => String::new(),
    };
    if !discovery.has_heard_us {
        reasons.push(format!("our own announcement has not come back from Postgres yet{lost}"));
    } else if !discovery.hears_us && connected == 0 {
        reasons.push(format!("Postgres is lost and no node is connected{lost}"));
    }
    if connected < wanted {
        reasons.push(format!("{connected} of at least {wanted} nodes are connected"));
    }
    reasons
}
