//! Waiting until a process has stopped: the one who sends SIGSTOP may be served by its threads for a moment more.

use anyhow::{Context, Result, ensure};

use crate::eventually;
use crate::world::SOON;

/// Waits until every thread of a process that was sent SIGSTOP has stopped.
pub(crate) async fn stopped(pid: u32) -> Result<()> {
    eventually(SOON, "a frozen process", async || {
        for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            let stat = std::fs::read_to_string(thread?.path().join("stat"))?;
            // Its state comes behind its name (proc(5)), which may have anything in it.
            let state = stat.rsplit(") ").next().context("no state")?;
            ensure!(state.starts_with('T'), "a thread of {pid} still runs: {stat}");
        }
        Ok::<_, anyhow::Error>(())
    })
    .await
}
