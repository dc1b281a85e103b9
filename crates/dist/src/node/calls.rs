//! Calls that wait for an answer of another process.
//!
//! A call needs no process of its own: it is a reference that is a monitor and an alias at once,
//! and a place in this table. It ends with one answer, and then nothing that comes late reaches
//! anybody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use etf::{Atom, Reference, Term};
use tokio::sync::oneshot;

use super::{Destination, Shared, Way};
use crate::error::SendError;
use crate::flags::Flags;
use crate::link::{Link, NoRelation, Relation};
use crate::name::NodeName;
use crate::process::Body;
use crate::wire::control::{Control, PidOrName};

/// All calls of one node that wait.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<HashMap<Reference, Waiting>>);

#[derive(Debug)]
struct Waiting {
    answer: oneshot::Sender<Answer>,
    /// Who is monitored under the call's reference; not known while a spawn is under way.
    watched: Option<PidOrName>,
    relation: Option<Relation>,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Answer {
    /// What was sent to the call's alias, or to us with the call's tag.
    Reply(Body),
    /// The monitor fired: the process ended, or there was none, or its node is lost.
    Down(Term),
    /// The process that was asked for was not started, and why.
    NotSpawned(Atom),
}

/// A call that waits. Dropping it ends the monitor, and a late answer is dropped.
#[derive(Debug)]
pub(crate) struct Call {
    reference: Reference,
    answer: oneshot::Receiver<Answer>,
    shared: Arc<Shared>,
}

impl Call {
    /// The reference that is the call's monitor and alias.
    pub(crate) fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The tag of a `gen` call: `[alias | Ref]`, as OTP 24 and later make it (`gen.erl`).
    pub(crate) fn tag(&self) -> Term {
        Term::list_with_tail(vec![Term::atom("alias")], Term::Reference(self.reference.clone()))
    }

    /// The answer. Cancelling the wait loses nothing; it can be waited for again.
    pub(crate) async fn answer(&mut self) -> Answer {
        match (&mut self.answer).await {
            Ok(answer) => answer,
            // The node shuts down: nobody can answer any more.
            Err(_) => Answer::Down(Term::atom("noconnection")),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(waiting) = self.shared.calls.remove(&self.reference) {
            self.shared.abandon(&self.reference, waiting.watched, waiting.relation);
        }
    }
}

impl Calls {
    /// How many calls wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Ends the call with this reference because its monitor did. False when there is none.
    pub(crate) fn end(&self, reference: &Reference, answer: Answer) -> bool {
        let Some(waiting) = self.remove(reference) else { return false };
        // Whoever waited may just have stopped.
        let _ = waiting.answer.send(answer);
        true
    }

    /// True when a call with this reference waits.
    pub(crate) fn is_waiting(&self, reference: &Reference) -> bool {
        self.lock().contains_key(reference)
    }

    /// Notes whom a spawn made. False when nobody waits for it any more.
    pub(crate) fn spawned(&self, reference: &Reference, pid: PidOrName) -> bool {
        match self.lock().get_mut(reference) {
            Some(waiting) => {
                waiting.watched = Some(pid);
                true
            }
            None => false,
        }
    }

    /// Answers every call across a link that is lost.
    pub(crate) fn lost(&self, link: &Arc<Link>) {
        let across = |waiting: &Waiting| {
            waiting.relation.as_ref().is_some_and(|relation| Arc::ptr_eq(relation.link(), link))
        };
        let lost: Vec<_> = self
            .lock()
            .extract_if(|_, waiting| across(waiting))
            .map(|(_, waiting)| waiting)
            .collect();
        for waiting in lost {
            let _ = waiting.answer.send(Answer::Down(Term::atom("noconnection")));
        }
    }

    /// Ends all calls.
    pub(crate) fn close(&self) {
        let all = std::mem::take(&mut *self.lock());
        drop(all);
    }

    fn remove(&self, reference: &Reference) -> Option<Waiting> {
        self.lock().remove(reference)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Reference, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Begins a call: monitors `to` under the call's reference. What the call says is for the
    /// caller to send, to the same destination, after this.
    ///
    /// # Errors
    /// [`SendError`] when the process's node cannot be reached. A process that does not exist is an
    /// [`Answer::Down`] with `noproc`.
    pub(crate) async fn begin_call(self: &Arc<Self>, to: &Destination) -> Result<Call, SendError> {
        match self.way(to.clone())? {
            Way::Here(_) => {
                let watched = self.watched_here(to);
                let call = self.wait(None, watched.clone());
                let process = watched.as_ref().and_then(|watched| self.find(watched));
                let monitored = match (process, watched) {
                    (Some(process), Some(watched)) => {
                        let own = self.self_pid.clone();
                        process.monitored_by(own, call.reference.clone(), watched, None).is_ok()
                    }
                    _ => false,
                };
                if !monitored {
                    self.calls.end(&call.reference, Answer::Down(Term::atom("noproc")));
                }
                Ok(call)
            }
            Way::There(node, receiver) => {
                let watched = receiver.into_pid_or_name();
                let (link, call) = self.wait_for(&node, watched.clone()).await?;
                if let Some(watched) = watched {
                    let own = self.self_pid.clone();
                    let control = Control::monitor(own, watched, call.reference.clone());
                    self.signal(&link, &control, None).await;
                }
                Ok(call)
            }
        }
    }

    /// Asks a node for a process that runs `module:function(arguments…)`, monitored under the
    /// call's reference (`erlang:spawn_request/5`).
    ///
    /// # Errors
    /// [`SendError`] when the node cannot be reached.
    pub(crate) async fn begin_spawn(
        self: &Arc<Self>,
        node: &NodeName,
        leader: etf::Pid,
        (module, function): (Atom, Atom),
        arguments: Vec<Term>,
    ) -> Result<Call, SendError> {
        let (link, call) = self.wait_for(node, None).await?;
        if !link.flags.contains(Flags::SPAWN) {
            // As OTP does: such a peer would disconnect.
            self.calls.end(&call.reference, Answer::NotSpawned(Atom::from_static("notsup")));
            return Ok(call);
        }
        let control = Control::spawn_request(
            call.reference.clone(),
            self.self_pid.clone(),
            leader,
            (module, function, arguments.len()),
            vec![Term::atom("monitor")],
        );
        link.send(control, Term::List(arguments)).await?;
        Ok(call)
    }

    /// Answers a call with what was sent to its alias, or to our own pid with its tag; its monitor
    /// ends with that. Gives the message back when no call has this reference.
    pub(crate) fn answer_call(&self, reference: &Reference, body: Body) -> Result<(), Body> {
        let Some(Waiting { answer, watched, relation }) = self.calls.remove(reference) else {
            return Err(body);
        };
        self.abandon(reference, watched, relation);
        let _ = answer.send(Answer::Reply(body));
        Ok(())
    }

    /// Answers a call with a message `{Tag, Reply}` to the node itself, from whoever does not reply
    /// to aliases. False when it answers none.
    pub(crate) fn answer_tagged(&self, message: Term) -> bool {
        let reference = match message.as_tuple() {
            Some([Term::Reference(tag), _]) => Some(tag.clone()),
            Some([Term::ImproperList(tag), _]) => tag.tail().as_reference().cloned(),
            _ => None,
        };
        reference.is_some_and(|tag| self.answer_call(&tag, Body::Term(message)).is_ok())
    }

    /// A call to a process of another node.
    async fn wait_for(
        self: &Arc<Self>,
        node: &NodeName,
        watched: Option<PidOrName>,
    ) -> Result<(Arc<Link>, Call), SendError> {
        let failed = |source| SendError::Connect { node: node.clone(), source };
        let link = self.connect(node).await.map_err(failed)?;
        let relation = match Relation::new(&link, self.self_id) {
            Ok(relation) => relation,
            Err(NoRelation::Lost | NoRelation::Ended) => {
                return Err(SendError::LinkDown(node.clone()));
            }
            Err(NoRelation::TooMany) => return Err(SendError::Busy(node.clone())),
        };
        let call = self.wait(Some(relation), watched);
        // Those who wait when the link is lost are told; this one may have come just too late.
        if link.relations.is_lost() {
            return Err(SendError::LinkDown(node.clone()));
        }
        Ok((link, call))
    }

    fn wait(self: &Arc<Self>, relation: Option<Relation>, watched: Option<PidOrName>) -> Call {
        let reference = self.processes.ids.reference();
        let (sender, answer) = oneshot::channel();
        let waiting = Waiting { answer: sender, watched, relation };
        self.calls.lock().insert(reference.clone(), waiting);
        Call { reference, answer, shared: self.clone() }
    }

    /// Ends the monitor of a call.
    fn abandon(
        &self,
        reference: &Reference,
        watched: Option<PidOrName>,
        relation: Option<Relation>,
    ) {
        let Some(watched) = watched else { return };
        match relation {
            Some(relation) => {
                let own = self.self_pid.clone();
                let control = Control::demonitor(own, watched, reference.clone());
                relation.link().answer(&control, None);
            }
            None => {
                self.demonitored(&watched, reference);
            }
        }
    }

    fn watched_here(&self, to: &Destination) -> Option<PidOrName> {
        match to {
            Destination::Pid(pid) => Some(PidOrName::Pid(pid.clone())),
            Destination::Name(name) | Destination::Remote { name, .. } => {
                Some(PidOrName::Name(name.clone()))
            }
            Destination::Alias(_) => None,
        }
    }
}
