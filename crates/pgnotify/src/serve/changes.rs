//! Bringing the channels that the server listens to in line with those that are wanted.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Done, QueryResult, Running};
use crate::{Channel, ListenError};

impl Running<'_> {
    /// Brings the server one step closer to what is wanted, and answers who waits for what is so.
    pub(super) fn change_next(&mut self) {
        // A statement of ours could make a pooler hand us the probe that it should not.
        if self.changing || !self.verified {
            return;
        }
        let (wanted, listened) = (&self.driver.wanted, &self.session.listened);
        for (channel, done) in std::mem::take(&mut self.waiters) {
            if wanted.contains(&channel) == listened.contains(&channel) {
                let _ = done.send(Ok(()));
            } else {
                self.waiters.push((channel, done));
            }
        }
        let difference =
            |a: &BTreeSet<Channel>, b: &BTreeSet<Channel>| a.difference(b).next().cloned();
        let (channel, listen) = match difference(wanted, listened) {
            Some(channel) => (channel, true),
            None => match difference(listened, wanted) {
                Some(channel) => (channel, false),
                None => return,
            },
        };
        self.changing = true;
        let verb = if listen { "LISTEN" } else { "UNLISTEN" };
        let sql = format!("{verb} {}", channel.quoted());
        let client = Arc::clone(&self.session.client);
        self.query(async move {
            let result = client.batch_execute(&sql).await;
            Done::Change(channel, listen, result)
        });
    }

    /// A `LISTEN` or `UNLISTEN` was answered.
    pub(super) fn changed(&mut self, channel: Channel, listen: bool, result: QueryResult) {
        self.changing = false;
        match self.answer(result) {
            Ok(()) if listen => {
                self.session.listened.insert(channel);
            }
            Ok(()) => {
                self.session.listened.remove(&channel);
            }
            Err(Some((sqlstate, message))) => {
                // A refusal of LISTEN: not wanted any more. UNLISTEN is never refused; if it is, we
                // only ignore what comes. A channel may be a secret and is not logged.
                tracing::warn!(sqlstate, message, "Postgres refuses to listen to a channel");
                self.driver.wanted.remove(&channel);
                self.session.listened.remove(&channel);
                for (waiting, done) in std::mem::take(&mut self.waiters) {
                    if waiting == channel {
                        let (sqlstate, message) = (sqlstate.clone(), message.clone());
                        let _ = done.send(Err(ListenError::Server { sqlstate, message }));
                    } else {
                        self.waiters.push((waiting, done));
                    }
                }
            }
            // The connection is ending; the next one listens to what is wanted.
            Err(None) => return,
        }
        self.change_next();
    }
}
