//! Replying to a call.

use std::sync::Arc;

use etf::{EncodeError, Pid, Term};

use super::message::GenFrom;
use crate::error::SendError;
use crate::flags::Flags;
use crate::link::Link;
use crate::name::NodeName;
use crate::node::Shared;
use crate::process::Body;
use crate::wire::control::Control;

/// Who waits for the reply to a call: what `gen_server` calls `From`.
///
/// A server that does not reply at once keeps a clone of it, and whoever has that replies, from
/// any task.
#[derive(Debug, Clone)]
pub struct Caller {
    from: GenFrom,
    server: Pid,
    shared: Arc<Shared>,
}

impl Caller {
    pub(super) fn new(from: GenFrom, server: Pid, shared: Arc<Shared>) -> Self {
        Self { from, server, shared }
    }

    /// The process that waits.
    #[must_use]
    pub fn pid(&self) -> &Pid {
        &self.from.pid
    }

    /// `{Pid, Tag}`, by which `gen_server:reply/2` on another node can reply in our place.
    #[must_use]
    pub fn to_term(&self) -> Term {
        self.from.to_term()
    }

    /// Replies (`gen_server:reply/2`), waiting for room in the link's queue. A caller that is gone
    /// or waits no longer is no error.
    ///
    /// # Errors
    /// When the reply has no external form.
    pub async fn reply(self, reply: Term) -> Result<(), EncodeError> {
        let Self { from, server, shared } = self;
        if shared.processes.ids.names_us(&from.pid) {
            shared.reply_here(server, from, reply);
            return Ok(());
        }
        let Some(link) = shared.links.link(&from.pid.node) else {
            shared.reply_when_connected(server, from, reply);
            return Ok(());
        };
        reply_across(&link, server, from, reply).await
    }
}

impl Shared {
    fn reply_here(&self, server: Pid, from: GenFrom, reply: Term) {
        let alias = from.alias().cloned();
        let message = Term::Tuple(vec![from.tag, reply]);
        match alias {
            Some(alias) => {
                self.send_to_alias(&alias, Some(server), Body::Term(message));
            }
            None => {
                if let Some(process) = self.processes.by_pid(&from.pid) {
                    self.deliver_term(&process, Some(server), message);
                }
            }
        }
    }

    /// A reply connects, as any message does; the server does not wait for it.
    fn reply_when_connected(self: &Arc<Self>, server: Pid, from: GenFrom, reply: Term) {
        let Ok(node) = NodeName::new(from.pid.node.as_str()) else { return };
        let shared = self.clone();
        self.tasks.spawn(async move {
            if let Ok(link) = shared.connect(&node).await
                && let Err(error) = reply_across(&link, server, from, reply).await
            {
                tracing::error!(%error, "a reply could not be encoded");
            }
        });
    }
}

/// Replies to the alias that the tag names, so that a reply that is late reaches nobody, and to the
/// pid where there is none or the peer does not know aliases (`gen.erl`, `reply/2`).
fn reply_across(
    link: &Arc<Link>,
    server: Pid,
    from: GenFrom,
    reply: Term,
) -> impl Future<Output = Result<(), EncodeError>> {
    // Of an earlier incarnation nobody waits any more.
    let message = (from.pid.creation == link.peer.creation).then(|| {
        let alias = from
            .alias()
            .filter(|alias| link.flags.contains(Flags::ALIAS) && *alias.node() == from.pid.node);
        let control = match alias {
            Some(alias) => Control::alias_send(server, alias.clone(), link.flags),
            None => Control::send(server, from.pid, link.flags),
        };
        (control, Term::Tuple(vec![from.tag, reply]))
    });
    async move {
        let Some((control, reply)) = message else { return Ok(()) };
        match link.send(control, reply).await {
            Err(SendError::Encode(error)) => Err(error),
            // A link that goes down has told the caller itself.
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
