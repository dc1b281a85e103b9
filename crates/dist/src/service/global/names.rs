//! What is done to locks and names of this node, on whoever's request.

use etf::{Atom, Pid, Term};

use super::machine::{Effect, Machine};
use super::message::{External, LockId, Named, Op};
use super::tables::{Held, Released, WatchId};

/// On whose word a name is registered: it must hold the lock on `global`.
pub(super) enum Origin<'a> {
    /// A registrar.
    Pid(&'a Pid),
    /// A node that connects two partitions, and the requester of the lock that it took for that.
    Node(Option<&'a Term>),
}

impl Machine {
    /// `{set_lock, Id}`
    pub(super) fn set_lock_here(&mut self, id: &LockId, pid: &Pid) -> bool {
        if !self.locks.can_set(id) {
            return false;
        }
        if self.locks.holds(id, pid) {
            return true;
        }
        if self.locks.is_full() {
            tracing::warn!("more locks than are kept: one was refused");
            return false;
        }
        let watch = self.watch(pid, Held::Lock(id.resource.clone()));
        self.locks.insert(id, pid.clone(), watch);
        true
    }

    /// `{del_lock, Id}`
    pub(super) fn del_lock_here(&mut self, id: &LockId, pid: &Pid) {
        let released = self.locks.release(id, pid);
        if matches!(released, Released::Free(_)) && id.is_global() {
            self.lock_down = false;
        }
        if let Released::Free(Some(watch)) | Released::Held(Some(watch)) = released {
            self.unwatch(watch);
        }
    }

    /// A holder has ended, with its hold.
    pub(super) fn holder_down(&mut self, resource: &Term, watch: WatchId) {
        let released = self.locks.holder_down(resource, watch);
        if matches!(released, Released::Free(_)) && resource.is_atom("global") {
            self.lock_down = true;
        }
    }

    /// `{register, …}` and `{register_ext, …}`
    pub(super) fn register_here(
        &mut self,
        name: Term,
        pid: Pid,
        method: Term,
        registrar: Option<Atom>,
        from: &Pid,
    ) {
        self.insert_name(Named { name, pid, method }, registrar, Origin::Pid(from), &from.node);
    }

    /// `do_ops/5`: `connecting` is the node that connected the partitions.
    pub(super) fn do_ops(
        &mut self,
        ops: Vec<Op>,
        external: &[External],
        lock: Option<&Term>,
        connecting: &Atom,
    ) {
        let mut deleted = Vec::new();
        for op in ops {
            match op {
                Op::Insert(named) => {
                    let of = external
                        .iter()
                        .find(|external| external.name == named.name && external.pid == named.pid);
                    let registrar = of.map(|external| external.registrar.clone());
                    self.insert_name(named, registrar, Origin::Node(lock), connecting);
                }
                Op::Delete(name) => deleted.push(name),
            }
        }
        for name in deleted {
            self.delete_name(&name);
        }
    }

    pub(super) fn delete_name(&mut self, name: &Term) {
        if let Some(entry) = self.names.remove(name) {
            self.unwatch(entry.watch);
        }
    }

    fn insert_name(
        &mut self,
        named: Named,
        registrar: Option<Atom>,
        origin: Origin<'_>,
        from: &Atom,
    ) {
        // The node that took the lock may have gone down and come up again, and this may be late:
        // then nobody would take the name away. OTP takes away whoever has the name, too.
        if !self.lock_still_set(&origin) {
            return;
        }
        self.delete_name(&named.name);
        if self.names.is_full() {
            tracing::warn!(node = %from, "more names than are kept: the connection is ended");
            self.effects.push(Effect::Disconnect { node: from.clone() });
            return;
        }
        let watch = self.watch(&named.pid, Held::Name(named.name.clone()));
        self.names.insert(named, watch, registrar);
    }

    fn lock_still_set(&self, origin: &Origin<'_>) -> bool {
        match self.locks.get(&Term::atom("global")) {
            None => !self.lock_down,
            Some(lock) => match origin {
                Origin::Pid(pid) => lock.is_held_by(pid),
                Origin::Node(requester) => *requester == Some(lock.requester()),
            },
        }
    }
}
