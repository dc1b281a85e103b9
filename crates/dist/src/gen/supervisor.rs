//! Starting processes of this node again when they fail.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use etf::{Atom, Pid, Term, term};
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::server::is_orderly;
use super::{Caller, GenServer, Reply, ServerStartError, sys};
use crate::process::{Exit, Outcome, Process};

/// How long a child may take to end before it is killed, unless said otherwise.
const PATIENCE: Duration = Duration::from_secs(5);

/// A process that starts others and, when one ends, starts it again: OTP's `supervisor` with the
/// strategy `one_for_one`.
///
/// It is started as any [`GenServer`] is, and answers what `supervisor:which_children/1`,
/// `count_children/1`, `terminate_child/2`, `restart_child/2` and `delete_child/2` ask. When it
/// ends it ends its children first, the last one started before the others.
///
/// ```no_run
/// # use dist::etf::Term;
/// # use dist::{Caller, Exit, Process, Reply};
/// use dist::{ChildSpec, GenServer, Intensity, Supervisor};
///
/// # struct Scorer;
/// # impl GenServer for Scorer {
/// #     type Init = ();
/// #     async fn init((): (), _: &mut Process) -> Result<Self, Exit> { Ok(Self) }
/// #     async fn handle_call(&mut self, request: Term, _: &Caller, _: &mut Process) -> Result<Reply, Exit> {
/// #         Ok(Reply::Now(request))
/// #     }
/// # }
/// # async fn run(node: dist::Node) -> Result<(), dist::ServerStartError> {
/// let children = vec![ChildSpec::server::<Scorer>("scorer", || ())];
/// Supervisor::start(&node, (Intensity::default(), children)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Supervisor {
    intensity: Intensity,
    restarts: VecDeque<Instant>,
    /// In the order they were started.
    children: Vec<Child>,
}

/// How often children may be started again: after more than `restarts` within a time the supervisor
/// gives up, and ends with `shutdown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intensity {
    /// How often.
    pub restarts: usize,
    /// Within what time.
    pub within: Duration,
}

impl Default for Intensity {
    /// Once in 5 s, as in Erlang. (Elixir's default is three times in 5 s.)
    fn default() -> Self {
        Self { restarts: 1, within: Duration::from_secs(5) }
    }
}

/// When a child is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// When it ended with another reason than `normal`, `shutdown` and `{shutdown, _}`.
    Transient,
    /// Never.
    Temporary,
}

/// How a child is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// With `kill`.
    BrutalKill,
    /// With `shutdown`, and with `kill` when it has not ended after this time.
    Within(Duration),
    /// With `shutdown`, waiting for ever.
    Infinity,
}

/// A child to be started.
pub struct ChildSpec {
    id: Atom,
    start: Box<Start>,
    restart: Restart,
    shutdown: Shutdown,
    supervisor: bool,
    module: Term,
}

type Start =
    dyn for<'a> Fn(&'a Process) -> BoxFuture<'a, Result<Pid, ServerStartError>> + Send + Sync;

#[derive(Debug)]
struct Child {
    spec: ChildSpec,
    pid: Option<Pid>,
}

impl ChildSpec {
    /// A permanent server, registered under a name that is also the child's id. `init` makes what
    /// each new one is started with.
    ///
    /// # Panics
    /// When the name has more than 255 characters.
    pub fn server<S: GenServer>(
        name: &'static str,
        init: impl Fn() -> S::Init + Send + Sync + 'static,
    ) -> Self {
        Self {
            id: Atom::from_static(name),
            start: Box::new(move |parent| Box::pin(S::start_link(parent, Some(name), init()))),
            restart: Restart::Permanent,
            shutdown: Shutdown::Within(PATIENCE),
            supervisor: std::any::TypeId::of::<S>() == std::any::TypeId::of::<Supervisor>(),
            module: sys::module::<S>(),
        }
    }

    /// A permanent process that runs a task, as [`Node::spawn`](crate::Node::spawn) does.
    ///
    /// # Panics
    /// When the id has more than 255 characters.
    pub fn process<F, T>(id: &'static str, run: F) -> Self
    where
        F: Fn(Process) -> T + Send + Sync + 'static,
        T: Future<Output: Outcome> + Send + 'static,
    {
        let run = Arc::new(run);
        let start = move |parent: &Process| {
            let run = run.clone();
            let pid = parent.parts().0.spawn(move |process| run(process));
            pid.ok_or(ServerStartError::ShuttingDown)
        };
        let start: Box<Start> = Box::new(move |parent| {
            let started = start(parent);
            Box::pin(async move {
                let pid = started?;
                parent.link(&pid).await;
                Ok(pid)
            })
        });
        Self {
            id: Atom::from_static(id),
            start,
            restart: Restart::Permanent,
            shutdown: Shutdown::Within(PATIENCE),
            supervisor: false,
            module: term!(rust),
        }
    }

    /// When it is started again.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// How it is ended; within 5 s unless said otherwise.
    #[must_use]
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, restart, shutdown, supervisor, .. } = self;
        let mut shown = f.debug_struct("ChildSpec");
        shown.field("id", id).field("restart", restart).field("shutdown", shutdown);
        shown.field("supervisor", supervisor).finish_non_exhaustive()
    }
}

impl GenServer for Supervisor {
    type Init = (Intensity, Vec<ChildSpec>);

    async fn init(init: Self::Init, process: &mut Process) -> Result<Self, Exit> {
        process.trap_exit(true);
        let (intensity, specs) = init;
        let mut supervisor = Self {
            intensity,
            restarts: VecDeque::new(),
            children: Vec::with_capacity(specs.len()),
        };
        for spec in specs {
            match (spec.start)(process).await {
                Ok(pid) => supervisor.children.push(Child { spec, pid: Some(pid) }),
                Err(error) => {
                    let (id, reason) = (spec.id, error.into_reason());
                    supervisor.end_all(process).await;
                    let failed = term!({failed_to_start_child, (id), (reason)});
                    return Err(Exit(term!({shutdown, (failed)})));
                }
            }
        }
        Ok(supervisor)
    }

    async fn handle_call(
        &mut self,
        request: Term,
        _: &Caller,
        process: &mut Process,
    ) -> Result<Reply, Exit> {
        let reply = match &request {
            Term::Atom(request) if *request == "which_children" => self.which(),
            Term::Atom(request) if *request == "count_children" => self.count(),
            Term::Tuple(fields) => match fields.as_slice() {
                // An id may be any term; those of ours are atoms.
                [Term::Atom(what), id] => {
                    let is_it = |child: &Child| id.as_atom() == Some(&child.spec.id);
                    let at = self.children.iter().position(is_it);
                    match what.as_str() {
                        "terminate_child" => self.terminate_child(at, process).await,
                        "restart_child" => self.restart_child(at, process).await,
                        "delete_child" => self.delete_child(at),
                        _ => term!({error, notsup}),
                    }
                }
                _ => term!({error, notsup}),
            },
            _ => term!({error, notsup}),
        };
        Ok(Reply::Now(reply))
    }

    async fn handle_info(&mut self, message: Term, process: &mut Process) -> Result<(), Exit> {
        match message.as_tuple() {
            Some([Term::Atom(exit), Term::Pid(pid), reason]) if *exit == "EXIT" => {
                self.ended(pid, reason, process).await
            }
            _ => {
                tracing::warn!(%message, "a message that a supervisor does not know");
                Ok(())
            }
        }
    }

    async fn terminate(&mut self, _: &Exit, process: &mut Process) {
        self.end_all(process).await;
    }

    fn state(&self) -> Option<Term> {
        Some(self.which())
    }
}

impl Supervisor {
    /// A linked process ended: a child, or one that failed to become one.
    async fn ended(&mut self, pid: &Pid, reason: &Term, process: &Process) -> Result<(), Exit> {
        let is_it = |child: &Child| child.pid.as_ref() == Some(pid);
        let Some(at) = self.children.iter().position(is_it) else { return Ok(()) };
        let Some(child) = self.children.get_mut(at) else { return Ok(()) };
        child.pid = None;
        let again = match child.spec.restart {
            Restart::Permanent => true,
            Restart::Transient => !is_orderly(reason),
            Restart::Temporary => {
                self.children.remove(at);
                false
            }
        };
        if !again {
            return Ok(());
        }
        loop {
            if !self.may_restart() {
                tracing::error!(%reason, "children end too often: the supervisor gives up");
                return Err(Exit::shutdown());
            }
            let Some(child) = self.children.get_mut(at) else { return Ok(()) };
            tracing::warn!(id = %child.spec.id, %reason, "a child ended and is started again");
            match (child.spec.start)(process).await {
                Ok(pid) => {
                    child.pid = Some(pid);
                    return Ok(());
                }
                Err(error) => tracing::error!(id = %child.spec.id, %error, "it does not start"),
            }
        }
    }

    /// Counts a restart; false when there were too many (`supervisor.erl`, `add_restart/1`).
    fn may_restart(&mut self) -> bool {
        let now = Instant::now();
        while self.restarts.front().is_some_and(|at| now - *at > self.intensity.within) {
            self.restarts.pop_front();
        }
        self.restarts.push_back(now);
        self.restarts.len() <= self.intensity.restarts
    }

    async fn end_all(&mut self, process: &mut Process) {
        while let Some(child) = self.children.pop() {
            if let Some(pid) = child.pid {
                end(&pid, child.spec.shutdown, process).await;
            }
        }
    }

    async fn terminate_child(&mut self, at: Option<usize>, process: &mut Process) -> Term {
        let Some(at) = at else { return term!({error, not_found}) };
        let Some(child) = self.children.get_mut(at) else { return term!({error, not_found}) };
        if let Some(pid) = child.pid.take() {
            end(&pid, child.spec.shutdown, process).await;
        }
        if child.spec.restart == Restart::Temporary {
            self.children.remove(at);
        }
        term!(ok)
    }

    async fn restart_child(&mut self, at: Option<usize>, process: &Process) -> Term {
        let child = at.and_then(|at| self.children.get_mut(at));
        let Some(child) = child else { return term!({error, not_found}) };
        if child.pid.is_some() {
            return term!({error, running});
        }
        match (child.spec.start)(process).await {
            Ok(pid) => {
                child.pid = Some(pid.clone());
                term!({ok, (pid)})
            }
            Err(error) => term!({error, (error.into_reason())}),
        }
    }

    fn delete_child(&mut self, at: Option<usize>) -> Term {
        match at.and_then(|at| self.children.get(at).map(|child| (at, child.pid.is_some()))) {
            None => term!({error, not_found}),
            Some((_, true)) => term!({error, running}),
            Some((at, false)) => {
                self.children.remove(at);
                term!(ok)
            }
        }
    }

    /// `[{Id, Pid | undefined, worker | supervisor, Modules}]`, the last one started first.
    fn which(&self) -> Term {
        let children = self.children.iter().rev().map(|child| {
            let pid = child.pid.as_ref().map_or_else(|| term!(undefined), Term::from);
            let kind = if child.spec.supervisor { term!(supervisor) } else { term!(worker) };
            term!({(&child.spec.id), (pid), (kind), [(&child.spec.module)]})
        });
        children.collect()
    }

    fn count(&self) -> Term {
        let count = |wanted: &dyn Fn(&&Child) -> bool| {
            Term::from(u64::try_from(self.children.iter().filter(wanted).count()).unwrap_or(0))
        };
        term!([
            {specs, (count(&|_| true))},
            {active, (count(&|child| child.pid.is_some()))},
            {supervisors, (count(&|child| child.spec.supervisor))},
            {workers, (count(&|child| !child.spec.supervisor))}
        ])
    }
}

/// Ends a child and waits for that (`supervisor.erl`, `shutdown/1`). What it was linked for is not
/// of interest any more.
async fn end(pid: &Pid, shutdown: Shutdown, process: &mut Process) {
    let monitor = process.monitor(pid).await;
    process.unlink(pid).await;
    let down = |message: crate::process::Message| match message.term.as_tuple() {
        Some([down, Term::Reference(of), ..]) if down.is_atom("DOWN") && *of == monitor => Ok(()),
        _ => Err(message),
    };
    let ended = match shutdown {
        Shutdown::BrutalKill => false,
        Shutdown::Within(time) => {
            process.exit(pid, term!(shutdown)).await;
            process.receive_within(time, down).await.is_some()
        }
        Shutdown::Infinity => {
            process.exit(pid, term!(shutdown)).await;
            process.receive(down).await.is_some()
        }
    };
    if !ended {
        process.exit(pid, term!(kill)).await;
        process.receive(down).await;
    }
}
