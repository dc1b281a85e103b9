//! Processes that run a task.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use etf::{Pid, Term};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Exit, Inner, Process};
use crate::node::{Node, Shared};

/// What a process's task may yield: how the process ends.
pub trait Outcome {
    /// The reason that its links and monitors see.
    fn into_reason(self) -> Term;
}

impl Outcome for () {
    fn into_reason(self) -> Term {
        Exit::normal().0
    }
}

impl<E: Into<Exit>> Outcome for Result<(), E> {
    fn into_reason(self) -> Term {
        match self {
            Ok(()) => Exit::normal().0,
            Err(error) => error.into().0,
        }
    }
}

impl Outcome for Exit {
    fn into_reason(self) -> Term {
        self.0
    }
}

impl Node {
    /// Starts a process: a task with a pid.
    ///
    /// It ends when the task does, with the reason that the task yields, or earlier, by an exit
    /// signal that it does not trap: then the task is dropped where it waits. A panic ends this
    /// process alone, with the reason `{rust_panic, <<"what it said">>}`. `None` once the node is
    /// shutting down.
    ///
    /// ```no_run
    /// # async fn run(node: dist::Node) {
    /// use dist::etf::term;
    ///
    /// let pid = node.spawn(|mut process| async move {
    ///     while let Some(message) = process.recv().await {
    ///         if let Some(from) = message.from {
    ///             process.send(from, term!(thanks)).await?;
    ///         }
    ///     }
    ///     Ok::<_, dist::SendError>(())
    /// });
    /// # }
    /// ```
    pub fn spawn<F, T>(&self, run: F) -> Option<Pid>
    where
        F: FnOnce(Process) -> T + Send + 'static,
        T: Future<Output: Outcome> + Send + 'static,
    {
        self.shared.spawn(run)
    }
}

impl Shared {
    /// As [`Node::spawn`].
    pub(crate) fn spawn<F, T>(self: &Arc<Self>, run: F) -> Option<Pid>
    where
        F: FnOnce(Process) -> T + Send + 'static,
        T: Future<Output: Outcome> + Send + 'static,
    {
        self.spawn_related(|_, _| {}, run)
    }

    /// As [`Node::spawn`]; `relate` knows the process before its task starts, and so before
    /// anything that the task does.
    pub(crate) fn spawn_related<F, T>(
        self: &Arc<Self>,
        relate: impl FnOnce(&Arc<Inner>, &Pid),
        run: F,
    ) -> Option<Pid>
    where
        F: FnOnce(Process) -> T + Send + 'static,
        T: Future<Output: Outcome> + Send + 'static,
    {
        let inner = self.processes.spawn(&self.limits)?;
        let process = Process::of_task(inner.clone(), self.clone());
        let pid = process.pid().clone();
        relate(&inner, &pid);
        // What is run before there is a future may panic as well, and is the process's own.
        let task = match catch_unwind(AssertUnwindSafe(|| run(process))) {
            // Boxed, because every layer of futures around it would be as large again.
            Ok(task) => Box::pin(task.map(Outcome::into_reason)),
            Err(panic) => {
                self.end_process(&inner, &panicked(&*panic));
                return Some(pid);
            }
        };
        let task = self.tasks.spawn(drive(self.clone(), inner.clone(), task));
        inner.set_task(task.abort_handle());
        Some(pid)
    }
}

async fn drive(shared: Arc<Shared>, inner: Arc<Inner>, task: BoxFuture<'static, Term>) {
    // A panic may leave what the task shares with others in any state, as in any thread.
    let done = AssertUnwindSafe(task).catch_unwind().await;
    let reason = done.unwrap_or_else(|panic| panicked(&*panic));
    shared.end_process(&inner, &reason);
}

/// The reason of a process that panicked.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Term {
    let said = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(said), _) => (*said).to_owned(),
        (_, Some(said)) => said.clone(),
        (None, None) => "something that is no text".to_owned(),
    };
    tracing::error!(%said, "a process panicked");
    Term::Tuple(vec![Term::atom("rust_panic"), Term::from(said)])
}
