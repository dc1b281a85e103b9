//! Calls that no process of the node itself serves: refused, since whoever calls may wait for ever.

use std::sync::Arc;

use etf::Term;

use super::Reply;
use crate::r#gen::message::{GenFrom, Incoming};
use crate::link::Link;
use crate::node::Shared;
use crate::process::Body;

/// Refuses a call that came over a link.
pub(super) fn refuse(shared: &Shared, link: &Link, from: GenFrom) {
    from.reply(not_supported()).send(shared, link);
}

/// Refuses a call of a process of this node, or of the node itself.
pub(super) fn refuse_here(shared: &Shared, from: GenFrom) {
    let Reply { to, message } = from.reply(not_supported());
    match shared.processes.by_pid(&to) {
        Some(process) => shared.deliver_term(&process, None, message),
        None => drop(shared.answer_tagged(message)),
    }
}

/// Takes a message that is not served: it is refused if it is a call, and counted.
pub(super) fn take(shared: &Arc<Shared>, body: Body) {
    let link = match &body {
        Body::Encoded(_, link) => link.upgrade(),
        Body::Term(_) => None,
    };
    let Ok(message) = body.into_term(&shared.limits.terms) else { return };
    let call = match Incoming::parse(message) {
        Incoming::Call(from, _) | Incoming::System(from, _) => Some(from),
        Incoming::Cast(_) | Incoming::Info(_) => None,
    };
    match (link, call) {
        (Some(link), call) => {
            link.counters.skip();
            if let Some(from) = call {
                refuse(shared, &link, from);
            }
        }
        (None, Some(from)) => refuse_here(shared, from),
        (None, None) => {}
    }
}

fn not_supported() -> Term {
    Term::Tuple(vec![Term::atom("error"), Term::atom("notsup")])
}
