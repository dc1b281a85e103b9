//! `sd_notify`, told to a real socket.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::{SOON, Shutdown};
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::place::Place;

struct Manager {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
    /// Everything so far, one line each.
    told: Vec<String>,
}

impl Manager {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = UnixDatagram::bind(folder.path().join("notify"))?;
        Ok(Self { socket, folder, told: Vec::new() })
    }

    fn path(&self) -> String {
        self.folder.path().join("notify").display().to_string()
    }

    /// Waits for a line that begins so, reading over others.
    async fn told(&mut self, line: &str) -> Result<()> {
        timeout(SOON, async {
            while !self.told.iter().any(|told| told.starts_with(line)) {
                let mut bytes = [0; 4096];
                let length = self.socket.recv(&mut bytes).await?;
                self.told.extend(std::str::from_utf8(&bytes[..length])?.lines().map(str::to_owned));
            }
            Ok(())
        })
        .await
        .with_context(|| format!("{line} was not told, but {:?}", self.told))?
    }
}

#[tokio::test]
async fn systemd_hears_of_readiness_of_every_change_and_of_the_end() -> Result<()> {
    let mut manager = Manager::new()?;
    let mut place = Place::new().await?;
    place.postgres.stop(Shutdown::Fast).await?;
    let options = place.options().env("NOTIFY_SOCKET", manager.path());
    let mut node = place.start(options).await?;
    node.joined.event_named("postgres_lost", SOON).await?;
    let joining =
        "STATUS=0 nodes connected, Postgres not connected; not ready: our own announcement";
    manager.told(joining).await?;
    ensure!(!manager.told.iter().any(|line| line == "READY=1"), "{:?}", manager.told);
    place.postgres.start_again().await?;
    manager.told("READY=1").await?;
    manager.told("STATUS=0 nodes connected, Postgres connected").await?;
    let mut beam = place.beam("beam", &mut node).await?;
    manager.told("STATUS=1 node connected, Postgres connected").await?;
    manager.told.clear();
    beam.kill9().await?;
    manager.told("STATUS=0 nodes connected, Postgres connected").await?;
    node.joined.terminate()?;
    manager.told("STOPPING=1").await?;
    let exit = node.joined.exit(Duration::from_secs(5)).await?;
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    ensure!(!manager.told.iter().any(|line| line == "READY=1"), "told twice: {:?}", manager.told);
    Ok(())
}

#[tokio::test]
async fn a_manager_that_is_not_there_costs_a_line_of_log() -> Result<()> {
    let place = Place::new().await?;
    let options = place.options().env("NOTIFY_SOCKET", "/nowhere/notify");
    let node = place.start(options).await?;
    node.ready().await?;
    node.joined.terminate()?;
    let mut node = node;
    let exit = node.joined.exit(SOON).await?;
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    let said = exit.stderr.matches("the service manager could not be told").count();
    assert_eq!(said, 1, "{}", exit.stderr);
    Ok(())
}
