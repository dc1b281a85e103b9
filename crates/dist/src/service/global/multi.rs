//! Calls of several nodes at once, with an end: a node that does not answer must not hold up those
//! that do.

use std::collections::HashMap;
use std::time::Duration;

use etf::{Atom, Pid, Term};

use super::machine::{CallId, Effect, Inner, Machine, Now, Owner};
use super::message::LockId;

/// How long a node may take to answer. OTP waits until it is taken for dead, a minute.
const PATIENCE: Duration = Duration::from_secs(7);

/// The calls under way.
#[derive(Debug, Default)]
pub(super) struct Multis {
    of: HashMap<Owner, Multi>,
    last_call: CallId,
}

/// One question to several nodes.
#[derive(Debug)]
struct Multi {
    question: Question,
    waiting: HashMap<CallId, Atom>,
    replies: Vec<(Atom, Term)>,
    until: Now,
}

#[derive(Debug)]
enum Question {
    /// Set the lock, and take it away again from those who said yes where one says no.
    Set(LockId),
    /// The second half of that.
    Undo,
    /// Something whose answers do not matter.
    Tell,
}

impl Multis {
    pub(super) fn deadline(&self) -> Option<Now> {
        self.of.values().map(|multi| multi.until).min()
    }
}

impl Machine {
    /// Sets a lock on nodes, all of them or none (`set_lock_on_nodes/2`). [`Inner::LockDone`] tells.
    pub(super) fn set_lock_on(&mut self, owner: Owner, id: &LockId, nodes: Vec<Atom>) {
        if nodes.is_empty() {
            self.inner.push_back(Inner::LockDone { owner, set: true });
            return;
        }
        // A look at home first, before others are asked in vain.
        if nodes.len() > 1 && nodes.contains(self.own()) && !self.locks.can_set(id) {
            self.inner.push_back(Inner::LockDone { owner, set: false });
            return;
        }
        let request = Term::Tuple(vec![Term::atom("set_lock"), id.to_term()]);
        self.ask(owner, Question::Set(id.clone()), nodes, &request);
    }

    /// Takes a lock away from nodes. [`Inner::CallsDone`] tells.
    pub(super) fn del_lock_on(&mut self, owner: Owner, id: &LockId, nodes: Vec<Atom>) {
        self.ask(owner, Question::Tell, nodes, &del_lock(id));
    }

    /// Tells nodes something. [`Inner::CallsDone`] tells when all have answered.
    pub(super) fn tell_all(&mut self, owner: Owner, nodes: Vec<Atom>, request: &Term) {
        self.ask(owner, Question::Tell, nodes, request);
    }

    fn ask(&mut self, owner: Owner, question: Question, nodes: Vec<Atom>, request: &Term) {
        let mut multi = Multi {
            question,
            waiting: HashMap::new(),
            replies: Vec::new(),
            until: self.now + PATIENCE,
        };
        for node in nodes {
            if node == *self.own() {
                let reply = self.ask_here(request);
                multi.replies.push((node, reply));
                continue;
            }
            self.multis.last_call += 1;
            let id = self.multis.last_call;
            multi.waiting.insert(id, node.clone());
            self.effects.push(Effect::Call { id, node, request: request.clone() });
        }
        if multi.waiting.is_empty() {
            self.answered(owner, multi, Vec::new());
        } else {
            self.multis.of.insert(owner, multi);
        }
    }

    /// What our own node says to a question of our own.
    fn ask_here(&mut self, request: &Term) -> Term {
        use super::message::Request;
        let own: Pid = self.settings.pid.clone();
        match Request::parse(request.clone()) {
            Request::SetLock(id) => Term::from(self.set_lock_here(&id, &own)),
            Request::DelLock(id) => {
                self.del_lock_here(&id, &own);
                Term::from(true)
            }
            Request::Register { name, pid, method, registrar } => {
                self.register_here(name, pid, method, registrar, &own);
                Term::atom("yes")
            }
            Request::Unregister(name) => {
                self.delete_name(&name);
                Term::atom("ok")
            }
            _ => Term::atom("error"),
        }
    }

    /// A node has answered a question, or cannot.
    pub(super) fn called(&mut self, id: CallId, reply: Option<Term>) {
        let asked = self.multis.of.iter_mut().find(|(_, multi)| multi.waiting.contains_key(&id));
        let Some((owner, multi)) = asked else { return };
        let owner = *owner;
        if let (Some(node), Some(reply)) = (multi.waiting.remove(&id), reply) {
            multi.replies.push((node, reply));
        }
        if multi.waiting.is_empty()
            && let Some(multi) = self.multis.of.remove(&owner)
        {
            self.answered(owner, multi, Vec::new());
        }
    }

    /// Gives up those who do not answer.
    pub(super) fn expire_calls(&mut self) {
        if !self.ticking {
            return;
        }
        for owner in [Owner::Locker, Owner::Registrar] {
            if self.multis.of.get(&owner).is_none_or(|multi| multi.until > self.now) {
                continue;
            }
            let Some(mut multi) = self.multis.of.remove(&owner) else { continue };
            let mut silent = Vec::new();
            for (id, node) in multi.waiting.drain() {
                tracing::warn!(%node, "`global` there does not answer");
                self.effects.push(Effect::Forget { id });
                silent.push(node);
            }
            self.answered(owner, multi, silent);
        }
    }

    fn answered(&mut self, owner: Owner, multi: Multi, silent: Vec<Atom>) {
        let Multi { question, replies, .. } = multi;
        if owner == Owner::Locker {
            self.locker_waited_for(&silent);
        }
        match question {
            Question::Tell => self.inner.push_back(Inner::CallsDone { owner }),
            Question::Undo => self.inner.push_back(Inner::LockDone { owner, set: false }),
            Question::Set(id) => {
                let (set, unset): (Vec<_>, Vec<_>) =
                    replies.into_iter().partition(|(_, reply)| reply.is_atom("true"));
                // A node that is not there counts for neither.
                if unset.is_empty() && silent.is_empty() {
                    self.inner.push_back(Inner::LockDone { owner, set: true });
                    return;
                }
                // Who is silent may have set it all the same, but is not waited for again.
                let request = del_lock(&id);
                for node in silent {
                    self.multis.last_call += 1;
                    let id = self.multis.last_call;
                    self.effects.push(Effect::Call { id, node, request: request.clone() });
                    self.effects.push(Effect::Forget { id });
                }
                let undo: Vec<Atom> = set.into_iter().map(|(node, _)| node).collect();
                if undo.is_empty() {
                    self.inner.push_back(Inner::LockDone { owner, set: false });
                } else {
                    self.ask(owner, Question::Undo, undo, &request);
                }
            }
        }
    }
}

fn del_lock(id: &LockId) -> Term {
    Term::Tuple(vec![Term::atom("del_lock"), id.to_term()])
}
