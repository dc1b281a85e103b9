//! `net_kernel`: answers `net_adm:ping/1`.

use etf::Term;

use super::gen_call::GenCall;
use super::{Reply, atom};

/// Takes a message. A ping is `{is_auth, Node}`, and any answer but `yes` makes OTP disconnect
/// (`net_adm.erl`); it has no time-out, so there is an answer to every call.
pub(super) fn take(message: Term) -> Option<Reply> {
    let GenCall { from, request } = GenCall::parse(message).ok()?;
    Some(from.reply(match request.as_tuple() {
        Some([Term::Atom(request), _]) if *request == "is_auth" => atom("yes"),
        _ => Term::Tuple(vec![atom("error"), atom("notsup")]),
    }))
}
