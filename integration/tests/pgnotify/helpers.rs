//! A listener with deadlines.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use pgnotify::{Backoff, Channel, Config, Error, Event, Listener};
use tokio::time::timeout;

/// How long anything may take on a loaded machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A listener whose driver runs, and which is asked for what is expected next.
pub(crate) struct Ears {
    pub(crate) listener: Listener,
}

/// The fields of `Event::Connected`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connected {
    pub(crate) generation: u64,
    pub(crate) may_have_missed: bool,
    pub(crate) server: String,
    pub(crate) backend_pid: i32,
}

/// The configuration of a URL, with waits that suit a test.
pub(crate) fn config(url: &str) -> Config {
    let ms = Duration::from_millis;
    let backoff =
        Backoff { first: ms(20), cap: ms(100), refused_cap: ms(100), stable_after: ms(0) };
    Config::from_url(url).expect("a valid URL").backoff(backoff)
}

/// As [`config`], with probes so frequent that a test need not wait for them.
pub(crate) fn probing(url: &str) -> Config {
    config(url).probe_interval(Duration::from_millis(50)).probe_timeout(Duration::from_secs(2))
}

pub(crate) fn channel(name: &str) -> Channel {
    Channel::new(name).expect("a valid channel")
}

impl Ears {
    pub(crate) fn on(config: Config, channels: &[&str]) -> Self {
        let (listener, driver) = Listener::new(config, channels.iter().map(|name| channel(name)));
        tokio::spawn(driver);
        Self { listener }
    }

    /// A listener that is connected.
    pub(crate) async fn connected_on(config: Config, channels: &[&str]) -> Result<Self> {
        let mut ears = Self::on(config, channels);
        match ears.next().await? {
            Event::Connected { generation: 1, may_have_missed: false, .. } => Ok(ears),
            other => bail!("expected the first connection, got {other:?}"),
        }
    }

    /// The next event, whatever it is.
    pub(crate) async fn next(&mut self) -> Result<Event> {
        timeout(DEADLINE, self.listener.next())
            .await
            .context("no event came")?
            .context("the events have ended")
    }

    /// The end of the events.
    pub(crate) async fn end(&mut self) -> Result<()> {
        match timeout(DEADLINE, self.listener.next()).await.context("the events do not end")? {
            None => Ok(()),
            Some(event) => bail!("expected the end, got {event:?}"),
        }
    }

    /// The next notification; nothing else may come before it.
    pub(crate) async fn hear(&mut self) -> Result<(String, String, i32)> {
        match self.next().await? {
            Event::Notification { channel, payload, pid, .. } => {
                Ok((channel.to_string(), payload, pid))
            }
            other => bail!("expected a notification, got {other:?}"),
        }
    }

    /// The next connection. Failures and notifications before it are passed over.
    pub(crate) async fn connected(&mut self) -> Result<Connected> {
        loop {
            match self.next().await? {
                Event::Connected { generation, may_have_missed, server, backend_pid, .. } => {
                    return Ok(Connected { generation, may_have_missed, server, backend_pid });
                }
                Event::Failed { error, .. } => bail!("given up: {error}"),
                _ => {}
            }
        }
    }

    /// The next failure that passes. Notifications before it are passed over.
    pub(crate) async fn lost(&mut self) -> Result<Error> {
        loop {
            match self.next().await? {
                Event::Lost { reason, .. } => return Ok(reason),
                Event::Notification { .. } => {}
                other => bail!("expected a loss, got {other:?}"),
            }
        }
    }

    /// Failures until there is one with this SQLSTATE.
    pub(crate) async fn lost_with(&mut self, sqlstate: &str) -> Result<Error> {
        loop {
            let reason = self.lost().await?;
            if reason.sqlstate() == Some(sqlstate) {
                return Ok(reason);
            }
        }
    }

    /// The reason for which the driver gives up, which must be the next event and the last one.
    pub(crate) async fn failed(&mut self) -> Result<Error> {
        match self.next().await? {
            Event::Failed { error, .. } => {
                self.end().await?;
                Ok(error)
            }
            other => bail!("expected a permanent failure, got {other:?}"),
        }
    }
}
