//! What stands between the machine and the world: one task, and one queue for everything that a
//! node says or that happens to it, so that all of it stays in order.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use etf::{Atom, Pid, Reference, Term};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::machine::{CallId, CommandId, Effect, Event};
use super::service::{Asked, Current, DOWN, NAME, UP, lock};
use super::tables::WatchId;
use crate::error::DownReason;
use crate::flags::Flags;
use crate::link::Link;
use crate::name::NodeName;
use crate::node::Shared;
use crate::process::{Body, Envelope, ExitKind, Taken, Watched};
use crate::rpc::{self, Mfa};
use crate::wire::control::{Control, PidOrName};

/// How many nodes that others know are dialled at one time.
const DIALS: usize = 64;
/// How many monitors and calls may wait for a connection: of more, the node counts as not there.
const MOST_DIALLING: usize = 10_000;

/// What reaches the driver from tasks of its own.
#[derive(Debug)]
enum Done {
    Joined {
        node: Atom,
        connected: bool,
    },
    Settled {
        ticket: u64,
        result: Option<Term>,
    },
    /// There was no connection for an effect, and now there is, or there is none to be had.
    Dialled {
        key: Key,
        effect: Effect,
    },
}

/// What is monitored, or called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Watch(WatchId),
    Call(CallId),
}

enum Next {
    Message(Envelope),
    Asked(Asked),
    Done(Done),
    Tick,
}

pub(super) struct Driver<'a> {
    shared: &'a Arc<Shared>,
    current: Current,
    started: Instant,
    events: VecDeque<Event>,
    references: HashMap<Reference, Key>,
    watched: HashMap<Key, Reference>,
    /// Waiting for a connection.
    dialling: HashSet<Key>,
    answers: HashMap<CommandId, oneshot::Sender<bool>>,
    last_command: CommandId,
    dials: Arc<Semaphore>,
    /// Its own tasks report here: what those of an earlier machine still find out reaches nobody,
    /// since their numbers mean something else by now.
    done: mpsc::UnboundedReceiver<Done>,
    report: mpsc::UnboundedSender<Done>,
}

impl<'a> Driver<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, current: Current) -> Self {
        let (report, done) = mpsc::unbounded_channel();
        Self {
            shared,
            current,
            started: Instant::now(),
            events: VecDeque::new(),
            references: HashMap::new(),
            watched: HashMap::new(),
            dialling: HashSet::new(),
            answers: HashMap::new(),
            last_command: 0,
            dials: Arc::new(Semaphore::new(DIALS)),
            done,
            report,
        }
    }

    /// Runs until the node shuts down or the process is ended.
    pub(super) async fn drive(mut self, asked: &mut mpsc::UnboundedReceiver<Asked>) {
        let process = self.current.process.clone();
        let mut taken = Taken::default();
        loop {
            while let Some(event) = self.events.pop_front() {
                self.handle(event);
            }
            let deadline = lock(&self.current.machine).deadline();
            let tick = async {
                match deadline {
                    Some(deadline) => sleep_until(self.started + deadline).await,
                    None => std::future::pending().await,
                }
            };
            let next = tokio::select! {
                () = self.shared.stopping.cancelled() => return,
                message = process.queue.pop(&mut taken) => match message {
                    Some((envelope, size)) => {
                        process.queue.release(size);
                        Next::Message(envelope)
                    }
                    None => return,
                },
                Some(asked) = asked.recv() => Next::Asked(asked),
                Some(done) = self.done.recv() => Next::Done(done),
                () = tick => Next::Tick,
            };
            // Who leaves must not call it a loss when its links go down.
            if self.shared.stopping.is_cancelled() {
                return;
            }
            match next {
                Next::Message(envelope) => self.message(envelope),
                Next::Asked(asked) => self.asked(asked),
                Next::Done(done) => self.done(done),
                Next::Tick => match process.queue.try_pop(&mut taken) {
                    // We may have been suspended, and this may be what was waited for.
                    Some((envelope, size)) => {
                        process.queue.release(size);
                        self.message(envelope);
                    }
                    None => self.events.push_back(Event::Tick),
                },
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let now = self.started.elapsed();
        let effects = lock(&self.current.machine).handle(now, event);
        for effect in effects {
            self.execute(effect, true);
        }
    }

    fn message(&mut self, envelope: Envelope) {
        let Envelope { from, body } = envelope;
        let peer = match &body {
            Body::Encoded(_, link) => match link.upgrade() {
                Some(link) => Some(Atom::from(&link.peer.name)),
                // Its connection is gone, and what it was about with it.
                None => return,
            },
            Body::Term(_) => None,
        };
        let Ok(message) = body.into_term(&self.shared.limits.terms) else { return };
        let message = match self.reply(message) {
            Ok(()) => return,
            Err(message) => message,
        };
        match (peer, from) {
            (Some(peer), _) => self.events.push_back(Event::Message { peer, message }),
            // Nobody but the node itself says anything without being a process.
            (None, None) => self.said_by_node(message),
            (None, Some(from)) if from.node == self.current.pid.node => {
                self.events.push_back(Event::Message { peer: from.node, message });
            }
            (None, Some(_)) => {}
        }
    }

    /// `{Ref, Reply}`
    fn reply(&mut self, message: Term) -> Result<(), Term> {
        let id = match message.as_tuple() {
            Some([Term::Reference(reference), _]) => match self.references.get(reference) {
                Some(Key::Call(id)) => *id,
                _ => return Err(message),
            },
            _ => return Err(message),
        };
        self.unwatch(Key::Call(id));
        let reply = message.into_tuple().ok().and_then(|mut fields| fields.pop());
        self.events.push_back(Event::Called { id, reply });
        Ok(())
    }

    fn said_by_node(&mut self, message: Term) {
        match message.as_tuple() {
            Some([what, Term::Atom(node)]) if what.is_atom(UP) => {
                self.events.push_back(Event::Up(node.clone()));
            }
            Some([what, Term::Atom(node)]) if what.is_atom(DOWN) => {
                self.events.push_back(Event::Down(node.clone()));
            }
            Some([down, Term::Reference(reference), ..]) if down.is_atom("DOWN") => {
                if let Some(key) = self.references.remove(reference) {
                    self.watched.remove(&key);
                    self.over(key);
                }
            }
            _ => {}
        }
    }

    fn asked(&mut self, Asked { command, answer }: Asked) {
        self.last_command += 1;
        let id = self.last_command;
        self.answers.insert(id, answer);
        self.events.push_back(Event::Command { id, command });
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Joined { node, connected } => {
                self.events.push_back(Event::Joined { node, connected });
            }
            Done::Settled { ticket, result } => {
                self.events.push_back(Event::Settled { ticket, result });
            }
            Done::Dialled { key, effect } => {
                // Nobody may want it any more.
                if self.dialling.remove(&key) {
                    self.execute(effect, false);
                }
            }
        }
    }

    /// What was monitored has ended, or was not there.
    fn over(&mut self, key: Key) {
        self.events.push_back(match key {
            Key::Watch(id) => Event::Ended(id),
            Key::Call(id) => Event::Called { id, reply: None },
        });
    }

    /// Does one thing. Nothing here waits: what needs a connection that is not there is put off,
    /// if it `may_dial`, or else has failed.
    fn execute(&mut self, effect: Effect, may_dial: bool) {
        match effect {
            Effect::Send { node, message } => {
                if let Some(link) = self.shared.links.link(&node) {
                    let control = Control::reg_send(self.current.pid.clone(), NAME);
                    link.answer(&control, Some(&message));
                }
            }
            Effect::SendPid { pid, message } => {
                send_to(self.shared, &self.current.pid, &pid, message);
            }
            Effect::Reply { to, reply } => {
                let alias = to.alias().cloned();
                let message = Term::Tuple(vec![to.tag, reply]);
                self.send_reply(to.pid, alias, message);
            }
            Effect::Call { id, node, request } => {
                let key = Key::Call(id);
                match self.shared.links.link(&node) {
                    Some(link) => self.call(key, &link, request),
                    None => {
                        let effect = Effect::Call { id, node: node.clone(), request };
                        self.dial_for(key, &node, effect, may_dial);
                    }
                }
            }
            Effect::Forget { id } => self.unwatch(Key::Call(id)),
            Effect::Watch { id, pid } => self.watch(id, pid, may_dial),
            Effect::Unwatch { id } => self.unwatch(Key::Watch(id)),
            Effect::Disconnect { node } => {
                if let Some(link) = self.shared.links.link(&node) {
                    link.close(DownReason::Disconnected);
                }
            }
            Effect::Join { node } => self.join(node),
            Effect::Resolve { ticket, node, arguments } => self.resolve(ticket, &node, arguments),
            Effect::Kill { pid } => kill(self.shared, &self.current.pid, &pid),
            Effect::Answer { id, answer } => {
                if let Some(asked) = self.answers.remove(&id) {
                    // Whoever asked may have stopped waiting.
                    let _ = asked.send(answer);
                }
            }
        }
    }

    /// A call as every generic server knows it, with the monitor's reference for its tag.
    fn call(&mut self, key: Key, link: &Arc<Link>, request: Term) {
        let reference = self.shared.processes.ids.reference();
        let what = Watched::Named(NAME, link.peer.name.clone());
        let process = &self.current.process;
        if process.begin_monitor(reference.clone(), what, Some(link)).is_err() {
            self.over(key);
            return;
        }
        let own = self.current.pid.clone();
        let to = PidOrName::Name(NAME);
        link.answer(&Control::monitor(own.clone(), to, reference.clone()), None);
        let tag = Term::Reference(reference.clone());
        let message = crate::r#gen::message::call(own.clone(), tag, request);
        link.answer(&Control::reg_send(own, NAME), Some(&message));
        self.references.insert(reference.clone(), key);
        self.watched.insert(key, reference);
    }

    fn watch(&mut self, id: WatchId, pid: Pid, may_dial: bool) {
        let key = Key::Watch(id);
        let reference = self.shared.processes.ids.reference();
        let what = Watched::Pid(pid.clone());
        let process = &self.current.process;
        let to = PidOrName::Pid(pid.clone());
        if self.shared.processes.ids.names_us(&pid) {
            let own = &self.current.pid;
            if self.shared.monitor_here(process, own, &reference, what, &to).is_some() {
                self.over(key);
                return;
            }
        } else {
            let Some(link) = self.shared.links.link(&pid.node) else {
                let node = pid.node.clone();
                self.dial_for(key, &node, Effect::Watch { id, pid }, may_dial);
                return;
            };
            if process.begin_monitor(reference.clone(), what, Some(&link)).is_err() {
                self.over(key);
                return;
            }
            let own = self.current.pid.clone();
            link.answer(&Control::monitor(own, to, reference.clone()), None);
        }
        self.references.insert(reference.clone(), key);
        self.watched.insert(key, reference);
    }

    fn unwatch(&mut self, key: Key) {
        self.dialling.remove(&key);
        if let Some(reference) = self.watched.remove(&key) {
            self.references.remove(&reference);
            self.shared.demonitor(&self.current.process, &reference);
        }
    }

    fn send_reply(&self, pid: Pid, alias: Option<Reference>, message: Term) {
        let own = self.current.pid.clone();
        if self.shared.processes.ids.names_us(&pid) {
            match alias {
                Some(alias) => {
                    self.shared.send_to_alias(&alias, Some(own), Body::Term(message));
                }
                None if pid == self.shared.self_pid => {
                    self.shared.answer_tagged(message);
                }
                None => send_to(self.shared, &own, &pid, message),
            }
            return;
        }
        let Some(link) = self.link_of(&pid) else { return };
        let alias =
            alias.filter(|alias| link.flags.contains(Flags::ALIAS) && *alias.node() == pid.node);
        let control = match alias {
            Some(alias) => Control::alias_send(own, alias, link.flags),
            None => Control::send(own, pid, link.flags),
        };
        link.answer(&control, Some(&message));
    }

    /// The connection to a process that may still live.
    fn link_of(&self, pid: &Pid) -> Option<Arc<Link>> {
        let link = self.shared.links.link(&pid.node)?;
        (link.peer.creation == pid.creation).then_some(link)
    }

    fn dial_for(&mut self, key: Key, node: &Atom, effect: Effect, may_dial: bool) {
        match NodeName::new(node.as_str()) {
            Ok(name) if may_dial && self.dialling.len() < MOST_DIALLING => {
                self.dialling.insert(key);
                self.dial(name, move |_| Done::Dialled { key, effect });
            }
            _ => self.over(key),
        }
    }

    fn join(&mut self, node: Atom) {
        match NodeName::new(node.as_str()) {
            Ok(name) => self.dial(name, move |connected| Done::Joined { node, connected }),
            Err(_) => self.events.push_back(Event::Joined { node, connected: false }),
        }
    }

    fn dial(&self, node: NodeName, done: impl FnOnce(bool) -> Done + Send + 'static) {
        let (shared, dials, report) =
            (self.shared.clone(), self.dials.clone(), self.report.clone());
        self.shared.tasks.spawn(async move {
            let stopping = shared.stopping.clone();
            let dial = async {
                let permit = dials.acquire().await;
                permit.is_ok() && shared.connect(&node).await.is_ok()
            };
            if let Some(connected) = stopping.run_until_cancelled(dial).await {
                let _ = report.send(done(connected));
            }
        });
    }

    fn resolve(&mut self, ticket: u64, node: &Atom, args: Vec<Term>) {
        let Ok(name) = NodeName::new(node.as_str()) else {
            self.events.push_back(Event::Settled { ticket, result: None });
            return;
        };
        let (shared, report) = (self.shared.clone(), self.report.clone());
        let (module, function) = (Atom::from_static("global"), Atom::from_static("resolve_it"));
        self.shared.tasks.spawn(async move {
            let mfa = Mfa { module, function, args };
            let stopping = shared.stopping.clone();
            let call = rpc::call_function(&shared, &name, mfa);
            if let Some(result) = stopping.run_until_cancelled(call).await {
                let _ = report.send(Done::Settled { ticket, result: result.ok() });
            }
        });
    }
}

/// `exit(Pid, kill)`
pub(super) fn kill(shared: &Shared, own: &Pid, pid: &Pid) {
    if let Some(process) = shared.processes.by_pid(pid) {
        shared.exit_signal(&process, own, Term::atom("kill"), ExitKind::Sent);
    } else if let Some(link) = shared.links.link(&pid.node) {
        let (control, payload) =
            Control::exit2_to(own.clone(), pid.clone(), Term::atom("kill"), link.flags);
        link.answer(&control, payload.as_ref());
    }
}

pub(super) fn send_to(shared: &Shared, own: &Pid, pid: &Pid, message: Term) {
    if let Some(process) = shared.processes.by_pid(pid) {
        shared.deliver_term(&process, Some(own.clone()), message);
    } else if let Some(link) = shared.links.link(&pid.node)
        && link.peer.creation == pid.creation
    {
        let control = Control::send(own.clone(), pid.clone(), link.flags);
        link.answer(&control, Some(&message));
    }
}
