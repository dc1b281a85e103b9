//! Who is in which group of one scope, and who has to be told: a pure machine.
//!
//! ```text
//!             discover, or sync                      discover
//!   (none) ------------------------> known ------------------------> announced
//!      ^                               |       we send `sync`            |  we send join, leave
//!      |   its end, or the link's      |                                 |
//!      +-------------------------------+---------------------------------+
//! ```
//!
//! A scope of another node is announced to once it was sent a `sync`. From then on it knows what we
//! know, in order, and is told of each join and leave once: a `leave` from a group that it does not
//! know us in ends the scope of OTP 23 to 28 (`pg.erl`, `leave_remote/3`). OTP itself tells whom it
//! knows, and two scopes that discover each other may meet that crash.

use std::collections::{HashMap, HashSet};
use std::mem;

use etf::{Pid, Term};

use super::bag::{Bag, Groups, take};
use super::wire::{self, Members, Message};
use crate::process::heap;

/// How many memberships a scope of another node may have: far more than any system uses, and a
/// bound on what a peer can make us keep.
const MOST: usize = 4_000_000;
/// What the names of its groups may hold, in bytes.
const MOST_BYTES: usize = 256 << 20;
/// How many scopes one node may have: one, but the end of an earlier one may be on its way.
const MOST_SCOPES: usize = 8;

/// What a change of the membership makes necessary, in order.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    /// A message to the scopes of other nodes.
    Send(Vec<Pid>, Term),
    /// A scope of another node is to be monitored.
    Monitor(Pid),
    /// Processes have joined a group.
    Joined(Term, Vec<Pid>),
    /// Processes have left a group.
    Left(Term, Vec<Pid>),
}

/// One scope, as seen from this node.
#[derive(Debug)]
pub(super) struct Membership {
    /// The pid of our scope.
    me: Pid,
    local: Groups,
    /// The groups of each of our processes, each as often as it joined; none has none.
    joined: HashMap<Pid, Vec<Term>>,
    peers: HashMap<Pid, Peer>,
    /// Processes that ended, and the groups that they were in: announced together.
    ended: Vec<(Pid, Vec<Term>)>,
    most: usize,
    most_bytes: usize,
    /// Members that were not taken.
    refused: u64,
}

/// The scope of another node.
#[derive(Debug, Default)]
struct Peer {
    announced: bool,
    groups: Groups,
    /// Memberships in all groups together.
    len: usize,
    /// What the names of the groups hold.
    bytes: usize,
}

impl Membership {
    /// A scope without members, whose pid is `me`.
    pub(super) fn new(me: Pid) -> Self {
        Self {
            me,
            local: Groups::new(),
            joined: HashMap::new(),
            peers: HashMap::new(),
            ended: Vec::new(),
            most: MOST,
            most_bytes: MOST_BYTES,
            refused: 0,
        }
    }

    /// Processes of ours join a group.
    pub(super) fn join(&mut self, group: &Term, pids: &[Pid]) -> Vec<Action> {
        if pids.is_empty() {
            return Vec::new();
        }
        let mut actions = self.announce_ended();
        let bag = self.local.entry(group.clone()).or_default();
        for pid in pids {
            bag.add(pid.clone());
            self.joined.entry(pid.clone()).or_default().push(group.clone());
        }
        self.announce(&mut actions, |me| wire::join(me, group, pids));
        actions.push(Action::Joined(group.clone(), pids.to_vec()));
        actions
    }

    /// Processes of ours leave a group. Those that are not in it are passed over.
    pub(super) fn leave(&mut self, group: &Term, pids: &[Pid]) -> Vec<Action> {
        let mut actions = self.announce_ended();
        let mut left = Vec::new();
        for pid in pids {
            if !take(&mut self.local, group, pid) {
                continue;
            }
            left.push(pid.clone());
            let Some(groups) = self.joined.get_mut(pid) else { continue };
            if let Some(at) = groups.iter().position(|joined| joined == group) {
                groups.swap_remove(at);
            }
            if groups.is_empty() {
                self.joined.remove(pid);
            }
        }
        if !left.is_empty() {
            self.announce(&mut actions, |me| wire::leave(me, &left, vec![group.clone()]));
            actions.push(Action::Left(group.clone(), left));
        }
        actions
    }

    /// A process of ours has ended: it is in no group any more. Others are told with the next
    /// message, or by [`Membership::announce_ended`].
    pub(super) fn ended(&mut self, pid: &Pid) -> Vec<Action> {
        let Some(groups) = self.joined.remove(pid) else { return Vec::new() };
        let mut actions = Vec::new();
        for group in &groups {
            if take(&mut self.local, group, pid) {
                actions.push(Action::Left(group.clone(), vec![pid.clone()]));
            }
        }
        if self.peers.values().any(|peer| peer.announced) {
            self.ended.push((pid.clone(), groups));
        }
        actions
    }

    /// Whether others do not know yet of processes that ended.
    pub(super) fn owes(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Tells others of the processes that ended: those that were in the same groups in one message.
    pub(super) fn announce_ended(&mut self) -> Vec<Action> {
        let mut together: HashMap<Vec<Term>, Vec<Pid>> = HashMap::new();
        for (pid, groups) in mem::take(&mut self.ended) {
            together.entry(groups).or_default().push(pid);
        }
        let mut actions = Vec::new();
        for (groups, pids) in together {
            self.announce(&mut actions, |me| wire::leave(me, &pids, groups));
        }
        actions
    }

    /// Takes what the scope `peer` of another node says.
    pub(super) fn take(&mut self, peer: &Pid, message: Message) -> Vec<Action> {
        if !self.peers.contains_key(peer) && self.has_scopes_enough(peer) {
            self.refused += 1;
            return Vec::new();
        }
        match message {
            Message::Discover => self.discovered(peer),
            Message::Sync(groups) => self.synced(peer, groups),
            Message::Join(joined) => self.changed(peer, [], [joined]),
            Message::Leave(pids, groups) => {
                let left = groups.into_iter().map(|group| (group, pids.as_slice()));
                self.changed(peer, left, [])
            }
            Message::Update(changes) => {
                let mut actions = Vec::new();
                for (group, joined, left) in changes {
                    let left = [(group.clone(), left.as_slice())];
                    actions.extend(self.changed(peer, left, [(group, joined)]));
                }
                actions
            }
        }
    }

    /// The scope of another node is gone, or the link to it.
    pub(super) fn lost(&mut self, peer: &Pid) -> Vec<Action> {
        let Some(peer) = self.peers.remove(peer) else { return Vec::new() };
        let left = peer.groups.into_iter();
        left.map(|(group, bag)| Action::Left(group, bag.pids().cloned().collect())).collect()
    }

    /// The scopes of other nodes that are known.
    pub(super) fn peers(&self) -> impl Iterator<Item = &Pid> {
        self.peers.keys()
    }

    /// Members of other nodes that were not taken: not of the node that told of them, or too many.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// The processes in a group, each as often as it joined.
    pub(super) fn members(&self, group: &Term) -> Vec<Pid> {
        let peers = self.peers.values().filter_map(|peer| peer.groups.get(group));
        self.local.get(group).into_iter().chain(peers).flat_map(Bag::pids).cloned().collect()
    }

    /// Those of other nodes.
    pub(super) fn remote_members(&self, group: &Term) -> Vec<Pid> {
        let peers = self.peers.values().filter_map(|peer| peer.groups.get(group));
        peers.flat_map(Bag::pids).cloned().collect()
    }

    /// Those of this node.
    pub(super) fn local_members(&self, group: &Term) -> Vec<Pid> {
        self.local.get(group).into_iter().flat_map(Bag::pids).cloned().collect()
    }

    /// Whether a process of this node is in any group.
    pub(super) fn is_member(&self, pid: &Pid) -> bool {
        self.joined.contains_key(pid)
    }

    /// The groups that have members.
    pub(super) fn groups(&self) -> HashSet<&Term> {
        let peers = self.peers.values().flat_map(|peer| peer.groups.keys());
        self.local.keys().chain(peers).collect()
    }

    /// The groups that have members of this node.
    pub(super) fn local_groups(&self) -> impl Iterator<Item = &Term> {
        self.local.keys()
    }

    /// Whether there are as many scopes of a scope's node as there may be.
    fn has_scopes_enough(&self, peer: &Pid) -> bool {
        self.peers.keys().filter(|known| known.node == peer.node).count() >= MOST_SCOPES
    }

    fn discovered(&mut self, peer: &Pid) -> Vec<Action> {
        // Whoever knows us hears of the ends before it hears the rest again.
        let mut actions = self.announce_ended();
        let groups = self.local.iter().map(|(group, bag)| {
            (group.clone(), bag.pids().cloned().map(Term::Pid).collect::<Vec<_>>())
        });
        let to = vec![peer.clone()];
        actions.push(Action::Send(to.clone(), wire::sync(&self.me, groups)));
        if !self.peers.contains_key(peer) {
            actions.insert(0, Action::Monitor(peer.clone()));
            actions.push(Action::Send(to, wire::discover(&self.me)));
        }
        self.peers.entry(peer.clone()).or_default().announced = true;
        actions
    }

    fn synced(&mut self, peer: &Pid, groups: Vec<Members>) -> Vec<Action> {
        let mut actions = Vec::new();
        let known = self.peers.entry(peer.clone()).or_insert_with(|| {
            actions.push(Action::Monitor(peer.clone()));
            Peer::default()
        });
        let before = mem::take(&mut known.groups);
        (known.len, known.bytes) = (0, 0);
        for (group, pids) in groups {
            let most = (self.most, self.most_bytes);
            known.taken(peer, &group, pids, most, &mut self.refused);
        }
        let nobody = Bag::default();
        for (group, now) in &known.groups {
            let joined = now.minus(before.get(group).unwrap_or(&nobody));
            if !joined.is_empty() {
                actions.push(Action::Joined(group.clone(), joined));
            }
        }
        for (group, was) in before {
            let left = was.minus(known.groups.get(&group).unwrap_or(&nobody));
            if !left.is_empty() {
                actions.push(Action::Left(group, left));
            }
        }
        actions
    }

    /// Members of another node left and joined. One whose scope is not known is passed over, as in
    /// OTP: it will be asked for all, or has just gone.
    fn changed<'a>(
        &mut self,
        peer: &Pid,
        left: impl IntoIterator<Item = (Term, &'a [Pid])>,
        joined: impl IntoIterator<Item = Members>,
    ) -> Vec<Action> {
        let Some(known) = self.peers.get_mut(peer) else { return Vec::new() };
        let mut actions = Vec::new();
        for (group, pids) in left {
            if !known.groups.contains_key(&group) {
                continue;
            }
            let left: Vec<Pid> =
                pids.iter().filter(|pid| take(&mut known.groups, &group, pid)).cloned().collect();
            known.len -= left.len();
            if !known.groups.contains_key(&group) {
                known.bytes = known.bytes.saturating_sub(heap(&group));
            }
            if !left.is_empty() {
                actions.push(Action::Left(group, left));
            }
        }
        for (group, pids) in joined {
            let most = (self.most, self.most_bytes);
            let taken = known.taken(peer, &group, pids, most, &mut self.refused);
            if !taken.is_empty() {
                actions.push(Action::Joined(group, taken));
            }
        }
        actions
    }

    /// Says something to every scope that knows what we know.
    fn announce(&self, actions: &mut Vec<Action>, message: impl FnOnce(&Pid) -> Term) {
        let announced = self.peers.iter().filter(|(_, peer)| peer.announced);
        let to: Vec<Pid> = announced.map(|(pid, _)| pid.clone()).collect();
        if !to.is_empty() {
            actions.push(Action::Send(to, message(&self.me)));
        }
    }
}

impl Peer {
    /// Takes processes into a group, and tells which: those of the peer's own node, as long as
    /// there is room for so many, and for so many bytes of names.
    fn taken(
        &mut self,
        peer: &Pid,
        group: &Term,
        pids: Vec<Pid>,
        (most, most_bytes): (usize, usize),
        refused: &mut u64,
    ) -> Vec<Pid> {
        let all = pids.len();
        let own = |pid: &Pid| pid.node == peer.node && pid.creation == peer.creation;
        let is_new = !self.groups.contains_key(group);
        let bytes = if is_new { heap(group) } else { 0 };
        let room = match self.bytes.saturating_add(bytes) {
            all if all > most_bytes => 0,
            _ => most.saturating_sub(self.len),
        };
        let taken: Vec<Pid> = pids.into_iter().filter(own).take(room).collect();
        if !taken.is_empty() {
            let bag = self.groups.entry(group.clone()).or_default();
            taken.iter().for_each(|pid| bag.add(pid.clone()));
            self.bytes += bytes;
        }
        self.len += taken.len();
        *refused += u64::try_from(all - taken.len()).unwrap_or(u64::MAX);
        taken
    }
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
