//! The machine: what goes in, what comes out, and what it consists of.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use etf::{Atom, Pid, Term};

use super::locker::{Locker, LockerMessage};
use super::message::{KnownNode, LockId, Message, Op, Request};
use super::multi::Multis;
use super::partition::Losses;
use super::peer::Peer;
use super::registrar::Registrar;
use super::sync::Sync;
use super::tables::{Held, Locks, Names, WatchId, Watches};
use crate::r#gen::message::GenFrom;

/// Time since the machine was made.
pub(crate) type Now = Duration;

/// How many nodes may be known: a bound on whom a peer can make us dial.
pub(super) const MOST_NODES: usize = 4_096;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A visible node is connected. Comes before anything that it sent.
    Up(Atom),
    /// It no longer is. Comes after everything that it sent.
    Down(Atom),
    /// A message of a node, ours included.
    Message { peer: Atom, message: Term },
    /// What [`Effect::Call`] was answered, or nothing where there is no server.
    Called { id: CallId, reply: Option<Term> },
    /// What [`Effect::Watch`] watches has ended.
    Ended(WatchId),
    /// What became of [`Effect::Join`].
    Joined { node: Atom, connected: bool },
    /// What [`Effect::Resolve`] yielded, or nothing where the call failed.
    Settled { ticket: u64, result: Option<Term> },
    /// Something that a program asks for.
    Command { id: CommandId, command: Command },
    /// [`Machine::deadline`] has come, and there are no other events.
    Tick,
}

/// Something to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// To `global_name_server` of a connected node.
    Send { node: Atom, message: Term },
    /// To a process.
    SendPid { pid: Pid, message: Term },
    /// To whoever called.
    Reply { to: GenFrom, reply: Term },
    /// A call to `global_name_server` of a node.
    Call { id: CallId, node: Atom, request: Term },
    /// Nobody waits for that call any more.
    Forget { id: CallId },
    /// A monitor.
    Watch { id: WatchId, pid: Pid },
    /// Its end.
    Unwatch { id: WatchId },
    /// The end of a connection.
    Disconnect { node: Atom },
    /// A connection, if there is none.
    Join { node: Atom },
    /// `global:resolve_it/4` on a node.
    Resolve { ticket: u64, node: Atom, arguments: Vec<Term> },
    /// `exit(Pid, kill)`.
    Kill { pid: Pid },
    /// The answer to a command.
    Answer { id: CommandId, answer: bool },
}

/// A call of the machine's.
pub(crate) type CallId = u64;
/// A command to the machine.
pub(crate) type CommandId = u64;

/// What a program asks for.
#[derive(Debug)]
pub(crate) enum Command {
    /// `global:register_name/3`; with `again`, `re_register_name/3`.
    Register { name: Term, pid: Pid, method: Term, again: bool },
    /// `global:unregister_name/1`
    Unregister { name: Term },
    /// `global:sync/0`
    Sync,
}

/// What one part of the machine has for another.
#[derive(Debug)]
pub(super) enum Inner {
    /// The lock is set in both partitions.
    LockIsSet { node: Atom, tag: i64, lock: LockId },
    /// The names that a peer sent are compared with ours.
    Compared { node: Atom, tag: i64, ops: Vec<Op>, resolved: Vec<Op> },
    /// A set lock, or none; for the locker or the registrar.
    LockDone { owner: Owner, set: bool },
    /// Everybody was told what there was to tell.
    CallsDone { owner: Owner },
    /// A message that came before its time.
    Again(Message),
}

/// Which part of the machine calls other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    Locker,
    Registrar,
}

/// How the machine is set.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Our name.
    pub(crate) own: Atom,
    /// The process that is `global_name_server` here, and its own locker and registrar.
    pub(crate) pid: Pid,
    /// The process that the node itself speaks as. Neither of these two ends before the machine.
    pub(crate) node_pid: Pid,
    /// `prevent_overlapping_partitions`
    pub(crate) prevent: bool,
    /// Any number.
    pub(crate) seed: u64,
}

/// `global` of one node, without clock, randomness and I/O.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(super) settings: Settings,
    pub(super) now: Now,
    pub(super) peers: HashMap<Atom, Peer>,
    pub(super) locks: Locks,
    pub(super) names: Names,
    pub(super) watches: Watches,
    /// The lock on `global` was lost with its holder.
    pub(super) lock_down: bool,
    pub(super) locker: Locker,
    pub(super) registrar: Registrar,
    pub(super) multis: Multis,
    pub(super) losses: Losses,
    pub(super) syncs: Vec<Sync>,
    /// How often nodes have stopped in the middle of connecting, since they last came to its end.
    pub(super) stalls: HashMap<Atom, u32>,
    /// Only when everything has been heard that was said in time, is anybody's time over.
    pub(super) ticking: bool,
    pub(super) last_tag: i64,
    pub(super) last_ticket: u64,
    pub(super) inner: VecDeque<Inner>,
    pub(super) effects: Vec<Effect>,
    random: u64,
}

impl Machine {
    pub(crate) fn new(mut settings: Settings) -> Self {
        let seed = settings.seed;
        settings.seed = 0;
        let mut machine = Self {
            settings,
            now: Now::ZERO,
            peers: HashMap::new(),
            locks: Locks::default(),
            names: Names::default(),
            watches: Watches::default(),
            lock_down: false,
            locker: Locker::default(),
            registrar: Registrar::default(),
            multis: Multis::default(),
            losses: Losses::default(),
            syncs: Vec::new(),
            stalls: HashMap::new(),
            ticking: false,
            last_tag: 0,
            last_ticket: 0,
            inner: VecDeque::new(),
            effects: Vec::new(),
            random: seed,
        };
        let extension = machine.random() & ((1 << 59) - 1) & !u64::from(u32::MAX);
        machine.losses.incarnation = extension + u64::from(machine.settings.pid.creation);
        machine
    }

    /// Takes an event in, and tells what is to be done.
    pub(crate) fn handle(&mut self, now: Now, event: Event) -> Vec<Effect> {
        self.now = now;
        self.ticking = matches!(event, Event::Tick);
        match event {
            Event::Up(node) => self.connection_up(&node),
            Event::Down(node) => self.connection_down(&node),
            Event::Message { peer, message } => self.message(&peer, message),
            Event::Called { id, reply } => self.called(id, reply),
            Event::Ended(id) => self.ended(id),
            Event::Joined { node, connected } => self.joined(&node, connected),
            Event::Settled { ticket, result } => self.settled(ticket, result),
            Event::Command { id, command } => self.command(id, command),
            Event::Tick => {}
        }
        self.settle();
        std::mem::take(&mut self.effects)
    }

    /// When [`Event::Tick`] is due.
    pub(crate) fn deadline(&self) -> Option<Now> {
        let peers = self.peers.values();
        let retries = peers.flat_map(|peer| peer.retry.into_iter().chain(peer.doubt));
        let deadlines = [self.locker.deadline(), self.registrar.deadline(), self.multis.deadline()];
        deadlines.into_iter().flatten().chain(retries).min()
    }

    /// `global:whereis_name/1`
    pub(crate) fn whereis(&self, name: &Term) -> Option<&Pid> {
        self.names.get(name).map(|entry| &entry.pid)
    }

    /// `global:registered_names/0`
    pub(crate) fn registered(&self) -> Vec<Term> {
        self.names.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Does what has become due, until nothing is left to do now.
    fn settle(&mut self) {
        loop {
            while let Some(inner) = self.inner.pop_front() {
                self.inner(inner);
            }
            self.expire_calls();
            self.retry_connects();
            self.end_doubtful();
            self.run_registrar();
            self.run_locker();
            if self.inner.is_empty() {
                return;
            }
        }
    }

    fn inner(&mut self, inner: Inner) {
        match inner {
            Inner::LockIsSet { node, tag, lock } => self.lock_is_set(&node, tag, lock),
            Inner::Compared { node, tag, ops, resolved } => {
                self.compared(&node, tag, ops, &resolved);
            }
            Inner::LockDone { owner: Owner::Locker, set } => self.locker_lock_done(set),
            Inner::LockDone { owner: Owner::Registrar, set } => self.registrar_lock_done(set),
            Inner::CallsDone { owner: Owner::Locker } => self.locker_calls_done(),
            Inner::CallsDone { owner: Owner::Registrar } => self.registrar_calls_done(),
            Inner::Again(Message::InitConnect(connect)) => self.init_connect(connect),
            Inner::Again(_) => {}
        }
    }

    fn message(&mut self, peer: &Atom, message: Term) {
        let Some(message) = Message::parse(message) else {
            tracing::debug!(%peer, "a message that no `global` sends was skipped");
            return;
        };
        // Each message names its sender. One that names another is nobody's.
        let sender = match &message {
            Message::Call(from, _) => &from.pid.node,
            Message::InitConnect(connect) => &connect.node,
            Message::LockSet { pid, .. } => &pid.node,
            Message::InitConnectAck { node, .. }
            | Message::CancelConnect { node, .. }
            | Message::Exchange { node, .. }
            | Message::Resolved { node, .. }
            | Message::InSync { node }
            | Message::RemoveConnection { node } => node,
            Message::NewNodes(new) => &new.node,
            // It is passed on by whoever hears of it.
            Message::LostConnection(_) | Message::Obsolete => peer,
        };
        if sender != peer {
            tracing::debug!(%peer, "a message of `global` that names another sender was skipped");
            return;
        }
        let is_call = matches!(message, Message::Call(..));
        if !is_call && !self.peers.get(peer).is_some_and(|peer| peer.up) {
            return;
        }
        match message {
            Message::Call(from, request) => self.call(from, request),
            Message::InitConnect(connect) => self.init_connect(connect),
            Message::InitConnectAck { node, mine, his } => self.connect_ack(&node, &mine, &his),
            Message::CancelConnect { node, tag } => self.connect_cancelled(&node, &tag),
            Message::LockSet { pid, set, tag } => self.lock_set(pid, set, tag),
            Message::Exchange { node, names, tag } => self.exchange_came(&node, names, &tag),
            Message::Resolved { node, ops, known, external, tag } => {
                self.resolved_came(&node, ops, known, external, &tag);
            }
            Message::NewNodes(new) => self.new_nodes(new),
            Message::InSync { node } => self.in_sync(&node),
            Message::LostConnection(lost) => self.connection_lost(lost),
            Message::RemoveConnection { node } => self.remove_connection(&node),
            Message::Obsolete => {}
        }
    }

    fn call(&mut self, from: GenFrom, request: Request) {
        let reply = match request {
            Request::SetLock(id) => Term::from(self.set_lock_here(&id, &from.pid)),
            Request::DelLock(id) => {
                self.del_lock_here(&id, &from.pid);
                Term::from(true)
            }
            Request::Register { name, pid, method, registrar } => {
                self.register_here(name, pid, method, registrar, &from.pid);
                Term::atom("yes")
            }
            Request::Unregister(name) => {
                self.delete_name(&name);
                Term::atom("ok")
            }
            Request::Known => super::message::known_list(&self.known_nodes(), 0),
            Request::Synced => {
                let synced = self.peers.iter().filter(|(_, peer)| peer.synced);
                synced.map(|(node, _)| Term::Atom(node.clone())).collect()
            }
            Request::Version => Term::from(super::message::VSN),
            Request::NamesExternal => super::message::externals(&self.names.external()),
            Request::Other => Term::Tuple(vec![Term::atom("error"), Term::atom("notsup")]),
        };
        self.effects.push(Effect::Reply { to: from, reply });
    }

    /// A process that held locks or names has ended.
    fn ended(&mut self, id: WatchId) {
        match self.watches.remove(id) {
            Some((_, Held::Lock(resource))) => self.holder_down(&resource, id),
            Some((pid, Held::Name(name)))
                if self.names.get(&name).is_some_and(|entry| entry.watch == id) =>
            {
                self.names.remove(&name);
                if let Some(peer) = self.peers.get_mut(&pid.node) {
                    peer.lacks |= peer.known.is_some() && !peer.up;
                }
            }
            Some(_) | None => {}
        }
    }

    /// Takes the locks and names of a node's processes away (`delete_node_resources/2`).
    pub(super) fn forget_processes_of(&mut self, node: &Atom) {
        for id in self.watches.of_node(node) {
            self.effects.push(Effect::Unwatch { id });
            self.ended(id);
        }
    }

    pub(super) fn watch(&mut self, pid: &Pid, held: Held) -> WatchId {
        let id = self.watches.add(pid.clone(), held);
        if *pid != self.settings.pid && *pid != self.settings.node_pid {
            self.effects.push(Effect::Watch { id, pid: pid.clone() });
        }
        id
    }

    pub(super) fn unwatch(&mut self, id: WatchId) {
        if self.watches.remove(id).is_some() {
            self.effects.push(Effect::Unwatch { id });
        }
    }

    pub(super) fn send(&mut self, node: &Atom, message: Term) {
        self.effects.push(Effect::Send { node: node.clone(), message });
    }

    pub(super) fn tell_locker(&mut self, message: LockerMessage) {
        match &message {
            // Each side says this once and waits for the answer. Who says it again has given up
            // what it said before, and must not take the place of others, who wait without end.
            LockerMessage::LockSet { pid, .. } => self.locker.queue.retain(|earlier| {
                !matches!(earlier, LockerMessage::LockSet { pid: of, .. } if of.node == pid.node)
            }),
            LockerMessage::AddKnown(nodes) if nodes.is_empty() => return,
            _ => {}
        }
        self.locker.queue.push_back(message);
    }

    pub(super) fn own(&self) -> &Atom {
        &self.settings.own
    }

    /// The nodes that have the same names as we, or are about to.
    pub(super) fn known(&self) -> Vec<Atom> {
        let known = self.peers.iter().filter(|(_, peer)| peer.known.is_some());
        known.map(|(node, _)| node.clone()).collect()
    }

    pub(super) fn known_nodes(&self) -> Vec<KnownNode> {
        let known = self
            .peers
            .iter()
            .filter_map(|(node, peer)| Some(KnownNode { node: node.clone(), vsn: peer.known? }));
        known.collect()
    }

    /// Adds nodes to those that are known; tells which are new (`add_to_known/2`).
    pub(super) fn add_to_known(&mut self, nodes: &[KnownNode]) -> Vec<Atom> {
        let mut added = Vec::new();
        for KnownNode { node, vsn } in nodes {
            if node == self.own() {
                continue;
            }
            if self.peers.len() >= MOST_NODES && !self.peers.contains_key(node) {
                tracing::warn!(%node, "more nodes than `global` takes: one was left out");
                continue;
            }
            let peer = self.peers.entry(node.clone()).or_default();
            match &mut peer.known {
                Some(known) => *known = (*known).max(*vsn),
                known @ None => {
                    *known = Some(*vsn);
                    added.push(node.clone());
                }
            }
        }
        added
    }

    pub(super) fn random(&mut self) -> u64 {
        // splitmix64
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A time up to `most`, and never none.
    pub(super) fn random_time(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis(1 + self.random() % most)
    }
}
