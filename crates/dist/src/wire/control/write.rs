//! Writing control tuples, in the form that the peer takes.

use etf::{Atom, Pid, Reference, ShortEncoder, Term};

use super::{Control, PidOrName, altact, op};
use crate::flags::Flags;

impl Control {
    /// The tuple for a peer with these negotiated flags, and the payload that belongs behind it:
    /// a reason stands in the tuple when the peer has no `EXIT_PAYLOAD`.
    pub(crate) fn exit_to(from: Pid, to: Pid, reason: Term, peer: Flags) -> (Term, Option<Term>) {
        let head = [Term::Pid(from), Term::Pid(to)];
        with_reason(op::EXIT, op::PAYLOAD_EXIT, head, reason, peer)
    }

    /// `MONITOR_P_EXIT`, as [`Control::exit_to`].
    pub(crate) fn monitor_exit_to(
        from: PidOrName,
        to: Pid,
        reference: Reference,
        reason: Term,
        peer: Flags,
    ) -> (Term, Option<Term>) {
        let head = [from.into(), Term::Pid(to), Term::Reference(reference)];
        with_reason(op::MONITOR_P_EXIT, op::PAYLOAD_MONITOR_P_EXIT, head, reason, peer)
    }

    /// `EXIT2`, as [`Control::exit_to`].
    pub(crate) fn exit2_to(from: Pid, to: Pid, reason: Term, peer: Flags) -> (Term, Option<Term>) {
        let head = [Term::Pid(from), Term::Pid(to)];
        with_reason(op::EXIT2, op::PAYLOAD_EXIT2, head, reason, peer)
    }

    /// `LINK`.
    pub(crate) fn link(from: Pid, to: Pid) -> Term {
        tuple([int(op::LINK), Term::Pid(from), Term::Pid(to)])
    }

    /// `UNLINK`, for a peer without `UNLINK_ID`.
    pub(crate) fn unlink(from: Pid, to: Pid) -> Term {
        tuple([int(op::UNLINK), Term::Pid(from), Term::Pid(to)])
    }

    /// `UNLINK_ID`; only to a peer that negotiated it, and never with an id of 0.
    pub(crate) fn unlink_id(id: u64, from: Pid, to: Pid) -> Term {
        tuple([int(op::UNLINK_ID), Term::from(id), Term::Pid(from), Term::Pid(to)])
    }

    /// `DEMONITOR_P`.
    pub(crate) fn demonitor(from: Pid, to: PidOrName, reference: Reference) -> Term {
        tuple([int(op::DEMONITOR_P), Term::Pid(from), to.into(), Term::Reference(reference)])
    }

    /// `ALIAS_SEND`, or `ALTACT_SIG` to a peer that takes it; only to a peer that knows aliases.
    /// The payload behind it is the message.
    pub(crate) fn alias_send(from: Pid, alias: Reference, peer: Flags) -> Term {
        let (from, alias) = (Term::Pid(from), Term::Reference(alias));
        if peer.contains(Flags::ALTACT_SIG) {
            tuple([int(op::ALTACT_SIG), int(altact::ALIAS), from, alias])
        } else {
            tuple([int(op::ALIAS_SEND), from, alias])
        }
    }

    /// `SPAWN_REQUEST`. The payload behind it is the argument list.
    pub(crate) fn spawn_request(
        request: Reference,
        from: Pid,
        leader: Pid,
        (module, function, arity): (Atom, Atom, usize),
        options: Vec<Term>,
    ) -> Term {
        let arity = Term::Int(i64::try_from(arity).unwrap_or(i64::MAX));
        tuple([
            int(op::SPAWN_REQUEST),
            Term::Reference(request),
            Term::Pid(from),
            Term::Pid(leader),
            tuple([Term::Atom(module), Term::Atom(function), arity]),
            Term::List(options),
        ])
    }

    /// `SPAWN_REPLY` with the pid of the process, and which relations it has with the asker.
    pub(crate) fn spawned(
        request: Reference,
        to: Pid,
        pid: Pid,
        link: bool,
        monitor: bool,
    ) -> Term {
        let flags = Term::Int(i64::from(link) | i64::from(monitor) << 1);
        tuple([
            int(op::SPAWN_REPLY),
            Term::Reference(request),
            Term::Pid(to),
            flags,
            Term::Pid(pid),
        ])
    }

    /// `UNLINK_ID_ACK`; only to a peer that negotiated `UNLINK_ID`.
    pub(crate) fn unlink_id_ack(id: u64, from: Pid, to: Pid) -> Term {
        tuple([int(op::UNLINK_ID_ACK), Term::from(id), Term::Pid(from), Term::Pid(to)])
    }

    /// `MONITOR_P`.
    pub(crate) fn monitor(from: Pid, to: PidOrName, reference: Reference) -> Term {
        tuple([int(op::MONITOR_P), Term::Pid(from), to.into(), Term::Reference(reference)])
    }

    /// `REG_SEND`: the payload behind it is the message.
    pub(crate) fn reg_send(from: Pid, to: Atom) -> Term {
        tuple([int(op::REG_SEND), Term::Pid(from), empty_cookie(), Term::Atom(to)])
    }

    /// `SEND_SENDER`, or `SEND` to a peer without that flag. The payload behind it is the message.
    pub(crate) fn send(from: Pid, to: Pid, peer: Flags) -> Term {
        if peer.contains(Flags::SEND_SENDER) {
            tuple([int(op::SEND_SENDER), Term::Pid(from), Term::Pid(to)])
        } else {
            tuple([int(op::SEND), empty_cookie(), Term::Pid(to)])
        }
    }

    /// As [`Control::reg_send`], where the message is short.
    pub(crate) fn write_reg_send<'t>(
        from: &'t Pid,
        to: &'t Atom,
        encoder: &mut ShortEncoder<'t>,
    ) -> Option<()> {
        head(4, op::REG_SEND, encoder)?;
        encoder.pid(from)?;
        encoder.atom(&EMPTY_COOKIE)?;
        encoder.atom(to)
    }

    /// As [`Control::send`], where the message is short.
    pub(crate) fn write_send<'t>(
        from: &'t Pid,
        to: &'t Pid,
        peer: Flags,
        encoder: &mut ShortEncoder<'t>,
    ) -> Option<()> {
        if peer.contains(Flags::SEND_SENDER) {
            head(3, op::SEND_SENDER, encoder)?;
            encoder.pid(from)?;
        } else {
            head(3, op::SEND, encoder)?;
            encoder.atom(&EMPTY_COOKIE)?;
        }
        encoder.pid(to)
    }

    /// `SPAWN_REPLY` without a process: `error` says why.
    pub(crate) fn spawn_refused(request: Reference, to: Pid, error: Atom) -> Term {
        let flags = Term::Int(0);
        tuple([
            int(op::SPAWN_REPLY),
            Term::Reference(request),
            Term::Pid(to),
            flags,
            Term::Atom(error),
        ])
    }
}

fn with_reason<const N: usize>(
    inline: i64,
    payload: i64,
    head: [Term; N],
    reason: Term,
    peer: Flags,
) -> (Term, Option<Term>) {
    let behind = peer.contains(Flags::EXIT_PAYLOAD);
    let mut fields = vec![int(if behind { payload } else { inline })];
    fields.extend(head);
    if behind {
        return (Term::Tuple(fields), Some(reason));
    }
    fields.push(reason);
    (Term::Tuple(fields), None)
}

fn tuple<const N: usize>(fields: [Term; N]) -> Term {
    Term::Tuple(fields.into())
}

fn int(op: i64) -> Term {
    Term::Int(op)
}

/// The start of a tuple.
fn head(arity: u8, op: i64, encoder: &mut ShortEncoder<'_>) -> Option<()> {
    const SMALL_TUPLE: u8 = 104;
    const SMALL_INTEGER: u8 = 97;
    encoder.bytes([SMALL_TUPLE, arity, SMALL_INTEGER, u8::try_from(op).ok()?])
}

/// The field that held a cookie until R6.
static EMPTY_COOKIE: Atom = Atom::from_static("");

fn empty_cookie() -> Term {
    Term::Atom(EMPTY_COOKIE.clone())
}
