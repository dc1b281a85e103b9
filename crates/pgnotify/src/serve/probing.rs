//! Sending probes, and what comes of them.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Done, QueryResult, Running};
use crate::Error;
use crate::probe::Action;
use crate::session::{notify, notify_from_elsewhere};

impl Running<'_> {
    /// Does what the probe asks for.
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Send(serial) if self.session.direct => {
                let (client, probe) =
                    (Arc::clone(&self.session.client), self.probe_channel.clone());
                self.query(async move {
                    Done::Probe(notify(&client, &probe.channel, &probe.payload(serial)).await)
                });
            }
            Action::Send(serial) => {
                let (config, route) = (Arc::clone(&self.driver.config), self.session.route.clone());
                let probe = self.probe_channel.clone();
                let id = self.id();
                self.work.push(Box::pin(async move {
                    let payload = probe.payload(serial);
                    let sent = notify_from_elsewhere(&config, &route, &probe.channel, &payload);
                    (id, Done::Witness(sent.await))
                }));
            }
            Action::Check => {
                let client = Arc::clone(&self.session.client);
                self.query(async move { Done::Check(client.batch_execute("SELECT 1").await) });
            }
        }
    }

    /// A notification on our private channel.
    pub(super) fn probe_came(&mut self, payload: &str) {
        let serial = self.probe_channel.serial(payload);
        if serial.is_some_and(|serial| self.probe.heard(serial, Instant::now())) {
            self.verify();
        }
    }

    /// Our own probe was answered.
    pub(super) fn probe_sent(&mut self, result: QueryResult) {
        match self.answer(result) {
            Ok(()) => self.probe.confirmed(Instant::now()),
            Err(refused) => {
                if let Some((sqlstate, message)) = refused {
                    let server = self.session.route.server.as_str();
                    tracing::warn!(server, sqlstate, message, "the server refuses our probe");
                }
                self.probe.failed(Instant::now());
            }
        }
    }

    /// The second connection has sent its probe, or could not. In that case it is unknown whether
    /// the pooler supports LISTEN, and the connection gets the benefit of the doubt; that it is
    /// alive can be asked for all the same.
    pub(super) fn witness_sent(&mut self, result: Result<(), Error>) {
        let Err(error) = result else { return self.probe.confirmed(Instant::now()) };
        if !self.doubted {
            tracing::warn!(%error, "cannot tell whether the pooler supports LISTEN");
            self.doubted = true;
        }
        self.probe.failed(Instant::now());
        let client = Arc::clone(&self.session.client);
        self.query(async move { Done::Alive(client.batch_execute("SELECT 1").await) });
        self.verify();
    }

    fn verify(&mut self) {
        if !self.verified {
            self.verified = true;
            self.change_next();
        }
    }
}
