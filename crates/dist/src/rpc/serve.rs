//! Functions of this node, run for others.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use etf::{Atom, Pid, RawTerm, Reference, Term};
use futures::FutureExt;

use super::{Mfa, Raise, builtin};
use crate::error::DownReason;
use crate::link::{Link, NoRelation};
use crate::node::Shared;
use crate::process::{Exit, Inner, Process, ProcessKind, panicked, tell_linked, tell_watcher};
use crate::wire::control::{Control, PidOrName};
use crate::work;

/// How many arguments a function can have; more is `system_limit` (observed).
const MOST_ARGUMENTS: usize = 1023;

/// A process that a peer asks for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) reference: Reference,
    pub(crate) from: Pid,
    /// `{Module, Function, Arity}`
    pub(crate) spawn: Term,
    pub(crate) options: Term,
    /// The argument list.
    pub(crate) args: RawTerm,
}

/// How the new process is related to who asked for it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Relation {
    link: bool,
    monitor: bool,
}

/// How a function ended, with the stack that an error comes with.
#[derive(Debug)]
pub(crate) enum Ended {
    Returned(Term),
    Error(Term, Term),
    Exit(Term),
    Throw(Term, Term),
    /// More arguments than there can be: an error of the call rather than of the function.
    SystemLimit(Term),
}

/// Starts a process that a peer asks for, and says so before the process can do anything
/// (`SPAWN_REQUEST`, `erl_dist_protocol`).
///
/// # Errors
/// When the request is one that no node sends.
pub(crate) fn spawn(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    request: Request,
) -> Result<(), DownReason> {
    let Request { reference, from, spawn, options, args } = request;
    let Some((module, function)) = module_and_function(&spawn) else {
        return Err(DownReason::malformed(&format_args!("a request to spawn {spawn}")));
    };
    let refuse = |reason| {
        let reason = Atom::from_static(reason);
        link.answer(&Control::spawn_refused(reference.clone(), from.clone(), reason), None);
    };
    let Some(relation) = Relation::parse(&options) else {
        refuse("badopt");
        return Ok(());
    };
    let mut related = Ok(());
    let mfa = (module, function);
    let task = {
        let (shared, link) = (shared.clone(), link.clone());
        let caller = relation.monitor.then(|| (reference.clone(), from.clone()));
        |process| run(shared, link, process, mfa, args, caller)
    };
    let spawned = shared.spawn_related(
        |inner, pid| {
            inner.set_kind(ProcessKind::Rpc);
            let Relation { link: linked, monitor } = relation;
            let reply =
                Control::spawned(reference.clone(), from.clone(), pid.clone(), linked, monitor);
            link.answer(&reply, None);
            if monitor {
                let watched = PidOrName::Pid(pid.clone());
                related = inner.monitored_by(
                    from.clone(),
                    reference.clone(),
                    watched.clone(),
                    Some(link),
                );
                if related == Err(NoRelation::Ended) {
                    let reason = inner.end_reason().unwrap_or_else(|| Term::atom("noproc"));
                    tell_watcher(link, watched, from.clone(), reference.clone(), reason);
                }
            }
            if linked && matches!(related, Ok(()) | Err(NoRelation::Ended)) {
                related = inner.linked_by(from.clone(), Some(link));
                if related == Err(NoRelation::Ended) {
                    let reason = inner.end_reason().unwrap_or_else(|| Term::atom("noproc"));
                    tell_linked(link, pid.clone(), from.clone(), reason);
                }
            }
        },
        task,
    );
    if spawned.is_none() {
        // The node shuts down.
        refuse("system_limit");
    }
    match related {
        Err(NoRelation::TooMany) => Err(DownReason::TooManyRelations),
        Ok(()) | Err(NoRelation::Ended | NoRelation::Lost) => Ok(()),
    }
}

/// Starts a process of our own that runs a function as others would have it run; `None` once the
/// node is shutting down.
pub(super) fn spawn_here(
    shared: &Arc<Shared>,
    mfa: Mfa,
    relate: impl FnOnce(&Arc<Inner>, &Pid),
) -> Option<Pid> {
    let running = shared.clone();
    let task = move |process| async move {
        let Mfa { module, function, args } = mfa;
        let (m, f) = (Term::Atom(module), Term::Atom(function));
        Exit(apply(&running, process, &m, &f, &Term::List(args)).await.into_reason())
    };
    let relate = |inner: &Arc<Inner>, pid: &Pid| {
        inner.set_kind(ProcessKind::Rpc);
        relate(inner, pid);
    };
    shared.spawn_related(relate, task)
}

/// What the process does.
async fn run(
    shared: Arc<Shared>,
    link: Arc<Link>,
    process: Process,
    (module, function): (Atom, Atom),
    args: RawTerm,
    caller: Option<(Reference, Pid)>,
) -> Exit {
    let args = match work::decode(args, &shared.limits.terms).await {
        Ok(args) => args,
        Err(error) => {
            link.refused_payload(&error);
            if !error.is_limit() {
                link.close(DownReason::malformed(&format_args!("an argument list: {error}")));
            }
            return Exit(Term::atom("system_limit"));
        }
    };
    let erpc = (module == "erpc").then_some(function.as_str());
    let reason = match (erpc, args.as_list()) {
        (Some("execute_call"), Some([tag, m, f, a])) => {
            let (inner, pid) = (process.parts().1.clone(), process.pid().clone());
            let ended = apply(&shared, process, m, f, a).await;
            let reason = ended.into_call_reason(tag);
            if let Some((reference, from)) = caller {
                // A result may be large, and many may be ready at once, so it waits for room in the
                // link's queue, which no other exit signal does.
                let (control, payload) = Control::monitor_exit_to(
                    PidOrName::Pid(pid),
                    from,
                    reference.clone(),
                    reason,
                    link.flags,
                );
                let (frame, payload) = link.encode_keeping(control, payload).await;
                match frame {
                    Ok(frame) => {
                        let still = || inner.demonitored(&reference);
                        let _ = link.outbox.send_if(frame, still).await;
                        payload.unwrap_or_else(|| Term::atom("normal"))
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a result has no external form");
                        Term::atom("system_limit")
                    }
                }
            } else {
                reason
            }
        }
        (Some("execute_cast"), Some([m, f, a])) => {
            apply(&shared, process, m, f, a).await.into_cast_reason()
        }
        (Some("execute_call"), Some([m, f, a])) => {
            apply(&shared, process, m, f, a).await.into_reason()
        }
        _ => {
            let (m, f) = (Term::Atom(module), Term::Atom(function));
            apply(&shared, process, &m, &f, &args).await.into_reason()
        }
    };
    Exit(reason)
}

/// `erlang:apply(Module, Function, Arguments)` with what is exported here.
pub(crate) async fn apply(
    shared: &Shared,
    process: Process,
    module: &Term,
    function: &Term,
    args: &Term,
) -> Ended {
    let (Term::Atom(m), Term::Atom(f), Term::List(list)) = (module, function, args) else {
        return Ended::Error(Term::atom("badarg"), in_apply(module, function, args));
    };
    if list.len() > MOST_ARGUMENTS {
        return Ended::SystemLimit(in_apply(module, function, args));
    }
    let at = |arity: Term| frame(module.clone(), function.clone(), arity);
    let arity = i64::try_from(list.len()).unwrap_or_default();
    let Some(run) = shared.exports.find(m, f, list.len()) else {
        return match builtin::call(shared, &process, (m, f), list) {
            Some(Ok(value)) => Ended::Returned(value),
            Some(Err(())) => Ended::Error(Term::atom("badarg"), at(args.clone())),
            None => Ended::Error(Term::atom("undef"), at(args.clone())),
        };
    };
    let list = list.clone();
    // Also a panic before the future is there is the function's own.
    let running = AssertUnwindSafe(async move { run(process, list).await });
    match running.catch_unwind().await {
        Ok(Ok(value)) => Ended::Returned(value),
        Ok(Err(Raise::Error(reason))) => Ended::Error(reason, at(arity.into())),
        Ok(Err(Raise::Exit(reason))) => Ended::Exit(reason),
        Ok(Err(Raise::Throw(value))) => Ended::Throw(value, at(arity.into())),
        Err(panic) => Ended::Error(panicked(&*panic), at(arity.into())),
    }
}

impl Ended {
    /// The exit reason that is a call's result (`erpc:execute_call/4`).
    fn into_call_reason(self, tag: &Term) -> Term {
        let tag = tag.clone();
        Term::Tuple(match self {
            Self::Returned(value) => vec![tag, Term::atom("return"), value],
            Self::Throw(value, _) => vec![tag, Term::atom("throw"), value],
            Self::Exit(reason) => vec![tag, Term::atom("exit"), reason],
            Self::Error(reason, stack) => vec![tag, Term::atom("error"), reason, stack],
            Self::SystemLimit(_) => {
                let erpc = vec![Term::atom("erpc"), Term::atom("system_limit")];
                vec![tag, Term::atom("error"), Term::Tuple(erpc)]
            }
        })
    }

    /// The reason with which a process ends that only runs this (`erl_process.c`).
    fn into_reason(self) -> Term {
        let pair = |a, b| Term::Tuple(vec![a, b]);
        match self {
            Self::Returned(_) => Term::atom("normal"),
            Self::Exit(reason) => reason,
            Self::Error(reason, stack) => pair(reason, stack),
            Self::Throw(value, stack) => pair(pair(Term::atom("nocatch"), value), stack),
            Self::SystemLimit(stack) => pair(Term::atom("system_limit"), stack),
        }
    }

    /// The same for a cast (`erpc:execute_cast/3`): nobody waits, so it is logged.
    pub(crate) fn into_cast_reason(self) -> Term {
        let reason = match self {
            Self::Error(reason, stack) => {
                let raised = Term::Tuple(vec![reason, stack]);
                Self::Error(Term::Tuple(vec![Term::atom("exception"), raised]), Term::NIL)
            }
            other => other,
        }
        .into_reason();
        if !reason.is_atom("normal") {
            tracing::warn!(%reason, "a function that was cast failed");
        }
        reason
    }
}

impl Relation {
    /// Reads spawn options; what concerns only a BEAM's memory and scheduling is read over. `None`
    /// for those that do not exist.
    fn parse(options: &Term) -> Option<Self> {
        let mut relation = Self::default();
        for option in options.as_list()? {
            match option {
                Term::Atom(option) if *option == "link" => relation.link = true,
                Term::Atom(option) if *option == "monitor" => relation.monitor = true,
                Term::Tuple(pair) => match pair.as_slice() {
                    [Term::Atom(name), value] => match name.as_str() {
                        "monitor" => {
                            value.as_list()?;
                            relation.monitor = true;
                        }
                        "priority" => one_of(value, &["low", "normal", "high", "max"])?,
                        "message_queue_data" => one_of(value, &["on_heap", "off_heap"])?,
                        "async_dist" => drop(value.as_bool()?),
                        "max_heap_size" => max_heap_size(value)?,
                        "fullsweep_after" | "min_heap_size" | "min_bin_vheap_size"
                        | "scheduler" => drop(value.as_u64()?),
                        _ => return None,
                    },
                    _ => return None,
                },
                _ => return None,
            }
        }
        Some(relation)
    }
}

/// An atom that is one of these.
fn one_of(value: &Term, known: &[&str]) -> Option<()> {
    known.contains(&value.as_atom()?.as_str()).then_some(())
}

/// A size in words, or `#{size => Size, kill => Bool, error_logger => Bool}` with any other keys.
fn max_heap_size(value: &Term) -> Option<()> {
    let Some(map) = value.as_map() else { return value.as_u64().map(drop) };
    map.get_atom("size")?.as_u64()?;
    for key in ["kill", "error_logger"] {
        if let Some(value) = map.get_atom(key) {
            value.as_bool()?;
        }
    }
    Some(())
}

fn module_and_function(spawn: &Term) -> Option<(Atom, Atom)> {
    match spawn.as_tuple()? {
        [Term::Atom(module), Term::Atom(function), Term::Int(0..)] => {
            Some((module.clone(), function.clone()))
        }
        _ => None,
    }
}

/// The stack of an `apply/3` that never came to the function.
fn in_apply(module: &Term, function: &Term, args: &Term) -> Term {
    let args = Term::List(vec![module.clone(), function.clone(), args.clone()]);
    frame(Term::atom("erlang"), Term::atom("apply"), args)
}

/// A stack of one frame.
fn frame(module: Term, function: Term, arity: Term) -> Term {
    Term::List(vec![Term::Tuple(vec![module, function, arity, Term::NIL])])
}
