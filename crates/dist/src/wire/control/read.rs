//! Reading control tuples.

use etf::{Atom, Pid, Reference, Term};

use super::{Control, ControlError, PidOrName, Reason, altact, op};

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

    /// Sender and receiver of a control tuple that we write; none where it does not tell the sender.
    pub(crate) fn ends(control: &Term) -> Option<(&Term, &Term)> {
        let Term::Tuple(fields) = control else { return None };
        let Some(Term::Int(op)) = fields.first() else { return None };
        let (from, to) = match *op {
            op::REG_SEND => (1, 3),
            op::UNLINK_ID | op::UNLINK_ID_ACK | op::ALTACT_SIG => (2, 3),
            // What the new process sends is to nobody yet, but the request has a reference.
            op::SPAWN_REQUEST => (2, 1),
            op::SEND | op::SPAWN_REPLY => return None,
            _ => (1, 2),
        };
        Some((fields.get(from)?, fields.get(to)?))
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
