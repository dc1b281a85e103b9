//! OTP's EPMD on a port of its own.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::eventually::eventually;
use crate::output::Output;

/// How long EPMD may take to start.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// How many free ports are tried: they are free when they are found, not for ever.
const TRIES: usize = 3;
/// How long a query by the `epmd` command may take.
const QUERY_DEADLINE: Duration = Duration::from_secs(20);

/// A running `epmd` on the loopback addresses, killed when dropped.
#[derive(Debug)]
pub struct EpmdProcess {
    port: u16,
    child: Child,
    output: Output,
}

impl EpmdProcess {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// As [`EpmdProcess::start`].
    pub async fn start_anywhere() -> Result<Self> {
        let mut tries = TRIES;
        loop {
            tries -= 1;
            match Self::start(crate::free_port()?).await {
                // Somebody's outgoing connection may have been given the port meanwhile.
                Err(_) if tries > 0 => {}
                outcome => return outcome,
            }
        }
    }

    /// Starts one on `port` and waits until it accepts connections.
    ///
    /// # Errors
    /// When `epmd` is missing, ends (which it does, without an error of its own, when the port is taken) or is not ready
    /// within 20 s; the message has its output.
    pub async fn start(port: u16) -> Result<Self> {
        let mut child = command(port)
            // Twice, so that it says when it is ready.
            .args(["-d", "-d"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("epmd could not be started: the tests need Erlang/OTP (`cargo xtask test` installs it)")?;
        let output = Output::new();
        output.follow(child.stdout.take().context("no stdout")?);
        output.follow(child.stderr.take().context("no stderr")?);
        // Whoever accepts on the port may be another one, so its own word counts.
        let ready = eventually(START_DEADLINE, "epmd is ready", async || {
            output.text().contains("entering the main select() loop")
        });
        let ended = tokio::select! {
            status = child.wait() => format!("it ended: {}", status?),
            ready = ready => match ready {
                Ok(()) => return Ok(Self { port, child, output }),
                Err(error) => error.to_string(),
            },
        };
        bail!("epmd did not start on port {port}: {ended}\n{}", output.text())
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as a crash would: SIGKILL.
    ///
    /// # Errors
    /// When it cannot be killed or waited for.
    pub async fn kill9(&mut self) -> Result<()> {
        self.child.kill().await.context("failed to kill epmd")
    }

    /// Starts one on the same port; the one before is killed if it still runs.
    ///
    /// # Errors
    /// As [`EpmdProcess::start`].
    pub async fn restart(&mut self) -> Result<()> {
        if self.child.id().is_some() {
            self.kill9().await?;
        }
        *self = Self::start(self.port).await?;
        Ok(())
    }

    /// What it has printed so far: its log.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.text()
    }
}

/// What `epmd ARGS` prints against whatever serves EPMD on `port`, standard output and standard error together.
///
/// # Errors
/// When the command cannot be run or does not end within 20 s.
pub async fn epmd(port: u16, args: &[&str]) -> Result<String> {
    let output = timeout(QUERY_DEADLINE, command(port).args(args).output());
    let output = output.await.context("epmd did not end")?.context("epmd could not be started")?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn command(port: u16) -> Command {
    let mut command = Command::new("epmd");
    command
        .env("ERL_EPMD_PORT", port.to_string())
        // Loopback is always added to this.
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env_remove("ERL_EPMD_RELAXED_COMMAND_CHECK")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}
