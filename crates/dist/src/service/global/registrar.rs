//! The registrar: registers and unregisters names, one after the other, each under the lock of the
//! whole partition (`trans_all_known/1`).

use std::collections::VecDeque;
use std::time::Duration;

use etf::{Atom, Pid, Term};

use super::machine::{Command, CommandId, Effect, Machine, Now, Owner};
use super::message::LockId;
use super::tables::boss;

/// The registrar.
#[derive(Debug, Default)]
pub(super) struct Registrar {
    queue: VecDeque<(CommandId, Task)>,
    active: Option<Active>,
}

/// What is to be done under the lock.
#[derive(Debug)]
pub(super) enum Task {
    Register { name: Term, pid: Pid, method: Term, again: bool },
    Unregister { name: Term },
}

#[derive(Debug)]
struct Active {
    id: CommandId,
    task: Task,
    /// How often the lock was asked for in vain.
    times: u32,
    /// The known nodes at the time that it was asked for, and ours.
    known: Vec<Atom>,
    boss: Atom,
    stage: Stage,
    answer: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asleep(Now),
    LockBoss,
    LockAll,
    /// The boss is to be let go before the next attempt.
    GiveUp,
    Work,
    Release,
    ReleaseBoss,
}

impl Registrar {
    pub(super) fn deadline(&self) -> Option<Now> {
        match self.active.as_ref()?.stage {
            Stage::Asleep(until) => Some(until),
            _ => None,
        }
    }
}

impl Machine {
    pub(super) fn command(&mut self, id: CommandId, command: Command) {
        let task = match command {
            Command::Register { name, pid, method, again } => {
                Task::Register { name, pid, method, again }
            }
            Command::Unregister { name } => {
                if self.names.get(&name).is_none() {
                    self.effects.push(Effect::Answer { id, answer: true });
                    return;
                }
                Task::Unregister { name }
            }
            Command::Sync => return self.sync(id),
        };
        self.registrar.queue.push_back((id, task));
    }

    /// Goes on with what has become possible.
    pub(super) fn run_registrar(&mut self) {
        match &self.registrar.active {
            None => {
                let Some((id, task)) = self.registrar.queue.pop_front() else { return };
                let boss = self.own().clone();
                let stage = Stage::LockBoss;
                let active =
                    Active { id, task, times: 0, known: Vec::new(), boss, stage, answer: false };
                self.lock_boss(active);
            }
            Some(active) => {
                if matches!(active.stage, Stage::Asleep(until) if until <= self.now)
                    && let Some(active) = self.registrar.active.take()
                {
                    self.lock_boss(active);
                }
            }
        }
    }

    fn registrar_lock(&self) -> LockId {
        LockId::global(Term::Pid(self.settings.pid.clone()))
    }

    fn registrar_nodes(&self, known: &[Atom]) -> Vec<Atom> {
        [self.own().clone()].into_iter().chain(known.iter().cloned()).collect()
    }

    fn lock_boss(&mut self, mut active: Active) {
        active.known = self.known();
        active.boss = boss(self.own(), &active.known);
        active.stage = Stage::LockBoss;
        let nodes = vec![active.boss.clone()];
        self.registrar.active = Some(active);
        let lock = self.registrar_lock();
        self.set_lock_on(Owner::Registrar, &lock, nodes);
    }

    pub(super) fn registrar_lock_done(&mut self, set: bool) {
        let Some(mut active) = self.registrar.active.take() else { return };
        let lock = self.registrar_lock();
        match (active.stage, set) {
            (Stage::LockBoss, true) => {
                active.stage = Stage::LockAll;
                let nodes = self.registrar_nodes(&active.known);
                self.registrar.active = Some(active);
                self.set_lock_on(Owner::Registrar, &lock, nodes);
            }
            // Nodes that became known meanwhile are not locked.
            (Stage::LockAll, true) if self.known().iter().all(|n| active.known.contains(n)) => {
                self.work(active);
            }
            (Stage::LockAll, _) => {
                active.stage = Stage::GiveUp;
                let nodes = vec![active.boss.clone()];
                self.registrar.active = Some(active);
                self.del_lock_on(Owner::Registrar, &lock, nodes);
            }
            _ => self.registrar_sleep(active),
        }
    }

    pub(super) fn registrar_calls_done(&mut self) {
        let Some(mut active) = self.registrar.active.take() else { return };
        let lock = self.registrar_lock();
        match active.stage {
            Stage::Work => {
                active.stage = Stage::Release;
                let mut nodes = self.registrar_nodes(&active.known);
                nodes.retain(|node| *node != active.boss);
                self.registrar.active = Some(active);
                self.del_lock_on(Owner::Registrar, &lock, nodes);
            }
            Stage::Release => {
                active.stage = Stage::ReleaseBoss;
                let nodes = vec![active.boss.clone()];
                self.registrar.active = Some(active);
                self.del_lock_on(Owner::Registrar, &lock, nodes);
            }
            Stage::ReleaseBoss => {
                self.effects.push(Effect::Answer { id: active.id, answer: active.answer });
                self.run_registrar();
            }
            Stage::GiveUp => self.registrar_sleep(active),
            Stage::Asleep(_) | Stage::LockBoss | Stage::LockAll => {
                self.registrar.active = Some(active);
            }
        }
    }

    /// The partition is locked: nobody else changes names now.
    fn work(&mut self, mut active: Active) {
        let request = match &active.task {
            Task::Register { name, pid, method, again } => {
                let free = self.names.get(name).is_none() && !self.names.has_name(pid);
                active.answer = *again || free;
                active.answer.then(|| {
                    let register = Term::atom("register");
                    let pid = Term::Pid(pid.clone());
                    Term::Tuple(vec![register, name.clone(), pid, method.clone()])
                })
            }
            Task::Unregister { name } => {
                active.answer = true;
                Some(Term::Tuple(vec![Term::atom("unregister"), name.clone()]))
            }
        };
        active.stage = Stage::Work;
        let nodes = self.registrar_nodes(&active.known);
        self.registrar.active = Some(active);
        match request {
            Some(request) => self.tell_all(Owner::Registrar, nodes, &request),
            None => self.registrar_calls_done(),
        }
    }

    /// A quarter of a second at first, then twice as long each time, up to 8 s (`random_sleep/1`).
    fn registrar_sleep(&mut self, mut active: Active) {
        let most = match active.times {
            times @ 0..=5 => Duration::from_millis(125) * (1 << times),
            _ => Duration::from_secs(8),
        };
        active.times = active.times.saturating_add(1);
        let sleep = self.random_time(most);
        active.stage = Stage::Asleep(self.now + sleep);
        self.registrar.active = Some(active);
    }
}
