//! What a control message does: one function for each kind.
//!
//! Runs in the link's reader, so nothing here waits for anybody; what is large is decoded elsewhere
//! meanwhile. Everything that a caller on the other side waits for is answered, also when what it asks
//! about does not exist.

use std::ops::ControlFlow;
use std::sync::Arc;

use etf::{DecodeError, Pid, RawTerm, Reference, Term};

use super::{Answer, Shared};
use crate::error::DownReason;
use crate::link::{Link, NoRelation};
use crate::process::{Body, Envelope, ExitKind, Inner, Run, tell_linked, tell_watcher};
use crate::rpc;
use crate::service::{self, IoRequest};
use crate::wire::control::{Control, PidOrName, Plain, Reason};
use crate::wire::frame::FrameBuffer;
use crate::work;

type Taken = Result<(), DownReason>;

/// What stands for a reason that was over our limits.
pub(crate) const REASON_TOO_LARGE: &str = "reason_too_large";

/// Takes a plain message to a process of ours, as nearly all are, and those that follow its frame in the buffer
/// with the same header and control tuple, and says how many these were. Goes on with any other message, which
/// [`control`] takes.
pub(crate) fn plain(
    link: &Arc<Link>,
    plain: Plain,
    body: RawTerm,
    (frame, buffer): (&[u8], &mut FrameBuffer),
    shared: &Arc<Shared>,
) -> ControlFlow<u64, (Plain, RawTerm)> {
    let process = match &plain {
        Plain::Send { to, .. } => shared.processes.by_pid(to),
        Plain::RegSend { to, .. } => shared.processes.by_name(to),
        Plain::AliasSend { .. } => None,
    };
    let Some(process) = process else { return ControlFlow::Continue((plain, body)) };
    let from = match plain {
        Plain::Send { from, .. } => from,
        Plain::RegSend { from, .. } | Plain::AliasSend { from, .. } => Some(from),
    };
    let start = frame.get(..frame.len().saturating_sub(body.len())).unwrap_or_default();
    let run = (process.has_mailbox() && buffer.next_like(start, Run::SHORT).is_some())
        .then(|| Run::new(from.clone(), body.shared_atoms(), Arc::downgrade(link)));
    shared.deliver(&process, Site { link, shared }.envelope(from, body));
    ControlFlow::Break(run.map_or(0, |run| like_it(&process, run, start, buffer, shared)))
}

/// Takes the frames that begin with `start`. All of them had come before their receiver was looked up, so it is theirs
/// too.
fn like_it(
    process: &Arc<Inner>,
    mut run: Run,
    start: &[u8],
    buffer: &mut FrameBuffer,
    shared: &Shared,
) -> u64 {
    let mut count = 0;
    loop {
        while buffer.take_like(start, Run::SHORT, |payload| run.push(payload)) {}
        if run.len() == 0 {
            tracing::trace!(count, "read more like it");
            return count;
        }
        count += run.len() as u64;
        let next = run.another();
        shared.deliver_run(process, run);
        run = next;
    }
}

/// Takes one control message and what came behind it.
pub(crate) async fn control(
    link: &Arc<Link>,
    control: Control,
    payload: Option<RawTerm>,
    shared: &Arc<Shared>,
) -> Taken {
    let at = Site { link, shared };
    match control {
        Control::Send { from, to } => at.send(from, &to, message(payload)?).await?,
        Control::RegSend { from, to } => at.reg_send(from, &to, message(payload)?).await?,
        Control::AliasSend { from, alias } => at.alias_send(from, &alias, message(payload)?),
        Control::Link { from, to } => at.link(from, to)?,
        Control::Unlink { from, to } => at.unlink(&from, &to),
        Control::UnlinkId { id, from, to } => at.unlink_id(id, from, to),
        Control::UnlinkIdAck { id, from, to } => at.unlink_id_ack(id, &from, &to),
        Control::Exit { from, to, reason } => at.exit(&from, &to, reason, payload)?,
        Control::Exit2 { from, to, reason } => at.exit2(&from, &to, reason, payload)?,
        Control::Monitor { from, to, reference } => at.monitor(from, to, reference)?,
        Control::Demonitor { from, to, reference } => at.demonitor(&from, &to, &reference),
        Control::MonitorExit { to, reference, reason, .. } => {
            at.monitor_exit(&to, &reference, reason, payload)?;
        }
        Control::SpawnRequest { request: reference, from, leader: _, spawn, options } => {
            let args = message(payload)?;
            at.spawn_request(rpc::Request { reference, from, spawn, options, args })?;
        }
        Control::SpawnReply { request, flags, result, .. } => {
            at.spawn_reply(&request, flags, result);
        }
        // A process here writes to nobody's group leader.
        Control::GroupLeader { .. } => at.skip("a group leader"),
    }
    Ok(())
}

/// Decodes a large exit reason before the message is taken, where it holds up no task.
///
/// # Errors
/// When it is malformed.
pub(crate) async fn decode_reason(
    link: &Arc<Link>,
    control: &mut Control,
    payload: Option<RawTerm>,
    shared: &Arc<Shared>,
) -> Result<Option<RawTerm>, DownReason> {
    let Some(raw) = payload.as_ref().filter(|raw| work::is_long(raw)) else { return Ok(payload) };
    let Some(reason @ Reason::Payload) = control.reason_mut() else { return Ok(payload) };
    let decoded = work::decode(raw.clone(), &shared.limits.terms).await;
    *reason = Reason::Inline(Site { link, shared }.read_reason(decoded)?);
    Ok(None)
}

/// Asks a silent peer for something whose answer is certain: a monitor of a name that does not
/// exist is answered with `noproc` at once.
pub(crate) fn ask_for_life(link: &Link, shared: &Shared) {
    let nobody = PidOrName::Name(etf::Atom::from_static("$dist_sign_of_life"));
    let reference = shared.processes.ids.reference();
    link.answer(&Control::monitor(shared.self_pid.clone(), nobody, reference), None);
}

/// Where a control message came in.
struct Site<'a> {
    link: &'a Arc<Link>,
    shared: &'a Arc<Shared>,
}

impl Site<'_> {
    async fn send(&self, from: Option<Pid>, to: &Pid, body: RawTerm) -> Taken {
        if let Some(process) = self.shared.processes.by_pid(to) {
            self.shared.deliver(&process, self.envelope(from, body));
        } else if *to == self.shared.self_pid {
            return self.reply(body).await;
        } else {
            self.skip("a message to a process that is not");
        }
        Ok(())
    }

    /// A message to the node itself: the reply to a call, from a peer that does not know aliases,
    /// or something to print, from a process that has us for its group leader.
    async fn reply(&self, body: RawTerm) -> Taken {
        let Some(message) = self.decode(body).await? else { return Ok(()) };
        let message = match IoRequest::parse(message) {
            Ok(request) => {
                service::answer_for_node(self.shared, request);
                return Ok(());
            }
            Err(message) => message,
        };
        if !self.shared.answer_tagged(message) {
            self.skip("a message to the node that answers no call");
        }
        Ok(())
    }

    fn alias_send(&self, from: Pid, alias: &Reference, body: RawTerm) {
        let body = Body::Encoded(body, Arc::downgrade(self.link));
        if !self.shared.send_to_alias(alias, Some(from), body) {
            self.skip("a message to an alias that is not");
        }
    }

    async fn reg_send(&self, from: Pid, to: &etf::Atom, body: RawTerm) -> Taken {
        if let Some(process) = self.shared.processes.by_name(to) {
            self.shared.deliver(&process, self.envelope(Some(from), body));
        } else if service::is_served(to.as_str()) {
            if let Some(message) = self.decode(body).await? {
                service::take(self.shared, self.link, to.as_str(), &from, message);
            }
        } else {
            self.skip("a message to a name that is not registered");
        }
        Ok(())
    }

    fn link(&self, from: Pid, to: Pid) -> Taken {
        if !self.is_peers(&from) {
            return Ok(());
        }
        let result = match self.shared.processes.by_pid(&to) {
            Some(process) => process.linked_by(from.clone(), Some(self.link)),
            None => Err(NoRelation::Ended),
        };
        match result {
            Ok(()) | Err(NoRelation::Lost) => Ok(()),
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

    fn unlink_id_ack(&self, id: u64, from: &Pid, to: &Pid) {
        let process = self.shared.processes.by_pid(to);
        if !process.is_some_and(|process| process.unlink_acknowledged(from, id)) {
            self.skip("an acknowledgement of an unlink that is not");
        }
    }

    /// An exit signal of a linked process.
    fn exit(&self, from: &Pid, to: &Pid, reason: Reason, payload: Option<RawTerm>) -> Taken {
        let reason = self.reason(reason, payload)?;
        match self.shared.processes.by_pid(to) {
            Some(process) => self.shared.exit_signal(&process, from, reason, ExitKind::Linked),
            None => self.skip("an exit signal to a process that is not"),
        }
        Ok(())
    }

    fn exit2(&self, from: &Pid, to: &PidOrName, reason: Reason, payload: Option<RawTerm>) -> Taken {
        let reason = self.reason(reason, payload)?;
        match self.shared.find(to) {
            Some(process) => self.shared.exit_signal(&process, from, reason, ExitKind::Sent),
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
        if matches!(&to, PidOrName::Pid(pid) if *pid == self.shared.self_pid) {
            // The node itself, as a group leader: likewise.
            return Ok(());
        }
        let result = match self.shared.find(&to) {
            Some(process) => {
                process.monitored_by(from.clone(), reference.clone(), to.clone(), Some(self.link))
            }
            None => Err(NoRelation::Ended),
        };
        match result {
            Ok(()) | Err(NoRelation::Lost) => Ok(()),
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
        self.shared.demonitored(to, reference);
    }

    /// A monitor of ours has fired: of a process, of a call, or of nobody any more, as the sign of
    /// life that was asked for.
    fn monitor_exit(
        &self,
        to: &Pid,
        reference: &Reference,
        reason: Reason,
        payload: Option<RawTerm>,
    ) -> Taken {
        if let Some(process) = self.shared.processes.by_pid(to) {
            let reason = self.reason(reason, payload)?;
            self.shared.down(&process, reference, reason);
        } else if self.shared.calls.is_waiting(reference) {
            let reason = self.reason(reason, payload)?;
            self.shared.calls.end(reference, Answer::Down(reason));
        }
        Ok(())
    }

    fn spawn_request(&self, request: rpc::Request) -> Taken {
        if self.is_peers(&request.from) {
            rpc::spawn(self.shared, self.link, request)?;
        }
        Ok(())
    }

    fn spawn_reply(&self, request: &Reference, flags: i64, result: Term) {
        if self.shared.spawn_answered(self.link, request, &result) {
            return;
        }
        match result {
            Term::Atom(error) => {
                if !self.shared.calls.end(request, Answer::NotSpawned(error)) {
                    self.skip("a spawn reply that nobody waits for");
                }
            }
            Term::Pid(pid) => {
                let spawned = PidOrName::Pid(pid);
                if !self.shared.calls.spawned(request, spawned.clone()) && flags & 2 != 0 {
                    // Nobody waits for it any more, so nobody wants to hear of its end.
                    let own = self.shared.self_pid.clone();
                    self.link.answer(&Control::demonitor(own, spawned, request.clone()), None);
                }
            }
            _ => self.skip("a spawn reply without a pid or a reason"),
        }
    }

    fn envelope(&self, from: Option<Pid>, body: RawTerm) -> Envelope {
        Envelope { from, body: Body::Encoded(body, Arc::downgrade(self.link)) }
    }

    /// A message that the node itself reads, a large one where it holds up no task; `None` when it
    /// is over our limits, which does not cost the link.
    async fn decode(&self, body: RawTerm) -> Result<Option<Term>, DownReason> {
        self.read(work::decode(body, &self.shared.limits.terms).await)
    }

    fn read(&self, decoded: Result<Term, DecodeError>) -> Result<Option<Term>, DownReason> {
        match decoded {
            Ok(message) => Ok(Some(message)),
            Err(error) => {
                self.link.refused_payload(&error);
                if error.is_limit() {
                    return Ok(None);
                }
                Err(DownReason::malformed(&format_args!("a message: {error}")))
            }
        }
    }

    fn reason(&self, reason: Reason, payload: Option<RawTerm>) -> Result<Term, DownReason> {
        match reason {
            Reason::Inline(reason) => Ok(reason),
            Reason::Payload => {
                self.read_reason(message(payload)?.decode(&self.shared.limits.terms))
            }
        }
    }

    fn read_reason(&self, decoded: Result<Term, DecodeError>) -> Result<Term, DownReason> {
        Ok(self.read(decoded)?.unwrap_or_else(|| Term::atom(REASON_TOO_LARGE)))
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
    /// A link is gone: every relation and call across it ends, and then the name is free again.
    pub(crate) fn link_down(&self, link: &Arc<Link>) {
        self.relations_lost(link);
        self.calls.lost(link);
        self.spawns_lost(link);
        self.announce_down(link);
        self.links.remove(link);
        self.end_events_if_over();
        link.set_down();
    }
}
