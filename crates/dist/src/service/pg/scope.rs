//! A scope as a process: what stands between the pure machine and links, processes and monitors.
//!
//! Messages are taken by the reader of the link that they came over, under the scope's lock, and
//! what they make necessary goes into the links' queues under the same lock. So every peer hears of
//! things in the order in which they happened, a link's loss is known before anything that comes over
//! the next one, and a peer that floods the scope waits for itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use etf::{Atom, Pid, Reference, Term};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::membership::{Action, Membership};
use super::watchers::Watchers;
use super::wire::{self, Message};
use super::{PgError, PgEvent, PgMonitor};
use crate::error::RegisterError;
use crate::r#gen::message::{Incoming, cast};
use crate::link::{Link, NoRelation};
use crate::node::Shared;
use crate::process::{Body, Envelope, Inner, Service, Watched};
use crate::service::unserved;
use crate::wire::control::{Control, PidOrName};

/// How often nodes are asked that have no scope yet, as far as we know. A scope that starts, or starts
/// again, while there is a link asks the visible nodes only.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// One scope of this node.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(super) name: Atom,
    shared: Weak<Shared>,
    pid: OnceLock<Pid>,
    /// `None` before it has begun, and once it has ended.
    state: Mutex<Option<State>>,
    /// Told when others have to hear of processes that ended.
    owes: Notify,
    over: CancellationToken,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) membership: Membership,
    /// How the known scopes of other nodes are reached and watched.
    peers: HashMap<Pid, (Arc<Link>, Reference)>,
    /// The monitors of our members.
    members: HashMap<Pid, Reference>,
    pub(super) watchers: Watchers,
}

impl Scope {
    /// Starts a scope: a process with its name.
    pub(super) fn start(shared: &Arc<Shared>, name: Atom) -> Result<Arc<Self>, RegisterError> {
        let scope = Arc::new(Self {
            name: name.clone(),
            shared: Arc::downgrade(shared),
            pid: OnceLock::new(),
            state: Mutex::new(None),
            owes: Notify::new(),
            over: CancellationToken::new(),
        });
        let spawned = shared.processes.spawn_with(&shared.limits, Some(scope.clone()));
        let inner = spawned.ok_or(RegisterError::ShuttingDown)?;
        inner.set_trap_exit(true);
        let pid = scope.pid.get_or_init(|| shared.processes.ids.pid(inner.id));
        *scope.lock() = Some(State {
            membership: Membership::new(pid.clone()),
            peers: HashMap::new(),
            members: HashMap::new(),
            watchers: Watchers::default(),
        });
        if let Err(error) = shared.processes.register(&name, &inner) {
            shared.end_process(&inner, &Term::atom("normal"));
            return Err(error);
        }
        shared.tasks.spawn(tend(scope.clone()));
        Ok(scope)
    }

    /// Asks the scope of the same name across a link for its groups. OTP does so itself when a
    /// visible node comes up; of a hidden one it learns only in this way.
    pub(super) fn discover(&self, link: &Link) {
        let Some(pid) = self.pid.get() else { return };
        let control = Control::reg_send(pid.clone(), self.name.clone());
        link.answer(&control, Some(&wire::discover(pid)));
    }

    /// Asks the connected nodes whose scope is not known.
    fn ask_again(&self, shared: &Shared) {
        let links = shared.links.links();
        let unknown = self.look(|state| {
            let known: HashSet<&str> = state.peers.keys().map(|pid| pid.node.as_str()).collect();
            let mut links = links;
            links.retain(|link| !link.is_closing() && !known.contains(link.peer.name.as_str()));
            links
        });
        for link in unknown.into_iter().flatten() {
            self.discover(&link);
        }
    }

    /// Processes of this node join a group, all or none.
    pub(super) fn join(&self, group: &Term, pids: &[Pid]) -> Result<(), PgError> {
        // It would be in what every new peer is told first, and nothing of that could be sent.
        etf::encode(group).map_err(PgError::Group)?;
        let shared = self.shared.upgrade().ok_or(PgError::Ended)?;
        let own = self.process(&shared).ok_or(PgError::Ended)?;
        let mut state = self.lock();
        let state = state.as_mut().ok_or(PgError::Ended)?;
        let mut new = Vec::new();
        for pid in pids {
            if state.members.contains_key(pid) {
                continue;
            }
            match watch(&shared, &own, pid) {
                Some(reference) => {
                    state.members.insert(pid.clone(), reference);
                    new.push(pid);
                }
                None => {
                    for pid in new {
                        unwatch(&shared, &own, state.members.remove(pid));
                    }
                    return Err(PgError::NoProcess(pid.clone()));
                }
            }
        }
        let actions = state.membership.join(group, pids);
        state.perform(&shared, &own, None, actions);
        Ok(())
    }

    /// Processes of this node leave a group; how many memberships that were.
    pub(super) fn leave(&self, group: &Term, pids: &[Pid]) -> Result<usize, PgError> {
        let shared = self.shared.upgrade().ok_or(PgError::Ended)?;
        let own = self.process(&shared).ok_or(PgError::Ended)?;
        let mut state = self.lock();
        let state = state.as_mut().ok_or(PgError::Ended)?;
        let actions = state.membership.leave(group, pids);
        let left = actions.iter().map(|action| match action {
            Action::Left(_, pids) => pids.len(),
            _ => 0,
        });
        let left = left.sum();
        state.perform(&shared, &own, None, actions);
        for pid in pids {
            if !state.membership.is_member(pid) {
                unwatch(&shared, &own, state.members.remove(pid));
            }
        }
        Ok(left)
    }

    /// Waits as long as a peer has not read much of what it was told: then more is to be told it
    /// only later.
    pub(super) async fn calm(&self) {
        let links: Vec<Arc<Link>> = match &*self.lock() {
            Some(state) => state.peers.values().map(|(link, _)| link.clone()).collect(),
            None => return,
        };
        for link in links {
            link.outbox.calm().await;
        }
    }

    /// Something of the state; nothing once the scope has ended.
    pub(super) fn look<T>(&self, look: impl FnOnce(&mut State) -> T) -> Option<T> {
        self.lock().as_mut().map(look)
    }

    /// A monitor of a group, or of all of them, and what `look` sees at that moment.
    pub(super) fn watch<T>(
        self: &Arc<Self>,
        group: Option<&Term>,
        look: impl FnOnce(&Membership) -> T,
    ) -> Result<(T, PgMonitor), PgError> {
        let watching = self.look(|state| (look(&state.membership), state.watchers.add(group)));
        let (seen, (id, events)) = watching.ok_or(PgError::Ended)?;
        let scope = Arc::downgrade(self);
        Ok((seen, PgMonitor { events, scope, id, group: group.cloned() }))
    }

    pub(super) fn unwatch(&self, id: u64, group: Option<&Term>) {
        self.look(|state| state.watchers.remove(id, group));
    }

    /// Ends the scope: other nodes see it go, and forget its members.
    pub(super) fn stop(&self, shared: &Shared) {
        if let Some(process) = self.process(shared) {
            shared.end_process(&process, &Term::atom("shutdown"));
        }
    }

    /// As [`Scope::stop`].
    pub(super) fn end(&self) {
        if let Some(shared) = self.shared.upgrade() {
            self.stop(&shared);
        }
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    fn process(&self, shared: &Shared) -> Option<Arc<Inner>> {
        shared.processes.by_pid(self.pid.get()?)
    }

    /// What came over a link.
    fn heard(&self, shared: &Arc<Shared>, own: &Arc<Inner>, link: &Arc<Link>, message: Term) {
        let skip = |what: &'static str| {
            link.counters.skip();
            tracing::debug!(scope = %self.name, peer = %link.peer.name, what, "skipped");
        };
        let message = match Incoming::parse(message) {
            Incoming::Call(from, _) | Incoming::System(from, _) => {
                // No node asks a scope of another one anything, but whoever does is answered.
                unserved::refuse(shared, link, from);
                return skip("a call");
            }
            Incoming::Cast(request) => cast(request),
            Incoming::Info(message) => message,
        };
        let Some((scope, message)) = Message::parse(message) else {
            return skip("what no scope sends");
        };
        if scope.node.as_str() != link.peer.name.as_str() || scope.creation != link.peer.creation {
            return skip("word of a scope that is not the peer's");
        }
        let mut state = self.lock();
        let Some(state) = state.as_mut() else { return };
        let refused = state.membership.refused();
        let actions = state.membership.take(&scope, message);
        state.perform(shared, own, Some(link), actions);
        if state.membership.refused() > refused {
            skip("members that are not the peer's, or too many");
        }
    }

    /// The end of a member of ours, or of another node's scope.
    fn down(&self, shared: &Arc<Shared>, own: &Arc<Inner>, reference: &Reference, pid: &Pid) {
        let mut state = self.lock();
        let Some(state) = state.as_mut() else { return };
        if state.members.get(pid) == Some(reference) {
            state.members.remove(pid);
            let actions = state.membership.ended(pid);
            state.perform(shared, own, None, actions);
            if state.membership.owes() {
                self.owes.notify_one();
            }
        } else if state.peers.get(pid).is_some_and(|(_, monitor)| monitor == reference) {
            state.peers.remove(pid);
            let actions = state.membership.lost(pid);
            state.perform(shared, own, None, actions);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Scope {
    fn take(&self, envelope: Envelope) {
        let Some(shared) = self.shared.upgrade() else { return };
        let Some(own) = self.process(&shared) else { return };
        match envelope.body {
            Body::Term(message) => {
                if let Some([down, Term::Reference(reference), _, Term::Pid(pid), _]) =
                    message.as_tuple()
                    && down.is_atom("DOWN")
                {
                    self.down(&shared, &own, reference, pid);
                } else {
                    unserved::take(&shared, Body::Term(message));
                }
            }
            Body::Encoded(raw, link) => {
                let Some(link) = link.upgrade() else { return };
                let body = Body::Encoded(raw, Arc::downgrade(&link));
                if let Ok(message) = body.into_term(&shared.limits.terms) {
                    self.heard(&shared, &own, &link, message);
                }
            }
        }
    }

    fn ended(&self) {
        self.over.cancel();
        let state = self.lock().take();
        drop(state);
        if let Some(shared) = self.shared.upgrade() {
            shared.pg.forget(self);
        }
    }
}

impl State {
    fn perform(
        &mut self,
        shared: &Shared,
        own: &Arc<Inner>,
        via: Option<&Arc<Link>>,
        actions: Vec<Action>,
    ) {
        for action in actions {
            match action {
                Action::Monitor(peer) => {
                    if !via.is_some_and(|link| self.meet(shared, own, &peer, link)) {
                        // The link is lost, and so is the peer: it hears nothing, and says nothing.
                        self.membership.lost(&peer);
                        return;
                    }
                }
                Action::Send(to, message) => {
                    for peer in to {
                        let Some((link, _)) = self.peers.get(&peer) else { continue };
                        let from = shared.processes.ids.pid(own.id);
                        link.answer(&Control::send(from, peer, link.flags), Some(&message));
                    }
                }
                Action::Joined(group, pids) => {
                    let event = |group, pids| PgEvent::Join { group, pids };
                    self.watchers.tell(&group, &pids, event);
                }
                Action::Left(group, pids) => {
                    let event = |group, pids| PgEvent::Leave { group, pids };
                    self.watchers.tell(&group, &pids, event);
                }
            }
        }
    }

    /// Monitors the scope of another node. False when the link is lost.
    fn meet(&mut self, shared: &Shared, own: &Arc<Inner>, peer: &Pid, link: &Arc<Link>) -> bool {
        let reference = shared.processes.ids.reference();
        let watched = Watched::Pid(peer.clone());
        match own.begin_monitor(reference.clone(), watched, Some(link)) {
            Ok(()) => {}
            Err(NoRelation::Ended | NoRelation::Lost | NoRelation::TooMany) => return false,
        }
        let from = shared.processes.ids.pid(own.id);
        let control = Control::monitor(from, PidOrName::Pid(peer.clone()), reference.clone());
        link.answer(&control, None);
        self.peers.insert(peer.clone(), (link.clone(), reference));
        true
    }
}

/// What a scope does of its own accord: it tells other nodes of members that ended, together and
/// not faster than they read, and asks again where nobody has answered yet.
async fn tend(scope: Arc<Scope>) {
    let mut ask = interval_at(Instant::now() + ASK_AGAIN, ASK_AGAIN);
    ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let owes = tokio::select! {
            () = scope.over.cancelled() => return,
            () = scope.owes.notified() => true,
            _ = ask.tick() => false,
        };
        if owes && scope.over.run_until_cancelled(scope.calm()).await.is_none() {
            return;
        }
        let Some(shared) = scope.shared.upgrade() else { return };
        let Some(own) = scope.process(&shared) else { return };
        if owes {
            scope.look(|state| {
                let actions = state.membership.announce_ended();
                state.perform(&shared, &own, None, actions);
            });
        } else {
            scope.ask_again(&shared);
        }
    }
}

/// Monitors a process of this node; `None` when there is none.
fn watch(shared: &Shared, own: &Arc<Inner>, pid: &Pid) -> Option<Reference> {
    let reference = shared.processes.ids.reference();
    let from = shared.processes.ids.pid(own.id);
    let to = PidOrName::Pid(pid.clone());
    match shared.monitor_here(own, &from, &reference, Watched::Pid(pid.clone()), &to) {
        None => Some(reference),
        Some(_) => None,
    }
}

fn unwatch(shared: &Shared, own: &Inner, reference: Option<Reference>) {
    if let Some(reference) = reference {
        shared.demonitor(own, &reference);
    }
}
