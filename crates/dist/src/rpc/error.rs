//! How a remote call fails.

use etf::{Atom, AtomError, EncodeError, Reference, Term};

use crate::error::SendError;
use crate::node::Answer;
use crate::node::dispatch::REASON_TOO_LARGE;
use crate::process::Body;

/// Why a remote call has no result: the exceptions of `erpc:call/5`, by class.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// The function raised an exception of class `error`: what Elixir's `raise` makes.
    #[error("error {reason} at {stack}")]
    Error {
        /// What was raised: an atom, a tuple, or the map of an Elixir exception.
        reason: Term,
        /// Where, as Erlang's `[{Module, Function, ArityOrArguments, Location}]`.
        stack: Term,
    },
    /// The function called `exit/1`.
    #[error("exit {0}")]
    Exit(Term),
    /// The function threw and nobody caught it.
    #[error("throw {0}")]
    Throw(Term),
    /// The process that ran the function was ended from outside.
    #[error("ended by a signal: {0}")]
    Signal(Term),
    /// The function returned something else than was expected.
    #[cfg(feature = "serde")]
    #[error("the result is not what was expected: {0}")]
    Deserialize(#[from] etf::DeserializeError),
    /// The call itself failed; the function may have run all the same.
    #[error(transparent)]
    Erpc(#[from] ErpcError),
}

/// Why a remote call failed other than by its function: `{erpc, Reason}`.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ErpcError {
    /// The node could not be reached, or was lost while the function ran (`noconnection`).
    #[error("no connection{}", cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default())]
    NoConnection {
        /// What failed when it could not be reached.
        cause: Option<SendError>,
    },
    /// The node does not run functions for others (`notsup`).
    #[error("the node runs no functions for others")]
    NotSupported,
    /// There was no result in time (`timeout`).
    #[error("no result in time")]
    Timeout,
    /// The result is over our limits, so that it was not read (`NodeBuilder::limits`).
    #[error("the result is over our limits")]
    TooLarge,
    /// The call cannot be put into words that the node would understand (`badarg`).
    #[error("bad argument: {0}")]
    BadArgument(String),
    /// Another reason of the node's, for example `system_limit`.
    #[error("{0}")]
    Other(Term),
}

impl RpcError {
    /// Reads how the process ended that ran `erpc:execute_call/4` (`erpc.erl`, `call_result/4`).
    pub(super) fn result(answer: Answer, tag: &Reference) -> Result<Term, Self> {
        match answer {
            Answer::Down(reason) => Self::of_exit(reason, tag),
            Answer::NotSpawned(reason) => Err(ErpcError::from_reason(reason.into()).into()),
            // The process knows the request's reference, but says nothing to it.
            Answer::Reply(Body::Term(said)) => Err(Self::Signal(said)),
            Answer::Reply(Body::Encoded(..)) => Err(Self::Signal(Term::atom("undefined"))),
        }
    }

    fn of_exit(reason: Term, tag: &Reference) -> Result<Term, Self> {
        let fields = match reason {
            Term::Atom(reason) if reason == "noconnection" => {
                return Err(ErpcError::NoConnection { cause: None }.into());
            }
            Term::Atom(reason) if reason == REASON_TOO_LARGE => {
                return Err(ErpcError::TooLarge.into());
            }
            Term::Tuple(fields) => fields,
            reason => return Err(Self::Signal(reason)),
        };
        let ours = fields.first().and_then(Term::as_reference) == Some(tag);
        let word = fields.get(1).and_then(Term::as_atom).map(Atom::to_string).unwrap_or_default();
        match (ours, word.as_str(), fields.as_slice()) {
            (true, "return", [_, _, value]) => Ok(value.clone()),
            (true, "throw", [_, _, value]) => Err(Self::Throw(value.clone())),
            (true, "exit", [_, _, value]) => Err(Self::Exit(value.clone())),
            (true, "error", [_, _, reason, stack]) => {
                Err(Self::Error { reason: reason.clone(), stack: stack.clone() })
            }
            (true, "error", [_, _, Term::Tuple(error)]) => match error.as_slice() {
                [erpc, reason] if erpc.is_atom("erpc") => {
                    Err(ErpcError::from_reason(reason.clone()).into())
                }
                _ => Err(Self::Signal(Term::Tuple(fields))),
            },
            _ => Err(Self::Signal(Term::Tuple(fields))),
        }
    }
}

impl ErpcError {
    fn from_reason(reason: Term) -> Self {
        match reason.as_atom().map(Atom::as_str) {
            Some("noconnection") => Self::NoConnection { cause: None },
            Some("notsup") => Self::NotSupported,
            Some("timeout") => Self::Timeout,
            _ => Self::Other(reason),
        }
    }
}

impl From<SendError> for RpcError {
    fn from(error: SendError) -> Self {
        Self::Erpc(match error {
            SendError::Encode(error) => error.into(),
            cause => ErpcError::NoConnection { cause: Some(cause) },
        })
    }
}

impl From<EncodeError> for ErpcError {
    fn from(error: EncodeError) -> Self {
        Self::BadArgument(error.to_string())
    }
}

#[cfg(feature = "serde")]
impl From<etf::SerializeError> for RpcError {
    fn from(error: etf::SerializeError) -> Self {
        Self::Erpc(ErpcError::BadArgument(error.to_string()))
    }
}

impl From<AtomError> for ErpcError {
    fn from(error: AtomError) -> Self {
        Self::BadArgument(error.to_string())
    }
}

impl From<AtomError> for RpcError {
    fn from(error: AtomError) -> Self {
        Self::Erpc(error.into())
    }
}

#[cfg(test)]
mod tests {
    use etf::term;

    use super::*;

    fn tag() -> Reference {
        Reference::new(Atom::from_static("rust@h"), 4, &[1, 2, 3]).unwrap()
    }

    fn read(reason: Term) -> Result<Term, RpcError> {
        RpcError::result(Answer::Down(reason), &tag())
    }

    #[test]
    fn the_exit_reason_is_the_result() {
        let tag = tag();
        assert_eq!(read(term!({(&tag), return, 6})).unwrap(), Term::Int(6));
        let thrown = read(term!({(&tag), throw, x}));
        assert!(matches!(thrown, Err(RpcError::Throw(x)) if x.is_atom("x")));
        let exited = read(term!({(&tag), exit, x}));
        assert!(matches!(exited, Err(RpcError::Exit(x)) if x.is_atom("x")));
        let raised = read(term!({(&tag), error, badarith, []}));
        assert!(
            matches!(raised, Err(RpcError::Error { reason, stack }) if reason.is_atom("badarith") && stack == Term::NIL)
        );
        let limit = read(term!({(&tag), error, {erpc, system_limit}}));
        assert!(
            matches!(limit, Err(RpcError::Erpc(ErpcError::Other(x))) if x.is_atom("system_limit"))
        );
        let lost = read(term!(noconnection));
        assert!(matches!(lost, Err(RpcError::Erpc(ErpcError::NoConnection { cause: None }))));
        let refused = RpcError::result(Answer::NotSpawned(Atom::from_static("notsup")), &tag);
        assert!(matches!(refused, Err(RpcError::Erpc(ErpcError::NotSupported))));
    }

    #[test]
    fn what_is_no_result_is_a_signal() {
        let tag = tag();
        let other = Reference::new(Atom::from_static("rust@h"), 4, &[9]).unwrap();
        for reason in [
            term!(killed),
            term!({(&other), return, 6}),
            term!({(&tag), return}),
            term!({(&tag), error, {other, 1}}),
            term!({}),
            term!([1 | 2]),
        ] {
            assert!(matches!(read(reason.clone()), Err(RpcError::Signal(said)) if said == reason));
        }
    }
}
