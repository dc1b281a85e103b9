//! The locker: sets the lock in our partition, and waits for the other side to do so in its own.
//!
//! It does one thing after the other, as OTP's process of that name does: while it waits for a node,
//! the words of others stay in its queue.

use std::collections::VecDeque;
use std::time::Duration;

use etf::{Atom, Pid, Term};

use super::machine::{Effect, Inner, Machine, Now, Owner};
use super::message::{self, LockId, PROXY, VERIFY};
use super::peer::same_host;
use super::tables::boss;

/// How long the other side's locker may take to say whether it has the lock. It asks its own
/// partition, and nothing else.
const LOCK_PATIENCE: Duration = Duration::from_secs(7);
/// How long the rest may take, conflicts of names included. Whoever takes longer is given as much
/// again in the next attempt, up to so many times as much.
const REST_PATIENCE: Duration = Duration::from_secs(15);
const MOST_PATIENCE: u32 = 8;

/// The other side of a session, as the locker sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Him {
    pub(super) node: Atom,
    pub(super) locker: Pid,
    pub(super) vsn: u32,
    /// Our tag of the session, and his.
    pub(super) mine: i64,
    pub(super) his: Term,
}

/// What the locker is told.
#[derive(Debug)]
pub(super) enum LockerMessage {
    /// Somebody to connect with.
    Him(Him),
    /// That session is over, one way or another. `last` goes out before the lock is taken away.
    Cancel {
        node: Atom,
        mine: i64,
        last: Vec<Effect>,
    },
    /// Whether the other side's locker has set its lock.
    LockSet {
        pid: Pid,
        set: bool,
    },
    AddKnown(Vec<Atom>),
    RemoveKnown(Atom),
}

/// The locker.
#[derive(Debug, Default)]
pub(super) struct Locker {
    pub(super) queue: VecDeque<LockerMessage>,
    waiting: Vec<Him>,
    known: Vec<Atom>,
    just_synced: bool,
    mode: Mode,
}

#[derive(Debug, Default)]
enum Mode {
    /// Nothing under way. After a while, if nobody else has the lock, somebody is chosen.
    #[default]
    Idle,
    Rest(Now),
    /// Setting the lock in our own partition.
    Locking(Job),
    /// Ours is set, and he was told.
    AwaitLockSet(Set),
    /// Both are set.
    AwaitCancel(Set),
    /// Taking the lock away: from all but the greatest node, and then from that.
    Releasing {
        lock: LockId,
        boss: Option<Atom>,
    },
}

#[derive(Debug)]
struct Job {
    him: Him,
    /// He has set his lock already, and waits for our answer.
    asked: bool,
    lock: LockId,
    stage: Stage,
    first: Vec<Atom>,
    second: Vec<Atom>,
    /// He has not answered when his node was to be locked.
    silent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    First,
    Second,
    Rest,
    Undo,
}

/// A lock that is set.
#[derive(Debug)]
struct Set {
    him: Him,
    lock: LockId,
    nodes: Vec<Atom>,
    until: Now,
}

impl Locker {
    pub(super) fn deadline(&self) -> Option<Now> {
        match &self.mode {
            Mode::Rest(until) => Some(*until),
            Mode::AwaitLockSet(set) | Mode::AwaitCancel(set) => Some(set.until),
            Mode::Idle | Mode::Locking(_) | Mode::Releasing { .. } => None,
        }
    }

    fn remove(&mut self, node: &Atom, mine: i64) {
        self.waiting.retain(|him| him.node != *node || him.mine != mine);
    }

    /// Takes in what has been said of known nodes, out of turn (`update_locker_known/1`).
    fn update_known(&mut self) {
        let mut rest = VecDeque::with_capacity(self.queue.len());
        for message in std::mem::take(&mut self.queue) {
            match message {
                LockerMessage::AddKnown(nodes) => self.add_known(nodes),
                LockerMessage::RemoveKnown(node) => self.remove_known(&node),
                other => rest.push_back(other),
            }
        }
        self.queue = rest;
    }

    fn add_known(&mut self, nodes: Vec<Atom>) {
        for node in nodes {
            if !self.known.contains(&node) {
                self.known.push(node);
            }
        }
    }

    fn remove_known(&mut self, node: &Atom) {
        self.known.retain(|known| known != node);
    }
}

impl Machine {
    /// Goes as far as it gets without waiting.
    pub(super) fn run_locker(&mut self) {
        while self.inner.is_empty() && self.locker_step() {}
    }

    /// One step; false when there is something to wait for.
    fn locker_step(&mut self) -> bool {
        match std::mem::take(&mut self.locker.mode) {
            Mode::Idle => {
                match self.locker.queue.pop_front() {
                    Some(message) => self.locker_message(message),
                    None => return self.locker_rest(),
                }
                true
            }
            Mode::Rest(until) => {
                if !self.locker.queue.is_empty() {
                    return true;
                }
                if until > self.now {
                    self.locker.mode = Mode::Rest(until);
                    return false;
                }
                if !self.locks.is_set(&Term::atom("global")) {
                    self.select_node();
                }
                true
            }
            Mode::AwaitLockSet(set) => self.await_lock_set(set),
            Mode::AwaitCancel(set) => self.await_cancel(set),
            mode @ (Mode::Locking(_) | Mode::Releasing { .. }) => {
                self.locker.mode = mode;
                false
            }
        }
    }

    /// With nothing to do: when somebody is to be chosen. It must not be at once after a failure,
    /// or nobody else in the partition would ever get the lock.
    fn locker_rest(&mut self) -> bool {
        let synced = std::mem::take(&mut self.locker.just_synced);
        if self.locker.waiting.is_empty() {
            return false;
        }
        let pause = match u64::try_from(self.locker.known.len()) {
            _ if synced => 0,
            Ok(0) => 200,
            Ok(known) => (1000 + 100 * known).min(3000),
            Err(_) => 3000,
        };
        self.locker.mode = Mode::Rest(self.now + Duration::from_millis(pause));
        true
    }

    fn locker_message(&mut self, message: LockerMessage) {
        match message {
            LockerMessage::Him(him) => self.locker.waiting.push(him),
            LockerMessage::Cancel { node, mine, last: _ } => self.locker.remove(&node, mine),
            LockerMessage::LockSet { set: false, .. } => {}
            LockerMessage::LockSet { pid, set: true } => self.asked(&pid),
            LockerMessage::AddKnown(nodes) => self.locker.add_known(nodes),
            LockerMessage::RemoveKnown(node) => self.locker.remove_known(&node),
        }
    }

    /// His lock is set; now ours is wanted.
    fn asked(&mut self, pid: &Pid) {
        let Some(him) = self.locker.waiting.iter().find(|him| him.node == pid.node) else {
            // He does not wait for us, or no longer. What he is told has the oldest form.
            let own = self.settings.pid.clone();
            let message = message::lock_set(&own, false, &self.locker.known, None);
            self.effects.push(Effect::SendPid { pid: pid.clone(), message });
            return;
        };
        let him = Him { locker: pid.clone(), ..him.clone() };
        self.lock_nodes(him, true, &[]);
    }

    /// Chooses somebody to connect with, those of our host first (`select_node/1`).
    fn select_node(&mut self) {
        let own = self.own().clone();
        let locker = &mut self.locker;
        locker.waiting.retain(|him| !locker.known.contains(&him.node));
        let (local, remote): (Vec<_>, Vec<_>) =
            locker.waiting.iter().cloned().partition(|him| same_host(&own, &him.node));
        let mut from = if local.is_empty() { remote } else { local };
        if from.is_empty() {
            return;
        }
        let at = usize::try_from(self.random() >> 8).unwrap_or_default() % from.len();
        let him = from.swap_remove(at);
        let node = him.node.clone();
        // His node as well, so that he cannot lock his partition without us.
        self.lock_nodes(him, false, &[node]);
    }

    /// `lock_nodes_safely/3`
    fn lock_nodes(&mut self, him: Him, asked: bool, extra: &[Atom]) {
        let own = self.own().clone();
        let mut requester =
            vec![Term::Pid(self.settings.pid.clone()), Term::Pid(him.locker.clone())];
        requester.sort();
        let lock = LockId::global(Term::List(requester));
        let first = vec![boss(&own, &self.locker.known)];
        let mut second: Vec<Atom> = vec![own.clone()];
        second.extend(extra.iter().cloned());
        second.retain(|node| !first.contains(node));
        let is_boss = first.contains(&own);
        let possible = is_boss || self.locks.can_set(&lock);
        let nodes = first.clone();
        let job = Job {
            him,
            asked,
            lock: lock.clone(),
            stage: Stage::First,
            first,
            second,
            silent: false,
        };
        if possible {
            self.locker.mode = Mode::Locking(job);
            self.set_lock_on(Owner::Locker, &lock, nodes);
        } else {
            self.locked(job, false);
        }
    }

    /// A part of the lock is set, or is not.
    pub(super) fn locker_lock_done(&mut self, set: bool) {
        let mut job = match std::mem::take(&mut self.locker.mode) {
            Mode::Locking(job) => job,
            mode => {
                self.locker.mode = mode;
                return;
            }
        };
        let lock = job.lock.clone();
        let nodes = match (job.stage, set) {
            (Stage::First, true) => {
                self.locker.update_known();
                job.stage = Stage::Second;
                job.second.clone()
            }
            (Stage::Second, true) => {
                job.stage = Stage::Rest;
                let known = self.locker.known.iter();
                known.filter(|node| !job.first.contains(node)).cloned().collect()
            }
            (Stage::Rest | Stage::Undo, true) => return self.locked(job, true),
            (Stage::First | Stage::Undo, false) => return self.locked(job, false),
            (Stage::Second | Stage::Rest, false) => {
                let mut nodes = job.first.clone();
                if job.stage == Stage::Rest {
                    nodes.extend(job.second.iter().cloned());
                }
                job.stage = Stage::Undo;
                self.locker.mode = Mode::Locking(job);
                return self.del_lock_on(Owner::Locker, &lock, nodes);
            }
        };
        self.locker.mode = Mode::Locking(job);
        self.set_lock_on(Owner::Locker, &lock, nodes);
    }

    pub(super) fn locker_calls_done(&mut self) {
        match std::mem::take(&mut self.locker.mode) {
            Mode::Locking(job) => self.locked(job, false),
            Mode::Releasing { lock, boss: Some(boss) } => {
                self.locker.mode = Mode::Releasing { lock: lock.clone(), boss: None };
                self.del_lock_on(Owner::Locker, &lock, vec![boss]);
            }
            Mode::Releasing { boss: None, .. } => {}
            mode => self.locker.mode = mode,
        }
    }

    /// These nodes were asked in vain.
    pub(super) fn locker_waited_for(&mut self, nodes: &[Atom]) {
        if let Mode::Locking(job) = &mut self.locker.mode
            && nodes.contains(&job.him.node)
        {
            job.silent = true;
        }
    }

    /// Our partition is locked, or cannot be for now.
    fn locked(&mut self, job: Job, set: bool) {
        let Job { him, asked, lock, silent, first, .. } = job;
        if silent {
            // Others have waited for the lock that we held meanwhile: not at once again.
            self.stalled(&him.node, him.mine);
        }
        if asked || set {
            self.send_lock_set(&him, set);
        }
        if !set {
            self.locker.just_synced = false;
            return;
        }
        let mut nodes = vec![self.own().clone()];
        if !asked {
            nodes.push(him.node.clone());
        }
        nodes.extend(self.locker.known.iter().filter(|node| **node != him.node).cloned());
        if asked && self.locker.known.contains(&him.node) {
            nodes.push(him.node.clone());
        }
        // It may have gone and come back, and is not known any more: OTP leaves its lock set.
        for node in first {
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
        let until = self.now + LOCK_PATIENCE;
        let set = Set { him, lock, nodes, until };
        if asked {
            self.both_set(set);
        } else {
            self.locker.mode = Mode::AwaitLockSet(set);
        }
    }

    fn both_set(&mut self, mut set: Set) {
        let Him { node, mine, .. } = set.him.clone();
        // More for a node that has stopped in the middle before: it may only be slow.
        let stalls = self.stalls.get(&node).copied().unwrap_or(0);
        set.until = self.now + REST_PATIENCE * (stalls.saturating_add(1)).min(MOST_PATIENCE);
        self.inner.push_back(Inner::LockIsSet { node, tag: mine, lock: set.lock.clone() });
        self.locker.mode = Mode::AwaitCancel(set);
    }

    fn send_lock_set(&mut self, him: &Him, set: bool) {
        let own = self.settings.pid.clone();
        let tag = (him.vsn >= VERIFY).then_some(&him.his);
        let message = message::lock_set(&own, set, &self.locker.known, tag);
        if him.vsn < PROXY {
            self.effects.push(Effect::SendPid { pid: him.locker.clone(), message });
        } else {
            let message = crate::r#gen::message::cast(message);
            self.send(&him.node, message);
        }
    }

    /// Waits for the other side's lock. What others say stays in the queue.
    fn await_lock_set(&mut self, set: Set) -> bool {
        let node = &set.him.node;
        let wanted = |message: &LockerMessage| match message {
            LockerMessage::LockSet { pid, .. } => pid.node == *node,
            LockerMessage::Cancel { node: of, mine, .. } => of == node && *mine == set.him.mine,
            _ => false,
        };
        match self.take_from_queue(wanted) {
            Some(LockerMessage::LockSet { set: true, .. }) => self.both_set(set),
            Some(LockerMessage::LockSet { set: false, .. }) => self.release(set, Vec::new()),
            Some(LockerMessage::Cancel { node, mine, last }) => {
                self.locker.remove(&node, mine);
                self.release(set, last);
            }
            Some(_) | None => return self.wait_or_stall(set, Mode::AwaitLockSet),
        }
        true
    }

    /// Waits until the names are exchanged, or given up.
    fn await_cancel(&mut self, set: Set) -> bool {
        let Him { node, mine, .. } = set.him.clone();
        let wanted = |message: &LockerMessage| match message {
            LockerMessage::Cancel { node: of, mine: tag, .. } => *of == node && *tag == mine,
            _ => false,
        };
        match self.take_from_queue(wanted) {
            Some(LockerMessage::Cancel { last, .. }) => {
                self.locker.remove(&node, mine);
                self.locker.just_synced = true;
                self.release(set, last);
                true
            }
            Some(_) | None => self.wait_or_stall(set, Mode::AwaitCancel),
        }
    }

    fn wait_or_stall(&mut self, mut set: Set, mode: impl FnOnce(Set) -> Mode) -> bool {
        let over = self.ticking && set.until <= self.now;
        let Him { node, mine, .. } = set.him.clone();
        if over {
            // The word that ends the wait is on its way to the queue.
            set.until = self.now + LOCK_PATIENCE;
        }
        self.locker.mode = mode(set);
        if over {
            self.stalled(&node, mine);
        }
        over
    }

    /// `delete_global_lock/2`
    fn release(&mut self, set: Set, last: Vec<Effect>) {
        self.effects.extend(last);
        let Set { lock, mut nodes, .. } = set;
        let Some(boss) = nodes.iter().max().cloned() else { return };
        nodes.retain(|node| *node != boss);
        self.locker.mode = Mode::Releasing { lock: lock.clone(), boss: Some(boss) };
        self.del_lock_on(Owner::Locker, &lock, nodes);
    }

    fn take_from_queue(
        &mut self,
        wanted: impl Fn(&LockerMessage) -> bool,
    ) -> Option<LockerMessage> {
        let at = self.locker.queue.iter().position(wanted)?;
        self.locker.queue.remove(at)
    }
}
