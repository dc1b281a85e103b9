//! What a Rust member of a lab says of itself: one line of JSON for each question.

use std::collections::BTreeMap;

use dist::NodeCounts;
use serde::{Deserialize, Serialize};

/// The port at which a member answers: `state`, `rest` (calls stop, and the answer comes when none is under way) and `go`.
pub const PORT: u16 = 7000;

/// How a member stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// When it was started, in microseconds since 1970: another time, another life.
    pub born: u64,
    /// The nodes it is connected with, sorted.
    pub nodes: Vec<String>,
    /// Whether it hears Postgres.
    pub hears: bool,
    /// By scope of `pg`, the nodes with a member in its group [`GROUP`], sorted, once for each member.
    pub groups: BTreeMap<String, Vec<String>>,
    /// The global names that it knows, sorted; nothing of a hidden node.
    pub names: Vec<String>,
    /// Its calls so far.
    pub calls: Calls,
    /// What it holds.
    pub holds: Holds,
}

/// The group that each member joins, in each of its scopes.
pub const GROUP: &str = "lab";

/// Calls since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// Begun.
    pub started: u64,
    /// Answered, and rightly.
    pub answered: u64,
    /// Answered with something else.
    pub wrong: u64,
    /// Reported as failed, by the words of the error.
    pub failed: BTreeMap<String, u64>,
    /// How long the longest took since calls were last asked for, in milliseconds.
    pub longest: u64,
}

/// What must not grow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// `NodeCounts`, by name.
    pub tables: BTreeMap<String, usize>,
    /// Open file descriptors.
    pub descriptors: usize,
    /// Resident memory in KiB.
    pub resident: u64,
}

impl Calls {
    /// Those that failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// The counts by name.
pub fn tables(counts: &NodeCounts) -> BTreeMap<String, usize> {
    let pairs = [
        ("links", counts.links),
        ("slots", counts.slots),
        ("processes", counts.processes),
        ("aliases", counts.aliases),
        ("relations", counts.relations),
        ("held", counts.held),
        ("calls", counts.calls),
        ("fragment bytes", counts.fragment_bytes),
        ("tasks", counts.tasks),
    ];
    pairs.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}
