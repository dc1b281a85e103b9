//! Comparing the other side's names with ours, and settling conflicts.

use std::vec::IntoIter;

use etf::{Atom, Export, Pid, Term};

use super::machine::{Effect, Inner, Machine};
use super::message::{Named, Op};

/// What compares names, for one session.
#[derive(Debug)]
pub(super) struct Resolver {
    rest: IntoIter<Named>,
    ops: Vec<Op>,
    resolved: Vec<Op>,
    asked: Option<Conflict>,
}

/// A name that both sides have given away.
#[derive(Debug)]
struct Conflict {
    ticket: u64,
    theirs: Named,
    ours: Named,
}

/// The ways to settle a conflict that `global` itself has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConflictMethod {
    /// One process is killed; the other keeps the name (`random_exit_name/3`).
    #[default]
    RandomExit,
    /// One process gets `{global_name_conflict, Name}`; the other keeps the name
    /// (`random_notify_name/3`).
    RandomNotify,
    /// Both lose the name and get `{global_name_conflict, Name, OtherPid}` (`notify_all_name/3`).
    NotifyAll,
}

/// What a method does.
#[derive(Debug, PartialEq)]
pub(crate) struct Verdict {
    /// What the function returns: a pid, or `none`.
    pub(crate) result: Term,
    pub(crate) effects: Vec<Effect>,
}

impl ConflictMethod {
    const ALL: [Self; 3] = [Self::RandomExit, Self::RandomNotify, Self::NotifyAll];

    fn function(self) -> &'static str {
        match self {
            Self::RandomExit => "random_exit_name",
            Self::RandomNotify => "random_notify_name",
            Self::NotifyAll => "notify_all_name",
        }
    }

    /// The function as it is passed on: `fun global:random_exit_name/3`.
    pub(crate) fn to_term(self) -> Term {
        let (module, function) = (Atom::from_static("global"), Atom::from_static(self.function()));
        Term::Export(Export::new(&module, &function, 3))
    }

    /// The method that a term is. `None` for functions that only a BEAM can run.
    pub(crate) fn of_term(term: &Term) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.to_term() == *term)
    }

    /// Settles a conflict, as OTP's functions do: the process of the lesser node wins.
    pub(crate) fn settle(self, name: &Term, one: &Pid, other: &Pid) -> Verdict {
        let (least, greatest) = if one.node < other.node { (one, other) } else { (other, one) };
        let conflict = |to: &Pid, also: Option<&Pid>| {
            let mut message = vec![Term::atom("global_name_conflict"), name.clone()];
            message.extend(also.cloned().map(Term::Pid));
            Effect::SendPid { pid: to.clone(), message: Term::Tuple(message) }
        };
        let winner = Term::Pid(least.clone());
        match self {
            Self::RandomExit => {
                tracing::info!(%name, pid = %greatest, "a conflict of names ends a process");
                Verdict { result: winner, effects: vec![Effect::Kill { pid: greatest.clone() }] }
            }
            Self::RandomNotify => {
                Verdict { result: winner, effects: vec![conflict(greatest, None)] }
            }
            Self::NotifyAll => {
                let effects = vec![conflict(one, Some(other)), conflict(other, Some(one))];
                Verdict { result: Term::atom("none"), effects }
            }
        }
    }
}

impl Machine {
    /// Compares the other side's names with ours (`exchange_names/4`).
    pub(super) fn compare(&mut self, node: &Atom, names: Vec<Named>) {
        let Some(session) = self.peers.get_mut(node).and_then(|peer| peer.session.as_mut()) else {
            return;
        };
        let tag = session.mine;
        let resolver = Resolver {
            rest: names.into_iter(),
            ops: Vec::new(),
            resolved: Vec::new(),
            asked: None,
        };
        self.go_on(node, tag, resolver);
    }

    fn go_on(&mut self, node: &Atom, tag: i64, mut resolver: Resolver) {
        while let Some(theirs) = resolver.rest.next() {
            let Some(ours) = self.names.get(&theirs.name) else {
                resolver.ops.push(Op::Insert(theirs));
                continue;
            };
            // The lesser node settles conflicts, so that all are settled in one partition.
            if ours.pid == theirs.pid || self.own() > node {
                continue;
            }
            let name = theirs.name.clone();
            let ours = Named { name, pid: ours.pid.clone(), method: ours.method.clone() };
            if ours.pid.node != *self.own() {
                self.last_ticket += 1;
                let ticket = self.last_ticket;
                self.effects.push(Effect::Resolve {
                    ticket,
                    node: ours.pid.node.clone(),
                    arguments: vec![
                        ours.method.clone(),
                        theirs.name.clone(),
                        Term::Pid(theirs.pid.clone()),
                        Term::Pid(ours.pid.clone()),
                    ],
                });
                resolver.asked = Some(Conflict { ticket, theirs, ours });
                if let Some(session) = self.session_of(node, tag) {
                    session.resolver = Some(resolver);
                }
                return;
            }
            let result = match ConflictMethod::of_term(&ours.method) {
                Some(method) => {
                    let verdict = method.settle(&theirs.name, &theirs.pid, &ours.pid);
                    self.effects.extend(verdict.effects);
                    Some(verdict.result)
                }
                // As on a node that does not have the module.
                None => Some(Term::atom("undef")),
            };
            resolver.settled(theirs, ours, result);
        }
        let Resolver { ops, resolved, .. } = resolver;
        self.inner.push_back(Inner::Compared { node: node.clone(), tag, ops, resolved });
    }

    /// A node has settled a conflict for us, or could not be asked.
    pub(super) fn settled(&mut self, ticket: u64, result: Option<Term>) {
        let waits = |resolver: &Resolver| {
            resolver.asked.as_ref().is_some_and(|conflict| conflict.ticket == ticket)
        };
        let found = self.peers.iter_mut().find_map(|(node, peer)| {
            let session = peer.session.as_mut()?;
            let resolver = session.resolver.take_if(|resolver| waits(resolver))?;
            Some((node.clone(), session.mine, resolver))
        });
        let Some((node, tag, mut resolver)) = found else { return };
        if let Some(Conflict { theirs, ours, .. }) = resolver.asked.take() {
            resolver.settled(theirs, ours, result);
        }
        self.go_on(&node, tag, resolver);
    }
}

impl Resolver {
    /// Notes what the method returned. A call that failed leaves the name to the other side.
    fn settled(&mut self, theirs: Named, ours: Named, result: Option<Term>) {
        match result {
            None => self.ops.push(Op::Insert(theirs)),
            Some(Term::Pid(pid)) if pid == theirs.pid => self.ops.push(Op::Insert(theirs)),
            Some(Term::Pid(pid)) if pid == ours.pid => self.resolved.push(Op::Insert(ours)),
            Some(_) => {
                self.ops.push(Op::Delete(theirs.name.clone()));
                self.resolved.push(Op::Delete(theirs.name));
            }
        }
    }
}
