//! The built examples of `dist` as child processes.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::output::Output;
use crate::world::{SOON, World};

/// A running example, killed when dropped. It has the cookie and the EPMD of its world.
#[derive(Debug)]
pub struct Example {
    name: String,
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Output,
}

impl Example {
    /// Starts `crates/dist/examples/NAME.rs` with arguments.
    ///
    /// # Errors
    /// When it is not built or cannot be started.
    pub fn start(name: &str, args: &[&str], world: &World) -> Result<Self> {
        let mut child = Command::new(binary(name)?)
            .args(args)
            .env("BEAMJOIN_COOKIE", &world.cookie)
            .env("ERL_EPMD_PORT", world.port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("the example {name} could not be started"))?;
        let stdout = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let stderr = Output::new();
        stderr.follow(child.stderr.take().context("no stderr")?);
        Ok(Self { name: name.to_owned(), child, stdout, stderr })
    }

    /// Waits for a line on its stdout, reading over others.
    ///
    /// # Errors
    /// When the line does not come, with what came instead.
    pub async fn line(&mut self, expected: &str) -> Result<()> {
        self.line_that(expected, |line| line == expected).await
    }

    /// Waits for a line that ends with this, reading over others.
    ///
    /// # Errors
    /// When the line does not come, with what came instead.
    pub async fn line_ending(&mut self, expected: &str) -> Result<()> {
        self.line_that(expected, |line| line.ends_with(expected)).await
    }

    /// Ends it as a crash of its machine would: SIGKILL.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn kill9(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    async fn line_that(&mut self, expected: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let mut seen = Vec::new();
        let found = timeout(SOON, async {
            while let Some(line) = self.stdout.next_line().await? {
                if wanted(&line) {
                    return Ok::<_, std::io::Error>(true);
                }
                seen.push(line);
            }
            Ok(false)
        });
        if matches!(found.await, Ok(Ok(true))) {
            return Ok(());
        }
        bail!("{} did not print {expected:?} but {seen:?}\n{}", self.name, self.stderr.text())
    }

    /// Waits for its end, which has to be a success.
    ///
    /// # Errors
    /// When it does not end, or fails.
    pub async fn ends_well(&mut self) -> Result<()> {
        let status = timeout(SOON, self.child.wait()).await;
        let status = status.with_context(|| format!("{} does not end", self.name))??;
        ensure!(status.success(), "{} failed: {status}\n{}", self.name, self.stderr.text());
        Ok(())
    }
}

/// Where cargo put the example: beside the tests that it built.
fn binary(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test.parent().and_then(|deps| deps.parent()).context("no target directory")?;
    let path = profile.join("examples").join(name);
    ensure!(
        path.is_file(),
        "{} is not there: run `cargo build -p dist --examples` first, or `cargo xtask test`",
        path.display()
    );
    Ok(path)
}
