//! `beamjoin join` in the world of a test.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{Postgres, RustNode, World, eventually, unique};

/// A running `beamjoin join` that writes JSON, and announces itself every 200 ms.
#[derive(Debug)]
pub struct Joined {
    /// Its whole name.
    pub name: String,
    /// The process.
    pub process: RustNode,
}

/// How to start one.
#[derive(Debug, Clone)]
pub struct JoinOptions {
    /// Its whole name; a new one on 127.0.0.1 unless said otherwise.
    pub name: String,
    /// The way to Postgres.
    pub url: String,
    /// The channel.
    pub channel: String,
    /// The port of EPMD.
    pub epmd_port: u16,
    /// The cookie.
    pub cookie: String,
    /// More arguments.
    pub args: Vec<String>,
    /// More variables.
    pub env: Vec<(String, String)>,
}

impl JoinOptions {
    /// A new name in `world`, on `channel` of `postgres`.
    pub fn new(world: &World, postgres: &Postgres, channel: &str) -> Self {
        Self {
            name: format!("{}@127.0.0.1", unique("rust")),
            url: postgres.url(),
            channel: channel.to_owned(),
            epmd_port: world.port,
            cookie: world.cookie.clone(),
            args: Vec::new(),
            env: Vec::new(),
        }
    }

    /// Another way to Postgres.
    #[must_use]
    pub fn url(self, url: impl Into<String>) -> Self {
        Self { url: url.into(), ..self }
    }

    /// Another EPMD.
    #[must_use]
    pub fn epmd_port(self, epmd_port: u16) -> Self {
        Self { epmd_port, ..self }
    }

    /// More arguments.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// One more variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts it; returns at once.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(self) -> Result<Joined> {
        let epmd_port = self.epmd_port.to_string();
        let mut environment = vec![
            ("BEAMJOIN_COOKIE", self.cookie.as_str()),
            ("ERL_EPMD_PORT", epmd_port.as_str()),
            ("BEAMJOIN_EVENTS", "json"),
            ("BEAMJOIN_HEARTBEAT_INTERVAL", "200"),
        ];
        environment.extend(self.env.iter().map(|(name, value)| (&name[..], &value[..])));
        let mut args =
            vec!["join", "--name", &self.name, "--url", &self.url, "--channel-name", &self.channel];
        args.extend(self.args.iter().map(String::as_str));
        let process = RustNode::start(args, &environment)?;
        Ok(Joined { name: self.name, process })
    }
}

impl Joined {
    /// Waits until it is up with `node`, whether the event was read already or is still to come.
    ///
    /// # Errors
    /// When it is not after `deadline`.
    pub async fn up(&mut self, node: &str, deadline: Duration) -> Result<()> {
        eventually(deadline, &format!("{node} up"), async || {
            let events = self.process.events()?;
            let last = events.iter().rev().find(|event| event["node"] == node);
            ensure!(last.is_some_and(|event| event["event"] == "up"), "{events:#?}");
            Ok(())
        })
        .await
    }

    /// How many events of this kind there have been.
    ///
    /// # Errors
    /// On a line that is not JSON.
    pub fn count(&mut self, kind: &str) -> Result<usize> {
        Ok(self.process.events()?.iter().filter(|event| event["event"] == kind).count())
    }
}

impl Deref for Joined {
    type Target = RustNode;

    fn deref(&self) -> &RustNode {
        &self.process
    }
}

impl DerefMut for Joined {
    fn deref_mut(&mut self) -> &mut RustNode {
        &mut self.process
    }
}
