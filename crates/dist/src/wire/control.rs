//! Control messages: the tuple at the head of every frame (`erl_dist_protocol`, "Protocol between
//! Connected Nodes"; `dist.hrl` and the `DOP_*` of OTP's `dist.h`).

use etf::{Atom, Pid, Reference, Term};

use crate::flags::Flags;

/// The operations, as OTP numbers them.
mod op {
    pub(super) const LINK: i64 = 1;
    pub(super) const SEND: i64 = 2;
    pub(super) const EXIT: i64 = 3;
    pub(super) const UNLINK: i64 = 4;
    pub(super) const REG_SEND: i64 = 6;
    pub(super) const GROUP_LEADER: i64 = 7;
    pub(super) const EXIT2: i64 = 8;
    pub(super) const SEND_TT: i64 = 12;
    pub(super) const EXIT_TT: i64 = 13;
    pub(super) const REG_SEND_TT: i64 = 16;
    pub(super) const EXIT2_TT: i64 = 18;
    pub(super) const MONITOR_P: i64 = 19;
    pub(super) const DEMONITOR_P: i64 = 20;
    pub(super) const MONITOR_P_EXIT: i64 = 21;
    pub(super) const SEND_SENDER: i64 = 22;
    pub(super) const SEND_SENDER_TT: i64 = 23;
    pub(super) const PAYLOAD_EXIT: i64 = 24;
    pub(super) const PAYLOAD_EXIT_TT: i64 = 25;
    pub(super) const PAYLOAD_EXIT2: i64 = 26;
    pub(super) const PAYLOAD_EXIT2_TT: i64 = 27;
    pub(super) const PAYLOAD_MONITOR_P_EXIT: i64 = 28;
    pub(super) const SPAWN_REQUEST: i64 = 29;
    pub(super) const SPAWN_REQUEST_TT: i64 = 30;
    pub(super) const SPAWN_REPLY: i64 = 31;
    pub(super) const SPAWN_REPLY_TT: i64 = 32;
    pub(super) const ALIAS_SEND: i64 = 33;
    pub(super) const ALIAS_SEND_TT: i64 = 34;
    pub(super) const UNLINK_ID: i64 = 35;
    pub(super) const UNLINK_ID_ACK: i64 = 36;
    pub(super) const ALTACT_SIG: i64 = 37;
}

/// The flags of [`op::ALTACT_SIG`] that change what it means.
mod altact {
    pub(super) const TOKEN: i64 = 2;
    pub(super) const ALIAS: i64 = 4;
    pub(super) const NAME: i64 = 8;
    pub(super) const EXIT: i64 = 16;
}

/// A process named by its pid or by its registered name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PidOrName {
    /// A pid.
    Pid(Pid),
    /// A registered name.
    Name(Atom),
}

impl From<PidOrName> for Term {
    fn from(value: PidOrName) -> Self {
        match value {
            PidOrName::Pid(pid) => Self::Pid(pid),
            PidOrName::Name(name) => Self::Atom(name),
        }
    }
}

/// Where the reason of an exit stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reason {
    /// In the control tuple, as peers without `EXIT_PAYLOAD` send it.
    Inline(Term),
    /// In the payload behind it.
    Payload,
}

/// One control message. Trace tokens are read over: the operations that carry one mean the same.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Control {
    Link {
        from: Pid,
        to: Pid,
    },
    Unlink {
        from: Pid,
        to: Pid,
    },
    UnlinkId {
        id: u64,
        from: Pid,
        to: Pid,
    },
    UnlinkIdAck {
        id: u64,
        from: Pid,
        to: Pid,
    },
    /// The payload is the message. `from` is there only with `SEND_SENDER`.
    Send {
        from: Option<Pid>,
        to: Pid,
    },
    /// The payload is the message.
    RegSend {
        from: Pid,
        to: Atom,
    },
    /// The payload is the message.
    AliasSend {
        from: Pid,
        alias: Reference,
    },
    /// A linked process ended.
    Exit {
        from: Pid,
        to: Pid,
        reason: Reason,
    },
    /// `exit/2`; by name only from OTP 28 on.
    Exit2 {
        from: Pid,
        to: PidOrName,
        reason: Reason,
    },
    GroupLeader {
        leader: Pid,
        to: Pid,
    },
    Monitor {
        from: Pid,
        to: PidOrName,
        reference: Reference,
    },
    Demonitor {
        from: Pid,
        to: PidOrName,
        reference: Reference,
    },
    MonitorExit {
        from: PidOrName,
        to: Pid,
        reference: Reference,
        reason: Reason,
    },
    /// The payload is the argument list. `spawn` is `{M, F, Arity}`.
    SpawnRequest {
        request: Reference,
        from: Pid,
        leader: Pid,
        spawn: Term,
        options: Term,
    },
    /// `result` is the new pid, or an atom that says why there is none.
    SpawnReply {
        request: Reference,
        to: Pid,
        flags: i64,
        result: Term,
    },
}

/// Why a control tuple was not taken.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum ControlError {
    /// A number that we do not know: skipped, since an unknown operation must not cost the link.
    #[error("unknown control operation {0}")]
    Unknown(i64),
    /// A tuple that no node sends: the link is closed.
    #[error("malformed control message {0}")]
    Malformed(Term),
}

impl Control {
    /// Reads a control tuple.
    ///
    /// # Errors
    /// [`ControlError`] when the operation is not known or its fields are not what they must be.
    pub(crate) fn parse(term: Term) -> Result<Self, ControlError> {
        let Term::Tuple(fields) = &term else {
            return Err(ControlError::Malformed(term));
        };
        let Some(Term::Int(op)) = fields.first() else {
            return Err(ControlError::Malformed(term));
        };
        match Self::parse_op(*op, fields) {
            Parsed::Control(control) => Ok(control),
            Parsed::Unknown => Err(ControlError::Unknown(*op)),
            Parsed::Malformed => Err(ControlError::Malformed(term)),
        }
    }

    fn parse_op(op: i64, fields: &[Term]) -> Parsed {
        let parsed = match (op, fields) {
            (op::LINK, [_, from, to]) => link(from, to),
            (op::UNLINK, [_, from, to]) => unlink(from, to),
            (op::UNLINK_ID, [_, id, from, to]) => unlink_id(id, from, to),
            (op::UNLINK_ID_ACK, [_, id, from, to]) => unlink_id_ack(id, from, to),
            (op::SEND, [_, _, to]) | (op::SEND_TT, [_, _, to, _]) => send(None, to),
            (op::SEND_SENDER, [_, from, to]) | (op::SEND_SENDER_TT, [_, from, to, _]) => {
                pid(from).and_then(|from| send(Some(from), to))
            }
            (op::REG_SEND, [_, from, _, to]) | (op::REG_SEND_TT, [_, from, _, to, _]) => {
                reg_send(from, to)
            }
            (op::ALIAS_SEND, [_, from, alias]) | (op::ALIAS_SEND_TT, [_, from, alias, _]) => {
                alias_send(from, alias)
            }
            (op::EXIT, [_, from, to, reason]) | (op::EXIT_TT, [_, from, to, _, reason]) => {
                exit(from, to, Reason::Inline(reason.clone()))
            }
            (op::PAYLOAD_EXIT, [_, from, to]) | (op::PAYLOAD_EXIT_TT, [_, from, to, _]) => {
                exit(from, to, Reason::Payload)
            }
            (op::EXIT2, [_, from, to, reason]) | (op::EXIT2_TT, [_, from, to, _, reason]) => {
                exit2(from, to, Reason::Inline(reason.clone()))
            }
            (op::PAYLOAD_EXIT2, [_, from, to]) | (op::PAYLOAD_EXIT2_TT, [_, from, to, _]) => {
                exit2(from, to, Reason::Payload)
            }
            (op::GROUP_LEADER, [_, leader, to]) => group_leader(leader, to),
            (op::MONITOR_P, [_, from, to, reference]) => monitor(from, to, reference),
            (op::DEMONITOR_P, [_, from, to, reference]) => demonitor(from, to, reference),
            (op::MONITOR_P_EXIT, [_, from, to, reference, reason]) => {
                monitor_exit(from, to, reference, Reason::Inline(reason.clone()))
            }
            (op::PAYLOAD_MONITOR_P_EXIT, [_, from, to, reference]) => {
                monitor_exit(from, to, reference, Reason::Payload)
            }
            (op::SPAWN_REQUEST, [_, request, from, leader, spawn, options])
            | (op::SPAWN_REQUEST_TT, [_, request, from, leader, spawn, options, _]) => {
                spawn_request(request, from, leader, spawn, options)
            }
            (op::SPAWN_REPLY, [_, request, to, flags, result])
            | (op::SPAWN_REPLY_TT, [_, request, to, flags, result, _]) => {
                spawn_reply(request, to, flags, result)
            }
            // OTP may add fields and flags: longer tuples and unknown bits are read.
            (op::ALTACT_SIG, [_, flags, from, to, rest @ ..]) => altact_sig(flags, from, to, rest),
            (op::LINK..=op::ALTACT_SIG, _) if is_known(op) => None,
            _ => return Parsed::Unknown,
        };
        parsed.map_or(Parsed::Malformed, Parsed::Control)
    }

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

enum Parsed {
    Control(Control),
    Unknown,
    Malformed,
}

fn is_known(op: i64) -> bool {
    !matches!(op, 5 | 9..=11 | 14 | 15 | 17)
}

fn link(from: &Term, to: &Term) -> Option<Control> {
    Some(Control::Link { from: pid(from)?, to: pid(to)? })
}

fn unlink(from: &Term, to: &Term) -> Option<Control> {
    Some(Control::Unlink { from: pid(from)?, to: pid(to)? })
}

fn unlink_id(id: &Term, from: &Term, to: &Term) -> Option<Control> {
    Some(Control::UnlinkId { id: nonzero(id)?, from: pid(from)?, to: pid(to)? })
}

fn unlink_id_ack(id: &Term, from: &Term, to: &Term) -> Option<Control> {
    Some(Control::UnlinkIdAck { id: nonzero(id)?, from: pid(from)?, to: pid(to)? })
}

fn send(from: Option<Pid>, to: &Term) -> Option<Control> {
    Some(Control::Send { from, to: pid(to)? })
}

fn reg_send(from: &Term, to: &Term) -> Option<Control> {
    Some(Control::RegSend { from: pid(from)?, to: atom(to)? })
}

fn alias_send(from: &Term, alias: &Term) -> Option<Control> {
    Some(Control::AliasSend { from: pid(from)?, alias: reference(alias)? })
}

fn exit(from: &Term, to: &Term, reason: Reason) -> Option<Control> {
    Some(Control::Exit { from: pid(from)?, to: pid(to)?, reason })
}

fn exit2(from: &Term, to: &Term, reason: Reason) -> Option<Control> {
    Some(Control::Exit2 { from: pid(from)?, to: pid_or_name(to)?, reason })
}

fn group_leader(leader: &Term, to: &Term) -> Option<Control> {
    Some(Control::GroupLeader { leader: pid(leader)?, to: pid(to)? })
}

fn monitor(from: &Term, to: &Term, watch: &Term) -> Option<Control> {
    Some(Control::Monitor { from: pid(from)?, to: pid_or_name(to)?, reference: reference(watch)? })
}

fn demonitor(from: &Term, to: &Term, watch: &Term) -> Option<Control> {
    Some(Control::Demonitor {
        from: pid(from)?,
        to: pid_or_name(to)?,
        reference: reference(watch)?,
    })
}

fn monitor_exit(from: &Term, to: &Term, watch: &Term, reason: Reason) -> Option<Control> {
    let (from, to, reference) = (pid_or_name(from)?, pid(to)?, reference(watch)?);
    Some(Control::MonitorExit { from, to, reference, reason })
}

fn spawn_request(
    request: &Term,
    from: &Term,
    leader: &Term,
    spawn: &Term,
    options: &Term,
) -> Option<Control> {
    Some(Control::SpawnRequest {
        request: reference(request)?,
        from: pid(from)?,
        leader: pid(leader)?,
        spawn: spawn.clone(),
        options: options.clone(),
    })
}

fn spawn_reply(request: &Term, to: &Term, flags: &Term, result: &Term) -> Option<Control> {
    let Term::Int(flags) = flags else { return None };
    Some(Control::SpawnReply {
        request: reference(request)?,
        to: pid(to)?,
        flags: *flags,
        result: result.clone(),
    })
}

/// `{37, Flags, From, To[, Token]}`: a message to a pid, a name or an alias, or an `exit/2`.
fn altact_sig(flags: &Term, from: &Term, to: &Term, rest: &[Term]) -> Option<Control> {
    let flags = low_bits(flags)?;
    if flags & altact::TOKEN != 0 && rest.is_empty() {
        return None;
    }
    let from = pid(from)?;
    let to = match (flags & altact::ALIAS != 0, flags & altact::NAME != 0) {
        (true, true) => return None,
        (true, false) if flags & altact::EXIT == 0 => {
            return Some(Control::AliasSend { from, alias: reference(to)? });
        }
        // An exit signal to an alias does not exist; the alias names no process of ours.
        (true, false) => return None,
        (false, true) => PidOrName::Name(atom(to)?),
        (false, false) => PidOrName::Pid(pid(to)?),
    };
    Some(match to {
        to if flags & altact::EXIT != 0 => Control::Exit2 { from, to, reason: Reason::Payload },
        PidOrName::Pid(to) => Control::Send { from: Some(from), to },
        PidOrName::Name(to) => Control::RegSend { from, to },
    })
}

fn pid(term: &Term) -> Option<Pid> {
    match term {
        Term::Pid(pid) => Some(pid.clone()),
        _ => None,
    }
}

fn atom(term: &Term) -> Option<Atom> {
    match term {
        Term::Atom(atom) => Some(atom.clone()),
        _ => None,
    }
}

fn reference(term: &Term) -> Option<Reference> {
    match term {
        Term::Reference(reference) => Some(reference.clone()),
        _ => None,
    }
}

fn pid_or_name(term: &Term) -> Option<PidOrName> {
    match term {
        Term::Pid(pid) => Some(PidOrName::Pid(pid.clone())),
        Term::Atom(name) => Some(PidOrName::Name(name.clone())),
        _ => None,
    }
}

fn nonzero(term: &Term) -> Option<u64> {
    term.as_u64().filter(|id| *id != 0)
}

/// The flags we know are in the low bits; later ones may make the number a bignum.
fn low_bits(term: &Term) -> Option<i64> {
    match term {
        Term::Int(flags) => Some(*flags),
        Term::BigInt(flags) => {
            let low = flags.iter_u64_digits().next().unwrap_or(0);
            i64::try_from(low & 0xff).ok()
        }
        _ => None,
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

/// The field that held a cookie until R6.
fn empty_cookie() -> Term {
    Term::Atom(Atom::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid_of(node: &'static str, id: u32) -> Pid {
        Pid { node: Atom::from_static(node), id, serial: 0, creation: 7 }
    }

    fn a() -> Pid {
        pid_of("a@h", 1)
    }

    fn b() -> Pid {
        pid_of("b@h", 2)
    }

    fn reference() -> Reference {
        Reference::new(Atom::from_static("a@h"), 7, &[1, 2, 3]).unwrap()
    }

    fn ints(fields: &[i64]) -> Term {
        Term::Tuple(fields.iter().map(|n| Term::Int(*n)).collect())
    }

    #[test]
    fn an_unknown_operation_is_told_from_a_malformed_one() {
        assert_eq!(Control::parse(ints(&[38, 1])), Err(ControlError::Unknown(38)));
        assert_eq!(Control::parse(ints(&[5, 1])), Err(ControlError::Unknown(5)));
        assert_eq!(Control::parse(ints(&[-1])), Err(ControlError::Unknown(-1)));
        assert!(matches!(Control::parse(ints(&[1, 1, 2])), Err(ControlError::Malformed(_))));
        assert!(matches!(Control::parse(ints(&[19])), Err(ControlError::Malformed(_))));
        assert!(matches!(Control::parse(Term::Int(1)), Err(ControlError::Malformed(_))));
        assert!(matches!(Control::parse(Term::Tuple(vec![])), Err(ControlError::Malformed(_))));
    }

    #[test]
    fn an_unlink_id_of_zero_is_malformed() {
        let fields = vec![Term::Int(35), Term::Int(0), Term::Pid(a()), Term::Pid(b())];
        assert!(matches!(Control::parse(Term::Tuple(fields)), Err(ControlError::Malformed(_))));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let full = Flags::EXIT_PAYLOAD | Flags::SEND_SENDER;
        let (exit, payload) = Control::exit_to(a(), b(), Term::Int(1), full);
        assert_eq!(payload, Some(Term::Int(1)));
        assert_eq!(
            Control::parse(exit),
            Ok(Control::Exit { from: a(), to: b(), reason: Reason::Payload })
        );
        let (exit, payload) = Control::exit_to(a(), b(), Term::Int(1), Flags::EMPTY);
        assert_eq!(payload, None);
        assert_eq!(
            Control::parse(exit),
            Ok(Control::Exit { from: a(), to: b(), reason: Reason::Inline(Term::Int(1)) })
        );
        assert_eq!(
            Control::parse(Control::send(a(), b(), full)),
            Ok(Control::Send { from: Some(a()), to: b() })
        );
        assert_eq!(
            Control::parse(Control::send(a(), b(), Flags::EMPTY)),
            Ok(Control::Send { from: None, to: b() })
        );
        assert_eq!(
            Control::parse(Control::unlink_id_ack(u64::MAX, a(), b())),
            Ok(Control::UnlinkIdAck { id: u64::MAX, from: a(), to: b() })
        );
        let name = PidOrName::Name(Atom::from_static("x"));
        assert_eq!(
            Control::parse(Control::monitor(a(), name.clone(), reference())),
            Ok(Control::Monitor { from: a(), to: name, reference: reference() })
        );
    }

    #[test]
    fn priority_signals_are_read_as_what_they_carry() {
        let altact = |flags: i64, to: Term| {
            Control::parse(Term::Tuple(vec![Term::Int(37), Term::Int(flags), Term::Pid(a()), to]))
        };
        let alias = Term::Reference(reference());
        assert_eq!(altact(4, alias), Ok(Control::AliasSend { from: a(), alias: reference() }));
        assert_eq!(altact(1, Term::Pid(b())), Ok(Control::Send { from: Some(a()), to: b() }));
        assert_eq!(
            altact(17, Term::Pid(b())),
            Ok(Control::Exit2 { from: a(), to: PidOrName::Pid(b()), reason: Reason::Payload })
        );
        let name = Atom::from_static("x");
        assert_eq!(
            altact(1 << 20 | 8, Term::Atom(name.clone())),
            Ok(Control::RegSend { from: a(), to: name })
        );
        assert!(matches!(altact(2, Term::Pid(b())), Err(ControlError::Malformed(_))));
    }
}
