//! The built `beamjoin` command as a child process.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::frozen;
use crate::output::Output;

/// How a [`RustNode`] ended.
#[derive(Debug)]
pub struct Exit {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it had printed on stderr (the last 400 lines).
    pub stderr: String,
    /// What it had printed on stdout (the last 400 lines).
    pub stdout: String,
}

/// A running `beamjoin`, killed when dropped. Its environment has nothing of the caller's but `PATH`, `HOME` and `TMPDIR`.
#[derive(Debug)]
pub struct RustNode {
    child: Child,
    pid: Pid,
    lines: mpsc::UnboundedReceiver<String>,
    seen: Vec<Value>,
    stdout: Output,
    stderr: Output,
}

impl RustNode {
    /// Starts `beamjoin ARGS` with the given environment.
    ///
    /// # Errors
    /// When the binary is not built or cannot be started.
    pub fn start<S: AsRef<str>>(
        args: impl IntoIterator<Item = S>,
        env: &[(&str, &str)],
    ) -> Result<Self> {
        let binary = binary()?;
        let mut command = Command::new(&binary);
        command.args(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        command.env_clear();
        for kept in ["PATH", "HOME", "TMPDIR"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command.env("RUST_BACKTRACE", "1").envs(env.iter().copied());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("{} could not be started", binary.display()))?;

        let (stdout, stderr) = (Output::new(), Output::new());
        let (sender, lines) = mpsc::unbounded_channel();
        stderr.follow(child.stderr.take().context("no stderr")?);
        stdout.follow_with(child.stdout.take().context("no stdout")?, move |line| {
            // The node may have been dropped.
            sender.send(line).ok();
        });
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = pid.context("beamjoin ended at once")?;
        Ok(Self { child, pid, lines, seen: Vec::new(), stdout, stderr })
    }

    /// Runs `beamjoin ARGS` to its end.
    ///
    /// # Errors
    /// As [`RustNode::start`], and when it has not ended after `deadline`.
    pub async fn run<S: AsRef<str>>(
        args: impl IntoIterator<Item = S>,
        env: &[(&str, &str)],
        deadline: Duration,
    ) -> Result<Exit> {
        Self::start(args, env)?.exit(deadline).await
    }

    /// The operating system's process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The next line of stdout.
    ///
    /// # Errors
    /// After `deadline`, or when stdout has closed.
    pub async fn line(&mut self, deadline: Duration) -> Result<String> {
        match timeout(deadline, self.lines.recv()).await {
            Ok(Some(line)) => Ok(line),
            Ok(None) => bail!("stdout is closed\n{}", self.transcript()),
            Err(_) => bail!("no line within {deadline:?}\n{}", self.transcript()),
        }
    }

    /// The next event (`--events json`) for which `wanted` holds; those before it are passed over and kept in
    /// [`RustNode::events`].
    ///
    /// # Errors
    /// After `deadline`, when stdout has closed, or on a line that is not JSON; the message has everything printed so far.
    pub async fn event(
        &mut self,
        what: &str,
        deadline: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let end = Instant::now() + deadline;
        loop {
            let line = match timeout_at(end, self.lines.recv()).await {
                Ok(Some(line)) => line,
                Ok(None) => bail!("stdout closed before {what}\n{}", self.transcript()),
                Err(_) => bail!("no {what} within {deadline:?}\n{}", self.transcript()),
            };
            let event: Value = serde_json::from_str(&line)
                .map_err(|error| anyhow!("not JSON ({error}): {line}\n{}", self.transcript()))?;
            self.seen.push(event.clone());
            if wanted(&event) {
                return Ok(event);
            }
        }
    }

    /// The next event of that kind (its `event` field).
    ///
    /// # Errors
    /// As [`RustNode::event`].
    pub async fn event_named(&mut self, kind: &str, deadline: Duration) -> Result<Value> {
        let what = format!("event {kind}");
        self.event(&what, deadline, |event| event["event"] == kind).await
    }

    /// The next event of that kind about that node (its `event` and `node` fields).
    ///
    /// # Errors
    /// As [`RustNode::event`].
    pub async fn event_about(
        &mut self,
        kind: &str,
        node: &str,
        deadline: Duration,
    ) -> Result<Value> {
        let what = format!("event {kind} about {node}");
        self.event(&what, deadline, |event| event["event"] == kind && event["node"] == node).await
    }

    /// Every event read so far, those not yet waited for included.
    ///
    /// # Errors
    /// On a line that is not JSON.
    pub fn events(&mut self) -> Result<&[Value]> {
        while let Ok(line) = self.lines.try_recv() {
            self.seen
                .push(serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))?);
        }
        Ok(&self.seen)
    }

    /// What it has printed on stderr so far (the last 400 lines).
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Whether it has not ended yet.
    ///
    /// # Errors
    /// When the process cannot be asked for.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// SIGTERM: an orderly end is asked for.
    ///
    /// # Errors
    /// When the process has ended or cannot be signalled.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// SIGINT, as a terminal's Ctrl-C.
    ///
    /// # Errors
    /// When the process has ended or cannot be signalled.
    pub fn interrupt(&self) -> Result<()> {
        self.signal(Signal::INT)
    }

    /// SIGHUP: files are to be read again.
    ///
    /// # Errors
    /// When the process has ended or cannot be signalled.
    pub fn hang_up(&self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    /// Freezes the process (SIGSTOP).
    ///
    /// # Errors
    /// When the process has ended or cannot be signalled.
    pub async fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        frozen::stopped(self.pid()).await
    }

    /// Lets a frozen process go on (SIGCONT).
    ///
    /// # Errors
    /// When the process has ended or cannot be signalled.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Kills it (SIGKILL) and waits for its end.
    ///
    /// # Errors
    /// When the process cannot be signalled or waited for.
    pub async fn kill9(&mut self) -> Result<()> {
        self.child.kill().await.context("failed to kill beamjoin")
    }

    /// Waits for the end of the process.
    ///
    /// # Errors
    /// When it has not ended after `deadline`.
    pub async fn exit(&mut self, deadline: Duration) -> Result<Exit> {
        let end = Instant::now() + deadline;
        let status: ExitStatus = match timeout_at(end, self.child.wait()).await {
            Ok(status) => status?,
            Err(_) => bail!("beamjoin has not ended after {deadline:?}\n{}", self.transcript()),
        };
        self.stdout.closed(end).await?;
        self.stderr.closed(end).await?;
        Ok(Exit { code: status.code(), stderr: self.stderr.text(), stdout: self.stdout.text() })
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        ensure!(self.child.id().is_some(), "beamjoin has ended");
        kill_process(self.pid, signal).context("failed to signal beamjoin")
    }

    fn transcript(&self) -> String {
        format!("--- stdout\n{}--- stderr\n{}", self.stdout.text(), self.stderr.text())
    }
}

/// The command under test: `BEAMJOIN_BIN`, or what `cargo build -p beamjoin` left beside the running test.
///
/// # Errors
/// When it is in neither place.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("BEAMJOIN_BIN") {
        let path = PathBuf::from(path);
        ensure!(path.is_file(), "BEAMJOIN_BIN={} is not a file", path.display());
        return Ok(path);
    }
    let test = std::env::current_exe()?;
    let profile = test.parent().and_then(|deps| deps.parent()).context("no target directory")?;
    let path = profile.join("beamjoin");
    ensure!(
        path.is_file(),
        "{} is not there: run `cargo build -p beamjoin` first, or `cargo xtask test`",
        path.display()
    );
    Ok(path)
}
