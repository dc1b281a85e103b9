//! The life of a listener: connect, serve, lose, wait, again.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use crate::backoff::Waits;
use crate::command::Command;
use crate::queue::Sender;
use crate::serve::Running;
use crate::session::{ProbeChannel, connect};
use crate::{Channel, Config, Error, Event, ListenError, MAX_CHANNELS, NotifyError};

/// What outlives a single connection.
pub(crate) struct Driver {
    pub(crate) config: Arc<Config>,
    /// The channels that the owner wants, whether listened to or not.
    pub(crate) wanted: BTreeSet<Channel>,
    pub(crate) events: Sender,
    pub(crate) requests: mpsc::Receiver<Command>,
    pub(crate) close: Arc<Notify>,
    /// Connections so far.
    generation: u64,
    /// Failures since the last connection.
    failures: u32,
    /// Attempts that failed, since the start.
    failed_attempts: u64,
    /// When the present connection came up.
    up_since: Option<Instant>,
}

/// How a connection ended.
pub(crate) enum End {
    /// The owner closed it.
    Closed,
    /// It was lost, or never came up.
    Lost(Error),
}

impl Driver {
    pub(crate) fn new(
        config: Config,
        wanted: BTreeSet<Channel>,
        events: Sender,
        requests: mpsc::Receiver<Command>,
        close: Arc<Notify>,
    ) -> Self {
        Self {
            config: Arc::new(config),
            wanted,
            events,
            requests,
            close,
            generation: 0,
            failures: 0,
            failed_attempts: 0,
            up_since: None,
        }
    }

    /// Runs until the listener is closed or there is no point in going on.
    pub(crate) async fn run(mut self) {
        let mut waits = Waits::new(self.config.get_backoff());
        let mut attempt = 0;
        let probe_channel = ProbeChannel::random();
        if let Some(warning) = self.config.unverified() {
            tracing::warn!("{warning}");
        }
        loop {
            attempt += 1;
            let probe = ProbeChannel { channel: probe_channel.clone(), attempt };
            let End::Lost(reason) = self.connect_and_serve(probe).await else { return };
            if self.generation == 0 && reason.is_permanent() {
                tracing::error!(%reason, "giving up");
                self.events.push(Event::Failed { error: reason });
                return;
            }
            match self.up_since.take() {
                Some(up_since) => waits.connection_ended(up_since.elapsed()),
                None => self.failed_attempts += 1,
            }
            self.failures = self.failures.saturating_add(1);
            let retry_in = waits.next(reason.failure(), rand::random());
            let (failures, failed_attempts) = (self.failures, self.failed_attempts);
            tracing::info!(%reason, ?retry_in, failures, "not connected");
            self.events.push(Event::Lost { reason, retry_in, failures, failed_attempts });
            if self.meanwhile(sleep(retry_in)).await.is_none() {
                return;
            }
        }
    }

    /// Counts a connection that is up and tells the owner.
    pub(crate) fn connected(
        &mut self,
        server: String,
        backend_pid: i32,
        local_ip: Option<IpAddr>,
        proved: bool,
    ) {
        self.generation += 1;
        self.failures = 0;
        self.up_since = Some(Instant::now());
        tracing::info!(server, backend_pid, generation = self.generation, "listening");
        self.events.push(Event::Connected {
            generation: self.generation,
            may_have_missed: self.generation > 1,
            server,
            backend_pid,
            local_ip,
            proved,
        });
    }

    /// Adds a channel to the wanted ones.
    pub(crate) fn want(&mut self, channel: Channel) -> Result<(), ListenError> {
        if self.wanted.len() >= MAX_CHANNELS && !self.wanted.contains(&channel) {
            return Err(ListenError::TooMany);
        }
        self.wanted.insert(channel);
        Ok(())
    }

    async fn connect_and_serve(&mut self, probe: ProbeChannel) -> End {
        let (config, channels) = (Arc::clone(&self.config), self.wanted.clone());
        match self.meanwhile(connect(&config, &channels, &probe)).await {
            Some(Ok(session)) => Running::new(self, session, probe).run().await,
            Some(Err(error)) => End::Lost(error),
            None => End::Closed,
        }
    }

    /// Does `work` and answers requests as is proper without a connection. `None` when the listener
    /// was closed.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let request = tokio::select! {
                biased;
                () = self.close.notified() => return None,
                done = &mut work => return Some(done),
                request = self.requests.recv() => request?,
            };
            self.answer_unconnected(request);
        }
    }

    fn answer_unconnected(&mut self, request: Command) {
        // An answer that nobody waits for is dropped.
        match request {
            Command::Notify { done, .. } => {
                let _ = done.send(Err(NotifyError::NotConnected));
            }
            Command::Listen { channel, done } => {
                let _ = done.send(self.want(channel));
            }
            Command::Unlisten { channel, done } => {
                self.wanted.remove(&channel);
                let _ = done.send(Ok(()));
            }
        }
    }
}
