//! The messages of `gen` behaviours (`gen.erl`, `gen_server.erl`, `sys.erl`), read and written here
//! and nowhere else.

use std::mem;

use etf::{Atom, Pid, Reference, Term};

use crate::service::Reply;

const CALL: &str = "$gen_call";
const CAST: &str = "$gen_cast";
const SYSTEM: &str = "system";

/// A message to a server.
#[derive(Debug, PartialEq)]
pub(crate) enum Incoming {
    /// `{'$gen_call', {Pid, Tag}, Request}`
    Call(GenFrom, Term),
    /// `{'$gen_cast', Request}`
    Cast(Term),
    /// `{system, {Pid, Tag}, Request}`: a question of `sys`.
    System(GenFrom, Term),
    /// Anything else, calls without anybody to reply to included.
    Info(Term),
}

/// A call that waits for its reply.
#[derive(Debug)]
pub(crate) struct GenCall {
    pub(crate) from: GenFrom,
    pub(crate) request: Term,
}

/// Whom to reply to. The tag is opaque: it has been a reference, `[alias|Ref]`, `{Ref,Node}` and
/// more, and goes back as it came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GenFrom {
    pub(crate) pid: Pid,
    pub(crate) tag: Term,
}

impl Incoming {
    /// Sorts a message.
    pub(crate) fn parse(message: Term) -> Self {
        let Term::Tuple(mut fields) = message else { return Self::Info(message) };
        match fields.as_mut_slice() {
            [Term::Atom(kind), from, request] if *kind == CALL => {
                if let Some(from) = GenFrom::parse(from) {
                    return Self::Call(from, take(request));
                }
            }
            [Term::Atom(kind), from, request] if *kind == SYSTEM => {
                if let Some(from) = GenFrom::parse(from) {
                    return Self::System(from, take(request));
                }
            }
            [Term::Atom(kind), request] if *kind == CAST => return Self::Cast(take(request)),
            _ => {}
        }
        Self::Info(Term::Tuple(fields))
    }

    /// Whether a message is a question of `sys`.
    pub(crate) fn is_system(message: &Term) -> bool {
        let Some([Term::Atom(kind), from, _]) = message.as_tuple() else { return false };
        *kind == SYSTEM && matches!(from.as_tuple(), Some([Term::Pid(_), _]))
    }
}

/// Who asks, in a call or a question of `sys`; gives the message back when it is neither.
pub(crate) fn question(message: Term) -> Result<GenFrom, Term> {
    match message.as_tuple() {
        Some([Term::Atom(kind), _, _]) if *kind == CALL || *kind == SYSTEM => {
            match Incoming::parse(message) {
                Incoming::Call(from, _) | Incoming::System(from, _) => Ok(from),
                Incoming::Cast(message) | Incoming::Info(message) => Err(message),
            }
        }
        _ => Err(message),
    }
}

impl GenCall {
    /// Reads a call; gives the message back when it is none.
    pub(crate) fn parse(message: Term) -> Result<Self, Term> {
        match message.as_tuple() {
            Some([Term::Atom(kind), _, _]) if *kind == CALL => match Incoming::parse(message) {
                Incoming::Call(from, request) => Ok(Self { from, request }),
                Incoming::Info(message) | Incoming::Cast(message) => Err(message),
                Incoming::System(_, request) => Err(request),
            },
            _ => Err(message),
        }
    }
}

impl GenFrom {
    fn parse(from: &mut Term) -> Option<Self> {
        let Term::Tuple(fields) = from else { return None };
        match fields.as_mut_slice() {
            [Term::Pid(pid), tag] => Some(Self { pid: pid.clone(), tag: take(tag) }),
            _ => None,
        }
    }

    /// The alias that the caller waits at, if it has one: then a reply that comes too late reaches
    /// nobody (`gen.erl`, `reply/2`).
    pub(crate) fn alias(&self) -> Option<&Reference> {
        alias(&self.tag).or_else(|| match &self.tag {
            Term::ImproperList(tag) => alias(tag.items().first()?),
            Term::List(tag) => alias(tag.first()?),
            _ => None,
        })
    }

    /// The reply, `{Tag, Reply}` to the caller's pid: accepted from OTP 23 to 29, also when the tag
    /// names an alias.
    pub(crate) fn reply(self, reply: Term) -> Reply {
        Reply { to: self.pid, message: Term::Tuple(vec![self.tag, reply]) }
    }

    /// `{Pid, Tag}`
    pub(crate) fn to_term(&self) -> Term {
        Term::Tuple(vec![Term::Pid(self.pid.clone()), self.tag.clone()])
    }
}

/// `Ref` of `[alias|Ref]`.
fn alias(tag: &Term) -> Option<&Reference> {
    let Term::ImproperList(tag) = tag else { return None };
    match (tag.items(), tag.tail()) {
        ([Term::Atom(alias)], Term::Reference(reference)) if *alias == "alias" => Some(reference),
        _ => None,
    }
}

/// `{'$gen_call', {Pid, Tag}, Request}`
pub(crate) fn call(pid: Pid, tag: Term, request: Term) -> Term {
    addressed(CALL, pid, tag, request)
}

/// `{system, {Pid, Tag}, Request}`
pub(crate) fn system(pid: Pid, tag: Term, request: Term) -> Term {
    addressed(SYSTEM, pid, tag, request)
}

/// `{'$gen_cast', Request}`
pub(crate) fn cast(request: Term) -> Term {
    Term::Tuple(vec![Term::Atom(Atom::from_static(CAST)), request])
}

fn addressed(kind: &'static str, pid: Pid, tag: Term, request: Term) -> Term {
    let from = Term::Tuple(vec![Term::Pid(pid), tag]);
    Term::Tuple(vec![Term::Atom(Atom::from_static(kind)), from, request])
}

fn take(term: &mut Term) -> Term {
    mem::replace(term, Term::NIL)
}

#[cfg(test)]
mod tests {
    use etf::term;

    use super::*;

    fn pid() -> Pid {
        Pid { node: Atom::from_static("n@h"), id: 1, serial: 0, creation: 4 }
    }

    fn reference() -> Reference {
        Reference::new(Atom::from_static("n@h"), 4, &[1, 2, 3]).unwrap()
    }

    #[test]
    fn messages_are_sorted() {
        let from = GenFrom { pid: pid(), tag: term!({tag, 1}) };
        let call = call(pid(), term!({tag, 1}), term!(score));
        assert_eq!(Incoming::parse(call), Incoming::Call(from.clone(), term!(score)));
        let system = system(pid(), term!({tag, 1}), term!(suspend));
        assert!(Incoming::is_system(&system));
        assert_eq!(Incoming::parse(system), Incoming::System(from, term!(suspend)));
        assert_eq!(Incoming::parse(cast(term!(tick))), Incoming::Cast(term!(tick)));
    }

    #[test]
    fn what_nobody_waits_for_is_no_call_and_stays_whole() {
        let name = || Term::atom("$gen_call");
        for odd in [
            term!(call),
            term!({}),
            term!({(name()), 1, 2}),
            term!({(name()), {}, 2}),
            term!({(name()), {(pid())}, 2}),
            term!({(name()), {(pid()), 1, 2}, 2}),
            term!({(name()), {(pid()), 1}, 2, 3}),
            term!({system, {tag, (pid())}, suspend}),
        ] {
            assert_eq!(Incoming::parse(odd.clone()), Incoming::Info(odd.clone()));
            assert_eq!(GenCall::parse(odd.clone()).unwrap_err(), odd);
            assert!(!Incoming::is_system(&odd));
        }
    }

    #[test]
    fn an_alias_is_found_in_the_tags_that_have_one() {
        let alias = || Term::list_with_tail(vec![Term::atom("alias")], reference().into());
        for tag in [
            alias(),
            Term::list_with_tail(vec![alias()], reference().into()),
            Term::List(vec![alias(), term!(1)]),
        ] {
            assert_eq!(GenFrom { pid: pid(), tag }.alias(), Some(&reference()));
        }
        let other = Term::list_with_tail(vec![Term::atom("other")], reference().into());
        for tag in [reference().into(), term!({(reference()), node}), term!([alias, 1]), other] {
            assert_eq!(GenFrom { pid: pid(), tag }.alias(), None);
        }
    }
}
