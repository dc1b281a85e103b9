//! `rex`: what `rpc` finds.
//!
//! Nothing is exported yet, so every call is refused, in the form in which the caller expects the
//! refusal: `rpc:call` and its kin have no time-out unless their user gives one.

use std::sync::Arc;

use etf::{Pid, Term};

use super::gen_call::GenCall;
use super::{Reply, atom};
use crate::node::Shared;
use crate::process::{Body, Envelope};

/// Takes a message (`rpc.erl`, `handle_call` and `handle_info`).
pub(super) fn take(shared: &Arc<Shared>, from: &Pid, message: Term) -> Option<Reply> {
    match GenCall::parse(message) {
        // The reply of a call is its result, and this is the result of what is not supported.
        Ok(GenCall { from, .. }) => {
            Some(from.reply(Term::Tuple(vec![atom("badrpc"), atom("notsup")])))
        }
        Err(message) => match message.as_tuple()? {
            [Term::Pid(to), Term::Atom(request)] if *request == "features_request" => {
                let features = Term::List(vec![atom("erpc")]);
                let node = shared.node_term();
                let message = Term::Tuple(vec![atom("features_reply"), node, features]);
                Some(Reply { to: to.clone(), message })
            }
            [Term::Pid(to), Term::Tuple(request)] => broadcast(shared, from, to, request),
            _ => None,
        },
    }
}

/// `rpc:sbcast/2,3`: hands a message to a registered name and says whether there was one.
fn broadcast(shared: &Arc<Shared>, from: &Pid, to: &Pid, request: &[Term]) -> Option<Reply> {
    let [Term::Atom(sbcast), Term::Atom(name), message] = request else { return None };
    if *sbcast != "sbcast" {
        return None;
    }
    let node = shared.node_term();
    let answer = match shared.processes.by_name(name) {
        Some(process) => {
            let body = Body::Term(message.clone());
            shared.deliver(&process, Envelope { from: Some(from.clone()), body });
            node.clone()
        }
        None => Term::Tuple(vec![atom("nonexisting_name"), Term::Atom(name.clone())]),
    };
    Some(Reply { to: to.clone(), message: Term::Tuple(vec![atom("rex"), node, answer]) })
}
