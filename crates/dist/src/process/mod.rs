//! Processes of this node: what has a pid, receives messages, and can be monitored and linked to.
//!
//! [`Process`] is a process as its own code sees it, [`Inner`] as the node sees it. Signals between
//! them are in [`signals`].

mod handle;
mod ids;
mod inner;
mod kind;
mod large;
mod queue;
mod relate;
mod run;
mod service;
mod signals;
mod spawn;
mod table;

use etf::Term;

pub use handle::{Message, Process};
pub(crate) use ids::{Ids, ProcessId};
pub(crate) use inner::{Inner, Watched};
pub use kind::ProcessKind;
#[cfg(feature = "pubsub")]
pub(crate) use queue::refuse;
pub(crate) use queue::{Body, Envelope, Taken, heap};
pub(crate) use relate::registered_name;
pub(crate) use run::Run;
pub(crate) use service::Service;
pub(crate) use signals::{ExitKind, tell_linked, tell_watcher};
pub use spawn::Outcome;
pub(crate) use spawn::panicked;
pub(crate) use table::Processes;

/// Why a process ends: the reason that its links and monitors see.
#[derive(Debug, Clone, PartialEq)]
pub struct Exit(pub Term);

impl Exit {
    /// The reason of a process that did what it was to do.
    #[must_use]
    pub fn normal() -> Self {
        Self(Term::atom("normal"))
    }

    /// The reason of a process that was asked to stop.
    #[must_use]
    pub fn shutdown() -> Self {
        Self(Term::atom("shutdown"))
    }
}

impl<E: std::error::Error> From<E> for Exit {
    /// An error of Rust as a reason: `{error, <<"what it says">>}`.
    fn from(error: E) -> Self {
        Self(Term::Tuple(vec![Term::atom("error"), Term::from(error.to_string())]))
    }
}

/// How an alias ends (`erlang:alias/1`, `erlang:monitor/3`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AliasMode {
    /// When [`Process::unalias`] is called.
    ExplicitUnalias,
    /// When its monitor ends, or [`Process::unalias`] is called.
    Demonitor,
    /// With the first message sent to it, which ends its monitor too.
    ReplyDemonitor,
}
