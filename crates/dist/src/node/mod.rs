//! The node: a handle to clone, and what its links and processes share.

mod admission;
mod builder;
mod calls;
pub(crate) mod dispatch;
mod events;
mod limits;
mod monitor;
mod probe;
mod send;
mod stats;
mod table;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use etf::{Atom, Pid, Term};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

pub(crate) use admission::Admission;
pub use admission::is_private;
pub(crate) use builder::FIRST_CREATION;
pub use builder::{Epmd, Listen, NodeBuilder};
pub(crate) use calls::{Answer, Call, Calls};
pub use events::{NodeEvent, NodeEvents, Peer, Visibility};
pub use limits::Limits;
pub use monitor::NodeMonitor;
pub use probe::{Pong, Probe};
pub use send::Destination;
pub(crate) use send::Way;
pub(crate) use stats::Refusals;
pub use stats::{MailboxStats, NodeStats, PeerStats};
pub(crate) use table::{Attempt, Begin, LinkTable, Offer};

use crate::cookie::Cookie;
use crate::epmd::Registrar;
use crate::error::{ConnectError, DownReason, RegisterError};
use crate::flags::Flags;
use crate::link::{self, Link, LinkCounters, Security, Share};
use crate::name::NodeName;
use crate::process::{Process, ProcessId, Processes};
use crate::rpc::{Exports, Spawns};
use crate::service::GlobalService;
use crate::service::pg::Scopes;
use crate::wire::fragment::Budget;

/// How often a connection attempt may lose its place to another with the same peer before
/// [`Node::connect`] gives up.
const CONTESTS: usize = 8;

/// A node of an Erlang cluster, living in this process.
///
/// Cheap to clone. The node stops when [`Node::shutdown`] is called or the last clone is dropped,
/// which closes every link at once.
#[derive(Debug, Clone)]
pub struct Node {
    pub(crate) shared: Arc<Shared>,
    _last: Arc<StopOnDrop>,
}

/// What a node consists of at the moment: for tests, and for whoever wants to see that nothing
/// leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeCounts {
    /// Links that are up.
    pub links: usize,
    /// Names that a link or an attempt to connect holds.
    pub slots: usize,
    /// Processes that live.
    pub processes: usize,
    /// Their aliases.
    pub aliases: usize,
    /// Links and monitors of processes here with processes of other nodes, either way, as the links
    /// that are up count them.
    pub relations: usize,
    /// Links and monitors that the processes here hold, either way, also those among themselves and
    /// with the calls that wait for them.
    pub held: usize,
    /// Calls that wait for an answer.
    pub calls: usize,
    /// Bytes of messages of which fragments are missing.
    pub fragment_bytes: usize,
    /// Tasks of the node: two for each link, and a few.
    pub tasks: usize,
}

/// What a node's links and processes share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: NodeName,
    pub(crate) creation: u32,
    pub(crate) cookie: Cookie,
    /// What we offer in the handshake.
    pub(crate) flags: Flags,
    pub(crate) visibility: Visibility,
    pub(crate) route: Route,
    pub(crate) tick_time: Duration,
    pub(crate) limits: Limits,
    pub(crate) links: Arc<LinkTable>,
    pub(crate) processes: Processes,
    pub(crate) calls: Calls,
    pub(crate) exports: Exports,
    pub(crate) spawns: Spawns,
    pub(crate) pg: Scopes,
    /// Our part in `global`, if we take one.
    pub(crate) global: OnceLock<GlobalService>,
    /// Held by the one `rpc:block_call` that runs.
    pub(crate) block_calls: tokio::sync::Mutex<()>,
    /// The process that the node itself speaks as.
    pub(crate) self_id: ProcessId,
    pub(crate) self_pid: Pid,
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
    listen_addr: Option<SocketAddr>,
    events: events::Events,
    registrar: Mutex<Option<Registrar>>,
    /// What long messages on their way out may take.
    pub(crate) long_messages: Share,
    /// What the fragments that have arrived of messages in progress take.
    pub(crate) fragments: Arc<Budget>,
    /// Terms of peers that could not be read.
    pub(crate) refusals: Arc<Refusals>,
}

/// How peers are found and how long they are given.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// The port of every host's EPMD.
    pub(crate) epmd_port: u16,
    /// Where every peer listens, instead of asking EPMD (OTP's `-erl_epmd_port`).
    pub(crate) fixed_port: Option<u16>,
    /// What one step of connecting may take (OTP's `net_setuptime`).
    pub(crate) step_time: Duration,
    /// Whether the node speaks TLS.
    pub(crate) security: Security,
    /// Who is dialled and let in.
    pub(crate) admission: Admission,
}

#[derive(Debug)]
struct StopOnDrop(Arc<Shared>);

impl Node {
    /// Describes a node that is to be started.
    #[must_use]
    pub fn builder(name: NodeName, cookie: Cookie) -> NodeBuilder {
        NodeBuilder::new(name, cookie)
    }

    fn new(shared: Arc<Shared>) -> Self {
        let last = Arc::new(StopOnDrop(shared.clone()));
        Self { shared, _last: last }
    }

    /// Our name.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.shared.name
    }

    /// Which incarnation of the name we are. It never changes while the node lives.
    #[must_use]
    pub fn creation(&self) -> u32 {
        self.shared.creation
    }

    /// Whether other nodes list us among the visible ones.
    #[must_use]
    pub fn visibility(&self) -> Visibility {
        self.shared.visibility
    }

    /// Where we accept connections, if we do.
    #[must_use]
    pub fn listen_addr(&self) -> Option<SocketAddr> {
        self.shared.listen_addr
    }

    /// The functions that other nodes may call; the table may be changed at any time.
    #[must_use]
    pub fn exports(&self) -> &Exports {
        &self.shared.exports
    }

    /// The pid that the node itself sends from.
    #[must_use]
    pub fn self_pid(&self) -> &Pid {
        &self.shared.self_pid
    }

    /// Connects to a node: returns at once when there is a link, and waits for the attempt that is
    /// under way, by us or by it, when there is one. Cancelling leaves the attempt running.
    ///
    /// # Errors
    /// [`ConnectError`] tells which step failed. Each step has 7 s.
    pub async fn connect(&self, to: &NodeName) -> Result<(), ConnectError> {
        self.shared.connect(to).await.map(drop)
    }

    /// Closes the link to a node. False when there is none.
    ///
    /// Messages that wait in its queue are lost, as with `erlang:disconnect_node/1`.
    pub fn disconnect(&self, name: &NodeName) -> bool {
        let link = self.shared.links.link(name.as_atom());
        link.map(|link| link.close(DownReason::Disconnected)).is_some()
    }

    /// Whether a node of this name is dialled and let in: see [`NodeBuilder::allow`].
    #[must_use]
    pub fn allows(&self, name: &NodeName) -> bool {
        self.shared.route.admission.allows(name)
    }

    /// The connected nodes, hidden ones included, in no particular order.
    #[must_use]
    pub fn nodes(&self) -> Vec<Peer> {
        self.shared.links.links().iter().map(|link| link.peer.clone()).collect()
    }

    /// Whether there is a link to this node.
    #[must_use]
    pub fn is_connected(&self, name: &NodeName) -> bool {
        self.shared.links.link(name.as_atom()).is_some()
    }

    /// What the link to this node has carried, if there is one.
    #[must_use]
    pub fn link_counters(&self, name: &NodeName) -> Option<LinkCounters> {
        let link = self.shared.links.link(name.as_atom())?;
        Some(link.counters())
    }

    /// What the node consists of at the moment.
    #[must_use]
    pub fn counts(&self) -> NodeCounts {
        let links = self.shared.links.links();
        let (processes, aliases) = self.shared.processes.len();
        NodeCounts {
            links: links.len(),
            slots: self.shared.links.len(),
            processes,
            aliases,
            calls: self.shared.calls.len() + self.shared.spawns.len(),
            relations: links.iter().map(|link| link.relations.len()).sum(),
            held: self.shared.processes.relations(),
            fragment_bytes: self.shared.fragments.used(),
            tasks: self.shared.tasks.len(),
        }
    }

    /// The events of this node from now on.
    #[must_use]
    pub fn events(&self) -> NodeEvents {
        self.shared.events.subscribe()
    }

    /// A process under a name: it receives what any process of the cluster sends to
    /// `{name, node}`. It traps exits.
    ///
    /// # Errors
    /// [`RegisterError`] when the name is taken or cannot be one.
    pub fn register(&self, name: &str) -> Result<Process, RegisterError> {
        let process = self.process()?;
        process.register(name)?;
        Ok(process)
    }

    /// A process without a name, known by its pid. It traps exits.
    ///
    /// # Errors
    /// [`RegisterError::ShuttingDown`].
    pub fn process(&self) -> Result<Process, RegisterError> {
        let spawned = self.shared.processes.spawn(&self.shared.limits);
        let inner = spawned.ok_or(RegisterError::ShuttingDown)?;
        inner.set_trap_exit(true);
        Ok(Process::alone(inner, self.shared.clone()))
    }

    /// The process of this node that has a name (`erlang:whereis/1`).
    #[must_use]
    pub fn whereis(&self, name: &str) -> Option<Pid> {
        let process = self.shared.processes.by_name(&Atom::new(name).ok()?)?;
        Some(self.shared.processes.ids.pid(process.id))
    }

    /// Takes a name away from the process that has it. False when none has.
    pub fn unregister(&self, name: &str) -> bool {
        Atom::new(name).is_ok_and(|name| self.shared.processes.unregister(&name))
    }

    /// The names of this node's processes (`erlang:registered/0`).
    #[must_use]
    pub fn registered(&self) -> Vec<Atom> {
        self.shared.processes.names()
    }

    /// Whether a process of this node lives (`erlang:is_process_alive/1`).
    #[must_use]
    pub fn is_alive(&self, pid: &Pid) -> bool {
        self.shared.processes.by_pid(pid).is_some()
    }

    /// Reads the files of [`NodeBuilder::tls`] again: connections from now on take what is in them,
    /// and those that are up stay. It also happens by itself when a connection is made and the files
    /// have changed since.
    ///
    /// # Errors
    /// [`TlsConfigError`](crate::TlsConfigError) when they cannot be used: what was there before stays.
    #[cfg(feature = "tls")]
    pub async fn reload_tls(&self) -> Result<(), crate::TlsConfigError> {
        let tls = self.shared.route.security.tls.as_ref();
        tls.ok_or(crate::TlsConfigError::NoTls)?.reload().await
    }

    /// As [`Node::reload_tls`], with certificates that come from elsewhere.
    ///
    /// # Errors
    /// [`TlsConfigError::NoTls`](crate::TlsConfigError::NoTls) of a node that was started without TLS:
    /// it does not change to TLS later.
    #[cfg(feature = "tls")]
    pub fn set_tls(&self, config: crate::TlsConfig) -> Result<(), crate::TlsConfigError> {
        let tls = self.shared.route.security.tls.as_ref();
        tls.ok_or(crate::TlsConfigError::NoTls)?.set(config);
        Ok(())
    }

    /// Stops in order: no more connections, every process ends with `shutdown`, what is queued is
    /// written, links are closed, EPMD is left. What is not done after `deadline` is cut off.
    pub async fn shutdown(&self, deadline: Duration) {
        let until = Instant::now() + deadline.min(builder::LONGEST);
        let shared = &self.shared;
        shared.stopping.cancel();
        shared.links.close();
        shared.pg.stop(shared);
        for process in shared.processes.close() {
            shared.end_process(&process, &Term::atom("shutdown"));
        }
        let links = shared.links.links();
        for link in &links {
            link.finish(DownReason::Shutdown);
        }
        shared.calls.close();
        for link in &links {
            if timeout_at(until, link.wait_down()).await.is_err() {
                link.close(DownReason::Shutdown);
            }
        }
        let registrar = shared.registrar.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(registrar) = registrar {
            // EPMD forgets us when the connection is closed; there is nothing to wait for.
            let _ = timeout_at(until, registrar.close()).await;
        }
        shared.tasks.close();
        let _ =
            timeout_at(until.max(Instant::now() + Duration::from_millis(100)), shared.tasks.wait())
                .await;
        shared.end_events_if_over();
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        let shared = &self.0;
        shared.stopping.cancel();
        shared.links.close();
        for link in shared.links.links() {
            link.close(DownReason::Shutdown);
        }
        for process in shared.processes.close() {
            shared.end_process(&process, &Term::atom("shutdown"));
        }
        shared.calls.close();
        shared.registrar.lock().unwrap_or_else(PoisonError::into_inner).take();
        shared.tasks.close();
        shared.end_events_if_over();
    }
}

impl Shared {
    /// The link to a node, dialled if there is none.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        to: &NodeName,
    ) -> Result<Arc<Link>, ConnectError> {
        if *to == self.name {
            return Err(ConnectError::OwnName(to.clone()));
        }
        for _ in 0..CONTESTS {
            let mut outcome = match self.links.begin(to) {
                Begin::Up(link) if link.is_closing() => {
                    // It takes no more, and gives its name back in a moment.
                    link.wait_down().await;
                    continue;
                }
                Begin::Up(link) => return Ok(link),
                Begin::Closed => return Err(ConnectError::ShuttingDown),
                Begin::Pending(outcome) => outcome,
                Begin::Dial(attempt, outcome) => {
                    // A task of its own: whoever waits for it may stop waiting.
                    let span = tracing::info_span!(parent: None, "dial", peer = %to);
                    self.tasks.spawn(link::dial(self.clone(), attempt).instrument(span));
                    outcome
                }
            };
            // An error here is an attempt that lost its place: the next round finds the other.
            if let Ok(result) = outcome.wait_for(Option::is_some).await
                && let Some(Err(error)) = &*result
            {
                return Err(error.clone());
            }
        }
        Err(ConnectError::Superseded(to.clone()))
    }

    fn keep_registrar(&self, registrar: Registrar) {
        *self.registrar.lock().unwrap_or_else(PoisonError::into_inner) = Some(registrar);
    }

    /// Our name as a term.
    pub(crate) fn node_term(&self) -> Term {
        Term::Atom(self.self_pid.node.clone())
    }

    /// Says that a link is up.
    pub(crate) fn announce_up(&self, link: &Link) {
        tracing::info!(peer = %link.peer.name, visibility = ?link.peer.visibility, "up");
        if let Some(global) = self.global.get() {
            global.link_up(self, link);
        }
        self.tell(NodeEvent::Up(link.peer.clone()));
    }

    /// Says that a link is down.
    pub(crate) fn announce_down(&self, link: &Link) {
        let reason = link.down_reason();
        tracing::info!(peer = %link.peer.name, %reason, "down");
        if let Some(global) = self.global.get() {
            global.link_down(self, link);
        }
        self.tell(NodeEvent::Down { node: link.peer.name.clone(), reason });
    }

    fn tell(&self, event: NodeEvent) {
        self.events.tell(event);
    }

    /// The streams of events end with the last link of a node that stops: handles of its processes
    /// may live on, and would keep them open.
    fn end_events_if_over(&self) {
        if self.stopping.is_cancelled() && self.links.links().is_empty() {
            self.events.end();
        }
    }
}
