//! The messages of `global`, read and written here and nowhere else (`global.erl`, "Messages in the
//! protocol").
//!
//! What does not have the form that OTP sends is not read: nothing is guessed.

use etf::{Atom, Pid, Term};

use crate::r#gen::message::{self as gen_call, GenFrom, Incoming};

/// The version of the protocol that we speak: that of OTP 25 and later.
pub(super) const VSN: u32 = 8;
/// The oldest that OTP itself still understands.
pub(super) const OLDEST: u32 = 5;
/// From here on lockers talk by way of the servers.
pub(super) const PROXY: u32 = 6;
/// From here on versions are passed on, and overlapping partitions prevented.
pub(super) const PARTITIONS: u32 = 7;
/// From here on a connection attempt is acknowledged, and can be cancelled.
pub(super) const VERIFY: u32 = 8;

/// A message to `global_name_server` (or, from OTP 23, to its locker).
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// A call, which is owed an answer.
    Call(GenFrom, Request),
    InitConnect(InitConnect),
    InitConnectAck {
        node: Atom,
        mine: Term,
        his: Term,
    },
    CancelConnect {
        node: Atom,
        tag: Term,
    },
    LockSet {
        pid: Pid,
        set: bool,
        tag: Option<Term>,
    },
    Exchange {
        node: Atom,
        names: Vec<Named>,
        tag: Term,
    },
    Resolved {
        node: Atom,
        ops: Vec<Op>,
        known: Vec<KnownNode>,
        external: Vec<External>,
        tag: Term,
    },
    NewNodes(NewNodes),
    InSync {
        node: Atom,
    },
    LostConnection(Lost),
    RemoveConnection {
        node: Atom,
    },
    /// What nodes before R14 sent, and nobody need act upon.
    Obsolete,
}

/// What is called for.
#[derive(Debug, PartialEq)]
pub(super) enum Request {
    SetLock(LockId),
    DelLock(LockId),
    Register {
        name: Term,
        pid: Pid,
        method: Term,
        registrar: Option<Atom>,
    },
    Unregister(Term),
    Known,
    Synced,
    Version,
    NamesExternal,
    /// Anything else: nobody is to wait for ever.
    Other,
}

/// `{ResourceId, LockRequesterId}`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LockId {
    pub(super) resource: Term,
    pub(super) requester: Term,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct InitConnect {
    pub(super) node: Atom,
    pub(super) vsn: u32,
    pub(super) tag: Term,
    pub(super) locker: Pid,
}

/// A name as it is passed on: `{Name, Pid, Method}`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Named {
    pub(super) name: Term,
    pub(super) pid: Pid,
    /// The function that settles a conflict: opaque, and passed on as it came.
    pub(super) method: Term,
}

/// `{Name, Pid, RegNode}`: a name of a process of a C node, and who registered it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct External {
    pub(super) name: Term,
    pub(super) pid: Pid,
    pub(super) registrar: Atom,
}

/// What two partitions have to do to have the same names.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Op {
    Insert(Named),
    Delete(Term),
}

/// A node that is known to somebody, and its version where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownNode {
    pub(super) node: Atom,
    pub(super) vsn: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct NewNodes {
    pub(super) node: Atom,
    pub(super) ops: Vec<Op>,
    pub(super) external: Vec<External>,
    pub(super) nodes: Vec<KnownNode>,
    /// The requester of the lock under which this is sent.
    pub(super) lock: Option<Term>,
    pub(super) extra: Term,
}

/// `{lost_connection, Reporter, Incarnation, Operation, LostNode}`
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lost {
    pub(super) reporter: Atom,
    pub(super) incarnation: Term,
    pub(super) operation: i64,
    pub(super) node: Atom,
}

impl Message {
    /// Reads a message; `None` for what no node sends.
    pub(super) fn parse(message: Term) -> Option<Self> {
        match Incoming::parse(message) {
            Incoming::Call(from, request) => Some(Self::Call(from, Request::parse(request))),
            Incoming::Cast(message) => Self::cast(message),
            Incoming::Info(message) => Self::info(message),
            Incoming::System(..) => None,
        }
    }

    fn cast(message: Term) -> Option<Self> {
        let mut fields = message.into_tuple().ok()?.into_iter();
        let word = fields.next()?;
        let fields: Vec<Term> = fields.collect();
        match word.as_atom()?.as_str() {
            "init_connect" => {
                let [vsn, node, locker] = array(fields)?;
                InitConnect::parse(&vsn, node, &locker).map(Self::InitConnect)
            }
            "lock_set" => Self::lock_set(fields),
            "exchange" => {
                let [node, names, _external, tag] = array(fields)?;
                let names = list(names, Named::parse)?;
                Some(Self::Exchange { node: atom(node)?, names, tag })
            }
            "resolved" => {
                let [node, ops, known, _unused, external, tag] = array(fields)?;
                Some(Self::Resolved {
                    node: atom(node)?,
                    ops: list(ops, Op::parse)?,
                    known: list(known, KnownNode::parse)?,
                    external: list(external, External::parse)?,
                    tag,
                })
            }
            "new_nodes" => {
                let [node, ops, external, nodes, extra] = array(fields)?;
                Some(Self::NewNodes(NewNodes {
                    node: atom(node)?,
                    ops: list(ops, Op::parse)?,
                    external: list(external, External::parse)?,
                    nodes: list(nodes, KnownNode::parse)?,
                    lock: lock_of(&extra),
                    extra,
                }))
            }
            "in_sync" => {
                let [node, _is_known] = array(fields)?;
                Some(Self::InSync { node: atom(node)? })
            }
            "async_del_name" | "async_del_lock" => Some(Self::Obsolete),
            _ => None,
        }
    }

    fn info(message: Term) -> Option<Self> {
        let mut fields = message.into_tuple().ok()?.into_iter();
        let word = fields.next()?;
        let fields: Vec<Term> = fields.collect();
        match word.as_atom()?.as_str() {
            "init_connect_ack" => {
                let [node, mine, his] = array(fields)?;
                Some(Self::InitConnectAck { node: atom(node)?, mine, his })
            }
            "cancel_connect" => {
                let [node, tag] = array(fields)?;
                Some(Self::CancelConnect { node: atom(node)?, tag })
            }
            "lost_connection" => {
                let [reporter, incarnation, operation, node] = array(fields)?;
                Some(Self::LostConnection(Lost {
                    reporter: atom(reporter)?,
                    incarnation,
                    operation: operation.as_int()?,
                    node: atom(node)?,
                }))
            }
            "remove_connection" => {
                let [node] = array(fields)?;
                Some(Self::RemoveConnection { node: atom(node)? })
            }
            // From a locker of version 5 straight to ours.
            "lock_set" => Self::lock_set(fields),
            _ => None,
        }
    }

    fn lock_set(mut fields: Vec<Term>) -> Option<Self> {
        let tag = if fields.len() == 4 { fields.pop() } else { None };
        let [pid, set, _known] = array(fields)?;
        Some(Self::LockSet { pid: pid_of(pid)?, set: set.as_bool()?, tag })
    }
}

impl Request {
    pub(super) fn parse(request: Term) -> Self {
        Self::read(request).unwrap_or(Self::Other)
    }

    fn read(request: Term) -> Option<Self> {
        if let Term::Atom(word) = &request {
            return Some(match word.as_str() {
                "get_known" => Self::Known,
                "get_synced" => Self::Synced,
                "get_protocol_version" => Self::Version,
                "get_names_ext" => Self::NamesExternal,
                _ => Self::Other,
            });
        }
        let mut fields = request.into_tuple().ok()?.into_iter();
        let word = fields.next()?;
        let mut fields: Vec<Term> = fields.collect();
        match word.as_atom()?.as_str() {
            "set_lock" => LockId::parse(array::<1>(fields)?.into_iter().next()?).map(Self::SetLock),
            "del_lock" => LockId::parse(array::<1>(fields)?.into_iter().next()?).map(Self::DelLock),
            "register_ext" => {
                let registrar = Some(atom(fields.pop()?)?);
                let [name, pid, method] = array(fields)?;
                Some(Self::Register { name, pid: pid_of(pid)?, method, registrar })
            }
            "register" => {
                let [name, pid, method] = array(fields)?;
                Some(Self::Register { name, pid: pid_of(pid)?, method, registrar: None })
            }
            "unregister" => {
                let [name] = array(fields)?;
                Some(Self::Unregister(name))
            }
            _ => None,
        }
    }
}

impl LockId {
    fn parse(id: Term) -> Option<Self> {
        let [resource, requester] = array(id.into_tuple().ok()?)?;
        Some(Self { resource, requester })
    }

    /// A lock on `global` itself.
    pub(super) fn global(requester: Term) -> Self {
        Self { resource: Term::atom("global"), requester }
    }

    pub(super) fn is_global(&self) -> bool {
        self.resource.is_atom("global")
    }

    pub(super) fn to_term(&self) -> Term {
        Term::Tuple(vec![self.resource.clone(), self.requester.clone()])
    }
}

impl InitConnect {
    fn parse(vsn: &Term, node: Term, locker: &Term) -> Option<Self> {
        // Newer versions may say more behind these two.
        let [vsn, tag, ..] = vsn.as_tuple()? else { return None };
        let vsn = u32::try_from(vsn.as_u64()?).ok().filter(|vsn| *vsn >= OLDEST)?;
        let [word, _no_pid, _known, Term::Pid(pid)] = locker.as_tuple()? else { return None };
        if !word.is_atom("locker") {
            return None;
        }
        Some(Self { node: atom(node)?, vsn, tag: tag.clone(), locker: pid.clone() })
    }
}

impl Named {
    fn parse(term: Term) -> Option<Self> {
        let [name, pid, method] = array(term.into_tuple().ok()?)?;
        Some(Self { name, pid: pid_of(pid)?, method })
    }

    fn to_term(&self) -> Term {
        Term::Tuple(vec![self.name.clone(), Term::Pid(self.pid.clone()), self.method.clone()])
    }
}

impl External {
    fn parse(term: Term) -> Option<Self> {
        let [name, pid, registrar] = array(term.into_tuple().ok()?)?;
        Some(Self { name, pid: pid_of(pid)?, registrar: atom(registrar)? })
    }

    fn to_term(&self) -> Term {
        let registrar = Term::Atom(self.registrar.clone());
        Term::Tuple(vec![self.name.clone(), Term::Pid(self.pid.clone()), registrar])
    }
}

impl Op {
    fn parse(term: Term) -> Option<Self> {
        let [word, what] = array(term.into_tuple().ok()?)?;
        match word.as_atom()?.as_str() {
            "insert" => Named::parse(what).map(Self::Insert),
            "delete" => Some(Self::Delete(what)),
            _ => None,
        }
    }

    fn to_term(&self) -> Term {
        match self {
            Self::Insert(named) => Term::Tuple(vec![Term::atom("insert"), named.to_term()]),
            Self::Delete(name) => Term::Tuple(vec![Term::atom("delete"), name.clone()]),
        }
    }
}

impl KnownNode {
    fn parse(term: Term) -> Option<Self> {
        match term {
            Term::Atom(node) => Some(Self { node, vsn: 0 }),
            term => {
                let [node, vsn] = array(term.into_tuple().ok()?)?;
                Some(Self { node: atom(node)?, vsn: u32::try_from(vsn.as_u64()?).ok()? })
            }
        }
    }

    fn to_term(&self) -> Term {
        Term::Tuple(vec![Term::Atom(self.node.clone()), Term::from(self.vsn)])
    }
}

impl Lost {
    pub(super) fn to_term(&self) -> Term {
        Term::Tuple(vec![
            Term::atom("lost_connection"),
            Term::Atom(self.reporter.clone()),
            self.incarnation.clone(),
            Term::Int(self.operation),
            Term::Atom(self.node.clone()),
        ])
    }
}

impl NewNodes {
    /// For a node of that version: older ones are told names alone.
    pub(super) fn to_term(&self, vsn: u32) -> Term {
        cast(vec![
            Term::atom("new_nodes"),
            Term::Atom(self.node.clone()),
            ops(&self.ops),
            externals(&self.external),
            known_list(&self.nodes, vsn),
            self.extra.clone(),
        ])
    }
}

/// `{'$gen_cast', {init_connect, …}}`
pub(super) fn init_connect(own: &Atom, tag: i64, locker: &Pid) -> Term {
    let no_pid = Term::atom("no_longer_a_pid");
    // What is known stands here, and has been read by nobody since R7.
    let locker =
        Term::Tuple(vec![Term::atom("locker"), no_pid, Term::NIL, Term::Pid(locker.clone())]);
    let vsn = Term::Tuple(vec![Term::from(VSN), Term::Int(tag)]);
    cast(vec![Term::atom("init_connect"), vsn, Term::Atom(own.clone()), locker])
}

/// `{init_connect_ack, …}`
pub(super) fn init_connect_ack(own: &Atom, his: &Term, mine: i64) -> Term {
    let own = Term::Atom(own.clone());
    Term::Tuple(vec![Term::atom("init_connect_ack"), own, his.clone(), Term::Int(mine)])
}

/// `{cancel_connect, …}`
pub(super) fn cancel_connect(own: &Atom, his: Term) -> Term {
    Term::Tuple(vec![Term::atom("cancel_connect"), Term::Atom(own.clone()), his])
}

/// `{lock_set, …}`, without a tag for nodes that know none.
pub(super) fn lock_set(locker: &Pid, set: bool, known: &[Atom], tag: Option<&Term>) -> Term {
    let known = known.iter().cloned().map(Term::Atom).collect();
    let mut fields =
        vec![Term::atom("lock_set"), Term::Pid(locker.clone()), Term::from(set), known];
    fields.extend(tag.cloned());
    Term::Tuple(fields)
}

/// `{'$gen_cast', {exchange, …}}`
pub(super) fn exchange<'a>(
    own: &Atom,
    names: impl Iterator<Item = (&'a Term, &'a Pid, &'a Term)>,
    his: Term,
) -> Term {
    let named = |(name, pid, method): (&Term, &Pid, &Term)| {
        Term::Tuple(vec![name.clone(), Term::Pid(pid.clone()), method.clone()])
    };
    let names = names.map(named).collect();
    cast(vec![Term::atom("exchange"), Term::Atom(own.clone()), names, Term::NIL, his])
}

/// `{'$gen_cast', {resolved, …}}`
pub(super) fn resolved(
    own: &Atom,
    resolved: &[Op],
    known: &[KnownNode],
    vsn: u32,
    external: &[External],
    his: Term,
) -> Term {
    cast(vec![
        Term::atom("resolved"),
        Term::Atom(own.clone()),
        ops(resolved),
        known_list(known, vsn),
        Term::atom("unused"),
        externals(external),
        his,
    ])
}

/// `{'$gen_cast', {in_sync, …}}`
pub(super) fn in_sync(own: &Atom) -> Term {
    cast(vec![Term::atom("in_sync"), Term::Atom(own.clone()), Term::from(true)])
}

/// `{remove_connection, …}`
pub(super) fn remove_connection(own: &Atom) -> Term {
    Term::Tuple(vec![Term::atom("remove_connection"), Term::Atom(own.clone())])
}

/// `[{vsn, Vsn}, {lock, LockId}]`
pub(super) fn extra_info(vsn: u32, lock: &LockId) -> Term {
    let pair = |word, value| Term::Tuple(vec![Term::atom(word), value]);
    Term::List(vec![pair("vsn", Term::from(vsn)), pair("lock", lock.to_term())])
}

/// The names of processes of C nodes, as a reply.
pub(super) fn externals(external: &[External]) -> Term {
    external.iter().map(External::to_term).collect()
}

/// Known nodes for a node of that version.
pub(super) fn known_list(known: &[KnownNode], vsn: u32) -> Term {
    let form = |known: &KnownNode| match vsn {
        PARTITIONS.. => known.to_term(),
        _ => Term::Atom(known.node.clone()),
    };
    known.iter().map(form).collect()
}

/// `{lock, {global, Requester}}` in the extra information.
fn lock_of(extra: &Term) -> Option<Term> {
    let pairs = extra.as_list()?.iter().filter_map(Term::as_tuple);
    pairs.into_iter().find_map(|pair| match pair {
        [word, lock] if word.is_atom("lock") => match lock.as_tuple()? {
            [resource, requester] if resource.is_atom("global") => Some(requester.clone()),
            _ => None,
        },
        _ => None,
    })
}

fn ops(ops: &[Op]) -> Term {
    ops.iter().map(Op::to_term).collect()
}

pub(super) fn cast(fields: Vec<Term>) -> Term {
    gen_call::cast(Term::Tuple(fields))
}

fn array<const N: usize>(fields: Vec<Term>) -> Option<[Term; N]> {
    fields.try_into().ok()
}

fn list<T>(list: Term, parse: impl Fn(Term) -> Option<T>) -> Option<Vec<T>> {
    list.into_list().ok()?.into_iter().map(parse).collect()
}

fn atom(term: Term) -> Option<Atom> {
    if let Term::Atom(atom) = term { Some(atom) } else { None }
}

fn pid_of(term: Term) -> Option<Pid> {
    if let Term::Pid(pid) = term { Some(pid) } else { None }
}
