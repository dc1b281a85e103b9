//! The form of a call (`gen.erl`): `{'$gen_call', {Pid, Tag}, Request}`.

use etf::{Pid, Term};

use super::Reply;

/// A call that waits for its reply.
#[derive(Debug)]
pub(super) struct GenCall {
    pub(super) from: From,
    pub(super) request: Term,
}

/// Whom to reply to. The tag is opaque: it has been a reference, `[alias|Ref]` and more, and goes
/// back as it came.
#[derive(Debug)]
pub(super) struct From {
    pid: Pid,
    tag: Term,
}

impl GenCall {
    /// Reads a call; gives the message back when it is none.
    pub(super) fn parse(message: Term) -> Result<Self, Term> {
        let Term::Tuple(fields) = message else { return Err(message) };
        match <[Term; 3]>::try_from(fields) {
            Ok([Term::Atom(call), Term::Tuple(from), request]) if call == "$gen_call" => {
                match <[Term; 2]>::try_from(from) {
                    Ok([Term::Pid(pid), tag]) => Ok(Self { from: From { pid, tag }, request }),
                    Ok(from) => Err(Self::put_back(call.into(), from.into(), request)),
                    Err(from) => Err(Self::put_back(call.into(), from, request)),
                }
            }
            Ok(fields) => Err(Term::Tuple(fields.into())),
            Err(fields) => Err(Term::Tuple(fields)),
        }
    }

    fn put_back(call: Term, from: Vec<Term>, request: Term) -> Term {
        Term::Tuple(vec![call, Term::Tuple(from), request])
    }
}

impl From {
    /// The reply, `{Tag, Reply}` to the caller's pid: accepted from OTP 23 to 29, also when the tag
    /// names an alias.
    pub(super) fn reply(self, reply: Term) -> Reply {
        Reply { to: self.pid, message: Term::Tuple(vec![self.tag, reply]) }
    }
}
