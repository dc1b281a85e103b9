//! Process groups: `pg` of OTP 23 to 29.

mod bag;
pub(crate) mod fuzz;
mod membership;
mod monitor;
mod scope;
mod watchers;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use etf::{Atom, EncodeError, Pid, Term};

pub use monitor::{PgEvent, PgMonitor};
use scope::Scope;

use crate::error::RegisterError;
use crate::link::Link;
use crate::node::{Node, Shared};
use crate::process::registered_name;

/// A scope of process groups on this node (`pg` of OTP): processes of all nodes that run a scope of the same
/// name, in groups that are known by any term.
///
/// Membership is eventually the same on all nodes that are connected, as in Erlang: a node learns the
/// members of another when a link comes up, and forgets them when it goes down. A hidden node takes
/// part in it like any other. Cheap to clone; the scope lives until the node ends or
/// [`PgScope::stop`] is called.
///
/// ```no_run
/// # async fn run(node: dist::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use dist::etf::term;
///
/// let pg = node.start_pg("pg")?; // :pg.start_link(:pg) on the Elixir side
/// let worker = node.process()?;
/// pg.join(&term!(workers), worker.pid()).await?;
/// for pid in pg.members(&term!(workers)) {
///     node.send(pid, term!(hello)).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PgScope(Arc<Scope>);

/// Why a process did not join or leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PgError {
    /// Only living processes of this node can join.
    #[error("{0} is no process of this node that lives")]
    NoProcess(Pid),
    /// The scope was stopped, or the node was.
    #[error("the scope has ended")]
    Ended,
    /// The group has no external form, so no other node could be told of it.
    #[error("not a group: {0}")]
    Group(EncodeError),
}

/// What a scope holds at the moment: for tests, and for whoever wants to see that nothing leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PgCounts {
    /// Scopes of other nodes that are known.
    pub peers: usize,
    /// Groups that have members.
    pub groups: usize,
    /// Monitors of groups and of the scope.
    pub monitors: usize,
    /// Members that other nodes told of and that were not taken: not of that node, or too many.
    pub refused: u64,
}

impl Node {
    /// Starts a scope of process groups, or finds the one that runs.
    ///
    /// # Errors
    /// [`RegisterError`] when another process has the name, or it cannot be one.
    pub fn start_pg(&self, scope: &str) -> Result<PgScope, RegisterError> {
        self.shared.pg.start(&self.shared, registered_name(scope)?).map(PgScope)
    }

    /// The scope of this name, if it runs.
    #[must_use]
    pub fn pg(&self, scope: &str) -> Option<PgScope> {
        self.shared.pg.find(scope).map(PgScope)
    }
}

impl PgScope {
    /// The scope's name, which the process behind it is registered under.
    #[must_use]
    pub fn name(&self) -> &Atom {
        &self.0.name
    }

    /// A process of this node joins a group (`pg:join/3`). It may join several times, and is then
    /// several times in it. It leaves by itself when it ends.
    ///
    /// Waits while a peer has much of ours to read.
    ///
    /// # Errors
    /// [`PgError::NoProcess`] when it is no process of this node, or does not live;
    /// [`PgError::Group`].
    pub async fn join(&self, group: &Term, pid: &Pid) -> Result<(), PgError> {
        self.join_all(group, std::slice::from_ref(pid)).await
    }

    /// As [`PgScope::join`], with many at once: all or none. Other nodes hear of them in one
    /// message.
    ///
    /// # Errors
    /// As [`PgScope::join`].
    pub async fn join_all(&self, group: &Term, pids: &[Pid]) -> Result<(), PgError> {
        self.0.calm().await;
        self.0.join(group, pids)
    }

    /// A process of this node leaves a group once (`pg:leave/3`). False when it is not in it.
    ///
    /// # Errors
    /// [`PgError::Ended`].
    pub async fn leave(&self, group: &Term, pid: &Pid) -> Result<bool, PgError> {
        Ok(self.leave_all(group, std::slice::from_ref(pid)).await? > 0)
    }

    /// As [`PgScope::leave`], with many at once; tells how many of them were in it.
    ///
    /// # Errors
    /// [`PgError::Ended`].
    pub async fn leave_all(&self, group: &Term, pids: &[Pid]) -> Result<usize, PgError> {
        self.0.calm().await;
        self.0.leave(group, pids)
    }

    /// The processes in a group, each as often as it joined, in no particular order
    /// (`pg:get_members/2`). None once the scope has ended.
    #[must_use]
    pub fn members(&self, group: &Term) -> Vec<Pid> {
        self.0.look(|state| state.membership.members(group)).unwrap_or_default()
    }

    /// Those of this node (`pg:get_local_members/2`).
    #[must_use]
    pub fn local_members(&self, group: &Term) -> Vec<Pid> {
        self.0.look(|state| state.membership.local_members(group)).unwrap_or_default()
    }

    /// As [`PgScope::remote_members`], unless the scope has ended.
    #[cfg(feature = "pubsub")]
    pub(crate) fn try_remote_members(&self, group: &Term) -> Result<Vec<Pid>, PgError> {
        self.0.look(|state| state.membership.remote_members(group)).ok_or(PgError::Ended)
    }

    /// As [`PgScope::join`], without waiting for anybody: for the few processes of the node itself.
    #[cfg(feature = "pubsub")]
    pub(crate) fn join_now(&self, group: &Term, pid: &Pid) -> Result<(), PgError> {
        self.0.join(group, std::slice::from_ref(pid))
    }

    /// Those of other nodes.
    #[must_use]
    pub fn remote_members(&self, group: &Term) -> Vec<Pid> {
        self.0.look(|state| state.membership.remote_members(group)).unwrap_or_default()
    }

    /// The groups that have members (`pg:which_groups/1`).
    #[must_use]
    pub fn groups(&self) -> Vec<Term> {
        let groups = self.0.look(|state| state.membership.groups().into_iter().cloned().collect());
        groups.unwrap_or_default()
    }

    /// The groups that have members of this node (`pg:which_local_groups/1`).
    #[must_use]
    pub fn local_groups(&self) -> Vec<Term> {
        let groups = self.0.look(|state| state.membership.local_groups().cloned().collect());
        groups.unwrap_or_default()
    }

    /// Watches a group (`pg:monitor/2`): its members now, and who joins and leaves from then on.
    ///
    /// # Errors
    /// [`PgError::Ended`].
    pub fn monitor(&self, group: &Term) -> Result<(Vec<Pid>, PgMonitor), PgError> {
        self.0.watch(Some(group), |membership| membership.members(group))
    }

    /// Watches all groups (`pg:monitor_scope/1`): their members now, and who joins and leaves from
    /// then on.
    ///
    /// # Errors
    /// [`PgError::Ended`].
    pub fn monitor_scope(&self) -> Result<(HashMap<Term, Vec<Pid>>, PgMonitor), PgError> {
        self.0.watch(None, |membership| {
            let groups = membership.groups().into_iter();
            groups.map(|group| (group.clone(), membership.members(group))).collect()
        })
    }

    /// The nodes that run this scope and are connected.
    #[must_use]
    pub fn nodes(&self) -> Vec<Atom> {
        let nodes =
            self.0.look(|state| state.membership.peers().map(|scope| scope.node.clone()).collect());
        nodes.unwrap_or_default()
    }

    /// Ends the scope: its members are in no group of it any more, here and on other nodes.
    pub fn stop(&self) {
        self.0.end();
    }

    /// What the scope holds at the moment.
    #[must_use]
    pub fn counts(&self) -> PgCounts {
        let counts = self.0.look(|state| PgCounts {
            peers: state.membership.peers().count(),
            groups: state.membership.groups().len(),
            monitors: state.watchers.len(),
            refused: state.membership.refused(),
        });
        counts.unwrap_or(PgCounts { peers: 0, groups: 0, monitors: 0, refused: 0 })
    }
}

/// The scopes of one node.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    of: RwLock<HashMap<Atom, Arc<Scope>>>,
    /// Held by the one scope that starts.
    starting: Mutex<()>,
}

impl Scopes {
    /// Starts a scope, or finds it, and asks every connected node for its groups.
    pub(crate) fn start(
        &self,
        shared: &Arc<Shared>,
        name: Atom,
    ) -> Result<Arc<Scope>, RegisterError> {
        let starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scope) = self.find(name.as_str()) {
            return Ok(scope);
        }
        let scope = Scope::start(shared, name)?;
        let mut scopes = self.of.write().unwrap_or_else(PoisonError::into_inner);
        scopes.insert(scope.name.clone(), scope.clone());
        drop(scopes);
        drop(starting);
        if scope.is_over() {
            // The node shuts down, and has ended it before it was in the table.
            self.forget(&scope);
            return Err(RegisterError::ShuttingDown);
        }
        // Links that come up from here on find it in the table. Asking twice does no harm.
        for link in shared.links.links() {
            scope.discover(&link);
        }
        Ok(scope)
    }

    /// A link is up, and nothing was read from it yet.
    pub(crate) fn up(&self, link: &Link) {
        for scope in self.all() {
            scope.discover(link);
        }
    }

    /// Ends every scope: in one message to each peer, before their members end one by one.
    pub(crate) fn stop(&self, shared: &Shared) {
        for scope in self.all() {
            scope.stop(shared);
        }
    }

    /// A scope has ended.
    fn forget(&self, scope: &Scope) {
        let mut scopes = self.of.write().unwrap_or_else(PoisonError::into_inner);
        if scopes.get(&scope.name).is_some_and(|known| std::ptr::eq(known.as_ref(), scope)) {
            scopes.remove(&scope.name);
        }
    }

    fn all(&self) -> Vec<Arc<Scope>> {
        self.of.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn find(&self, name: &str) -> Option<Arc<Scope>> {
        self.of.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}
