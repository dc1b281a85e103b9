//! Functions that every node answers: they reveal nothing, and OTP's own calls use them.

use etf::{Atom, Term};

use crate::node::{Shared, Visibility};
use crate::process::Process;
use crate::service::global_function;

/// The release whose behaviour this node shows.
const OTP_RELEASE: &str = "25";

/// The result of a function that is always answered: `None` when it is not one of them, an error
/// when the arguments are not what they must be (`badarg`).
pub(super) fn call(
    shared: &Shared,
    process: &Process,
    (module, function): (&Atom, &Atom),
    args: &[Term],
) -> Option<Result<Term, ()>> {
    match module.as_str() {
        "erlang" => {}
        "global" => return global_function(shared, function.as_str(), args),
        _ => return None,
    }
    Some(match (function.as_str(), args) {
        ("node", []) => Ok(shared.node_term()),
        ("self", []) => Ok(Term::Pid(process.pid().clone())),
        ("is_alive", []) => Ok(true.into()),
        ("nodes", []) => Ok(nodes(shared, |visibility| visibility == Visibility::Visible)),
        ("nodes", [which]) => nodes_of(shared, which).ok_or(()),
        ("registered", []) => Ok(shared.processes.names().into_iter().map(Term::Atom).collect()),
        ("whereis", [Term::Atom(name)]) => Ok(match shared.processes.by_name(name) {
            Some(process) => Term::Pid(shared.processes.ids.pid(process.id)),
            None => Term::atom("undefined"),
        }),
        ("is_process_alive", [Term::Pid(pid)]) if shared.processes.ids.names_us(pid) => {
            Ok((*pid == shared.self_pid || shared.processes.by_pid(pid).is_some()).into())
        }
        ("system_info", [what]) if what.is_atom("otp_release") => {
            Ok(OTP_RELEASE.bytes().map(Term::from).collect())
        }
        ("whereis" | "is_process_alive" | "system_info", [_]) => Err(()),
        _ => return None,
    })
}

/// `erlang:nodes/1`, of an atom or a list of atoms.
fn nodes_of(shared: &Shared, which: &Term) -> Option<Term> {
    let kinds = match which {
        Term::Atom(_) => std::slice::from_ref(which),
        Term::List(kinds) => kinds,
        _ => return None,
    };
    let kinds: Option<Vec<&str>> =
        kinds.iter().map(|kind| Some(kind.as_atom()?.as_str())).collect();
    let kinds = kinds?;
    let known =
        |kind: &&str| matches!(*kind, "this" | "visible" | "hidden" | "connected" | "known");
    if !kinds.iter().all(known) {
        return None;
    }
    let has = |kind: &str| kinds.contains(&kind);
    let all = has("connected") || has("known");
    let connected = nodes(shared, |visibility| {
        all || match visibility {
            Visibility::Visible => has("visible"),
            Visibility::Hidden => has("hidden"),
        }
    });
    let mut nodes = connected.into_list().ok()?;
    if has("this") || has("known") {
        nodes.insert(0, shared.node_term());
    }
    Some(Term::List(nodes))
}

fn nodes(shared: &Shared, wanted: impl Fn(Visibility) -> bool) -> Term {
    let links = shared.links.links();
    let wanted = links.iter().filter(|link| wanted(link.peer.visibility));
    wanted.map(|link| Term::Atom((&link.peer.name).into())).collect()
}
