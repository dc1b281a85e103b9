//! All connections of Postgres, taken.

use anyhow::Result;
use integration::lab::LabPostgres;
use pgnotify::{Channel, Config, Listener};
use tokio::task::JoinHandle;

/// More than the server takes.
const COUNT: usize = 40;

/// Listeners that try for ever to connect. They go away with this value.
pub(super) struct Hogs(Vec<(Listener, JoinHandle<()>)>);

impl Hogs {
    /// Takes what is free, and then has everybody else's connections ended, so that those are taken too.
    pub(super) async fn start(postgres: &LabPostgres) -> Result<Self> {
        let config = Config::from_url(&postgres.url())?;
        let config = config.application_name("hog");
        let mut hogs = Vec::new();
        for _ in 0..COUNT {
            let (listener, driver) = Listener::new(config.clone(), [Channel::new("hogs")?]);
            let driver = tokio::spawn(async move {
                driver.await;
            });
            hogs.push((listener, driver));
        }
        let hogs = Self(hogs);
        // In one session, because no other will get in.
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name <> 'hog'";
        let again =
            ["SELECT pg_sleep(1)", end, "SELECT pg_sleep(1)", end, "SELECT pg_sleep(1)", end];
        // If it does not get in itself, they are all taken.
        postgres.psql(&again).await.ok();
        Ok(hogs)
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        for (_, driver) in &self.0 {
            driver.abort();
        }
    }
}
