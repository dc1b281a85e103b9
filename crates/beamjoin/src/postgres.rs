//! Discovery as libcluster_postgres does it: node names on a LISTEN/NOTIFY channel.

use std::time::Duration;

use dist::NodeName;
use futures::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use pgnotify::{Channel, Config, Event, Listener, NotifyError};
use tokio::time::Instant;

use crate::{ChannelName, Discovery, DiscoveryError, DiscoveryEvent};

/// How often the same failure is told while it lasts.
const TOLD_AGAIN: Duration = Duration::from_secs(30);

/// Announces our name on a Postgres channel at once and every heartbeat interval, and hears the others there.
///
/// The payload is the bare node name (libcluster_postgres `lib/strategy.ex`). After a lost connection everything is taken up
/// again by itself, and our name announced at once.
#[derive(Debug)]
pub struct Postgres {
    config: Config,
    channel: ChannelName,
    heartbeat_interval: Duration,
}

impl Postgres {
    /// libcluster_postgres' default time between two announcements.
    pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

    /// Meets the others on `channel` of the database that `config` names.
    pub fn new(config: Config, channel: ChannelName) -> Self {
        let config = config.or(Config::new().application_name("beamjoin"));
        Self { config, channel, heartbeat_interval: Self::HEARTBEAT_INTERVAL }
    }

    /// The time between two announcements (5 s); at least 100 ms, whatever is asked for.
    #[must_use]
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = interval.max(Duration::from_millis(100));
        self
    }

    /// Hears the others and announces nobody. Must be called within a tokio runtime.
    pub fn watch(self) -> BoxStream<'static, DiscoveryEvent> {
        self.run(None)
    }

    fn run(self, own: Option<NodeName>) -> BoxStream<'static, DiscoveryEvent> {
        let Ok(channel) = Channel::new(self.channel.as_str()) else {
            // Not the error's own words: the channel may be the cookie.
            let failed = DiscoveryError::new("the channel name is not one that Postgres takes");
            return stream::once(async { DiscoveryEvent::Failed(failed) }).boxed();
        };
        let (listener, driver) = Listener::new(self.config, [channel.clone()]);
        tokio::spawn(driver);
        let interval = self.heartbeat_interval;
        let announcer = Announcer {
            listener,
            channel,
            own,
            interval,
            announced: false,
            beat: Beat::Off,
            told: None,
            failed_attempts: 0,
            next: None,
        };
        stream::unfold(announcer, |mut announcer| async move {
            let event = announcer.next().await?;
            Some((event, announcer))
        })
        .boxed()
    }
}

impl Discovery for Postgres {
    fn start(self: Box<Self>, own: NodeName) -> BoxStream<'static, DiscoveryEvent> {
        self.run(Some(own))
    }
}

struct Announcer {
    listener: Listener,
    channel: Channel,
    own: Option<NodeName>,
    interval: Duration,
    /// Since the last connect.
    announced: bool,
    beat: Beat,
    /// The failure told last since the last connect, and when: one that is repeated every second is told now and then.
    told: Option<(String, Instant)>,
    failed_attempts: u64,
    /// What is told after the event before.
    next: Option<DiscoveryEvent>,
}

enum Beat {
    /// There is no connection, or nobody to announce.
    Off,
    At(Instant),
    Sending {
        since: Instant,
        result: BoxFuture<'static, Result<(), NotifyError>>,
    },
}

impl Announcer {
    async fn next(&mut self) -> Option<DiscoveryEvent> {
        loop {
            if let Some(event) = self.next.take() {
                return Some(event);
            }
            let event = tokio::select! {
                event = self.listener.next() => self.on_event(event?),
                result = self.beat.wait() => self.on_beat(result),
            };
            if event.is_some() {
                return event;
            }
        }
    }

    fn on_event(&mut self, event: Event) -> Option<DiscoveryEvent> {
        match event {
            Event::Connected { server, .. } => {
                self.announced = false;
                self.told = None;
                if self.own.is_some() {
                    self.beat = Beat::At(Instant::now());
                }
                Some(DiscoveryEvent::Up { server })
            }
            Event::Notification { payload, .. } => {
                Some(DiscoveryEvent::Heard(payload.into_bytes()))
            }
            Event::Lost { reason, retry_in, failed_attempts, .. } => {
                self.beat = Beat::Off;
                if failed_attempts > self.failed_attempts {
                    self.failed_attempts = failed_attempts;
                    self.next = Some(DiscoveryEvent::FailedAttempts(failed_attempts));
                }
                self.on_lost(reason.to_string(), retry_in)
            }
            Event::Failed { error, .. } => Some(DiscoveryEvent::Failed(DiscoveryError::new(error))),
            Event::Lagged(missed) => {
                tracing::debug!(missed, "announcements came faster than they were read");
                Some(DiscoveryEvent::Missed(missed))
            }
            _ => None,
        }
    }

    fn on_lost(&mut self, reason: String, retry_in: Duration) -> Option<DiscoveryEvent> {
        let now = Instant::now();
        let told = |(last, at): &(String, Instant)| *last == reason && now < *at + TOLD_AGAIN;
        if self.told.as_ref().is_some_and(told) {
            return None;
        }
        self.told = Some((reason.clone(), now));
        Some(DiscoveryEvent::Lost { reason, retry_in })
    }

    /// It is time to announce (`None`), or an announcement has returned.
    fn on_beat(&mut self, result: Option<Result<(), NotifyError>>) -> Option<DiscoveryEvent> {
        let now = Instant::now();
        match result {
            None => {
                let handle = self.listener.handle();
                let (channel, own) = (self.channel.clone(), self.own.clone()?);
                let result = Box::pin(async move { handle.notify(&channel, own.as_str()).await });
                self.beat = Beat::Sending { since: now, result };
                None
            }
            Some(Ok(())) => {
                tracing::trace!("announced");
                self.beat = Beat::At(self.beat.since().unwrap_or(now) + self.interval);
                let first = !std::mem::replace(&mut self.announced, true);
                first.then_some(DiscoveryEvent::Announced)
            }
            // The next connection announces at once.
            Some(Err(NotifyError::NotConnected | NotifyError::Closed)) => {
                self.beat = Beat::Off;
                None
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "failed to announce; trying again");
                self.beat = Beat::At(now + self.interval);
                None
            }
        }
    }
}

impl Beat {
    /// Safe to cancel: what is being sent goes on.
    async fn wait(&mut self) -> Option<Result<(), NotifyError>> {
        match self {
            Self::Off => std::future::pending().await,
            Self::At(at) => {
                tokio::time::sleep_until(*at).await;
                None
            }
            Self::Sending { result, .. } => Some(result.await),
        }
    }

    fn since(&self) -> Option<Instant> {
        match self {
            Self::Sending { since, .. } => Some(*since),
            Self::Off | Self::At(_) => None,
        }
    }
}
