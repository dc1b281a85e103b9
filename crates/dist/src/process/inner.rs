//! The node's side of a process: its queue, and who has to be told of its end.
//!
//! Nothing here sends anything. What a change of state makes necessary is returned, and
//! [`super::signals`] does it, so that no two processes are ever locked at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use etf::{Atom, Pid, Reference, Term};
use tokio::task::AbortHandle;

use super::queue::Queue;
use super::{AliasMode, ProcessId, ProcessKind, Service};
use crate::link::{Link, NoRelation, Relation};
use crate::name::NodeName;
use crate::node::Limits;
use crate::wire::control::PidOrName;

/// One process, as the node knows it.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) id: ProcessId,
    pub(crate) queue: Queue,
    /// What takes its messages instead of the queue.
    pub(super) service: Option<Arc<dyn Service>>,
    kind: OnceLock<ProcessKind>,
    /// The task of the process, if it has one, to be dropped when the process is ended.
    task: OnceLock<AbortHandle>,
    state: Mutex<State>,
}

/// What most processes of a large number do not have is boxed: an idle process is to be small.
#[derive(Debug, Default)]
struct State {
    /// Why the process ended, once it has.
    reason: Option<Box<Term>>,
    trap_exit: bool,
    name: Option<Box<Atom>>,
    relations: Option<Box<Relations>>,
}

/// Who has to hear of a process's end, and of whom it wants to hear.
#[derive(Debug, Default)]
pub(crate) struct Relations {
    /// Processes that monitor this one, by their monitor's reference.
    pub(crate) watchers: HashMap<Reference, Watcher>,
    /// Processes linked with this one.
    pub(crate) links: HashMap<Pid, Linked>,
    /// Processes that this one monitors.
    pub(crate) monitors: HashMap<Reference, Monitored>,
    /// Aliases of this process.
    pub(crate) aliases: HashMap<Reference, AliasMode>,
}

/// How far a relation reaches.
#[derive(Debug)]
pub(crate) enum Reach {
    /// Both processes are of this node.
    Here,
    /// The other one is across a link, and the relation ends with it.
    Across(Relation),
}

/// A process that monitors one of ours.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) pid: Pid,
    /// What it called our process: a monitor by name reports the name.
    pub(crate) watched: PidOrName,
    pub(crate) reach: Reach,
}

/// The other end of a link.
#[derive(Debug)]
pub(crate) struct Linked {
    pub(crate) reach: Reach,
    /// The id of our unlink that the other side has not acknowledged: until it does, the link is
    /// no more, but an exit signal over it may still be on its way (`erl_dist_protocol`, "Link
    /// Protocol").
    pub(crate) unlinking: Option<u64>,
}

/// A process that one of ours monitors.
#[derive(Debug)]
pub(crate) struct Monitored {
    pub(crate) what: Watched,
    pub(crate) reach: Reach,
}

/// What a monitor is of, as its `DOWN` message names it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Watched {
    /// A process by its pid.
    Pid(Pid),
    /// A process by its name, here or elsewhere.
    Named(Atom, NodeName),
}

/// What [`Inner::begin_link`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BeginLink {
    /// There was none: the other side has to be told.
    New,
    /// There is one already.
    Already,
}

impl Inner {
    pub(super) fn new(id: ProcessId, limits: &Limits, service: Option<Arc<dyn Service>>) -> Self {
        Self {
            id,
            queue: Queue::new(limits.mailbox_messages, limits.mailbox_bytes),
            service,
            kind: OnceLock::new(),
            task: OnceLock::new(),
            state: Mutex::default(),
        }
    }

    /// Whether its messages wait in its queue until it receives them.
    pub(crate) fn has_mailbox(&self) -> bool {
        self.service.is_none()
    }

    /// What it is there for: the program's own unless it was said otherwise.
    pub(super) fn kind(&self) -> ProcessKind {
        let default =
            if self.service.is_some() { ProcessKind::Service } else { ProcessKind::Process };
        self.kind.get().copied().unwrap_or(default)
    }

    /// Says what it is there for, once.
    pub(crate) fn set_kind(&self, kind: ProcessKind) {
        // What was said first stays.
        let _ = self.kind.set(kind);
    }

    /// The registered name.
    pub(crate) fn name(&self) -> Option<Atom> {
        self.lock().name.as_deref().cloned()
    }

    /// Sets or takes away the name; the table of processes does so while it holds its own lock.
    /// False when the process has ended.
    pub(super) fn set_name(&self, name: Option<Atom>) -> bool {
        let mut state = self.lock();
        if name.is_some() && state.reason.is_some() {
            return false;
        }
        state.name = name.map(Box::new);
        true
    }

    /// Whether exit signals arrive as messages.
    pub(crate) fn set_trap_exit(&self, trap: bool) -> bool {
        std::mem::replace(&mut self.lock().trap_exit, trap)
    }

    /// Whether exit signals arrive as messages.
    pub(crate) fn traps_exit(&self) -> bool {
        self.lock().trap_exit
    }

    /// Why the process ended, once it has.
    pub(crate) fn end_reason(&self) -> Option<Term> {
        self.lock().reason.as_deref().cloned()
    }

    /// Tells which task the process is, right after it was started.
    pub(super) fn set_task(&self, task: AbortHandle) {
        let task = self.task.get_or_init(|| task);
        if self.end_reason().is_some() {
            task.abort();
        }
    }

    /// Lets another process monitor this one.
    ///
    /// # Errors
    /// [`NoRelation`].
    pub(crate) fn monitored_by(
        &self,
        pid: Pid,
        reference: Reference,
        watched: PidOrName,
        link: Option<&Arc<Link>>,
    ) -> Result<(), NoRelation> {
        let mut state = self.lock();
        let reach = state.reach(self.id, link)?;
        state.relations().watchers.insert(reference, Watcher { pid, watched, reach });
        Ok(())
    }

    /// Ends another process's monitor of this one. False when there is none.
    pub(crate) fn demonitored(&self, reference: &Reference) -> bool {
        self.take(|relations| relations.watchers.remove(reference)).is_some()
    }

    /// Notes that this process monitors another one.
    ///
    /// # Errors
    /// [`NoRelation`].
    pub(crate) fn begin_monitor(
        &self,
        reference: Reference,
        what: Watched,
        link: Option<&Arc<Link>>,
    ) -> Result<(), NoRelation> {
        let mut state = self.lock();
        let reach = state.reach(self.id, link)?;
        state.relations().monitors.insert(reference, Monitored { what, reach });
        Ok(())
    }

    /// Ends a monitor of this process, which fired or is not wanted any more.
    pub(crate) fn end_monitor(&self, reference: &Reference) -> Option<Monitored> {
        self.take(|relations| relations.monitors.remove(reference))
    }

    /// Notes a link that this process wants. A link that is being taken away is made anew.
    ///
    /// # Errors
    /// [`NoRelation`].
    pub(crate) fn begin_link(
        &self,
        pid: Pid,
        link: Option<&Arc<Link>>,
    ) -> Result<BeginLink, NoRelation> {
        let mut state = self.lock();
        let reach = state.reach(self.id, link)?;
        match state.relations().links.entry(pid) {
            Entry::Occupied(mut linked) => match linked.get_mut().unlinking.take() {
                Some(_) => Ok(BeginLink::New),
                None => Ok(BeginLink::Already),
            },
            Entry::Vacant(vacant) => {
                vacant.insert(Linked { reach, unlinking: None });
                Ok(BeginLink::New)
            }
        }
    }

    /// Notes a link that another process made. While our own unlink is not acknowledged it is
    /// older than that, and the other side takes it away when it reads it.
    ///
    /// # Errors
    /// [`NoRelation`].
    pub(crate) fn linked_by(&self, pid: Pid, link: Option<&Arc<Link>>) -> Result<(), NoRelation> {
        let mut state = self.lock();
        let reach = state.reach(self.id, link)?;
        state.relations().links.entry(pid).or_insert(Linked { reach, unlinking: None });
        Ok(())
    }

    /// Takes a link away because this process wants it: at once, or, with an id, when the other
    /// side has acknowledged it. Returns the link it went across, if the other side has to be told.
    pub(crate) fn begin_unlink(&self, pid: &Pid, id: Option<u64>) -> Option<Arc<Link>> {
        let mut state = self.lock();
        let links = &mut state.relations.as_deref_mut()?.links;
        let linked = links.get_mut(pid).filter(|linked| linked.unlinking.is_none())?;
        let across = linked.reach.link().cloned();
        match id {
            Some(_) if across.is_some() => linked.unlinking = id,
            _ => drop(links.remove(pid)),
        }
        across
    }

    /// The other side has acknowledged our unlink.
    pub(crate) fn unlink_acknowledged(&self, pid: &Pid, id: u64) -> bool {
        self.take(|relations| {
            let is_this = relations.links.get(pid)?.unlinking == Some(id);
            is_this.then(|| relations.links.remove(pid))
        })
        .is_some()
    }

    /// Takes a link away because the other side did, or ended. False when there was none, or none
    /// any more.
    pub(crate) fn unlinked_from(&self, pid: &Pid) -> bool {
        self.take(|relations| match relations.links.entry(pid.clone()) {
            Entry::Occupied(linked) if linked.get().unlinking.is_none() => Some(linked.remove()),
            _ => None,
        })
        .is_some()
    }

    /// Notes an alias of this process. False when the process has ended.
    pub(crate) fn add_alias(&self, alias: Reference, mode: AliasMode) -> bool {
        let mut state = self.lock();
        if state.reason.is_some() {
            return false;
        }
        state.relations().aliases.insert(alias, mode);
        true
    }

    /// How an alias ends, if it is one of this process.
    pub(crate) fn alias_mode(&self, alias: &Reference) -> Option<AliasMode> {
        self.lock().relations.as_deref()?.aliases.get(alias).copied()
    }

    /// Takes an alias away.
    pub(crate) fn remove_alias(&self, alias: &Reference) -> bool {
        self.take(|relations| relations.aliases.remove(alias)).is_some()
    }

    /// How many links and monitors this process has, either way.
    pub(super) fn relations(&self) -> usize {
        let state = self.lock();
        let Some(relations) = state.relations.as_deref() else { return 0 };
        relations.watchers.len() + relations.links.len() + relations.monitors.len()
    }

    /// Forgets every relation across a link that is lost; tells which pids were linked and what
    /// was monitored.
    pub(crate) fn lost(&self, link: &Arc<Link>) -> (Vec<Pid>, Vec<(Reference, Watched)>) {
        let mut state = self.lock();
        let Some(relations) = state.relations.as_deref_mut() else { return Default::default() };
        let watchers: Vec<_> =
            relations.watchers.extract_if(|_, watcher| watcher.reach.is_across(link)).collect();
        let links: Vec<_> =
            relations.links.extract_if(|_, linked| linked.reach.is_across(link)).collect();
        let monitors: Vec<_> =
            relations.monitors.extract_if(|_, monitor| monitor.reach.is_across(link)).collect();
        drop(state);
        drop(watchers);
        let linked = links.into_iter().filter(|(_, linked)| linked.unlinking.is_none());
        (
            linked.map(|(pid, _)| pid).collect(),
            monitors.into_iter().map(|(reference, monitor)| (reference, monitor.what)).collect(),
        )
    }

    /// Ends the process, once: its queue is closed, its task dropped where it waits, and who has to be told is
    /// handed over.
    pub(crate) fn end(&self, reason: &Term) -> Option<Relations> {
        let mut state = self.lock();
        if state.reason.is_some() {
            return None;
        }
        state.reason = Some(Box::new(reason.clone()));
        let relations = state.relations.take();
        drop(state);
        self.queue.close();
        if let Some(task) = self.task.get() {
            task.abort();
        }
        Some(relations.map(|relations| *relations).unwrap_or_default())
    }

    /// Takes something out of the relations, to be dropped when the lock is given back.
    fn take<T>(&self, take: impl FnOnce(&mut Relations) -> Option<T>) -> Option<T> {
        let mut state = self.lock();
        take(state.relations.as_deref_mut()?)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn relations(&mut self) -> &mut Relations {
        self.relations.get_or_insert_default()
    }

    fn reach(&self, id: ProcessId, link: Option<&Arc<Link>>) -> Result<Reach, NoRelation> {
        if self.reason.is_some() {
            return Err(NoRelation::Ended);
        }
        match link {
            None => Ok(Reach::Here),
            Some(link) => Ok(Reach::Across(Relation::new(link, id)?)),
        }
    }
}

impl Reach {
    /// The link that the relation goes across.
    pub(crate) fn link(&self) -> Option<&Arc<Link>> {
        match self {
            Self::Here => None,
            Self::Across(relation) => Some(relation.link()),
        }
    }

    fn is_across(&self, link: &Arc<Link>) -> bool {
        self.link().is_some_and(|across| Arc::ptr_eq(across, link))
    }
}
