//! Preventing overlapping partitions: when one link of the mesh is lost, everybody leaves the nodes
//! at its ends, so that what remains is fully connected (`global.erl`, "Prevent Overlapping
//! Partitions Algorithm").

use std::collections::HashMap;
use std::time::Duration;

use etf::{Atom, Term};

use super::connect::Leaving;
use super::machine::{Effect, Machine, Now};
use super::message::{self, Lost, PARTITIONS};

/// How long it is remembered that a loss was heard of.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);
/// How many are.
const MOST: usize = 4_096;

/// The lost connections that were told of.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// By reporter and lost node: the reporter's incarnation, its latest report, and when it came.
    heard: HashMap<(Atom, Atom), (Term, i64, Now)>,
    /// What tells our reports from those of an earlier life of ours.
    pub(super) incarnation: u64,
    last: i64,
}

impl Losses {
    /// Whether a report is news; it is not from now on.
    fn is_news(&mut self, lost: &Lost, now: Now) -> bool {
        let key = (lost.reporter.clone(), lost.node.clone());
        if let Some((incarnation, operation, _)) = self.heard.get(&key)
            && *incarnation == lost.incarnation
            && lost.operation <= *operation
        {
            return false;
        }
        if self.heard.len() >= MOST {
            self.heard.retain(|_, (_, _, at)| *at + REMEMBERED > now);
            if self.heard.len() >= MOST {
                let oldest = self.heard.iter().min_by_key(|(_, (_, _, at))| *at);
                if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                    self.heard.remove(&oldest);
                }
            }
        }
        self.heard.insert(key, (lost.incarnation.clone(), lost.operation, now));
        true
    }
}

impl Machine {
    /// Tells everybody that we lost a node (`inform_connection_loss/2`).
    pub(super) fn report_loss(&mut self, node: &Atom) {
        if !self.settings.prevent {
            return;
        }
        self.losses.last += 1;
        let lost = Lost {
            reporter: self.own().clone(),
            incarnation: Term::from(self.losses.incarnation),
            operation: self.losses.last,
            node: node.clone(),
        };
        self.pass_on(&lost, node);
    }

    /// `{lost_connection, …}`
    pub(super) fn connection_lost(&mut self, lost: Lost) {
        if !self.settings.prevent || lost.reporter == *self.own() {
            return;
        }
        if !self.losses.is_news(&lost, self.now) {
            return;
        }
        // The reporter may be lost to others before it has told them.
        self.pass_on(&lost, &lost.reporter);
        // When it is us that it lost, everybody else removes us: the reporter is all that we must.
        let removed = if lost.node == *self.own() { lost.reporter } else { lost.node };
        let Some(peer) = self.peers.get(&removed) else { return };
        if !peer.is_potentially_known() {
            return;
        }
        tracing::warn!(
            node = %removed,
            "`global` leaves a node, in order to prevent overlapping partitions"
        );
        if peer.vsn() < PARTITIONS {
            self.effects.push(Effect::Disconnect { node: removed.clone() });
        } else {
            let remove = message::remove_connection(self.own());
            self.send(&removed, remove);
        }
        self.node_down(&removed, Leaving::Removed);
    }

    /// `{remove_connection, …}`
    pub(super) fn remove_connection(&mut self, node: &Atom) {
        // OTP does so for known nodes only. But one that we do not know has forgotten us too, and if
        // the connection stayed, nobody would begin to connect the partitions again.
        self.effects.push(Effect::Disconnect { node: node.clone() });
        if self.peers.get(node).is_some_and(|peer| peer.removing) {
            // It is being left already.
            return;
        }
        tracing::warn!(%node, "`global` there left us, in order to prevent overlapping partitions");
        self.node_down(node, Leaving::Removed);
    }

    /// To every node that we know or are about to, except one.
    fn pass_on(&mut self, lost: &Lost, except: &Atom) {
        let others: Vec<Atom> = self
            .peers
            .iter()
            .filter(|(node, peer)| {
                let vsn = peer.known.into_iter().chain(peer.pending).max();
                *node != except && peer.up && vsn.is_some_and(|vsn| vsn >= PARTITIONS)
            })
            .map(|(node, _)| node.clone())
            .collect();
        for node in others {
            self.send(&node, lost.to_term());
        }
    }
}
