//! What other nodes expect to find on every node, answered by the link's reader.
//!
//! A name that is served here exists for whoever monitors it; every other name that no process
//! registered does not.

mod buffer;
pub(crate) mod fuzz;
mod global;
mod io;
mod net_kernel;
pub(crate) mod pg;
#[cfg(feature = "pubsub")]
mod pubsub;
mod rex;
mod unserved;

use std::sync::Arc;

use etf::{Atom, Pid, Term};

pub use global::{ConflictMethod, Global, GlobalError, GlobalLock};
pub(crate) use global::{Service as GlobalService, function as global_function};
pub use io::{GroupLeader, Output, OutputBuffer};
pub(crate) use io::{IoRequest, answer_for_node};
pub use pg::{PgCounts, PgError, PgEvent, PgMonitor, PgScope};
#[cfg(feature = "pubsub")]
pub use pubsub::{
    PubSub, PubSubBuilder, PubSubCounts, PubSubError, PubSubEvent, PubSubMessage, SocketBroadcast,
    Subscription,
};

use crate::r#gen::message as gen_call;
use crate::link::Link;
use crate::node::Shared;
use crate::wire::control::Control;

/// True for the names that are answered here.
pub(crate) fn is_served(name: &str) -> bool {
    matches!(name, "net_kernel" | "rex" | "logger_proxy")
}

/// Takes a message to a served name. Whoever waits for an answer gets one: since the name exists,
/// no monitor ever tells that nobody answers.
pub(crate) fn take(shared: &Arc<Shared>, link: &Arc<Link>, name: &str, from: &Pid, message: Term) {
    let message = match in_vain(name, message) {
        Ok(from) => {
            let notsup = Term::Tuple(vec![atom("error"), atom("notsup")]);
            return from.reply(notsup).send(shared, link);
        }
        Err(message) => message,
    };
    let taken = match name {
        "net_kernel" => net_kernel::take(message).map(|reply| reply.send(shared, link)).is_some(),
        "rex" => rex::take(shared, link, from, message),
        "logger_proxy" => io::log_event(&message),
        _ => false,
    };
    if !taken {
        link.counters.skip();
        tracing::debug!(name, "a message that no node sends was skipped");
    }
}

/// Who asks something that no service answers: `sys` asks any, and `logger_proxy` takes no calls.
/// Gives any other message back.
fn in_vain(name: &str, message: Term) -> Result<gen_call::GenFrom, Term> {
    if gen_call::Incoming::is_system(&message) || name == "logger_proxy" {
        return gen_call::question(message);
    }
    Err(message)
}

/// A message of ours to a process of the peer.
#[derive(Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) to: Pid,
    pub(crate) message: Term,
}

impl Reply {
    fn send(self, shared: &Shared, link: &Link) {
        let control = Control::send(shared.self_pid.clone(), self.to, link.flags);
        link.answer(&control, Some(&self.message));
    }

    /// As [`Reply::send`], for what may be large: waits for room in the link's queue.
    async fn send_patiently(self, shared: &Shared, link: &Link) {
        let control = Control::send(shared.self_pid.clone(), self.to, link.flags);
        shared.signal(link, &control, Some(&self.message)).await;
    }
}

fn atom(name: &'static str) -> Term {
    Term::Atom(Atom::from_static(name))
}
