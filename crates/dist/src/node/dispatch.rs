//! What a control message does: one function for each kind.
//!
//! Runs in the link's reader, so nothing here waits. Everything that a caller on the other side
//! waits for is answered, also when what it asks about does not exist.

use std::sync::Arc;

use etf::{Pid, RawTerm, Reference, Term};

use super::Shared;
use crate::error::DownReason;
use crate::link::{Link, Relation};
use crate::process::{Body, Envelope, NoRelation, Process};
use crate::service;
use crate::wire::control::{Control, PidOrName, Reason};

type Taken = Result<(), DownReason>;

/// Takes one control message and what came behind it.
pub(crate) fn control(
    link: &Arc<Link>,
    control: Control,
    payload: Option<RawTerm>,
    shared: &Arc<Shared>,
) -> Taken {
    let at = Site { link, shared };
    match control {
        Control::Send { from, to } => at.send(from, &to, message(payload)?),
        Control::RegSend { from, to } => at.reg_send(from, &to, message(payload)?)?,
        // No process of this node has an alias yet, and a message to a dead one is dropped.
        Control::AliasSend { .. } => at.skip("a message to an alias"),
        Control::Link { from, to } => at.link(from, to)?,
        Control::Unlink { from, to } => at.unlink(&from, &to),
        Control::UnlinkId { id, from, to } => at.unlink_id(id, from, to),
        Control::UnlinkIdAck { .. } => at.skip("an unlink acknowledgement"),
        Control::Exit { from, to, reason } => at.exit(from, &to, reason, payload)?,
        Control::Exit2 { from, to, reason } => at.exit2(from, &to, reason, payload)?,
        Control::Monitor { from, to, reference } => at.monitor(from, to, reference)?,
        Control::Demonitor { from, to, reference } => at.demonitor(&from, &to, &reference),
        // The sign of life that was asked for, or about a monitor that is no more.
        Control::MonitorExit { .. } => {}
        Control::SpawnRequest { request, from, .. } => at.spawn_request(request, from),
        Control::SpawnReply { .. } => at.skip("a spawn reply"),
        // A process here writes to nobody's group leader.
        Control::GroupLeader { .. } => at.skip("a group leader"),
    }
    Ok(())
}

/// Asks a silent peer for something whose answer is certain: a monitor of a name that does not
/// exist is answered with `noproc` at once.
pub(crate) fn ask_for_life(link: &Link, shared: &Shared) {
    let nobody = PidOrName::Name(etf::Atom::from_static("$dist_sign_of_life"));
    let reference = shared.processes.ids.reference();
    link.answer(&Control::monitor(shared.self_pid.clone(), nobody, reference), None);
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

/// Where a control message came in.
struct Site<'a> {
    link: &'a Arc<Link>,
    shared: &'a Arc<Shared>,
}

impl Site<'_> {
    fn send(&self, from: Option<Pid>, to: &Pid, body: RawTerm) {
        match self.shared.processes.by_pid(to) {
            Some(process) => self.deliver(&process, from, body),
            None => self.skip("a message to a process that is not"),
        }
    }

    fn reg_send(&self, from: Pid, to: &etf::Atom, body: RawTerm) -> Taken {
        if let Some(process) = self.shared.processes.by_name(to) {
            self.deliver(&process, Some(from), body);
        } else if service::is_served(to.as_str()) {
            return self.serve(to.as_str(), &from, &body);
        } else {
            self.skip("a message to a name that is not registered");
        }
        Ok(())
    }

    fn serve(&self, name: &str, from: &Pid, body: &RawTerm) -> Taken {
        match body.decode(&self.shared.limits.terms) {
            Ok(message) => service::take(self.shared, self.link, name, from, message),
            Err(error) if error.is_limit() => self.link.refused_payload(&error),
            Err(error) => return Err(DownReason::Malformed(format!("a message: {error}"))),
        }
        Ok(())
    }

    fn link(&self, from: Pid, to: Pid) -> Taken {
        if !self.is_peers(&from) {
            return Ok(());
        }
        let result = match self.shared.processes.by_pid(&to) {
            Some(process) => process.linked_with(from.clone(), self.link),
            None => Err(NoRelation::Ended),
        };
        match result {
            Ok(()) => Ok(()),
            Err(NoRelation::TooMany) => Err(DownReason::TooManyRelations),
            Err(NoRelation::Ended) => {
                // The sender of an exit signal must be of our node, or the peer disconnects.
                if self.shared.processes.ids.names_us(&to) {
                    tell_linked(self.link, to, from, Term::atom("noproc"));
                }
                Ok(())
            }
        }
    }

    fn unlink(&self, from: &Pid, to: &Pid) {
        if let Some(process) = self.shared.processes.by_pid(to) {
            process.unlinked_from(from);
        }
    }

    /// Acknowledged even for a process that is not or was not linked: the sender waits for it
    /// before it links anew.
    fn unlink_id(&self, id: u64, from: Pid, to: Pid) {
        if !self.is_peers(&from) || !self.shared.processes.ids.names_us(&to) {
            return;
        }
        self.unlink(&from, &to);
        self.link.answer(&Control::unlink_id_ack(id, to, from), None);
    }

    /// An exit signal of a linked process. Without the link it is late: we unlinked meanwhile.
    fn exit(&self, from: Pid, to: &Pid, reason: Reason, payload: Option<RawTerm>) -> Taken {
        let reason = self.reason(reason, payload)?;
        match self.shared.processes.by_pid(to) {
            Some(process) if process.unlinked_from(&from) => {
                self.shared.trap_exit(&process, from, reason);
            }
            _ => self.skip("an exit signal of a process that is not linked"),
        }
        Ok(())
    }

    fn exit2(&self, from: Pid, to: &PidOrName, reason: Reason, payload: Option<RawTerm>) -> Taken {
        let reason = self.reason(reason, payload)?;
        match self.find(to) {
            Some(process) if reason.is_atom("kill") => {
                self.shared.end_process(&process, &Term::atom("killed"));
            }
            Some(process) => self.shared.trap_exit(&process, from, reason),
            None => self.skip("an exit signal to a process that is not"),
        }
        Ok(())
    }

    fn monitor(&self, from: Pid, to: PidOrName, reference: Reference) -> Taken {
        if !self.is_peers(&from) {
            return Ok(());
        }
        if let PidOrName::Name(name) = &to
            && service::is_served(name.as_str())
        {
            // It lives as long as the link does, so there is nothing to remember.
            return Ok(());
        }
        let result = match self.find(&to) {
            Some(process) => {
                process.monitored_by(from.clone(), reference.clone(), to.clone(), self.link)
            }
            None => Err(NoRelation::Ended),
        };
        match result {
            Ok(()) => Ok(()),
            Err(NoRelation::TooMany) => Err(DownReason::TooManyRelations),
            Err(NoRelation::Ended) => {
                tell_watcher(self.link, to, from, reference, Term::atom("noproc"));
                Ok(())
            }
        }
    }

    fn demonitor(&self, from: &Pid, to: &PidOrName, reference: &Reference) {
        if !self.is_peers(from) {
            return;
        }
        if let Some(process) = self.find(to) {
            process.demonitored(reference);
        }
    }

    fn spawn_request(&self, request: Reference, from: Pid) {
        if self.is_peers(&from) {
            let refused = Control::spawn_refused(request, from, etf::Atom::from_static("notsup"));
            self.link.answer(&refused, None);
        }
    }

    fn find(&self, process: &PidOrName) -> Option<Arc<Process>> {
        match process {
            PidOrName::Pid(pid) => self.shared.processes.by_pid(pid),
            PidOrName::Name(name) => self.shared.processes.by_name(name),
        }
    }

    fn deliver(&self, process: &Arc<Process>, from: Option<Pid>, body: RawTerm) {
        let body = Body::Encoded(body, Arc::downgrade(self.link));
        self.shared.deliver(process, Envelope { from, body });
    }

    fn reason(&self, reason: Reason, payload: Option<RawTerm>) -> Result<Term, DownReason> {
        match reason {
            Reason::Inline(reason) => Ok(reason),
            Reason::Payload => match message(payload)?.decode(&self.shared.limits.terms) {
                Ok(reason) => Ok(reason),
                Err(error) if error.is_limit() => {
                    self.link.refused_payload(&error);
                    Ok(Term::atom("reason_too_large"))
                }
                Err(error) => Err(DownReason::Malformed(format!("an exit reason: {error}"))),
            },
        }
    }

    /// True for a pid of the peer's present incarnation. What we answer to any other would cost
    /// the link: OTP disconnects on signals to pids that it no longer has.
    fn is_peers(&self, pid: &Pid) -> bool {
        let peer = &self.link.peer;
        let is = pid.node.as_str() == peer.name.as_str() && pid.creation == peer.creation;
        if !is {
            self.skip("a signal from a process that is not the peer's");
        }
        is
    }

    fn skip(&self, what: &'static str) {
        self.link.counters.skip();
        tracing::debug!(what, "skipped");
    }
}

fn message(payload: Option<RawTerm>) -> Result<RawTerm, DownReason> {
    payload.ok_or_else(|| DownReason::Malformed("a control message without its payload".into()))
}

impl Shared {
    /// Puts a message into a mailbox; one that overflows costs its process the life.
    pub(crate) fn deliver(&self, process: &Arc<Process>, envelope: Envelope) {
        if process.queue.push(envelope).is_err() {
            tracing::warn!(name = ?process.name(), "a mailbox is full: its process is ended");
            self.end_process(process, &Term::atom("mailbox_full"));
        }
    }

    /// An exit signal to a process that traps exits, as every mailbox does.
    fn trap_exit(&self, process: &Arc<Process>, from: Pid, reason: Term) {
        let exit = vec![Term::atom("EXIT"), Term::Pid(from.clone()), reason];
        self.deliver(process, Envelope { from: Some(from), body: Body::Term(Term::Tuple(exit)) });
    }

    /// Ends a process and tells everybody who has to know, once.
    pub(crate) fn end_process(&self, process: &Arc<Process>, reason: &Term) {
        let Some(bereaved) = process.end() else { return };
        self.processes.remove(process);
        for (reference, watcher) in bereaved.watchers {
            let link = watcher.relation.link.clone();
            tell_watcher(&link, watcher.watched, watcher.pid, reference, reason.clone());
        }
        let pid = self.processes.ids.pid(process.id);
        for (linked, relation) in bereaved.links {
            let Relation { ref link, .. } = relation;
            tell_linked(link, pid.clone(), linked, reason.clone());
        }
    }

    /// A link is gone: every relation across it ends, and then the name is free again.
    pub(crate) fn link_down(&self, link: &Arc<Link>) {
        for id in link.relations.processes() {
            let Some(process) = self.processes.by_id(id) else { continue };
            for pid in process.lost(link) {
                self.trap_exit(&process, pid, Term::atom("noconnection"));
            }
        }
        self.announce_down(link);
        self.links.remove(link);
        link.set_down();
    }
}
