//! A network of machines, whose connections are cut, frozen and mended as a test likes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use etf::{Atom, Pid, Term};

use crate::service::global::ConflictMethod;
use crate::service::global::machine::{Command, Effect, Event, Machine, Now, Settings};
use crate::service::global::message::Message;
use crate::service::global::tables::WatchId;

/// Where the messages of a connection are.
type Way = (usize, usize);

pub(super) struct Net {
    pub(super) now: Now,
    pub(super) random: u64,
    pub(super) machines: Vec<Machine>,
    pub(super) nodes: Vec<Atom>,
    pub(super) links: HashSet<Way>,
    /// Connections that are gone, of which one end has not noticed: what it sends reaches nobody.
    pub(super) stale: HashSet<Way>,
    /// Nobody can connect these for now. Who tries to fails, or succeeds once it is mended.
    pub(super) blocked: HashSet<Way>,
    pub(super) dialling: Vec<Way>,
    /// In order within each way.
    pub(super) flying: HashMap<Way, VecDeque<Event>>,
    /// What each machine is told by its own node, before anything else.
    pub(super) local: Vec<VecDeque<Event>>,
    pub(super) watches: Vec<HashMap<WatchId, Pid>>,
    pub(super) calls: Vec<HashMap<u64, usize>>,
    pub(super) answers: HashMap<(usize, u64), bool>,
    pub(super) killed: HashSet<Pid>,
    pub(super) told: Vec<(Pid, Term)>,
    /// Frozen: reads nothing and does nothing, though its connections are up.
    pub(super) deaf: HashSet<usize>,
}

pub(super) fn pid(node: &Atom, id: u32) -> Pid {
    Pid { node: node.clone(), id, serial: 0, creation: 4 }
}

impl Net {
    pub(super) fn new(names: &[&'static str], seed: u64) -> Self {
        let nodes: Vec<Atom> = names.iter().map(|name| Atom::from_static(name)).collect();
        let machine = |(at, node): (usize, &Atom)| {
            Machine::new(Settings {
                own: node.clone(),
                // In another order than the names.
                pid: pid(node, 50 - u32::try_from(at).unwrap()),
                node_pid: pid(node, 1),
                prevent: true,
                seed: seed + u64::try_from(at).unwrap(),
            })
        };
        let count = nodes.len();
        Self {
            now: Now::ZERO,
            random: seed,
            machines: nodes.iter().enumerate().map(machine).collect(),
            nodes,
            links: HashSet::new(),
            stale: HashSet::new(),
            blocked: HashSet::new(),
            dialling: Vec::new(),
            flying: HashMap::new(),
            local: (0..count).map(|_| VecDeque::new()).collect(),
            watches: vec![HashMap::new(); count],
            calls: vec![HashMap::new(); count],
            answers: HashMap::new(),
            killed: HashSet::new(),
            told: Vec::new(),
            deaf: HashSet::new(),
        }
    }

    pub(super) fn random(&mut self, below: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.random >> 33).unwrap() % below
    }

    pub(super) fn at(&self, node: &Atom) -> usize {
        self.nodes.iter().position(|other| other == node).unwrap()
    }

    pub(super) fn connect(&mut self, a: usize, b: usize) {
        if a == b || self.links.contains(&(a, b)) || self.blocked.contains(&(a, b)) {
            return;
        }
        for (at, gone) in [(a, b), (b, a)] {
            self.notice(at, gone);
        }
        for (at, other) in [(a, b), (b, a)] {
            self.links.insert((at, other));
            self.local[at].push_back(Event::Up(self.nodes[other].clone()));
        }
    }

    pub(super) fn cut(&mut self, a: usize, b: usize) {
        self.tear(a, b);
        self.notice(a, b);
        self.notice(b, a);
    }

    /// Cuts a connection, which neither end has noticed yet.
    pub(super) fn tear(&mut self, a: usize, b: usize) {
        for way in [(a, b), (b, a)] {
            if self.links.remove(&way) {
                // What was on its way is lost.
                self.flying.remove(&way);
                self.stale.insert(way);
            }
        }
    }

    /// An end of a connection that is gone notices.
    pub(super) fn notice(&mut self, at: usize, gone: usize) {
        if !self.stale.remove(&(at, gone)) {
            return;
        }
        let node = self.nodes[gone].clone();
        let ended: Vec<WatchId> =
            self.watches[at].extract_if(|_, pid| pid.node == node).map(|(id, _)| id).collect();
        let calls: Vec<u64> =
            self.calls[at].extract_if(|_, called| *called == gone).map(|(id, _)| id).collect();
        self.local[at].extend(ended.into_iter().map(Event::Ended));
        self.local[at].extend(calls.into_iter().map(|id| Event::Called { id, reply: None }));
        self.local[at].push_back(Event::Down(node));
    }

    /// As [`Net::tear`], and they cannot be connected until it is mended.
    pub(super) fn block(&mut self, a: usize, b: usize) {
        self.blocked.extend([(a, b), (b, a)]);
        self.tear(a, b);
    }

    pub(super) fn mend(&mut self) {
        self.blocked.clear();
        for (at, other) in std::mem::take(&mut self.dialling) {
            self.join(at, other);
        }
    }

    pub(super) fn join(&mut self, at: usize, other: usize) {
        if !self.stale.contains(&(at, other)) {
            if self.blocked.contains(&(at, other)) {
                if self.random(2) == 0 {
                    self.dialling.push((at, other));
                } else {
                    let node = self.nodes[other].clone();
                    self.local[at].push_back(Event::Joined { node, connected: false });
                }
                return;
            }
            self.connect(at, other);
        }
        let node = self.nodes[other].clone();
        self.local[at].push_back(Event::Joined { node, connected: true });
    }

    /// Whether an end takes the other for connected.
    pub(super) fn sees(&self, at: usize, other: usize) -> bool {
        self.links.contains(&(at, other)) || self.stale.contains(&(at, other))
    }

    pub(super) fn command(&mut self, at: usize, id: u64, command: Command) {
        self.local[at].push_back(Event::Command { id, command });
    }

    pub(super) fn register(&mut self, at: usize, id: u64, name: Term, process: Pid) {
        let method = ConflictMethod::default().to_term();
        let again = false;
        self.command(at, id, Command::Register { name, pid: process, method, again });
    }

    /// One event, or else the clock goes on. False when nothing will ever happen.
    pub(super) fn step(&mut self) -> bool {
        let told = |at: &usize| !self.local[*at].is_empty() && !self.deaf.contains(at);
        if let Some(at) = (0..self.machines.len()).find(told) {
            let event = self.local[at].pop_front().unwrap();
            self.handle(at, event);
            return true;
        }
        let heard =
            |(way, of): &(&Way, &VecDeque<Event>)| !of.is_empty() && !self.deaf.contains(&way.1);
        let mut ways: Vec<Way> = self.flying.iter().filter(heard).map(|(way, _)| *way).collect();
        ways.sort_unstable();
        if !ways.is_empty() {
            let way = ways[self.random(ways.len())];
            let event = self.flying.get_mut(&way).unwrap().pop_front().unwrap();
            if let Event::Called { id, .. } = &event {
                self.calls[way.1].remove(id);
            }
            self.handle(way.1, event);
            return true;
        }
        let deadlines = self.machines.iter().enumerate();
        let awake = deadlines.filter(|(at, _)| !self.deaf.contains(at));
        let next = awake.filter_map(|(at, machine)| Some((machine.deadline()?, at))).min();
        match next {
            Some((deadline, at)) => {
                self.now = self.now.max(deadline);
                self.handle(at, Event::Tick);
                true
            }
            None => false,
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        for _ in 0..200_000 {
            if !self.step() || self.now > until {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    pub(super) fn handle(&mut self, at: usize, event: Event) {
        for effect in self.machines[at].handle(self.now, event) {
            self.execute(at, effect);
        }
    }

    pub(super) fn fly(&mut self, from: usize, to: usize, event: Event) {
        if self.links.contains(&(from, to)) {
            self.flying.entry((from, to)).or_default().push_back(event);
        }
    }

    pub(super) fn execute(&mut self, at: usize, effect: Effect) {
        let own = self.nodes[at].clone();
        match effect {
            Effect::Send { node, message } => {
                let to = self.at(&node);
                self.fly(at, to, Event::Message { peer: own, message });
            }
            Effect::SendPid { pid, message } => {
                let to = self.at(&pid.node);
                if Message::parse(message.clone()).is_some() {
                    self.fly(at, to, Event::Message { peer: own, message });
                } else {
                    self.told.push((pid, message));
                }
            }
            Effect::Reply { to, reply } => {
                let caller = self.at(&to.pid.node);
                let id = to.tag.as_u64().unwrap();
                if self.calls[caller].contains_key(&id) {
                    self.fly(at, caller, Event::Called { id, reply: Some(reply) });
                }
            }
            Effect::Call { id, node, request } => {
                let to = self.at(&node);
                if self.sees(at, to) {
                    self.calls[at].insert(id, to);
                    let caller = self.machines[at].settings.pid.clone();
                    let message = crate::r#gen::message::call(caller, Term::from(id), request);
                    self.fly(at, to, Event::Message { peer: own, message });
                } else {
                    self.local[at].push_back(Event::Called { id, reply: None });
                }
            }
            Effect::Forget { id } => {
                self.calls[at].remove(&id);
            }
            Effect::Watch { id, pid } => {
                let node = self.at(&pid.node);
                if self.killed.contains(&pid) || (node != at && !self.sees(at, node)) {
                    self.local[at].push_back(Event::Ended(id));
                } else {
                    self.watches[at].insert(id, pid);
                }
            }
            Effect::Unwatch { id } => {
                self.watches[at].remove(&id);
            }
            Effect::Disconnect { node } => {
                let other = self.at(&node);
                self.cut(at, other);
            }
            Effect::Join { node } => {
                let other = self.at(&node);
                self.join(at, other);
            }
            Effect::Resolve { ticket, node, arguments } => {
                let [method, name, Term::Pid(one), Term::Pid(other)] = arguments.as_slice() else {
                    panic!("{arguments:?}");
                };
                let verdict = ConflictMethod::of_term(method).unwrap().settle(name, one, other);
                let there = self.at(&node);
                for effect in verdict.effects {
                    self.execute(there, effect);
                }
                let result = Some(verdict.result);
                self.local[at].push_back(Event::Settled { ticket, result });
            }
            Effect::Kill { pid } => self.kill(&pid),
            Effect::Answer { id, answer } => {
                self.answers.insert((at, id), answer);
            }
        }
    }

    pub(super) fn kill(&mut self, pid: &Pid) {
        self.killed.insert(pid.clone());
        for at in 0..self.machines.len() {
            let ended: Vec<WatchId> =
                self.watches[at].extract_if(|_, of| of == pid).map(|(id, _)| id).collect();
            self.local[at].extend(ended.into_iter().map(Event::Ended));
        }
    }

    /// All know each other, and the same names, and nobody has a lock.
    pub(super) fn assert_one(&self, nodes: &[usize]) {
        for at in nodes {
            let machine = &self.machines[*at];
            let mut known = machine.known();
            known.sort();
            let mut others: Vec<Atom> = nodes
                .iter()
                .filter(|other| *other != at)
                .map(|at| self.nodes[*at].clone())
                .collect();
            others.sort();
            assert_eq!(known, others, "known to {}", self.nodes[*at]);
            assert_eq!(machine.locks.len(), 0, "locks of {}", self.nodes[*at]);
            for other in &others {
                let peer = &machine.peers[other];
                assert!(peer.synced, "{other} is in sync with {}", self.nodes[*at]);
                assert!(peer.session.is_none() && peer.pending.is_none());
            }
            let names = |at: usize| {
                let names = self.machines[at].names.iter();
                names
                    .map(|(name, entry)| (name.clone(), entry.pid.clone()))
                    .collect::<HashMap<_, _>>()
            };
            assert_eq!(names(*at), names(nodes[0]));
            assert_eq!(machine.watches.len(), machine.names.iter().count());
        }
    }
}
