//! What a process does to others: links, monitors, exit signals, aliases and names.

use std::sync::Arc;

use etf::{Atom, Pid, Reference, Term};
use tokio::task::consume_budget;

use super::inner::{BeginLink, Watched};
use super::signals::ExitKind;
use super::{AliasMode, Inner, Process};
use crate::error::RegisterError;
use crate::flags::Flags;
use crate::link::{Link, NoRelation};
use crate::name::NodeName;
use crate::node::{Destination, Shared, Way};
use crate::wire::control::{Control, PidOrName};

impl Process {
    /// Links with another process, `erlang:link/1`: when one ends, the other gets an exit signal.
    ///
    /// A process that does not exist, or a node that cannot be reached, is an exit signal from it
    /// with the reason `noproc` or `noconnection`. Cancelling while a full queue is waited for makes
    /// the link all the same.
    pub async fn link(&self, pid: &Pid) {
        let (shared, inner) = self.parts();
        if pid == self.pid() {
            return;
        }
        if shared.processes.ids.names_us(pid) {
            shared.link_here(inner, pid);
            return;
        }
        let Some(link) = shared.link_of(pid).await else {
            shared.exit_signal(inner, pid, Term::atom("noconnection"), ExitKind::Sent);
            return;
        };
        if pid.creation != link.peer.creation {
            // Of an earlier incarnation, so dead. The end of a link with it, or an unlink, would
            // cost the connection.
            shared.exit_signal(inner, pid, Term::atom("noproc"), ExitKind::Sent);
            return;
        }
        match inner.begin_link(pid.clone(), Some(&link)) {
            Ok(BeginLink::New) => {
                let control = Control::link(self.pid().clone(), pid.clone());
                // A process that ended meanwhile has told the end of the link.
                shared.surely(&link, &control, || inner.end_reason().is_none()).await;
            }
            Ok(BeginLink::Already) | Err(NoRelation::Ended) => {}
            Err(NoRelation::Lost | NoRelation::TooMany) => {
                shared.exit_signal(inner, pid, Term::atom("noconnection"), ExitKind::Sent);
            }
        }
    }

    /// Takes a link away, `erlang:unlink/1`. No exit signal from that process comes any more.
    pub async fn unlink(&self, pid: &Pid) {
        let (shared, inner) = self.parts();
        let id = shared.processes.ids.unlink();
        let acknowledged = match shared.links.link(&pid.node) {
            Some(link) => link.flags.contains(Flags::UNLINK_ID),
            None => false,
        };
        if let Some(link) = inner.begin_unlink(pid, acknowledged.then_some(id)) {
            let from = self.pid().clone();
            let control = if acknowledged {
                Control::unlink_id(id, from, pid.clone())
            } else {
                Control::unlink(from, pid.clone())
            };
            shared.surely(&link, &control, || true).await;
        } else if let Some(other) = shared.processes.by_pid(pid) {
            other.unlinked_from(self.pid());
        }
    }

    /// Monitors a process, `erlang:monitor/2`: its end is one message
    /// `{'DOWN', Ref, process, Pid | {Name, Node}, Reason}`.
    ///
    /// A process that does not exist, or a node that cannot be reached, is such a message too, with
    /// the reason `noproc` or `noconnection`. Cancelling monitors nothing.
    pub async fn monitor(&self, target: impl Into<Destination>) -> Reference {
        let reference = self.parts().0.processes.ids.reference();
        self.monitor_as(reference.clone(), target.into()).await;
        reference
    }

    /// As [`Process::monitor`], with an alias that is the monitor's reference
    /// (`erlang:monitor/3` with `{alias, Mode}`).
    pub async fn monitor_with_alias(
        &self,
        target: impl Into<Destination>,
        mode: AliasMode,
    ) -> Reference {
        let reference = self.alias(mode);
        self.monitor_as(reference.clone(), target.into()).await;
        reference
    }

    /// Ends a monitor, `erlang:demonitor/1`. A `DOWN` message that has arrived stays in the
    /// mailbox; [`Process::demonitor_flush`] takes it out.
    pub fn demonitor(&self, reference: &Reference) -> bool {
        let (shared, inner) = self.parts();
        if inner.alias_mode(reference).is_some_and(|mode| mode != AliasMode::ExplicitUnalias) {
            shared.end_alias(inner, reference);
        }
        shared.demonitor(inner, reference)
    }

    /// Sends an exit signal, `erlang:exit/2`. A process that does not exist, or a node that is not
    /// connected and cannot be, is no error.
    pub async fn exit(&self, pid: &Pid, reason: Term) {
        let (shared, inner) = self.parts();
        if pid == self.pid() && reason.is_atom("normal") && !inner.traps_exit() {
            // Only to itself does `normal` do anything.
            shared.end_process(inner, &reason);
        } else if let Some(process) = shared.processes.by_pid(pid) {
            shared.exit_signal(&process, self.pid(), reason, ExitKind::Sent);
        } else if !shared.processes.ids.names_us(pid)
            && let Some(link) = shared.link_of(pid).await
        {
            let from = self.pid().clone();
            let (control, payload) = Control::exit2_to(from, pid.clone(), reason, link.flags);
            shared.signal(&link, &control, payload.as_ref()).await;
        }
    }

    /// Whether exit signals arrive as messages `{'EXIT', From, Reason}`
    /// (`process_flag(trap_exit, _)`); tells how it was.
    pub fn trap_exit(&self, trap: bool) -> bool {
        self.parts().1.set_trap_exit(trap)
    }

    /// A reference that messages can be sent to as long as it is not taken away
    /// (`erlang:alias/1`).
    #[must_use]
    pub fn alias(&self, mode: AliasMode) -> Reference {
        let (shared, inner) = self.parts();
        let alias = shared.processes.ids.reference();
        if inner.add_alias(alias.clone(), mode) {
            shared.processes.add_alias(alias.clone(), inner.id);
        }
        alias
    }

    /// Takes an alias away (`erlang:unalias/1`): messages to it are dropped from now on. False when
    /// there is no such alias.
    pub fn unalias(&self, alias: &Reference) -> bool {
        let (shared, inner) = self.parts();
        shared.end_alias(inner, alias)
    }

    /// Gives this process a name.
    ///
    /// # Errors
    /// [`RegisterError`] when the name is taken, cannot be one, or the process has one.
    pub fn register(&self, name: &str) -> Result<(), RegisterError> {
        let (shared, inner) = self.parts();
        shared.processes.register(&registered_name(name)?, inner)
    }

    async fn monitor_as(&self, reference: Reference, target: Destination) {
        let (shared, inner) = self.parts();
        let Some((what, to, node)) = shared.watched(target) else { return };
        // Who does not wait to the end never learns the reference.
        let undo = Undo(Some(|| {
            inner.end_monitor(&reference);
            shared.end_alias(inner, &reference);
        }));
        let reason = match node {
            None => shared.monitor_here(inner, self.pid(), &reference, what.clone(), &to),
            Some(node) => match shared.connect(&node).await {
                Err(_) => Some("noconnection"),
                Ok(link) => match inner.begin_monitor(reference.clone(), what.clone(), Some(&link))
                {
                    Err(NoRelation::Ended) => None,
                    Err(NoRelation::Lost | NoRelation::TooMany) => Some("noconnection"),
                    Ok(()) => {
                        let from = self.pid().clone();
                        let control = Control::monitor(from, to, reference.clone());
                        // A process that ended meanwhile has taken it back already.
                        let still = || inner.end_reason().is_none();
                        shared.signal_if(&link, &control, None, still).await;
                        None
                    }
                },
            },
        };
        undo.keep();
        if let Some(reason) = reason {
            shared.end_alias(inner, &reference);
            shared.deliver_term(inner, None, what.down(reference, Term::atom(reason)));
        }
    }
}

/// What is done when a future is dropped before it comes to its end.
struct Undo<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Undo<F> {
    /// The end was reached.
    fn keep(mut self) {
        self.0 = None;
    }
}

impl<F: FnOnce()> Drop for Undo<F> {
    fn drop(&mut self) {
        if let Some(undo) = self.0.take() {
            undo();
        }
    }
}

/// A name as an atom.
pub(crate) fn registered_name(name: &str) -> Result<Atom, RegisterError> {
    Atom::new(name).map_err(|error| RegisterError::Invalid(name.into(), error))
}

impl Shared {
    /// Sends a signal of a process of ours, waiting for room as a message would. A link that goes
    /// down meanwhile has told everybody by itself.
    pub(crate) async fn signal(&self, link: &Link, control: &Term, payload: Option<&Term>) {
        // As waiting for room does: who signals without end lets others run.
        consume_budget().await;
        let short = link.try_send_short(|encoder| {
            encoder.term(control)?;
            payload.map_or(Some(()), |payload| encoder.term(payload))
        });
        if short == Ok(false) {
            Box::pin(self.signal_if(link, control, payload, || true)).await;
        }
    }

    /// As [`Shared::signal`], unless `still` says, once there is room, that it need not be sent.
    async fn signal_if(
        &self,
        link: &Link,
        control: &Term,
        payload: Option<&Term>,
        still: impl FnOnce() -> bool,
    ) {
        match link.encode(control, payload) {
            Ok(bytes) => drop(link.outbox.send_if(bytes, still).await),
            Err(error) => tracing::warn!(%error, "a signal could not be encoded"),
        }
    }

    /// Sends what a process has noted of its own accord, if `still` it is to be: when the wait for
    /// room is cut off, at once and out of the node's reserve, or the two sides would not know the
    /// same.
    async fn surely(&self, link: &Link, control: &Term, still: impl Fn() -> bool) {
        let bytes = match link.encode(control, None) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(%error, "a signal could not be encoded");
                return;
            }
        };
        let at_once = bytes.clone();
        let undo = Undo(Some(|| {
            if still() {
                link.answer_message(at_once);
            }
        }));
        // A link that goes down meanwhile has told everybody by itself.
        let _ = link.outbox.send_if(bytes, &still).await;
        undo.keep();
    }

    /// The link to a pid's node, dialled if need be.
    async fn link_of(self: &Arc<Self>, pid: &Pid) -> Option<Arc<Link>> {
        let node = NodeName::new(pid.node.as_str()).ok()?;
        self.connect(&node).await.ok()
    }

    fn link_here(&self, inner: &Arc<Inner>, pid: &Pid) {
        // Ours first: when the other ends in between, its exit signal finds the link.
        if inner.begin_link(pid.clone(), None) != Ok(BeginLink::New) {
            return;
        }
        let own = self.processes.ids.pid(inner.id);
        let other = self.processes.by_pid(pid);
        match other.filter(|other| other.linked_by(own.clone(), None).is_ok()) {
            None => self.exit_signal(inner, pid, Term::atom("noproc"), ExitKind::Linked),
            // Ours may have ended in between, and have found nobody to tell.
            Some(other) => {
                if let Some(reason) = inner.end_reason() {
                    self.exit_signal(&other, &own, reason, ExitKind::Linked);
                }
            }
        }
    }

    /// Monitors a process of this node; returns the reason when there is none.
    pub(crate) fn monitor_here(
        &self,
        inner: &Arc<Inner>,
        own: &Pid,
        reference: &Reference,
        what: Watched,
        to: &PidOrName,
    ) -> Option<&'static str> {
        inner.begin_monitor(reference.clone(), what, None).ok()?;
        let watched = self.find(to).filter(|process| {
            process.monitored_by(own.clone(), reference.clone(), to.clone(), None).is_ok()
        });
        if let Some(watched) = watched {
            // Ours may have ended in between, and have found no monitor to take away.
            if inner.end_reason().is_some() {
                watched.demonitored(reference);
            }
            return None;
        }
        inner.end_monitor(reference).map(|_| "noproc")
    }

    /// What a monitor's target is, how its node knows it, and which node that is if not ours.
    fn watched(&self, target: Destination) -> Option<(Watched, PidOrName, Option<NodeName>)> {
        match target {
            Destination::Name(name) => {
                let what = Watched::Named(name.clone(), self.name.clone());
                Some((what, PidOrName::Name(name), None))
            }
            Destination::Remote { name, node } => {
                let away = (node != self.name).then(|| node.clone());
                Some((Watched::Named(name.clone(), node), PidOrName::Name(name), away))
            }
            Destination::Pid(pid) => {
                let away = match self.way(Destination::Pid(pid.clone())) {
                    Ok(Way::Here(_)) => None,
                    Ok(Way::There(node, _)) => Some(node),
                    Err(_) => NodeName::new("nonode@nohost").ok(),
                };
                Some((Watched::Pid(pid.clone()), PidOrName::Pid(pid), away))
            }
            Destination::Alias(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::pin::pin;
    use std::task::Poll;
    use std::time::Duration;

    use super::*;
    use crate::{Cookie, DownReason, Epmd, Listen, Node, SendError};

    /// How long what must come is waited for.
    const SOON: Duration = Duration::from_secs(30);

    /// Two nodes of one runtime with a link.
    async fn pair() -> (Node, Node) {
        let cookie = || Cookie::new("c").unwrap();
        let b = Node::builder("b@127.0.0.1".parse().unwrap(), cookie()).epmd(Epmd::None);
        let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let b = b.listen(Listen::Addr(at)).start().await.unwrap();
        let a = Node::builder("a@127.0.0.1".parse().unwrap(), cookie()).epmd(Epmd::None);
        let a = a.listen(Listen::Off).peer_port(b.listen_addr().unwrap().port());
        let a = a.start().await.unwrap();
        a.connect(b.name()).await.unwrap();
        (a, b)
    }

    #[tokio::test]
    async fn who_signals_or_replies_without_end_lets_others_run() {
        let (a, b) = pair().await;
        let (own, mut other) = (a.process().unwrap(), b.process().unwrap());
        let (shared, to) = (own.parts().0, other.pid().clone());
        let link = shared.links.link(&to.node).unwrap();
        other.trap_exit(true);
        let ran = tokio::spawn(async {});
        for _ in 0..1000 {
            own.exit(&to, Term::atom("why")).await;
        }
        assert!(ran.is_finished());
        let got = other.receive_within(SOON, Ok).await.unwrap().term;
        assert_eq!(got, etf::term!({(Term::atom("EXIT")), (own.pid()), why}));
        let ran = tokio::spawn(async {});
        let control = Control::send(own.pid().clone(), to, link.flags);
        for _ in 0..1000 {
            link.send(control.clone(), Term::atom("reply")).await.unwrap();
        }
        assert!(ran.is_finished());
    }

    #[tokio::test]
    async fn an_exit_signal_arrives_with_its_reason_however_long() {
        let (a, b) = pair().await;
        let (own, mut other) = (a.process().unwrap(), b.process().unwrap());
        other.trap_exit(true);
        for length in [1, 1000, 1 << 20] {
            let reason = Term::from(vec![7; length].as_slice());
            own.exit(other.pid(), reason.clone()).await;
            let got = other.receive_within(SOON, Ok).await.unwrap().term;
            assert_eq!(got, etf::term!({(Term::atom("EXIT")), (own.pid()), (reason)}));
        }
    }

    #[tokio::test]
    async fn a_link_that_is_gone_is_told_of_whatever_way_a_message_goes() {
        let (a, b) = pair().await;
        let (own, other) = (a.process().unwrap(), b.process().unwrap());
        let link = own.parts().0.links.link(&other.pid().node).unwrap();
        link.close(DownReason::Closed);
        let control = || Control::send(own.pid().clone(), other.pid().clone(), link.flags);
        for message in [Term::atom("short"), Term::from(&[0; 1000][..])] {
            let sent = link.send(control(), message).await;
            assert!(matches!(sent, Err(SendError::LinkDown(node)) if node == *b.name()));
        }
    }

    #[tokio::test]
    async fn a_process_that_ends_while_its_monitor_waits_for_room_leaves_none_behind() {
        let (a, b) = pair().await;
        let (own, other) = (a.process().unwrap(), b.process().unwrap());
        // The writer has no turn until this task waits.
        while a.try_send(other.pid(), Term::from(&[0; 60_000][..])).is_ok() {}
        let room = |size: usize| a.try_send(other.pid(), Term::from(&vec![0; size][..]));
        while room(100).is_ok() {}
        while room(1).is_ok() {}
        {
            let mut monitor = pin!(own.monitor(other.pid()));
            let waits = poll_fn(|context| Poll::Ready(monitor.as_mut().poll(context).is_pending()));
            assert!(waits.await, "there is room");
            let (shared, inner) = own.parts();
            shared.end_process(inner, &Term::atom("done"));
            monitor.await;
        }
        // What is answered after all that.
        a.ping(b.name()).await.unwrap();
        assert_eq!((a.counts().relations, b.counts().relations), (0, 0));
    }
}
