//! The `docker` command.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(120);

/// What `docker ARGS` prints on stdout, trimmed.
///
/// # Errors
/// When it cannot be started, fails or does not end within two minutes, with what it said.
pub async fn docker<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Result<String> {
    let mut command = Command::new("docker");
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(DEADLINE, command.output()).await;
    let output = output
        .with_context(|| format!("{command:?} did not end"))?
        .context("docker could not be started: install Docker Engine")?;
    let stdout = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}\n{stdout}\n{}", output.status, stderr.trim());
    Ok(stdout)
}

/// `docker ARGS` where nothing can be waited for or reported: in a destructor.
pub(super) fn docker_now(args: &[&str]) {
    let mut command = std::process::Command::new("docker");
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It may be gone already.
    command.status().ok();
}
