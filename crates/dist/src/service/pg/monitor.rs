//! Watching a group or a whole scope.

use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll, ready};

use etf::{Pid, Term};
use futures::Stream;

use super::scope::Scope;
use crate::service::buffer::{Next, Receiver};

/// Something that happened to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PgEvent {
    /// Processes have joined; one that joined twice at once is in here twice.
    Join {
        /// The group.
        group: Term,
        /// Who.
        pids: Vec<Pid>,
    },
    /// Processes have left, or have ended, or their node is gone.
    Leave {
        /// The group.
        group: Term,
        /// Who.
        pids: Vec<Pid>,
    },
    /// The reader was too slow: this many events were dropped, the oldest. Ask for the members
    /// again.
    Lagged(u64),
}

/// The joins and leaves of a group or of a scope: see [`PgScope::monitor`](super::PgScope::monitor).
///
/// Keeps up to 1,024 events or 64 MiB for a slow reader, and drops the oldest of more. Dropping it
/// ends the monitor.
#[derive(Debug)]
pub struct PgMonitor {
    pub(super) events: Receiver<PgEvent>,
    pub(super) scope: Weak<Scope>,
    pub(super) id: u64,
    /// The group, unless it is of the whole scope.
    pub(super) group: Option<Term>,
}

impl PgMonitor {
    /// The next event; `None` once the scope has ended. Cancelling loses none.
    pub async fn next(&mut self) -> Option<PgEvent> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for PgMonitor {
    type Item = PgEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<PgEvent>> {
        Poll::Ready(match ready!(self.events.poll(context)) {
            Next::Item(event) => Some(event),
            Next::Lagged(count) => Some(PgEvent::Lagged(count)),
            Next::End => None,
        })
    }
}

impl Drop for PgMonitor {
    fn drop(&mut self) {
        if let Some(scope) = self.scope.upgrade() {
            scope.unwatch(self.id, self.group.as_ref());
        }
    }
}
