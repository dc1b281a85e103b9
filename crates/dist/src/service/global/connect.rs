//! Connecting two partitions: from the first message to the names that both have.

use std::time::Duration;

use etf::{Atom, Pid, Term};

use super::locker::{Him, LockerMessage};
use super::machine::{Effect, Inner, MOST_NODES, Machine};
use super::message::{
    self, External, InitConnect, KnownNode, LockId, Message, Named, NewNodes, Op, VERIFY, VSN,
};
use super::peer::{Ops, Session, Wait};

/// After an attempt that stopped in the middle the next one begins so much later, and then twice as
/// late each time, up to the second.
const FIRST_RETRY: Duration = Duration::from_secs(20);
const LAST_RETRY: Duration = Duration::from_secs(320);
/// After one that was cancelled it begins up to so much later, and then twice as late each time, up
/// to 64 times.
const RESTART: Duration = Duration::from_millis(100);

/// What becomes of a node that leaves our partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// The connection is gone.
    Disconnected,
    /// We have asked for its end.
    Removed,
}

impl Machine {
    /// `handle_nodeup/2`: makes us known to a node, unless it is known or that is under way.
    pub(super) fn node_up(&mut self, node: &Atom) {
        let Some(peer) = self.peers.get_mut(node) else { return };
        if !peer.up || peer.known.is_some() || peer.session.is_some() {
            return;
        }
        peer.retry = None;
        self.last_tag += 1;
        let tag = self.last_tag;
        peer.session = Some(Session::new(tag));
        if let Some(early) = peer.early.take() {
            self.inner.push_back(Inner::Again(Message::InitConnect(early)));
        }
        let pid = self.settings.pid.clone();
        self.send(node, message::init_connect(self.own(), tag, &pid));
    }

    /// `{init_connect, …}`
    pub(super) fn init_connect(&mut self, connect: InitConnect) {
        let node = connect.node.clone();
        let own = self.own().clone();
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if peer.pending.is_some() {
            // A new attempt in the middle of one.
            if connect.vsn < VERIFY {
                // It knows no other way to begin anew.
                self.effects.push(Effect::Disconnect { node });
                return;
            }
            self.send(&node, message::cancel_connect(&own, connect.tag));
            self.restart_connect(&node);
            return;
        }
        let Some(session) = &mut peer.session else {
            peer.early = Some(connect);
            return;
        };
        let InitConnect { vsn, tag, locker, .. } = connect;
        session.his = Some((tag.clone(), vsn.min(VSN)));
        peer.pending = Some(vsn);
        let mine = session.mine;
        self.tell_locker(LockerMessage::Him(Him {
            node: node.clone(),
            locker,
            vsn: vsn.min(VSN),
            mine,
            his: tag.clone(),
        }));
        if vsn >= VERIFY {
            self.send(&node, message::init_connect_ack(&own, &tag, mine));
        }
    }

    /// `{init_connect_ack, …}`: do both sides speak of the same attempt?
    pub(super) fn connect_ack(&mut self, node: &Atom, mine: &Term, his: &Term) {
        let own = self.own().clone();
        let Some(peer) = self.peers.get_mut(node) else { return };
        let same = match &peer.session {
            Some(session) => {
                session.is(mine) && session.his.as_ref().is_some_and(|(tag, _)| tag == his)
            }
            None => {
                // It is about to hear that this attempt is over, and will begin another.
                peer.early.take_if(|early| early.tag == *his);
                false
            }
        };
        if !same {
            self.send(node, message::cancel_connect(&own, his.clone()));
            self.restart_connect(node);
        }
    }

    /// `{cancel_connect, …}`: the other side gave this attempt up.
    pub(super) fn connect_cancelled(&mut self, node: &Atom, tag: &Term) {
        if self.session(node).is_some_and(|session| session.is(tag)) {
            self.restart_connect(node);
        }
    }

    /// `restart_connect/3`. Without an attempt of ours there is nothing to begin anew.
    ///
    /// OTP begins at once. But two nodes that both do so, while what belongs to the last attempt is
    /// still on its way, can go on cancelling each other's attempts for ever.
    fn restart_connect(&mut self, node: &Atom) {
        let Some(peer) = self.peers.get(node) else { return };
        let (had, known) = (peer.session.is_some(), peer.known.is_some());
        let peer_restarts = peer.restarts;
        self.end_session(node, true, None);
        if had && !known {
            // The connection stays, so no monitor tells of these. OTP does so for a known node too,
            // which then has names that we no longer know.
            self.forget_processes_of(node);
            let most = RESTART.saturating_mul(1 << peer_restarts.min(6));
            let pause = self.random_time(most);
            let retry = self.now + pause;
            if let Some(peer) = self.peers.get_mut(node) {
                peer.restarts = peer_restarts.saturating_add(1);
                peer.retry = Some(retry);
            }
        }
    }

    /// The other side stopped in the middle of an attempt, and others wait for the lock.
    pub(super) fn stalled(&mut self, node: &Atom, mine: i64) {
        if self.session(node).is_none_or(|session| session.mine != mine) {
            // Over already: the locker alone has not heard.
            self.tell_locker(LockerMessage::Cancel { node: node.clone(), mine, last: Vec::new() });
            return;
        }
        let stalls = self.stalls.get(node).copied().unwrap_or(0);
        if stalls > 0 || self.stalls.len() < MOST_NODES {
            self.stalls.insert(node.clone(), stalls.saturating_add(1));
        }
        let told = self.session(node).is_some_and(|session| matches!(session.ops, Ops::Ours(_)));
        let pending = self.peers.get(node).and_then(|peer| peer.pending);
        tracing::warn!(%node, "`global` there stopped in the middle of connecting");
        self.end_session(node, true, None);
        if told || pending.is_some_and(|vsn| vsn < VERIFY) {
            // It may be done with all this, and take us for known; or there is no way to tell it.
            self.effects.push(Effect::Disconnect { node: node.clone() });
            return;
        }
        let after = FIRST_RETRY.saturating_mul(1 << stalls.min(8)).min(LAST_RETRY);
        let spread = self.random_time(after / 4);
        let retry = self.now + after + spread;
        if let Some(peer) = self.peers.get_mut(node) {
            peer.retry = Some(retry);
        }
    }

    /// Begins the attempts that are due.
    pub(super) fn retry_connects(&mut self) {
        let due = |retry: Option<_>| retry.is_some_and(|retry| retry <= self.now);
        let nodes: Vec<Atom> = self
            .peers
            .iter()
            .filter(|(_, peer)| due(peer.retry))
            .map(|(node, _)| node.clone())
            .collect();
        for node in nodes {
            if let Some(peer) = self.peers.get_mut(&node) {
                peer.retry = None;
            }
            self.node_up(&node);
        }
    }

    /// `{lock_set, …}` of the other side's locker.
    pub(super) fn lock_set(&mut self, pid: Pid, set: bool, tag: Option<Term>) {
        if let Some(tag) = &tag
            && !self.session(&pid.node).is_some_and(|session| session.is(tag))
        {
            return;
        }
        self.tell_locker(LockerMessage::LockSet { pid, set });
    }

    /// Both partitions are locked: from now on nobody changes names.
    pub(super) fn lock_is_set(&mut self, node: &Atom, tag: i64, lock: LockId) {
        let own = self.own().clone();
        let Some(session) = self.session_of(node, tag) else {
            self.cancel_locker(node, tag, Vec::new());
            return;
        };
        session.lock = Some(lock);
        let Some((his, _)) = session.his.clone() else { return };
        let names = match std::mem::replace(&mut session.wait, Wait::LockIsSet) {
            Wait::Names(names) => Some(names),
            Wait::Neither | Wait::LockIsSet => None,
        };
        let ours = self.names.iter().map(|(name, entry)| (name, &entry.pid, &entry.method));
        let exchange = message::exchange(&own, ours, his);
        self.send(node, exchange);
        if let Some(names) = names {
            self.compare(node, names);
        }
    }

    /// `{exchange, …}`
    pub(super) fn exchange_came(&mut self, node: &Atom, names: Vec<Named>, tag: &Term) {
        let Some(session) = self.current(node, tag) else { return };
        match session.wait {
            Wait::LockIsSet => self.compare(node, names),
            Wait::Neither | Wait::Names(_) => session.wait = Wait::Names(names),
        }
    }

    /// The names of the other side are compared with ours: tells it what came of that.
    pub(super) fn compared(&mut self, node: &Atom, tag: i64, ops: Vec<Op>, resolved: &[Op]) {
        let own = self.own().clone();
        let known = self.known_nodes();
        let external = self.names.external();
        let his_vsn = self.peers.get(node).map_or(0, super::peer::Peer::vsn);
        let Some(session) = self.session_of(node, tag) else { return };
        let Some((his, _)) = session.his.clone() else { return };
        let before = std::mem::replace(&mut session.ops, Ops::Ours(ops));
        self.send(node, message::resolved(&own, resolved, &known, his_vsn, &external, his));
        if let Ops::His { ops, known, external } = before {
            self.resolved(node, ops, known, &external);
        }
    }

    /// `{resolved, …}`
    pub(super) fn resolved_came(
        &mut self,
        node: &Atom,
        ops: Vec<Op>,
        mut known: Vec<KnownNode>,
        external: Vec<External>,
        tag: &Term,
    ) {
        known.truncate(MOST_NODES);
        let Some(session) = self.current(node, tag) else { return };
        match session.ops {
            Ops::Ours(_) => self.resolved(node, ops, known, &external),
            Ops::Neither | Ops::His { .. } => session.ops = Ops::His { ops, known, external },
        }
    }

    /// Both sides are done: the partitions become one (`resolved/5`).
    fn resolved(
        &mut self,
        node: &Atom,
        his_ops: Vec<Op>,
        his_known: Vec<KnownNode>,
        external: &[External],
    ) {
        let own = self.own().clone();
        let Some(session) = self.peers.get_mut(node).and_then(|peer| peer.session.as_mut()) else {
            return;
        };
        let Ops::Ours(mut ops) = std::mem::take(&mut session.ops) else { return };
        ops.extend(his_ops);
        let (Some(lock), Some((_, vsn))) = (session.lock.clone(), session.his.clone()) else {
            return;
        };
        let known = self.known_nodes();
        let his_nodes = super::tables::names_of(&his_known);
        let mut new = vec![KnownNode { node: node.clone(), vsn: 0 }];
        new.extend(his_known);
        for known in &mut new {
            if known.vsn == 0 {
                known.vsn = match known.node == own {
                    true => VSN,
                    false => self.peers.get(&known.node).map_or(0, super::peer::Peer::vsn),
                };
            }
        }
        let extra = message::extra_info(vsn, &lock);
        let news = NewNodes {
            node: own.clone(),
            ops: ops.clone(),
            external: external.to_vec(),
            nodes: new.clone(),
            lock: Some(lock.requester.clone()),
            extra,
        };
        self.sync_others(&his_nodes);
        self.do_ops(ops, external, Some(&lock.requester), node);
        self.synced_with(node);
        for other in &his_nodes {
            // What was under way with them is not needed any more.
            if other != node {
                self.end_session(other, false, None);
            }
        }
        // The locker tells the others before it takes the lock away, so that they hear of the new
        // nodes while it is still set.
        let last = known
            .into_iter()
            .map(|known| Effect::Send { message: news.to_term(known.vsn), node: known.node })
            .collect();
        self.end_session(node, false, Some(last));
        let added = self.add_to_known(&new);
        self.tell_locker(LockerMessage::AddKnown(added));
        if let Some(peer) = self.peers.get_mut(node) {
            peer.synced = true;
            peer.restarts = 0;
        }
        self.stalls.remove(node);
    }

    /// `{new_nodes, …}`: a node of our partition has connected it with another.
    pub(super) fn new_nodes(&mut self, new: NewNodes) {
        let added = self.add_to_known(&new.nodes);
        self.sync_others(&added);
        self.do_ops(new.ops, &new.external, new.lock.as_ref(), &new.node);
        self.tell_locker(LockerMessage::AddKnown(added));
    }

    /// `{in_sync, …}`
    pub(super) fn in_sync(&mut self, node: &Atom) {
        self.synced_with(node);
        if let Some(peer) = self.peers.get_mut(node) {
            peer.synced = true;
            peer.restarts = 0;
        }
        self.stalls.remove(node);
        self.end_session(node, false, None);
        self.doubt(node);
    }

    /// Tells nodes that they have our names, once they are connected (`sync_others/1`).
    fn sync_others(&mut self, nodes: &[Atom]) {
        for node in nodes {
            if node == self.own() {
                continue;
            }
            if self.peers.get(node).is_some_and(|peer| peer.up) {
                let own = self.own().clone();
                self.send(node, message::in_sync(&own));
            } else {
                self.effects.push(Effect::Join { node: node.clone() });
            }
        }
    }

    pub(super) fn joined(&mut self, node: &Atom, connected: bool) {
        // It may have connected to us while we tried in vain.
        let peer = self.peers.get(node);
        if connected || peer.is_some_and(|peer| peer.up) {
            // Else it was lost meanwhile, and an attempt with it is under way or due.
            if peer.is_some_and(|peer| peer.known.is_some()) {
                let own = self.own().clone();
                self.send(node, message::in_sync(&own));
            }
            return;
        }
        tracing::warn!(%node, "`global` failed to connect to a node that others know");
        self.node_down(node, Leaving::Disconnected);
        self.forget_if_nothing(node);
    }

    /// The connection to a node is gone.
    pub(super) fn connection_down(&mut self, node: &Atom) {
        self.node_down(node, Leaving::Disconnected);
        if let Some(peer) = self.peers.get_mut(node) {
            peer.up = false;
            peer.doubt = None;
            peer.restarts = 0;
        }
        self.forget_if_nothing(node);
    }

    /// `handle_nodedown/3`
    pub(super) fn node_down(&mut self, node: &Atom, leaving: Leaving) {
        self.end_session(node, true, None);
        self.tell_locker(LockerMessage::RemoveKnown(node.clone()));
        let lost = match (leaving, self.peers.get_mut(node)) {
            (_, None) => leaving == Leaving::Disconnected,
            (Leaving::Removed, Some(peer)) => {
                peer.removing = true;
                false
            }
            (Leaving::Disconnected, Some(peer)) => !std::mem::take(&mut peer.removing),
        };
        if lost {
            self.report_loss(node);
        }
        if leaving == Leaving::Removed {
            // OTP keeps its names until the connection is gone, which is long where it is dead. They must
            // not pass for names of our partition until then: whoever tells us of the node again
            // would be taken to tell us nothing new.
            self.forget_processes_of(node);
        }
        if let Some(peer) = self.peers.get_mut(node) {
            peer.pending = None;
            peer.known = None;
            peer.synced = false;
            peer.retry = None;
            peer.lacks = false;
        }
        if leaving == Leaving::Removed {
            self.doubt(node);
        }
        self.lost_for_syncs(node);
    }

    fn forget_if_nothing(&mut self, node: &Atom) {
        if self.peers.get(node).is_some_and(super::peer::Peer::is_nothing) {
            self.peers.remove(node);
        }
    }

    /// Ends the attempt with a node: the locker is told, and on the way it sends `last`. The other
    /// side is told where `tell`, as long as it is in the middle of it.
    fn end_session(&mut self, node: &Atom, tell: bool, last: Option<Vec<Effect>>) {
        let own = self.own().clone();
        let Some(peer) = self.peers.get_mut(node) else { return };
        let pending = peer.pending.take();
        peer.early = None;
        let Some(session) = peer.session.take() else { return };
        self.cancel_locker(node, session.mine, last.unwrap_or_default());
        if tell
            && pending.is_some_and(|vsn| vsn >= VERIFY)
            && let Some((his, _)) = session.his
        {
            self.send(node, message::cancel_connect(&own, his));
        }
    }

    fn cancel_locker(&mut self, node: &Atom, mine: i64, last: Vec<Effect>) {
        self.tell_locker(LockerMessage::Cancel { node: node.clone(), mine, last });
    }

    fn session(&self, node: &Atom) -> Option<&Session> {
        self.peers.get(node)?.session.as_ref()
    }

    /// The attempt with a node, if it is this one.
    pub(super) fn session_of(&mut self, node: &Atom, tag: i64) -> Option<&mut Session> {
        let session = self.peers.get_mut(node)?.session.as_mut()?;
        (session.mine == tag).then_some(session)
    }

    /// The attempt that a message belongs to. One of an earlier attempt belongs to none.
    fn current(&mut self, node: &Atom, tag: &Term) -> Option<&mut Session> {
        let session = self.peers.get_mut(node)?.session.as_mut()?;
        session.is(tag).then_some(session)
    }
}
