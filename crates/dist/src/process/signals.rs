//! Signals to processes of this node, wherever they come from, and what a process's end sets off.

use std::sync::Arc;

use etf::{Pid, Reference, Term};

use super::inner::{Relations, Watched, Watcher};
use super::{AliasMode, Body, Envelope, Inner, Run};
use crate::link::Link;
use crate::node::{Answer, Shared};
use crate::wire::control::{Control, PidOrName};

/// A process that has to be ended, and why.
type Doomed = Vec<(Arc<Inner>, Term)>;

/// Which exit signal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitKind {
    /// A linked process ended.
    Linked,
    /// `exit/2`.
    Sent,
}

impl Shared {
    /// Puts a message into a mailbox; one that overflows costs its process the life.
    pub(crate) fn deliver(&self, process: &Arc<Inner>, envelope: Envelope) {
        let mut doomed = Vec::new();
        push(process, envelope, &mut doomed);
        self.end_all(doomed);
    }

    /// Puts the messages of a run into a mailbox.
    pub(crate) fn deliver_run(&self, process: &Arc<Inner>, run: Run) {
        if process.queue.push_run(run).is_err() {
            self.end_all(vec![mailbox_full(process)]);
        }
    }

    /// Puts a message of this node's own into a mailbox.
    pub(crate) fn deliver_term(&self, process: &Arc<Inner>, from: Option<Pid>, message: Term) {
        self.deliver(process, Envelope { from, body: Body::Term(message) });
    }

    /// Delivers a message to an alias, which may be its last. False when there is no such alias.
    pub(crate) fn deliver_to_alias(&self, alias: &Reference, envelope: Envelope) -> bool {
        let Some(process) = self.processes.by_alias(alias) else { return false };
        match process.alias_mode(alias) {
            None => return false,
            Some(AliasMode::ReplyDemonitor) => {
                if !self.end_alias(&process, alias) {
                    // Another message was first.
                    return false;
                }
                self.demonitor(&process, alias);
            }
            Some(AliasMode::ExplicitUnalias | AliasMode::Demonitor) => {}
        }
        self.deliver(&process, envelope);
        true
    }

    /// Takes an alias away. False when the process has no such alias.
    pub(crate) fn end_alias(&self, process: &Inner, alias: &Reference) -> bool {
        let was = process.remove_alias(alias);
        if was {
            self.processes.remove_alias(alias);
        }
        was
    }

    /// An exit signal (`erl_dist_protocol` and the reference manual, "Processes", "Error Handling").
    pub(crate) fn exit_signal(&self, to: &Arc<Inner>, from: &Pid, reason: Term, kind: ExitKind) {
        let mut doomed = Vec::new();
        exit(to, from, reason, kind, &mut doomed);
        self.end_all(doomed);
    }

    /// A monitor of a process of ours has fired.
    pub(crate) fn down(&self, process: &Arc<Inner>, reference: &Reference, reason: Term) -> bool {
        let mut doomed = Vec::new();
        let fired = self.fire(process, reference, reason, &mut doomed);
        self.end_all(doomed);
        fired
    }

    /// Ends a process and tells everybody who has to know, once.
    pub(crate) fn end_process(&self, process: &Arc<Inner>, reason: &Term) {
        self.end_all(vec![(process.clone(), reason.clone())]);
    }

    /// A link is gone: every relation across it ends.
    pub(crate) fn relations_lost(&self, link: &Arc<Link>) {
        let mut doomed = Vec::new();
        let noconnection = || Term::atom("noconnection");
        for id in link.relations.lose() {
            let Some(process) = self.processes.by_id(id) else { continue };
            let (linked, monitored) = process.lost(link);
            for (reference, what) in monitored {
                self.tell_down(&process, &reference, what, noconnection(), &mut doomed);
            }
            for pid in linked {
                // The link is out of the table already, so it is said to be one that was sent;
                // the reason is not one that makes a difference.
                exit(&process, &pid, noconnection(), ExitKind::Sent, &mut doomed);
            }
        }
        self.end_all(doomed);
    }

    /// Ends a monitor of ours, telling the other side. False when there is none.
    pub(crate) fn demonitor(&self, process: &Inner, reference: &Reference) -> bool {
        let Some(monitored) = process.end_monitor(reference) else { return false };
        let to = monitored.what.clone().into_pid_or_name();
        match monitored.reach.link() {
            Some(link) => {
                let from = self.processes.ids.pid(process.id);
                link.answer(&Control::demonitor(from, to, reference.clone()), None);
            }
            None => {
                self.demonitored(&to, reference);
            }
        }
        true
    }

    /// Ends a monitor of a process of ours. False when there is none.
    pub(crate) fn demonitored(&self, watched: &PidOrName, reference: &Reference) -> bool {
        match watched {
            PidOrName::Pid(pid) => {
                self.processes.by_pid(pid).is_some_and(|process| process.demonitored(reference))
            }
            PidOrName::Name(name) => self.processes.demonitored_by_name(name, reference),
        }
    }

    /// The process of ours with this pid or name.
    pub(crate) fn find(&self, process: &PidOrName) -> Option<Arc<Inner>> {
        match process {
            PidOrName::Pid(pid) => self.processes.by_pid(pid),
            PidOrName::Name(name) => self.processes.by_name(name),
        }
    }

    /// Ends processes, and those that end with them, one after the other: a chain of links may be
    /// longer than the stack is deep.
    fn end_all(&self, mut doomed: Doomed) {
        while let Some((process, reason)) = doomed.pop() {
            if let Some(relations) = process.end(&reason) {
                self.processes.remove(&process, relations.aliases.keys());
                tracing::trace!(pid = %self.processes.ids.pid(process.id), %reason, "process ended");
                self.tell_all(&process, relations, &reason, &mut doomed);
                if let Some(service) = &process.service {
                    service.ended();
                }
            }
        }
    }

    fn tell_all(&self, process: &Inner, relations: Relations, reason: &Term, doomed: &mut Doomed) {
        let pid = self.processes.ids.pid(process.id);
        let Relations { watchers, links, monitors, aliases: _ } = relations;
        for (reference, watcher) in watchers {
            self.tell_watcher(&pid, reference, watcher, reason, doomed);
        }
        for (other, linked) in links {
            if linked.unlinking.is_some() {
                continue;
            }
            match linked.reach.link() {
                Some(link) => tell_linked(link, pid.clone(), other, reason.clone()),
                None => {
                    if let Some(other) = self.processes.by_pid(&other) {
                        exit(&other, &pid, reason.clone(), ExitKind::Linked, doomed);
                    }
                }
            }
        }
        for (reference, monitored) in monitors {
            let to = monitored.what.into_pid_or_name();
            match monitored.reach.link() {
                Some(link) => {
                    link.answer(&Control::demonitor(pid.clone(), to, reference), None);
                }
                None => {
                    self.demonitored(&to, &reference);
                }
            }
        }
    }

    fn tell_watcher(
        &self,
        ended: &Pid,
        reference: Reference,
        watcher: Watcher,
        reason: &Term,
        doomed: &mut Doomed,
    ) {
        match watcher.reach.link() {
            Some(link) => {
                let (control, payload) = Control::monitor_exit_to(
                    watcher.watched,
                    watcher.pid,
                    reference,
                    reason.clone(),
                    link.flags,
                );
                // The tuple may have only its name.
                link.answer_of(ended, &control, payload.as_ref());
            }
            None => match self.processes.by_pid(&watcher.pid) {
                Some(process) => {
                    self.fire(&process, &reference, reason.clone(), doomed);
                }
                // The node itself monitors what it calls.
                None => {
                    self.calls.end(&reference, Answer::Down(reason.clone()));
                }
            },
        }
    }

    fn fire(
        &self,
        process: &Arc<Inner>,
        reference: &Reference,
        reason: Term,
        doomed: &mut Doomed,
    ) -> bool {
        match process.end_monitor(reference) {
            Some(monitored) => {
                self.tell_down(process, reference, monitored.what, reason, doomed);
                true
            }
            None => false,
        }
    }

    fn tell_down(
        &self,
        process: &Arc<Inner>,
        reference: &Reference,
        what: Watched,
        reason: Term,
        doomed: &mut Doomed,
    ) {
        // An alias made with the monitor ends with it, unless it was made to stay.
        if process.alias_mode(reference).is_some_and(|mode| mode != AliasMode::ExplicitUnalias) {
            self.end_alias(process, reference);
        }
        let down = what.down(reference.clone(), reason);
        push(process, Envelope { from: None, body: Body::Term(down) }, doomed);
    }
}

/// A process here ended, or never was, that a process across `link` monitors.
pub(crate) fn tell_watcher(
    link: &Link,
    watched: PidOrName,
    watcher: Pid,
    reference: Reference,
    reason: Term,
) {
    let (control, payload) =
        Control::monitor_exit_to(watched, watcher, reference, reason, link.flags);
    link.answer(&control, payload.as_ref());
}

/// A process here ended, or never was, that a process across `link` is linked to.
pub(crate) fn tell_linked(link: &Link, from: Pid, to: Pid, reason: Term) {
    let (control, payload) = Control::exit_to(from, to, reason, link.flags);
    link.answer(&control, payload.as_ref());
}

fn push(process: &Arc<Inner>, envelope: Envelope, doomed: &mut Doomed) {
    if let Some(service) = &process.service {
        service.take(envelope);
    } else if process.queue.push(envelope).is_err() {
        doomed.push(mailbox_full(process));
    }
}

fn mailbox_full(process: &Arc<Inner>) -> (Arc<Inner>, Term) {
    tracing::warn!(name = ?process.name(), "a mailbox is full: its process is ended");
    (process.clone(), Term::atom("mailbox_full"))
}

fn exit(to: &Arc<Inner>, from: &Pid, reason: Term, kind: ExitKind, doomed: &mut Doomed) {
    match kind {
        // Without the link the signal is late: we unlinked meanwhile.
        ExitKind::Linked if !to.unlinked_from(from) => {}
        ExitKind::Sent if reason.is_atom("kill") => {
            doomed.push((to.clone(), Term::atom("killed")));
        }
        _ if to.traps_exit() => {
            let exit = vec![Term::atom("EXIT"), Term::Pid(from.clone()), reason];
            let envelope =
                Envelope { from: Some(from.clone()), body: Body::Term(Term::Tuple(exit)) };
            push(to, envelope, doomed);
        }
        _ if reason.is_atom("normal") => {}
        _ => doomed.push((to.clone(), reason)),
    }
}

impl Watched {
    fn into_pid_or_name(self) -> PidOrName {
        match self {
            Self::Pid(pid) => PidOrName::Pid(pid),
            Self::Named(name, _) => PidOrName::Name(name),
        }
    }

    /// The message `{'DOWN', Ref, process, Pid | {Name, Node}, Reason}`.
    pub(crate) fn down(self, reference: Reference, reason: Term) -> Term {
        let object = match self {
            Self::Pid(pid) => Term::Pid(pid),
            Self::Named(name, node) => Term::Tuple(vec![Term::Atom(name), Term::Atom(node.into())]),
        };
        Term::Tuple(vec![
            Term::atom("DOWN"),
            Term::Reference(reference),
            Term::atom("process"),
            object,
            reason,
        ])
    }
}
