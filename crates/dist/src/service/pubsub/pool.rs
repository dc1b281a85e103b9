//! The pool of one PubSub: one process in each group of the largest pool in use.
//!
//! A node broadcasts to every pid of one group of its own pool: a group without us is messages lost,
//! two pids of ours in one are messages twice. So there is one process for each group that
//! anybody has, registered under the group's name, which is what a direct broadcast is sent to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use etf::{Atom, AtomError, Pid, Term};
use tokio_util::sync::CancellationToken;

use super::PubSubError;
use super::local::Local;
use crate::error::RegisterError;
use crate::node::Shared;
use crate::process::Process;
use crate::service::pg::{PgEvent, PgMonitor, PgScope};

/// The largest pool that is followed; anybody in the cluster can name groups.
pub(super) const LARGEST: usize = 256;

/// The scope of all PubSubs.
pub(super) const SCOPE: &str = "Elixir.Phoenix.PubSub";

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) shared: Arc<Shared>,
    pub(super) scope: PgScope,
    pub(super) local: Arc<Local>,
    /// The name of the first group, and of its process.
    pub(super) adapter: Atom,
    /// How many of the groups are broadcast to.
    pub(super) broadcast: usize,
    workers: Mutex<Vec<Process>>,
    over: CancellationToken,
}

impl Pool {
    /// Starts `size` processes, and follows other nodes' pools from then on.
    pub(super) fn start(
        shared: &Arc<Shared>,
        scope: PgScope,
        adapter: Atom,
        size: usize,
        broadcast: usize,
    ) -> Result<Arc<Self>, PubSubError> {
        let pool = Arc::new(Self {
            shared: shared.clone(),
            scope,
            local: Arc::new(Local::new(shared)),
            adapter,
            broadcast,
            workers: Mutex::default(),
            over: CancellationToken::new(),
        });
        let (groups, monitor) = pool.scope.monitor_scope()?;
        pool.ensure(size)?;
        let follow = follow(Arc::downgrade(&pool), pool.local.clone(), pool.over.clone(), monitor);
        pool.grow(groups.keys());
        shared.tasks.spawn(follow);
        Ok(pool)
    }

    /// The name of a group, counted from 1.
    pub(super) fn group(&self, number: usize) -> Result<Atom, AtomError> {
        match number {
            0 | 1 => Ok(self.adapter.clone()),
            number => Atom::new(format!("{}_{number}", self.adapter.as_str())),
        }
    }

    /// The pid that we broadcast as.
    pub(super) fn sender(&self) -> Pid {
        let workers = self.workers();
        workers.first().map_or_else(|| self.shared.self_pid.clone(), |worker| worker.pid().clone())
    }

    /// How many groups we are in.
    pub(super) fn size(&self) -> usize {
        self.workers().len()
    }

    /// Sees to it that each of the first `size` groups has one living process of ours.
    fn ensure(&self, size: usize) -> Result<(), PubSubError> {
        let mut workers = self.workers();
        let size = size.max(workers.len());
        for number in 1..=size {
            let lives = |worker: &Process| self.shared.processes.by_pid(worker.pid()).is_some();
            if workers.get(number - 1).is_some_and(lives) {
                continue;
            }
            let name = self.group(number).map_err(PubSubError::Name)?;
            let worker = self.worker(&name)?;
            match workers.get_mut(number - 1) {
                Some(place) => *place = worker,
                None => workers.push(worker),
            }
        }
        Ok(())
    }

    fn worker(&self, name: &Atom) -> Result<Process, PubSubError> {
        // Before there is a process, whose end would be a reason to try again.
        if self.shared.processes.by_name(name).is_some() {
            return Err(RegisterError::Taken(name.to_string()).into());
        }
        let service = Some(self.local.clone() as _);
        let inner = self.shared.processes.spawn_with(&self.shared.limits, service);
        let inner = inner.ok_or(RegisterError::ShuttingDown)?;
        inner.set_trap_exit(true);
        let worker = Process::alone(inner, self.shared.clone());
        worker.register(name.as_str())?;
        self.scope.join_now(&Term::Atom(name.clone()), worker.pid())?;
        Ok(worker)
    }

    /// Follows other nodes whose pool is larger.
    fn grow<'a>(&self, groups: impl Iterator<Item = &'a Term>) {
        let largest = groups.filter_map(|group| self.number(group.as_atom()?.as_str())).max();
        if let Some(size) = largest
            && let Err(error) = self.ensure(size)
        {
            tracing::debug!(adapter = %self.adapter, %error, "the pool could not be filled");
        }
    }

    /// Which of our groups it is, if it is one, counted from 1.
    fn number(&self, group: &str) -> Option<usize> {
        let number = group.strip_prefix(self.adapter.as_str())?.strip_prefix('_')?;
        let number = number.parse().ok()?;
        (2..=LARGEST).contains(&number).then_some(number)
    }

    fn workers(&self) -> MutexGuard<'_, Vec<Process>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

/// Watches other nodes' pools, and our own processes, which anybody in the cluster can end.
async fn follow(
    pool: Weak<Pool>,
    local: Arc<Local>,
    over: CancellationToken,
    mut monitor: PgMonitor,
) {
    loop {
        let event = tokio::select! {
            () = over.cancelled() => return,
            event = monitor.next() => match event {
                Some(event) => Some(event),
                // The node has ended, or somebody has ended the scope.
                None => return local.end(),
            },
            () = local.lost.notified() => None,
        };
        let Some(pool) = pool.upgrade() else { return };
        match event {
            Some(PgEvent::Join { group, .. }) => pool.grow(std::iter::once(&group)),
            Some(PgEvent::Leave { .. }) => {}
            Some(PgEvent::Lagged(_)) => pool.grow(pool.scope.groups().iter()),
            // One that has ended is started again.
            None => {
                let size = pool.size();
                if let Err(error) = pool.ensure(size) {
                    tracing::debug!(adapter = %pool.adapter, %error, "a worker has ended");
                }
            }
        }
    }
}
