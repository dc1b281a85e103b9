//! Postgres in a container, with little room.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::{Container, Network, POSTGRES_HOST, Spec};
use crate::eventually;

/// The user, the password and the database.
const POSTGRES: &str = "postgres";
/// Where the data is: room for a new database, and not for much more. Like all of a tmpfs it is gone when the container stops.
const DATA: &str = "/lab-data";
const DATA_SIZE: &str = "160m";
/// How many connections there may be.
const CONNECTIONS: &str = "30";
const START_DEADLINE: Duration = Duration::from_secs(60);

/// A server that the members of a network reach as [`POSTGRES_HOST`].
#[derive(Debug)]
pub struct LabPostgres {
    container: Container,
}

impl LabPostgres {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn start(network: &Arc<Network>, image: &str) -> Result<Self> {
        // As a volume: a container's own tmpfs has lost its mode when the container is started again (Docker 20.10).
        let volume = format!(
            "--mount=type=volume,destination={DATA},volume-driver=local,volume-opt=type=tmpfs,\
             volume-opt=device=tmpfs,\"volume-opt=o=size={DATA_SIZE},mode=1777\""
        );
        let options = [
            "--env=POSTGRES_PASSWORD=postgres".to_owned(),
            format!("--env=PGDATA={DATA}/pgdata"),
            volume,
        ];
        let command = [
            "-c",
            &format!("max_connections={CONNECTIONS}"),
            "-c",
            "max_wal_senders=0",
            "-c",
            "wal_level=minimal",
            // A peer that was cut off is to be noticed while a step lasts.
            "-c",
            "tcp_user_timeout=5000",
        ];
        let spec = Spec {
            image: image.to_owned(),
            options: options.into(),
            command: command.map(ToOwned::to_owned).into(),
            alias: Some(POSTGRES_HOST.to_owned()),
        };
        let container = Container::create(network, "postgres", spec).await?;
        let postgres = Self { container };
        postgres.run().await?;
        Ok(postgres)
    }

    /// Its container.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// Starts it if it does not run, and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn run(&self) -> Result<()> {
        let waited = eventually(START_DEADLINE, "Postgres to answer", async || {
            // It may be about to end, where its disk was full.
            if !self.container.is_running().await? {
                self.container.start().await?;
            }
            self.psql(&["SELECT 1"]).await
        });
        if let Err(error) = waited.await {
            return Err(error.context(self.container.logs().await));
        }
        Ok(())
    }

    /// Runs statements in one session.
    ///
    /// # Errors
    /// When one of them fails.
    pub async fn psql(&self, statements: &[&str]) -> Result<String> {
        let mut program =
            vec!["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--host=127.0.0.1"];
        let user = format!("--username={POSTGRES}");
        program.extend([user.as_str(), "--set=ON_ERROR_STOP=1"]);
        program.extend(statements.iter().flat_map(|statement| ["--command", statement]));
        let words: Vec<&str> = ["env", "PGPASSWORD=postgres"].into_iter().chain(program).collect();
        self.container.exec(&words).await
    }

    /// A URL for this machine.
    pub fn url(&self) -> String {
        url(&self.container.address().to_string())
    }

    /// A URL for the members of the network, which keeps its meaning when the address changes.
    pub fn url_inside() -> String {
        url(POSTGRES_HOST)
    }

    /// Fills its disk, and has it need more of it.
    ///
    /// # Errors
    /// When the disk cannot be filled.
    pub async fn fill_disk(&self) -> Result<()> {
        let fill = format!("dd if=/dev/zero of={DATA}/filler bs=64k 2>/dev/null; df {DATA}");
        self.container.exec(&["sh", "-c", &fill]).await?;
        // It needs a new segment, and may end over it: either is as it should be.
        for _ in 0..3 {
            let need = "CREATE TABLE IF NOT EXISTS needed (a int); INSERT INTO needed VALUES (1); SELECT pg_switch_wal()";
            self.psql(&[need]).await.ok();
        }
        Ok(())
    }

    /// Gives the room back, and starts the server again if it has ended.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn empty_disk(&self) -> Result<()> {
        if self.container.is_running().await? {
            // It may end at this moment.
            self.container.exec(&["rm", "-f", &format!("{DATA}/filler")]).await.ok();
        }
        self.run().await
    }
}

fn url(host: &str) -> String {
    format!("postgres://{POSTGRES}:{POSTGRES}@{host}/{POSTGRES}")
}
