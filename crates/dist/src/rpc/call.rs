//! Functions of other nodes.

use std::sync::Arc;
use std::time::Duration;

use etf::{Atom, AtomError, Pid, Term};
use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Ended, ErpcError, RpcError, apply};
use crate::error::SendError;
use crate::flags::Flags;
use crate::name::NodeName;
use crate::node::{Node, Shared};
use crate::process::{Exit, Inner, ProcessKind};
use crate::wire::control::Control;

/// A function and its arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct Mfa {
    /// The module; one of Elixir's is called `Elixir.Enum` here.
    pub module: Atom,
    /// The function.
    pub function: Atom,
    /// The arguments.
    pub args: Vec<Term>,
}

impl Mfa {
    /// `module:function(args…)`
    ///
    /// # Errors
    /// When a name has more than 255 characters.
    pub fn new(module: &str, function: &str, args: Vec<Term>) -> Result<Self, AtomError> {
        Ok(Self { module: Atom::new(module)?, function: Atom::new(function)?, args })
    }
}

/// How a remote call is made, where that is not as usual.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RpcOptions {
    timeout: Option<Duration>,
    leader: Option<Pid>,
}

impl RpcOptions {
    /// No time limit, and the node's own group leader.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long the call may take, connecting included.
    #[must_use]
    pub fn timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.timeout = time.into();
        self
    }

    /// Who gets what the function prints.
    #[must_use]
    pub fn group_leader(mut self, leader: &Pid) -> Self {
        self.leader = Some(leader.clone());
        self
    }
}

impl Node {
    /// The result of a function on another node (`erpc:call/5`). Without a time it waits as long as
    /// the node lives.
    ///
    /// The function runs in a process of its own there. When the time is over, or the future is
    /// dropped, it goes on, but its result goes nowhere. What it prints is logged.
    ///
    /// ```no_run
    /// # async fn run(node: dist::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use dist::etf::term;
    ///
    /// let iex = "iex@127.0.0.1".parse()?;
    /// let sum = node.rpc(&iex, "lists", "sum", vec![term!([1, 2, 3])], Duration::from_secs(5));
    /// assert_eq!(sum.await?.as_int(), Some(6));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RpcError`]: the exception that the function raised, or why the call failed.
    pub async fn rpc(
        &self,
        target: &NodeName,
        module: &str,
        function: &str,
        args: Vec<Term>,
        time: impl Into<Option<Duration>>,
    ) -> Result<Term, RpcError> {
        let mfa = Mfa::new(module, function, args)?;
        self.rpc_with(target, mfa, &RpcOptions::new().timeout(time)).await
    }

    /// As [`Node::rpc`], with options.
    ///
    /// # Errors
    /// As [`Node::rpc`].
    pub async fn rpc_with(
        &self,
        target: &NodeName,
        mfa: Mfa,
        options: &RpcOptions,
    ) -> Result<Term, RpcError> {
        let leader = options.leader.as_ref().unwrap_or(&self.shared.self_pid);
        let call = execute(&self.shared, target, leader, mfa);
        match options.timeout {
            None => call.await,
            Some(time) => match timeout(time, call).await {
                Ok(result) => result,
                Err(_) => Err(ErpcError::Timeout.into()),
            },
        }
    }

    /// The results of a function on several nodes, called at once, in the order of the nodes
    /// (`erpc:multicall/5`). The time is that of all together.
    pub async fn multicall(
        &self,
        targets: &[NodeName],
        mfa: &Mfa,
        options: &RpcOptions,
    ) -> Vec<Result<Term, RpcError>> {
        join_all(targets.iter().map(|target| self.rpc_with(target, mfa.clone(), options))).await
    }

    /// Has a function run on another node, and does not wait for it (`erpc:cast/4`). Whether it
    /// could is not told.
    ///
    /// # Errors
    /// [`SendError`] when the node cannot be reached or the arguments have no external form.
    pub async fn rpc_cast(&self, target: &NodeName, mfa: Mfa) -> Result<(), SendError> {
        let shared = &self.shared;
        let failed = |source| SendError::Connect { node: target.clone(), source };
        let link = shared.connect(target).await.map_err(failed)?;
        let own = &shared.self_pid;
        let Mfa { module, function, args } = mfa;
        let mut call = vec![Term::Atom(module), Term::Atom(function), Term::List(args)];
        let (control, payload) = if link.flags.contains(Flags::SPAWN) {
            let execute = (Atom::from_static("erpc"), Atom::from_static("execute_cast"), 3);
            let request = shared.processes.ids.reference();
            let control =
                Control::spawn_request(request, own.clone(), own.clone(), execute, Vec::new());
            (control, Term::List(call))
        } else {
            // As `rpc:cast/4` of a node that cannot ask for a process.
            call.insert(0, Term::atom("cast"));
            call.push(Term::Pid(own.clone()));
            let cast = Term::Tuple(vec![Term::atom("$gen_cast"), Term::Tuple(call)]);
            (Control::reg_send(own.clone(), Atom::from_static("rex")), cast)
        };
        link.send(control, payload).await
    }
}

/// As [`Node::rpc`], without a time.
///
/// # Errors
/// As [`Node::rpc`].
pub(crate) async fn call_function(
    shared: &Arc<Shared>,
    target: &NodeName,
    mfa: Mfa,
) -> Result<Term, RpcError> {
    execute(shared, target, &shared.self_pid, mfa).await
}

/// One call: a process there that ends with the result.
async fn execute(
    shared: &Arc<Shared>,
    target: &NodeName,
    leader: &Pid,
    mfa: Mfa,
) -> Result<Term, RpcError> {
    if *target == shared.name {
        return execute_here(shared, mfa).await;
    }
    let tag = shared.processes.ids.reference();
    let Mfa { module, function, args } = mfa;
    let args = vec![
        Term::Reference(tag.clone()),
        Term::Atom(module),
        Term::Atom(function),
        Term::List(args),
    ];
    let execute_call = (Atom::from_static("erpc"), Atom::from_static("execute_call"));
    let mut call = shared.begin_spawn(target, leader.clone(), execute_call, args).await?;
    RpcError::result(call.answer().await, &tag)
}

/// The same in a process of our own, with what is exported here.
async fn execute_here(shared: &Arc<Shared>, mfa: Mfa) -> Result<Term, RpcError> {
    let (sender, result) = oneshot::channel();
    let running = shared.clone();
    let kind = |inner: &Arc<Inner>, _: &Pid| inner.set_kind(ProcessKind::Rpc);
    let pid = shared.spawn_related(kind, move |process| async move {
        let Mfa { module, function, args } = mfa;
        let (m, f) = (Term::Atom(module), Term::Atom(function));
        let ended = apply(&running, process, &m, &f, &Term::List(args)).await;
        // Who asked may have stopped waiting.
        let _ = sender.send(ended);
        Exit::normal()
    });
    pid.ok_or_else(|| ErpcError::Other(Term::atom("system_limit")))?;
    match result.await {
        Ok(Ended::Returned(value)) => Ok(value),
        Ok(Ended::Error(reason, stack)) => Err(RpcError::Error { reason, stack }),
        Ok(Ended::Exit(reason)) => Err(RpcError::Exit(reason)),
        Ok(Ended::Throw(value, _)) => Err(RpcError::Throw(value)),
        Ok(Ended::SystemLimit(_)) => Err(ErpcError::Other(Term::atom("system_limit")).into()),
        Err(_) => Err(RpcError::Signal(Term::atom("killed"))),
    }
}
