//! Processes on other nodes, started by a process here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use etf::{Atom, Pid, Reference, Term};
use tokio::sync::oneshot;

use super::{Mfa, serve};
use crate::error::SendError;
use crate::link::{Link, NoRelation, Relation};
use crate::name::NodeName;
use crate::node::Shared;
use crate::process::{Inner, Process, Watched, tell_linked};
use crate::wire::control::{Control, PidOrName};

/// How a process on another node is started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpawnOptions {
    link: bool,
    monitor: bool,
    leader: Option<Pid>,
}

/// Why a process was not started.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The request was not sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The node was lost before it answered; the process may run.
    #[error("no connection")]
    NoConnection,
    /// The node said no: `notsup`, `badopt`, `system_limit`.
    #[error("refused: {0}")]
    Refused(Atom),
}

/// Requests whose answer is under way.
#[derive(Debug, Default)]
pub(crate) struct Spawns(Mutex<HashMap<Reference, Pending>>);

#[derive(Debug)]
struct Pending {
    process: Arc<Inner>,
    options: SpawnOptions,
    tell: Tell,
    relation: Relation,
}

/// Who hears of the answer.
#[derive(Debug)]
enum Tell {
    /// The process, by `{spawn_reply, Reference, ok | error, Pid | Reason}`.
    Mailbox,
    /// Its code, which waits.
    Waiting(oneshot::Sender<Result<Pid, SpawnError>>),
}

impl SpawnOptions {
    /// Neither linked nor monitored, and with the node as its group leader.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Linked from the start.
    #[must_use]
    pub fn link(mut self) -> Self {
        self.link = true;
        self
    }

    /// Monitored from the start, under the reference of the request.
    #[must_use]
    pub fn monitor(mut self) -> Self {
        self.monitor = true;
        self
    }

    /// Who gets what the process prints.
    #[must_use]
    pub fn group_leader(mut self, leader: &Pid) -> Self {
        self.leader = Some(leader.clone());
        self
    }

    fn to_terms(&self) -> Vec<Term> {
        let link = self.link.then(|| Term::atom("link"));
        let monitor = self.monitor.then(|| Term::atom("monitor"));
        link.into_iter().chain(monitor).collect()
    }
}

impl Process {
    /// Asks a node for a process and does not wait for it (`erlang:spawn_request/5`): the answer is
    /// a message `{spawn_reply, Reference, ok, Pid}` or `{spawn_reply, Reference, error, Reason}`,
    /// of which `noconnection` is one reason. It comes before anything that the process sends.
    pub async fn spawn_request(
        &self,
        node: &NodeName,
        mfa: Mfa,
        options: &SpawnOptions,
    ) -> Reference {
        let (shared, inner) = self.parts();
        let reference = shared.processes.ids.reference();
        let sent = shared.request(inner, self.pid(), node, mfa, options, &reference, Tell::Mailbox);
        if let Err(error) = sent.await {
            let reason = match error {
                SpawnError::Send(SendError::Encode(_)) => Atom::from_static("badarg"),
                SpawnError::Refused(reason) => reason,
                SpawnError::Send(_) | SpawnError::NoConnection => Atom::from_static("noconnection"),
            };
            shared.deliver_term(inner, None, reply(&reference, "error", Term::Atom(reason)));
        }
        reference
    }

    /// Starts a process on another node (`erlang:spawn/4`). When the future is dropped, the process
    /// may run all the same.
    ///
    /// # Errors
    /// [`SpawnError`]. That there is no such function is none: the process ends with `undef`.
    pub async fn spawn_on(&self, node: &NodeName, mfa: Mfa) -> Result<Pid, SpawnError> {
        Ok(self.spawn_with(node, mfa, &SpawnOptions::new()).await?.0)
    }

    /// Starts a process on another node and links with it (`erlang:spawn_link/4`).
    ///
    /// # Errors
    /// As [`Process::spawn_on`].
    pub async fn spawn_link(&self, node: &NodeName, mfa: Mfa) -> Result<Pid, SpawnError> {
        Ok(self.spawn_with(node, mfa, &SpawnOptions::new().link()).await?.0)
    }

    /// Starts a process on another node and monitors it (`erlang:spawn_monitor/4`).
    ///
    /// # Errors
    /// As [`Process::spawn_on`].
    pub async fn spawn_monitor(
        &self,
        node: &NodeName,
        mfa: Mfa,
    ) -> Result<(Pid, Reference), SpawnError> {
        self.spawn_with(node, mfa, &SpawnOptions::new().monitor()).await
    }

    /// As [`Process::spawn_request`], waiting for the answer (`erlang:spawn_opt/5`). The reference
    /// is the monitor's, where one was wanted.
    ///
    /// # Errors
    /// As [`Process::spawn_on`].
    pub async fn spawn_with(
        &self,
        node: &NodeName,
        mfa: Mfa,
        options: &SpawnOptions,
    ) -> Result<(Pid, Reference), SpawnError> {
        let (shared, inner) = self.parts();
        let reference = shared.processes.ids.reference();
        let (sender, answer) = oneshot::channel();
        let tell = Tell::Waiting(sender);
        shared.request(inner, self.pid(), node, mfa, options, &reference, tell).await?;
        let pid = answer.await.unwrap_or(Err(SpawnError::NoConnection))?;
        Ok((pid, reference))
    }
}

impl Spawns {
    /// How many requests wait for their answer.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn take(&self, reference: &Reference) -> Option<Pending> {
        self.lock().remove(reference)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Reference, Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    #[expect(clippy::too_many_arguments, reason = "one place calls it for each form of request")]
    async fn request(
        self: &Arc<Self>,
        process: &Arc<Inner>,
        own: &Pid,
        node: &NodeName,
        mfa: Mfa,
        options: &SpawnOptions,
        reference: &Reference,
        tell: Tell,
    ) -> Result<(), SpawnError> {
        if *node == self.name {
            return self.spawn_here(process, own, mfa, options, reference, tell);
        }
        let failed = |source| SendError::Connect { node: node.clone(), source };
        let link = self.connect(node).await.map_err(failed)?;
        let relation = match Relation::new(&link, process.id) {
            Ok(relation) => relation,
            Err(NoRelation::TooMany) => return Err(SendError::Busy(node.clone()).into()),
            Err(NoRelation::Lost | NoRelation::Ended) => return Err(SpawnError::NoConnection),
        };
        let Mfa { module, function, args } = mfa;
        let control = Control::spawn_request(
            reference.clone(),
            own.clone(),
            options.leader.clone().unwrap_or_else(|| self.self_pid.clone()),
            (module, function, args.len()),
            options.to_terms(),
        );
        let frame = link.encode(&control, Some(&Term::List(args))).map_err(SendError::from)?;
        let pending =
            Pending { process: process.clone(), options: options.clone(), tell, relation };
        // Known before it is sent, and sent as soon as it is known: a future that is dropped while
        // it waits for room leaves nothing.
        let known = || {
            self.spawns.lock().insert(reference.clone(), pending);
            true
        };
        let sent = link.outbox.send_if(frame, known).await;
        if let Err(refused) = sent {
            // The link went down, and told then whoever was known.
            if self.spawns.take(reference).is_some() {
                return Err(link.refused(refused).into());
            }
        }
        Ok(())
    }

    /// A process of our own that runs what is exported.
    fn spawn_here(
        self: &Arc<Self>,
        process: &Arc<Inner>,
        own: &Pid,
        mfa: Mfa,
        options: &SpawnOptions,
        reference: &Reference,
        tell: Tell,
    ) -> Result<(), SpawnError> {
        let spawned = serve::spawn_here(self, mfa, |child, pid| {
            if options.monitor {
                let (watched, what) = (PidOrName::Pid(pid.clone()), Watched::Pid(pid.clone()));
                let _ = process.begin_monitor(reference.clone(), what, None);
                let _ = child.monitored_by(own.clone(), reference.clone(), watched, None);
            }
            if options.link {
                let _ = process.begin_link(pid.clone(), None);
                let _ = child.linked_by(own.clone(), None);
            }
            self.tell_spawn(process, reference, tell, Ok(pid.clone()));
        });
        spawned.map(drop).ok_or(SpawnError::Refused(Atom::from_static("system_limit")))
    }

    /// The answer to a request of a process. False when there is none such.
    pub(crate) fn spawn_answered(
        &self,
        link: &Arc<Link>,
        reference: &Reference,
        result: &Term,
    ) -> bool {
        let Some(pending) = self.spawns.take(reference) else { return false };
        let Pending { process, options, tell, relation } = pending;
        let result = match result {
            Term::Pid(pid) => {
                self.relate(link, &process, &options, reference, pid, &tell);
                Ok(pid.clone())
            }
            Term::Atom(reason) => Err(SpawnError::Refused(reason.clone())),
            _ => Err(SpawnError::Refused(Atom::from_static("undefined"))),
        };
        // Until here the request itself is what the loss of the link would have ended.
        drop(relation);
        self.tell_spawn(&process, reference, tell, result);
        true
    }

    /// Notes the relations that the new process has had from its start; who has ended meanwhile, or
    /// stopped waiting, has them taken away.
    fn relate(
        &self,
        link: &Arc<Link>,
        process: &Arc<Inner>,
        options: &SpawnOptions,
        reference: &Reference,
        pid: &Pid,
        tell: &Tell,
    ) {
        let own = self.processes.ids.pid(process.id);
        let given_up = matches!(tell, Tell::Waiting(sender) if sender.is_closed());
        if options.monitor {
            let what = Watched::Pid(pid.clone());
            if given_up || process.begin_monitor(reference.clone(), what, Some(link)).is_err() {
                let watched = PidOrName::Pid(pid.clone());
                let control = Control::demonitor(own.clone(), watched, reference.clone());
                link.answer(&control, None);
            }
        }
        if options.link && process.begin_link(pid.clone(), Some(link)).is_err() {
            tell_linked(link, own, pid.clone(), Term::atom("noproc"));
        }
    }

    /// A link is lost, and with it the answers that were to come over it.
    pub(crate) fn spawns_lost(&self, link: &Arc<Link>) {
        let across = |pending: &Pending| Arc::ptr_eq(pending.relation.link(), link);
        let lost: Vec<_> = self.spawns.lock().extract_if(|_, pending| across(pending)).collect();
        for (reference, Pending { process, tell, .. }) in lost {
            self.tell_spawn(&process, &reference, tell, Err(SpawnError::NoConnection));
        }
    }

    fn tell_spawn(
        &self,
        process: &Arc<Inner>,
        reference: &Reference,
        tell: Tell,
        result: Result<Pid, SpawnError>,
    ) {
        match tell {
            // Who has stopped waiting does not want to know.
            Tell::Waiting(sender) => drop(sender.send(result)),
            Tell::Mailbox => {
                let message = match result {
                    Ok(pid) => reply(reference, "ok", Term::Pid(pid)),
                    Err(SpawnError::Refused(reason)) => {
                        reply(reference, "error", Term::Atom(reason))
                    }
                    Err(_) => reply(reference, "error", Term::atom("noconnection")),
                };
                self.deliver_term(process, None, message);
            }
        }
    }
}

fn reply(reference: &Reference, what: &'static str, result: Term) -> Term {
    let reference = Term::Reference(reference.clone());
    Term::Tuple(vec![Term::atom("spawn_reply"), reference, Term::atom(what), result])
}
