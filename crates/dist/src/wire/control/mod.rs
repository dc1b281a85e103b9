//! Control messages: the tuple at the head of every frame (`erl_dist_protocol`, "Protocol between
//! Connected Nodes"; `dist.hrl` and the `DOP_*` of OTP's `dist.h`).

use etf::{Atom, Pid, Reference, Term};

mod quick;
mod read;
mod write;

pub(crate) use quick::Plain;

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

impl Control {
    /// The place of an exit reason, if there is one to be had.
    pub(crate) fn reason_mut(&mut self) -> Option<&mut Reason> {
        match self {
            Self::Exit { reason, .. }
            | Self::Exit2 { reason, .. }
            | Self::MonitorExit { reason, .. } => Some(reason),
            _ => None,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;

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
