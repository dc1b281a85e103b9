//! `rex`: what `rpc` finds where it does not use `SPAWN_REQUEST`: `rpc:block_call`, `rpc:sbcast`, and
//! `rpc:call` and `rpc:cast` of OTP 23.

use std::sync::Arc;

use etf::{Atom, Pid, Term};

use super::{Reply, atom};
use crate::r#gen::message::{GenFrom, Incoming};
use crate::link::Link;
use crate::node::Shared;
use crate::process::{Exit, Process};
use crate::rpc::{Ended, apply};

/// Takes a message (`rpc.erl`, `handle_call`, `handle_cast` and `handle_info`). False for what no
/// node sends.
pub(super) fn take(shared: &Arc<Shared>, link: &Arc<Link>, from: &Pid, message: Term) -> bool {
    let message = match Incoming::parse(message) {
        Incoming::Call(from, request) => {
            call(shared, link, To::Gen(from), request);
            return true;
        }
        Incoming::Cast(request) => return cast(shared, request),
        Incoming::System(..) => return false,
        Incoming::Info(message) => message,
    };
    let reply = match message.as_tuple() {
        Some([Term::Pid(to), Term::Atom(request)]) if *request == "features_request" => {
            let features = Term::List(vec![atom("erpc")]);
            let message = Term::Tuple(vec![atom("features_reply"), shared.node_term(), features]);
            Some(Reply { to: to.clone(), message })
        }
        Some([Term::Pid(to), request @ Term::Tuple(fields)]) => match fields.as_slice() {
            // As C nodes ask (`erl_interface`, `ei_rpc`).
            [word, _, _, _, _] if word.is_atom("call") => {
                call(shared, link, To::Plain(to.clone()), request.clone());
                return true;
            }
            [word, Term::Atom(name), message] => match word.as_atom().map(Atom::as_str) {
                Some("sbcast") => Some(broadcast(shared, from, to, name, message)),
                Some("send") => match forward(shared, from, to, name, message) {
                    Ok(()) => return true,
                    Err(reply) => Some(reply),
                },
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    reply.map(|reply| reply.send(shared, link)).is_some()
}

/// `{call, M, F, A, GroupLeader}` and `{block_call, …}`. There is an answer to every call, since
/// none of them has a time-out.
fn call(shared: &Arc<Shared>, link: &Arc<Link>, to: To, request: Term) {
    let mut answer =
        Answer { shared: shared.clone(), link: link.clone(), to: Some(to), process: None };
    let (block, [m, f, a]) = match request.into_tuple().map(<[Term; 5]>::try_from) {
        Ok(Ok([word, m, f, a, _leader])) if word.is_atom("call") => (false, [m, f, a]),
        Ok(Ok([word, m, f, a, _leader])) if word.is_atom("block_call") => (true, [m, f, a]),
        _ => {
            if let Some(reply) = answer.take(badrpc(atom("notsup"))) {
                reply.send(shared, link);
            }
            return;
        }
    };
    let running = shared.clone();
    // Without a process, the node shuts down: then the answer is dropped, and says so.
    shared.spawn(move |process: Process| async move {
        answer.process = Some(process.parts().1.clone());
        // One after the other, as rex itself would run them.
        let turn = match block {
            true => Some(running.block_calls.lock().await),
            false => None,
        };
        let result = in_rpc(apply(&running, process, &m, &f, &a).await);
        drop(turn);
        if let Some(reply) = answer.take(result) {
            reply.send_patiently(&running, &answer.link).await;
        }
        Exit::normal()
    });
}

/// `{cast, M, F, A, GroupLeader}`
fn cast(shared: &Arc<Shared>, request: Term) -> bool {
    let (m, f, a) = match request.into_tuple().map(<[Term; 5]>::try_from) {
        Ok(Ok([word, m, f, a, _leader])) if word.is_atom("cast") => (m, f, a),
        _ => return false,
    };
    let running = shared.clone();
    shared.spawn(move |process: Process| async move {
        Exit(apply(&running, process, &m, &f, &a).await.into_cast_reason())
    });
    true
}

/// A result as `rpc:call/4` has it (`rpc.erl`, `execute_call/3`).
fn in_rpc(ended: Ended) -> Term {
    let exit = |reason| badrpc(Term::Tuple(vec![atom("EXIT"), reason]));
    match ended {
        Ended::Returned(value) | Ended::Throw(value, _) => value,
        Ended::Exit(reason) => exit(reason),
        Ended::Error(reason, stack) => exit(Term::Tuple(vec![reason, stack])),
        Ended::SystemLimit(_) => exit(atom("system_limit")),
    }
}

fn badrpc(reason: Term) -> Term {
    Term::Tuple(vec![atom("badrpc"), reason])
}

/// Who gets an answer, and in which form.
enum To {
    /// A call of `gen`.
    Gen(GenFrom),
    /// `{rex, Result}` to the pid.
    Plain(Pid),
}

/// The answer that a caller is owed: when the process that works for it is ended, it hears why.
struct Answer {
    shared: Arc<Shared>,
    link: Arc<Link>,
    to: Option<To>,
    process: Option<Arc<crate::process::Inner>>,
}

impl Answer {
    fn take(&mut self, result: Term) -> Option<Reply> {
        Some(match self.to.take()? {
            To::Gen(from) => from.reply(result),
            To::Plain(to) => Reply { to, message: Term::Tuple(vec![atom("rex"), result]) },
        })
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let reason = self.process.as_ref().and_then(|process| process.end_reason());
        let exit = vec![atom("EXIT"), reason.unwrap_or_else(|| atom("shutdown"))];
        if let Some(reply) = self.take(badrpc(Term::Tuple(exit))) {
            reply.send(&self.shared, &self.link);
        }
    }
}

/// `rpc:sbcast/2,3`: hands a message to a registered name and says whether there was one.
fn broadcast(shared: &Shared, from: &Pid, to: &Pid, name: &Atom, message: &Term) -> Reply {
    match shared.processes.by_name(name) {
        Some(process) => {
            shared.deliver_term(&process, Some(from.clone()), message.clone());
            said(shared, to, shared.node_term())
        }
        None => nobody(shared, to, name),
    }
}

/// As [`broadcast`], with the sender in the message; the name is who answers.
fn forward(
    shared: &Shared,
    from: &Pid,
    to: &Pid,
    name: &Atom,
    message: &Term,
) -> Result<(), Reply> {
    let process = shared.processes.by_name(name).ok_or_else(|| nobody(shared, to, name))?;
    let message = Term::Tuple(vec![Term::Pid(to.clone()), message.clone()]);
    shared.deliver_term(&process, Some(from.clone()), message);
    Ok(())
}

fn nobody(shared: &Shared, to: &Pid, name: &Atom) -> Reply {
    said(shared, to, Term::Tuple(vec![atom("nonexisting_name"), Term::Atom(name.clone())]))
}

fn said(shared: &Shared, to: &Pid, answer: Term) -> Reply {
    let message = Term::Tuple(vec![atom("rex"), shared.node_term(), answer]);
    Reply { to: to.clone(), message }
}
