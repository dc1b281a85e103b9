//! A real PgBouncer before a [`Postgres`].

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Child;

use crate::Postgres;
use crate::output::Output;
use crate::postgres::{Programs, port};

const START_DEADLINE: Duration = Duration::from_secs(20);

/// For how long a client keeps a server connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMode {
    /// As long as it is connected.
    Session,
    /// For one transaction: a `LISTEN` is left behind on it.
    Transaction,
}

/// A running pooler that lets everybody in. Ends with this value.
#[derive(Debug)]
pub struct PgBouncer {
    addr: SocketAddr,
    output: Output,
    _folder: TempDir,
    _child: Child,
}

impl PgBouncer {
    /// Starts a pooler before a server.
    pub async fn start(postgres: &Postgres, mode: PoolMode) -> Result<Self> {
        Self::start_with(postgres, mode, 20).await
    }

    /// Starts a pooler that opens at most `size` connections to the server.
    pub async fn start_with(postgres: &Postgres, mode: PoolMode, size: u32) -> Result<Self> {
        let programs = Programs::find()?;
        let folder = tempfile::Builder::new().prefix("pgbouncer-").tempdir_in("/tmp")?;
        let (users, config) = (folder.path().join("users"), folder.path().join("pgbouncer.ini"));
        let port = port()?;
        let mode = match mode {
            PoolMode::Session => "session",
            PoolMode::Transaction => "transaction",
        };
        std::fs::write(&users, "\"postgres\" \"\"\n")?;
        std::fs::write(
            &config,
            format!(
                "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\n\
                 default_pool_size = {size}\n",
                postgres.port(),
                users.display(),
            ),
        )?;
        for path in [folder.path(), &users, &config] {
            programs.own(path)?;
        }
        let mut command = programs.command("pgbouncer");
        command.arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin");
        let mut child = command.spawn().context("pgbouncer cannot be started; is it installed?")?;
        let output = Output::new();
        output.follow(child.stderr.take().context("no standard error")?);
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        crate::eventually(START_DEADLINE, "PgBouncer to accept connections", async || {
            TcpStream::connect(addr).await
        })
        .await
        .with_context(|| output.text())?;
        Ok(Self { addr, output, _folder: folder, _child: child })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it logged last.
    pub fn log(&self) -> String {
        self.output.text()
    }
}
