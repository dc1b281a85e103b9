//! The node's part in `global`: the process and the machine of the moment, and who takes their place.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use etf::{Atom, Pid, Term};
use tokio::sync::{mpsc, oneshot};

use super::driver::{self, Driver};
use super::machine::{Command, Effect, Machine, Settings};
use crate::error::DownReason;
use crate::link::Link;
use crate::name::NodeName;
use crate::node::{Shared, Visibility};
use crate::process::{Inner, ProcessKind};

/// What the process is registered as, here as everywhere.
pub(super) const NAME: Atom = Atom::from_static("global_name_server");
/// First elements of what the node itself says.
pub(super) const UP: &str = "$node_up";
pub(super) const DOWN: &str = "$node_down";
/// The node's part in `global`.
#[derive(Debug)]
pub(crate) struct Service {
    state: Mutex<State>,
    commands: mpsc::UnboundedSender<Asked>,
}

/// Nodes come and go under this lock, so whoever is `current` is told of each in its order and once.
#[derive(Debug)]
struct State {
    current: Option<Current>,
    /// The visible nodes that are connected: the next one is told of them first.
    up: HashSet<NodeName>,
}

/// The process and the machine of the moment: others take their place when the process is killed.
#[derive(Debug, Clone)]
pub(super) struct Current {
    pub(super) process: Arc<Inner>,
    pub(super) pid: Pid,
    pub(super) machine: Arc<Mutex<Machine>>,
}

/// What a program asks for, and who is to be told.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<bool>,
}

impl Service {
    /// Has the node take part.
    pub(crate) fn start(shared: &Arc<Shared>, prevent: bool) {
        let (commands, asked) = mpsc::unbounded_channel();
        let state = State { current: begin(shared, prevent), up: HashSet::new() };
        let service = Self { state: Mutex::new(state), commands };
        if shared.global.set(service).is_ok() {
            shared.tasks.spawn(run(shared.clone(), prevent, asked));
        }
    }

    /// A visible node is connected: said before it can say anything.
    pub(crate) fn link_up(&self, shared: &Shared, link: &Link) {
        if link.peer.visibility == Visibility::Visible {
            let mut state = lock(&self.state);
            state.up.insert(link.peer.name.clone());
            state.tell(shared, UP, &link.peer.name);
        }
    }

    /// A node is no longer connected: said after everything that it said.
    pub(crate) fn link_down(&self, shared: &Shared, link: &Link) {
        if link.peer.visibility == Visibility::Visible {
            let mut state = lock(&self.state);
            state.up.remove(&link.peer.name);
            state.tell(shared, DOWN, &link.peer.name);
        }
    }

    /// Another process takes the place of the one that was ended. False if there can be none.
    fn begin_anew(&self, shared: &Arc<Shared>, prevent: bool) -> bool {
        let next = begin(shared, prevent);
        let mut state = lock(&self.state);
        state.current = next;
        for node in &state.up {
            state.tell(shared, UP, node);
        }
        state.current.is_some()
    }

    /// Has something done; `None` when the node shuts down or `global` begins anew.
    pub(super) async fn command(&self, command: Command) -> Option<bool> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Asked { command, answer }).ok()?;
        answered.await.ok()
    }

    /// Looks at the machine.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Machine) -> T) -> Option<T> {
        let current = self.current()?;
        let machine = lock(&current.machine);
        Some(look(&machine))
    }

    fn current(&self) -> Option<Current> {
        lock(&self.state).current.clone()
    }
}

impl State {
    fn tell(&self, shared: &Shared, what: &'static str, node: &NodeName) {
        if let Some(current) = &self.current {
            let message = Term::Tuple(vec![Term::atom(what), Term::Atom(node.into())]);
            shared.deliver_term(&current.process, None, message);
        }
    }
}

fn begin(shared: &Arc<Shared>, prevent: bool) -> Option<Current> {
    let process = shared.processes.spawn(&shared.limits)?;
    process.set_kind(ProcessKind::Global);
    process.set_trap_exit(true);
    if shared.processes.register_service(&NAME, &process).is_err() {
        tracing::error!("global_name_server is registered already");
        return None;
    }
    let pid = shared.processes.ids.pid(process.id);
    let settings = Settings {
        own: pid.node.clone(),
        pid: pid.clone(),
        node_pid: shared.self_pid.clone(),
        prevent,
        // Without randomness it is the time that differs from node to node.
        seed: getrandom::u64().unwrap_or_else(|_| u64::from(shared.creation)),
    };
    Some(Current { process, pid, machine: Arc::new(Mutex::new(Machine::new(settings))) })
}

async fn run(shared: Arc<Shared>, prevent: bool, mut asked: mpsc::UnboundedReceiver<Asked>) {
    loop {
        let Some(current) = shared.global.get().and_then(Service::current) else { return };
        Driver::new(&shared, current).drive(&mut asked).await;
        if shared.stopping.is_cancelled() {
            return;
        }
        // Somebody killed the process, or its mailbox overflowed. A BEAM node would halt. Here
        // everybody gets to know that our names and locks are gone, and it begins anew.
        tracing::error!("global_name_server was ended: its links are closed, and it begins anew");
        let Some(service) = shared.global.get() else { return };
        let links = shared.links.links();
        let visible = links.iter().filter(|link| link.peer.visibility == Visibility::Visible);
        let visible: Vec<_> = visible.collect();
        for link in &visible {
            link.close(DownReason::Disconnected);
        }
        for link in &visible {
            link.wait_down().await;
        }
        if !service.begin_anew(&shared, prevent) {
            return;
        }
    }
}

/// The functions of `global` that others call here: `resolve_it/4`, by which they settle a conflict
/// over a name of one of our processes, and those that only look. `None` for all others, and where
/// this node takes no part.
pub(crate) fn function(shared: &Shared, name: &str, args: &[Term]) -> Option<Result<Term, ()>> {
    let service = shared.global.get()?;
    Some(Ok(match (name, args) {
        ("whereis_name", [name]) => match service.look(|machine| machine.whereis(name).cloned()) {
            Some(Some(pid)) => Term::Pid(pid),
            _ => Term::atom("undefined"),
        },
        ("registered_names", []) => Term::List(service.look(Machine::registered)?),
        ("resolve_it", [method, name, Term::Pid(one), Term::Pid(other)]) => {
            let Some(method) = super::ConflictMethod::of_term(method) else {
                // As on a node that does not have the module.
                return Some(Ok(Term::atom("undef")));
            };
            let own = service.current()?.pid;
            let verdict = method.settle(name, one, other);
            for effect in verdict.effects {
                match effect {
                    Effect::Kill { pid } => driver::kill(shared, &own, &pid),
                    Effect::SendPid { pid, message } => {
                        driver::send_to(shared, &own, &pid, message);
                    }
                    _ => {}
                }
            }
            verdict.result
        }
        ("resolve_it", [_, _, _, _]) => return Some(Err(())),
        _ => return None,
    }))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
