//! Rust nodes in containers: `integration/examples/member.rs`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::report::{PORT, Report};
use super::{COOKIE, Container, LabPostgres, Network, Settings, Spec};
use crate::eventually;

const START_DEADLINE: Duration = Duration::from_secs(40);
/// How long an answer may take; `rest` waits for the calls that are under way.
const ANSWER_DEADLINE: Duration = Duration::from_secs(20);

/// A node in a container.
#[derive(Debug)]
pub struct LabRust {
    container: Container,
    name: String,
    visible: bool,
}

impl LabRust {
    /// Starts a node `base@ADDRESS`; `program` is the static binary.
    ///
    /// # Errors
    /// When it does not answer, with its output.
    pub async fn start(
        network: &Arc<Network>,
        base: &str,
        image: &str,
        program: &Path,
        visible: bool,
        settings: Settings,
    ) -> Result<Self> {
        let own = r#"MEMBER_NAME="$BASE@$(hostname -i | cut -d' ' -f1)" exec /member"#;
        let mut options = vec![format!("--volume={}:/member:ro", program.display())];
        for (name, value) in [
            ("BASE", base),
            ("MEMBER_COOKIE", COOKIE),
            ("MEMBER_URL", &LabPostgres::url_inside()),
            ("MEMBER_VISIBLE", if visible { "true" } else { "false" }),
            ("MEMBER_TICK", &settings.tick.to_string()),
            ("MEMBER_PREVENT", &settings.prevent_overlapping_partitions.to_string()),
            ("MEMBER_SCOPES", &settings.scopes.join(" ")),
            ("RUST_BACKTRACE", "1"),
        ] {
            options.push(format!("--env={name}={value}"));
        }
        let command = ["sh", "-c", own].map(ToOwned::to_owned).into();
        let spec = Spec { image: image.to_owned(), options, command, alias: None };
        let container = Container::create(network, base, spec).await?;
        let name = format!("{base}@{}", container.address());
        let node = Self { container, name, visible };
        node.run().await?;
        Ok(node)
    }

    /// Its container.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// Its whole name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a visible node.
    pub fn visible(&self) -> bool {
        self.visible
    }

    /// Starts the node again after its end.
    ///
    /// # Errors
    /// When it does not answer, with its output.
    pub async fn run(&self) -> Result<()> {
        self.container.start().await?;
        let answers = eventually(START_DEADLINE, self.name(), async || self.state().await);
        if let Err(error) = answers.await {
            return Err(error.context(self.container.logs().await));
        }
        Ok(())
    }

    /// How it stands.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn state(&self) -> Result<Report> {
        self.ask("state").await
    }

    /// Begins to call `peers` all the time; those it called before are called no more.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn call_all(&self, peers: &[String]) -> Result<Report> {
        self.ask(&format!("call {}", peers.join(" "))).await
    }

    /// Stops its calls, and waits until none is under way.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn rest(&self) -> Result<Report> {
        self.ask("rest").await
    }

    async fn ask(&self, question: &str) -> Result<Report> {
        let answer = timeout(ANSWER_DEADLINE, async {
            let mut socket = TcpStream::connect((self.container.address(), PORT)).await?;
            socket.write_all(format!("{question}\n").as_bytes()).await?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await?;
            serde_json::from_str(&answer).with_context(|| format!("{answer:?}"))
        });
        let answer = answer.await.context("no answer").and_then(|answer| answer);
        answer.with_context(|| format!("{question} to {}", self.name))
    }
}
