//! Sending messages.

use std::sync::Arc;

use etf::{Atom, Pid, Reference, ShortEncoder, Term};
use futures::future::BoxFuture;
use tokio::task::consume_budget;

use super::{Node, Shared};
use crate::error::SendError;
use crate::flags::Flags;
use crate::link::Link;
use crate::name::NodeName;
use crate::process::{Body, Envelope, Inner};
use crate::wire::control::{Control, PidOrName};

/// Where a message goes.
#[derive(Debug, Clone, PartialEq)]
pub enum Destination {
    /// A process, here or elsewhere.
    Pid(Pid),
    /// A registered name of this node.
    Name(Atom),
    /// A registered name of another node, Erlang's `{Name, Node}`.
    Remote {
        /// The name.
        name: Atom,
        /// Where it is registered.
        node: NodeName,
    },
    /// An alias of a process, here or elsewhere.
    Alias(Reference),
}

impl Destination {
    /// Writes the control message and the message behind it, where both are short.
    fn write<'t>(
        &'t self,
        from: &'t Pid,
        message: &'t Term,
        link: &Link,
        encoder: &mut ShortEncoder<'t>,
    ) -> Option<()> {
        match self {
            Self::Pid(pid) => Control::write_send(from, pid, link.flags, encoder)?,
            Self::Remote { name, .. } => Control::write_reg_send(from, name, encoder)?,
            Self::Name(_) | Self::Alias(_) => return None,
        }
        encoder.term(message)
    }
}

impl From<Reference> for Destination {
    fn from(alias: Reference) -> Self {
        Self::Alias(alias)
    }
}

impl From<Pid> for Destination {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}

impl From<&Pid> for Destination {
    fn from(pid: &Pid) -> Self {
        Self::Pid(pid.clone())
    }
}

impl From<Atom> for Destination {
    fn from(name: Atom) -> Self {
        Self::Name(name)
    }
}

impl From<(Atom, NodeName)> for Destination {
    fn from((name, node): (Atom, NodeName)) -> Self {
        Self::Remote { name, node }
    }
}

impl From<(&'static str, &NodeName)> for Destination {
    /// For names that stand in the program; one of more than 255 characters panics.
    fn from((name, node): (&'static str, &NodeName)) -> Self {
        Self::Remote { name: Atom::from_static(name), node: node.clone() }
    }
}

impl Node {
    /// Sends a message, dialling the receiver's node if there is no link, and waiting for room in
    /// the link's queue. Cancelling sends nothing.
    ///
    /// A receiver that does not exist is no error. Two messages from one task to one receiver
    /// arrive in the order they were sent, as long as the link stays up.
    ///
    /// # Errors
    /// [`SendError`] when there is no link to be had, it goes down meanwhile, or the message has no
    /// external form.
    pub async fn send(&self, to: impl Into<Destination>, message: Term) -> Result<(), SendError> {
        self.shared.send(&self.shared.self_pid, to.into(), message).await
    }

    /// Sends a message only if that can be done at once: it neither dials nor waits.
    ///
    /// # Errors
    /// [`SendError::Busy`] when the link's queue is full, [`SendError::NotConnected`] when there is
    /// no link, [`SendError::Encode`] when the message has no external form.
    pub fn try_send(&self, to: impl Into<Destination>, message: Term) -> Result<(), SendError> {
        self.shared.try_send(&self.shared.self_pid, to.into(), message)
    }
}

/// Where a message goes, from the point of view of this node.
pub(crate) enum Way {
    Here(Local),
    There(NodeName, Receiver),
}

/// What the short way came to.
enum Short {
    Sent,
    /// There is a link, but the message is long, or has to wait.
    NotSent(Arc<Link>, Receiver),
    NoLink(Destination),
}

/// A receiver of this node.
pub(crate) enum Local {
    Process(Option<Arc<Inner>>),
    Alias(Reference),
    /// The node itself, which waits for replies to its calls.
    Node,
}

/// A process of another node.
pub(crate) enum Receiver {
    Pid(Pid),
    Name(Atom),
    Alias(Reference),
}

impl Receiver {
    /// The control message in front of a message to this receiver. `None` for an alias when the
    /// peer knows none (OTP 23): then it has none either, and would disconnect.
    fn control(self, from: &Pid, link: &Link) -> Option<Term> {
        Some(match self {
            Self::Pid(pid) => Control::send(from.clone(), pid, link.flags),
            Self::Name(name) => Control::reg_send(from.clone(), name),
            Self::Alias(alias) if link.flags.contains(Flags::ALIAS) => {
                Control::alias_send(from.clone(), alias, link.flags)
            }
            Self::Alias(_) => return None,
        })
    }

    /// As a monitor names it; nobody monitors an alias.
    pub(super) fn into_pid_or_name(self) -> Option<PidOrName> {
        match self {
            Self::Pid(pid) => Some(PidOrName::Pid(pid)),
            Self::Name(name) => Some(PidOrName::Name(name)),
            Self::Alias(_) => None,
        }
    }
}

impl Shared {
    /// Sends a message as `from`.
    pub(crate) async fn send(
        self: &Arc<Self>,
        from: &Pid,
        to: Destination,
        message: Term,
    ) -> Result<(), SendError> {
        // As waiting for room does: who sends without end lets others run.
        consume_budget().await;
        match self.begin_send(from, to, message)? {
            Some(rest) => rest.await,
            None => Ok(()),
        }
    }

    /// Sends a message if that can be done at once; otherwise gives what is left to do. That is boxed, as in
    /// [`Link::send_long`].
    ///
    /// # Errors
    /// As [`Shared::send`].
    fn begin_send(
        self: &Arc<Self>,
        from: &Pid,
        to: Destination,
        message: Term,
    ) -> Result<Option<BoxFuture<'static, Result<(), SendError>>>, SendError> {
        let (node, receiver) = match self.try_send_short(from, to, &message)? {
            Short::Sent => return Ok(None),
            Short::NotSent(link, receiver) => {
                let control = receiver.control(from, &link);
                return Ok(control.map(|control| link.send_long(control, message)));
            }
            Short::NoLink(to) => match self.way(to)? {
                Way::Here(receiver) => {
                    self.send_here(receiver, from, message);
                    return Ok(None);
                }
                Way::There(node, receiver) => (node, receiver),
            },
        };
        let (shared, from) = (self.clone(), from.clone());
        Ok(Some(Box::pin(async move {
            let link = match shared.connect(&node).await {
                Ok(link) => link,
                Err(source) => return Err(SendError::Connect { node, source }),
            };
            match receiver.control(&from, &link) {
                Some(control) => link.send_long(control, message).await,
                None => Ok(()),
            }
        })))
    }

    fn try_send(
        self: &Arc<Self>,
        from: &Pid,
        to: Destination,
        message: Term,
    ) -> Result<(), SendError> {
        let (node, receiver) = match self.way(to)? {
            Way::Here(receiver) => {
                self.send_here(receiver, from, message);
                return Ok(());
            }
            Way::There(node, receiver) => (node, receiver),
        };
        let Some(link) = self.links.link(node.as_atom()) else {
            return Err(SendError::NotConnected(node));
        };
        let Some(control) = receiver.control(from, &link) else { return Ok(()) };
        let bytes = link.encode(&control, Some(&message))?;
        link.outbox.try_send(bytes).map_err(|refused| link.refused(refused))
    }

    /// The short way, of nearly every message: its node has a link that is up and has room for it.
    fn try_send_short(
        &self,
        from: &Pid,
        to: Destination,
        message: &Term,
    ) -> Result<Short, SendError> {
        let node = match &to {
            Destination::Pid(pid) => &pid.node,
            Destination::Alias(alias) => alias.node(),
            Destination::Remote { node, .. } => node.as_atom(),
            Destination::Name(_) => return Ok(Short::NoLink(to)),
        };
        if node == self.name.as_atom() {
            return Ok(Short::NoLink(to));
        }
        // The link is used where it stands: to count those who use it costs more than the rest of its lookup.
        let short = self.links.with(node, |link| {
            if !link.outbox.is_open() {
                return None;
            }
            let sent = link.try_send_short(|encoder| to.write(from, message, link, encoder));
            Some(match sent {
                Ok(true) => Ok(None),
                Ok(false) => Ok(Some(link.clone())),
                Err(refused) => Err(link.refused(refused)),
            })
        });
        let Some(sent) = short.flatten() else { return Ok(Short::NoLink(to)) };
        let Some(link) = sent? else { return Ok(Short::Sent) };
        Ok(Short::NotSent(
            link,
            match to {
                Destination::Pid(pid) => Receiver::Pid(pid),
                Destination::Alias(alias) => Receiver::Alias(alias),
                Destination::Remote { name, .. } | Destination::Name(name) => Receiver::Name(name),
            },
        ))
    }

    /// Whether a destination is of this node, and how to reach it if not.
    ///
    /// # Errors
    /// When its node has no name that one could connect to.
    pub(crate) fn way(&self, to: Destination) -> Result<Way, SendError> {
        Ok(match to {
            Destination::Name(name) => Way::Here(Local::Process(self.processes.by_name(&name))),
            Destination::Pid(pid) if pid == self.self_pid => Way::Here(Local::Node),
            Destination::Pid(pid) if self.processes.ids.names_us(&pid) => {
                Way::Here(Local::Process(self.processes.by_pid(&pid)))
            }
            Destination::Remote { name, node } if node == self.name => {
                Way::Here(Local::Process(self.processes.by_name(&name)))
            }
            Destination::Alias(alias) if alias.node() == self.name.as_str() => {
                Way::Here(Local::Alias(alias))
            }
            Destination::Alias(alias) => {
                Way::There(NodeName::new(alias.node().as_str())?, Receiver::Alias(alias))
            }
            Destination::Pid(pid) => {
                Way::There(NodeName::new(pid.node.as_str())?, Receiver::Pid(pid))
            }
            Destination::Remote { name, node } => Way::There(node, Receiver::Name(name)),
        })
    }

    fn send_here(&self, receiver: Local, from: &Pid, message: Term) {
        match receiver {
            Local::Process(Some(process)) => {
                self.deliver_term(&process, Some(from.clone()), message);
            }
            Local::Process(None) => {}
            Local::Node => {
                self.answer_tagged(message);
            }
            Local::Alias(alias) => {
                self.send_to_alias(&alias, Some(from.clone()), Body::Term(message));
            }
        }
    }

    /// A message to an alias of ours: of a call that waits, or of a process. False when there is
    /// no such alias.
    pub(crate) fn send_to_alias(&self, alias: &Reference, from: Option<Pid>, body: Body) -> bool {
        match self.answer_call(alias, body) {
            Ok(()) => true,
            Err(body) => self.deliver_to_alias(alias, Envelope { from, body }),
        }
    }
}
