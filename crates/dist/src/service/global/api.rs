//! `global` for programs.

use std::sync::Arc;
use std::time::Duration;

use etf::{EncodeError, Pid, Term};
use futures::FutureExt;
use futures::future::join_all;
use tokio::time::sleep;

use super::ConflictMethod;
use super::machine::{Command, Machine};
use super::service::{NAME, Service};
use crate::error::SendError;
use crate::r#gen::message;
use crate::name::NodeName;
use crate::node::{Answer, Destination, Node, Shared, Visibility};
use crate::process::{Exit, Inner};

/// Why something global could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GlobalError {
    /// The node is shutting down, or its part in `global` was ended from outside and begins anew.
    #[error("global has stopped")]
    Stopped,
    /// Nobody has the name.
    #[error("{0} is not registered")]
    NotRegistered(Term),
    /// The message could not be sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The name has no external form, so no other node could be told of it.
    #[error("not a global name: {0}")]
    Name(EncodeError),
}

/// Global names and locks of the cluster, as `global` has them on every BEAM node.
///
/// Cheap to clone. A node takes part when it is visible, unless
/// [`NodeBuilder::global`](crate::NodeBuilder::global) says otherwise.
///
/// ```no_run
/// # async fn run(node: dist::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use dist::etf::term;
///
/// let scorer = node.register("scorer")?;
/// let global = node.global().ok_or("not a visible node")?;
/// if global.register_name(term!(scorer), scorer.pid(), Default::default()).await? {
///     // GenServer.call({:global, :scorer}, …) finds it from everywhere.
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Global {
    shared: Arc<Shared>,
}

impl Node {
    /// Global names and locks. `None` for a hidden node, and for a visible one that takes no part.
    #[must_use]
    pub fn global(&self) -> Option<Global> {
        self.shared.global.get()?;
        Some(Global { shared: self.shared.clone() })
    }
}

impl Global {
    /// Gives a process, here or elsewhere, a name that all nodes know (`global:register_name/3`).
    /// False when the name is taken or the process has one. The name goes when the process ends.
    ///
    /// All known nodes are locked meanwhile; as long as somebody else has the lock, it waits.
    ///
    /// # Errors
    /// [`GlobalError::Stopped`] and [`GlobalError::Name`].
    pub async fn register_name(
        &self,
        name: Term,
        pid: &Pid,
        method: ConflictMethod,
    ) -> Result<bool, GlobalError> {
        self.register(name, pid, method, false).await
    }

    /// As [`Global::register_name`], whoever has the name now (`global:re_register_name/3`).
    ///
    /// # Errors
    /// [`GlobalError::Stopped`] and [`GlobalError::Name`].
    pub async fn re_register_name(
        &self,
        name: Term,
        pid: &Pid,
        method: ConflictMethod,
    ) -> Result<(), GlobalError> {
        self.register(name, pid, method, true).await.map(drop)
    }

    /// Takes a name away on all nodes, whoever has it (`global:unregister_name/1`).
    ///
    /// # Errors
    /// [`GlobalError::Stopped`].
    pub async fn unregister_name(&self, name: Term) -> Result<(), GlobalError> {
        self.command(Command::Unregister { name }).await.map(drop)
    }

    /// The process that has a name (`global:whereis_name/1`).
    #[must_use]
    pub fn whereis_name(&self, name: &Term) -> Option<Pid> {
        let look = |machine: &Machine| machine.whereis(name).cloned();
        let pid = self.service()?.look(look)??;
        let processes = &self.shared.processes;
        (!processes.ids.names_us(&pid) || processes.by_pid(&pid).is_some()).then_some(pid)
    }

    /// All names (`global:registered_names/0`), in no particular order.
    #[must_use]
    pub fn registered_names(&self) -> Vec<Term> {
        self.service().and_then(|service| service.look(Machine::registered)).unwrap_or_default()
    }

    /// Sends a message to the process that has a name, and tells which that is (`global:send/2`).
    ///
    /// # Errors
    /// [`GlobalError::NotRegistered`], and [`GlobalError::Send`] when its node cannot be reached.
    pub async fn send(&self, name: &Term, message: Term) -> Result<Pid, GlobalError> {
        let pid =
            self.whereis_name(name).ok_or_else(|| GlobalError::NotRegistered(name.clone()))?;
        let to = Destination::Pid(pid.clone());
        self.shared.send(&self.shared.self_pid, to, message).await?;
        Ok(pid)
    }

    /// Waits until all nodes that are connected and visible now have the same names
    /// (`global:sync/0`). A visible node that takes no part in `global` is waited for until it is
    /// gone, as by OTP.
    ///
    /// # Errors
    /// [`GlobalError::Stopped`].
    pub async fn sync(&self) -> Result<(), GlobalError> {
        self.command(Command::Sync).await.map(drop)
    }

    /// Locks a resource on this node and all visible ones (`global:set_lock/3`), with that many
    /// retries, or for ever as long as somebody else has it. `None` when it could not be had, or
    /// when no other node could be told of it, since it has no external form.
    ///
    /// Whoever asks with the same requester shares the lock. It is held until it is released or
    /// dropped; when this node is lost, the others take it away.
    pub async fn set_lock(
        &self,
        resource: Term,
        requester: Term,
        retries: Option<u32>,
    ) -> Option<GlobalLock> {
        let nodes = self.nodes();
        self.set_lock_on(resource, requester, &nodes, retries).await
    }

    /// As [`Global::set_lock`], on these nodes. Those that cannot be reached are left out.
    pub async fn set_lock_on(
        &self,
        resource: Term,
        requester: Term,
        nodes: &[NodeName],
        retries: Option<u32>,
    ) -> Option<GlobalLock> {
        let id = Term::Tuple(vec![resource, requester]);
        etf::encode(&id).ok()?;
        let lock = GlobalLock::new(&self.shared, id, nodes)?;
        let mut times: u32 = 1;
        loop {
            if lock.try_set().await {
                return Some(lock);
            }
            if retries.is_some_and(|retries| times > retries) {
                return None;
            }
            // As `random_sleep/1`: up to a quarter of a second, then twice as long each time.
            let most = (125_u32 << times.min(6)).min(8_000);
            let random = getrandom::u32().unwrap_or(most / 2) % most;
            sleep(Duration::from_millis(u64::from(random + 1))).await;
            times = times.saturating_add(1);
        }
    }

    /// Does something while a resource is locked (`global:trans/4`). `None` when the lock could not
    /// be had.
    pub async fn trans<T>(
        &self,
        resource: Term,
        requester: Term,
        retries: Option<u32>,
        work: impl AsyncFnOnce() -> T,
    ) -> Option<T> {
        let lock = self.set_lock(resource, requester, retries).await?;
        let result = work().await;
        lock.release().await;
        Some(result)
    }

    fn nodes(&self) -> Vec<NodeName> {
        let links = self.shared.links.links();
        let visible = links.iter().filter(|link| link.peer.visibility == Visibility::Visible);
        let names = visible.map(|link| link.peer.name.clone());
        [self.shared.name.clone()].into_iter().chain(names).collect()
    }

    async fn register(
        &self,
        name: Term,
        pid: &Pid,
        method: ConflictMethod,
        again: bool,
    ) -> Result<bool, GlobalError> {
        // It would be in every exchange of names from then on, and none could be sent.
        etf::encode(&name).map_err(GlobalError::Name)?;
        let (pid, method) = (pid.clone(), method.to_term());
        self.command(Command::Register { name, pid, method, again }).await
    }

    async fn command(&self, command: Command) -> Result<bool, GlobalError> {
        let service = self.service().ok_or(GlobalError::Stopped)?;
        service.command(command).await.ok_or(GlobalError::Stopped)
    }

    fn service(&self) -> Option<&Service> {
        self.shared.global.get()
    }
}

/// A lock that is held: see [`Global::set_lock`].
///
/// Dropping it takes it away as the end of an Erlang process would: soon, and everywhere.
#[derive(Debug)]
#[must_use = "the lock is taken away when this is dropped"]
pub struct GlobalLock {
    shared: Arc<Shared>,
    id: Term,
    nodes: Vec<NodeName>,
    /// The process that holds it, for all that the others know.
    owner: Arc<Inner>,
    pid: Pid,
}

impl GlobalLock {
    fn new(shared: &Arc<Shared>, id: Term, nodes: &[NodeName]) -> Option<Self> {
        let answers = shared.clone();
        let pid = shared.spawn(move |mut process| async move {
            // Replies of nodes that know no aliases.
            while let Some(message) = process.recv().await {
                answers.answer_tagged(message.term);
            }
        })?;
        let owner = shared.processes.by_pid(&pid)?;
        Some(Self { shared: shared.clone(), id, nodes: nodes.to_vec(), owner, pid })
    }

    /// Takes the lock away, and waits until it is gone everywhere.
    pub async fn release(self) {
        self.ask("del_lock", &self.nodes).await;
    }

    /// On all nodes, or none (`set_lock_on_nodes/2`).
    async fn try_set(&self) -> bool {
        let replies = self.ask("set_lock", &self.nodes).await;
        if replies.iter().all(|(_, reply)| reply.is_atom("true")) {
            return true;
        }
        let set = replies.into_iter().filter(|(_, reply)| reply.is_atom("true"));
        let set: Vec<_> = set.map(|(node, _)| node).collect();
        self.ask("del_lock", &set).await;
        false
    }

    async fn ask(&self, word: &'static str, nodes: &[NodeName]) -> Vec<(NodeName, Term)> {
        let request = Term::Tuple(vec![Term::atom(word), self.id.clone()]);
        let calls = nodes.iter().map(|node| {
            let call = self.call(node, request.clone());
            call.map(|reply| Some((node.clone(), reply?)))
        });
        join_all(calls).await.into_iter().flatten().collect()
    }

    /// A call in the name of the lock's own process.
    async fn call(&self, node: &NodeName, request: Term) -> Option<Term> {
        let to = Destination::Remote { name: NAME, node: node.clone() };
        let mut call = self.shared.begin_call(&to).await.ok()?;
        let message = message::call(self.pid.clone(), call.tag(), request);
        self.shared.send(&self.pid, to, message).await.ok()?;
        match call.answer().await {
            Answer::Reply(body) => {
                let reply = body.into_term(&self.shared.limits.terms).ok()?;
                reply.into_tuple().ok()?.pop()
            }
            Answer::Down(_) | Answer::NotSpawned(_) => None,
        }
    }
}

impl Drop for GlobalLock {
    fn drop(&mut self) {
        self.shared.end_process(&self.owner, &Exit::normal().0);
    }
}
