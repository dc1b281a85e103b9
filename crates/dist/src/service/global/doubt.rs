//! Connections that belong to no partition, though nobody is about to change that.
//!
//! A node that a third one tells of us takes us for known: it says `in_sync`, and does not exchange
//! names with us. But we may have lost it since, and its names with it: the third one told us of it
//! while an earlier connection, which was dead already, was still there on our side. In OTP it stays
//! so, until one of the two nodes begins anew. Here the connection is ended, so that both do.

use std::time::Duration;

use etf::Atom;

use super::connect::Leaving;
use super::locker::LockerMessage;
use super::machine::{Effect, Machine};
use super::message;

/// How long such a connection may stay. Whoever connects the partitions tells of it at about the time
/// that the others say `in_sync`, and a node that is asked to end a connection does so at once.
const DOUBT: Duration = Duration::from_secs(10);

impl Machine {
    /// A node is connected.
    pub(super) fn connection_up(&mut self, node: &Atom) {
        let peer = self.peers.entry(node.clone()).or_default();
        peer.up = true;
        // Those were about an earlier connection.
        peer.removing = false;
        peer.doubt = None;
        if std::mem::take(&mut peer.lacks) {
            peer.known = None;
            self.tell_locker(LockerMessage::RemoveKnown(node.clone()));
        }
        self.node_up(node);
    }

    /// The other end is done with us, and we do not know it.
    pub(super) fn doubt(&mut self, node: &Atom) {
        if let Some(peer) = self.peers.get_mut(node)
            && peer.up
            && peer.known.is_none()
        {
            peer.doubt = Some(self.now + DOUBT);
        }
    }

    /// Ends the connections that are still in no partition.
    pub(super) fn end_doubtful(&mut self) {
        if !self.ticking {
            return;
        }
        let due = |doubt: Option<_>| doubt.is_some_and(|doubt| doubt <= self.now);
        let doubtful = self.peers.iter().filter(|(_, peer)| due(peer.doubt));
        let nodes: Vec<Atom> = doubtful.map(|(node, _)| node.clone()).collect();
        for node in nodes {
            let Some(peer) = self.peers.get_mut(&node) else { continue };
            peer.doubt = None;
            if peer.known.is_some() || peer.session.is_some() || peer.retry.is_some() {
                continue;
            }
            if peer.removing {
                self.effects.push(Effect::Disconnect { node });
                continue;
            }
            tracing::warn!(%node, "`global` there takes us for known, and we do not know it: begins anew");
            // It ends the connection, and does not call it a loss.
            let remove = message::remove_connection(self.own());
            self.send(&node, remove);
            self.node_down(&node, Leaving::Removed);
        }
    }
}
