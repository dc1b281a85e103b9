//! A real Postgres of our own.

mod programs;

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::output::Output;
pub(crate) use programs::Programs;
use programs::run;

/// How long a start or an orderly stop may take. Generous: a loaded machine of two cores runs
/// several servers at once.
const START_DEADLINE: Duration = Duration::from_secs(40);
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// How long one statement of `psql` may take.
const PSQL_DEADLINE: Duration = Duration::from_secs(20);

/// The superuser, who needs no password on the Unix socket.
const SUPERUSER: &str = "postgres";

/// How to start a server. The defaults are: no TLS, everybody on 127.0.0.1 is let in.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// Ask the superuser for this password over TCP (scram-sha-256).
    pub password: Option<String>,
    /// Speak TLS with this certificate and key, both in PEM.
    pub tls: Option<TlsFiles>,
    /// Replaces the lines of `pg_hba.conf` for TCP. The Unix socket stays open to everybody.
    pub hba: Option<String>,
    /// More settings, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, and what is needed to get from it to a root.
    pub cert: String,
    /// The private key.
    pub key: String,
    /// Who signs clients' certificates (`ssl_ca_file`).
    pub client_ca: Option<String>,
}

/// How to stop a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Sessions are told (57P01) and ended.
    Fast,
    /// Everything ends at once, and the next start recovers as after a crash.
    Immediate,
}

/// A running server with its own data folder, on a port of 127.0.0.1 and a Unix socket. Ends with
/// this value.
#[derive(Debug)]
pub struct Postgres {
    options: PostgresOptions,
    programs: Programs,
    folder: TempDir,
    port: u16,
    output: Output,
    /// How often the server has said that it accepts connections.
    ready: watch::Sender<u64>,
    child: Option<Child>,
}

impl Postgres {
    /// Starts a server with the default options.
    pub async fn start() -> Result<Self> {
        Self::start_with(PostgresOptions::default()).await
    }

    /// Starts a server.
    pub async fn start_with(options: PostgresOptions) -> Result<Self> {
        let programs = Programs::find()?;
        let template = programs.template().await?;
        let server = Self::prepare(programs, options)?;
        server.copy_data(&template).await?;
        let mut server = server.run_on_new_port().await?;
        if let Some(password) = server.options.password.clone() {
            server.psql(&format!("ALTER ROLE {SUPERUSER} PASSWORD '{password}'")).await?;
        }
        server.wait_for_port().await?;
        Ok(server)
    }

    /// Starts a hot standby of this server.
    pub async fn standby(&self) -> Result<Self> {
        let standby = Self::prepare(self.programs.clone(), PostgresOptions::default())?;
        let mut backup = standby.programs.command("pg_basebackup");
        backup
            .arg("--pgdata")
            .arg(standby.data())
            .args(["--checkpoint=fast", "--wal-method=stream"]);
        backup.args(["--no-sync", "--write-recovery-conf", "--username", SUPERUSER]);
        backup.arg("--host").arg(self.socket_dir()).args(["--port", &self.port.to_string()]);
        run(backup, START_DEADLINE).await.context("pg_basebackup")?;
        let mut standby = standby.run_on_new_port().await?;
        standby.wait_for_port().await?;
        Ok(standby)
    }

    /// Makes a standby a server of its own, and waits until it is one.
    pub async fn promote(&self) -> Result<()> {
        let promoted = self.psql("SELECT pg_promote(true, 20)").await?;
        ensure!(promoted == "t", "the standby was not promoted: {promoted}");
        Ok(())
    }

    /// The TCP address.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The port, of TCP and in the name of the Unix socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the Unix socket.
    pub fn socket_dir(&self) -> &Path {
        self.folder.path()
    }

    /// A URL for the superuser and the database `postgres` over TCP.
    pub fn url(&self) -> String {
        self.url_at(self.addr())
    }

    /// The same through another address, such as a proxy's.
    pub fn url_at(&self, addr: SocketAddr) -> String {
        format!("{}/postgres", self.url_without_database(addr))
    }

    /// The same for another database.
    pub fn url_of(&self, database: &str) -> String {
        format!("{}/{database}", self.url_without_database(self.addr()))
    }

    fn url_without_database(&self, addr: SocketAddr) -> String {
        match &self.options.password {
            Some(password) => format!("postgres://{SUPERUSER}:{password}@{addr}"),
            None => format!("postgres://{SUPERUSER}@{addr}"),
        }
    }

    /// Runs SQL as the superuser and returns what `psql` prints: fields parted by `|`, no headings.
    pub async fn psql(&self, sql: &str) -> Result<String> {
        self.psql_in("postgres", sql).await
    }

    /// As [`psql`](Self::psql), in another database.
    pub async fn psql_in(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = self.programs.command("psql");
        psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]);
        psql.args(["--set", "ON_ERROR_STOP=1", "--username", SUPERUSER, "--dbname", database]);
        psql.arg("--host").arg(self.socket_dir()).args(["--port", &self.port.to_string()]);
        psql.args(["--command", sql]).env_remove("PGOPTIONS").env_remove("PGSSLMODE");
        run(psql, PSQL_DEADLINE).await.with_context(|| format!("psql: {sql}"))
    }

    /// Ends the backends of every client but `psql`, as an administrator would. Returns how many.
    pub async fn kill_backends(&self) -> Result<u64> {
        self.kill_backends_where("true").await
    }

    /// Ends the clients' backends for which a condition on `pg_stat_activity` holds.
    pub async fn kill_backends_where(&self, condition: &str) -> Result<u64> {
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND ({condition})"
        );
        Ok(self.psql(&sql).await?.parse()?)
    }

    /// Stops the server and waits for its end.
    pub async fn stop(&mut self, how: Shutdown) -> Result<()> {
        let mut child = self.child.take().context("the server is not running")?;
        signal(&child, if how == Shutdown::Fast { Signal::INT } else { Signal::QUIT })?;
        timeout(STOP_DEADLINE, child.wait()).await.map_err(|_| {
            anyhow!("the server did not stop within {STOP_DEADLINE:?}:\n{}", self.log())
        })??;
        Ok(())
    }

    /// Starts a stopped server again, on its old port, and waits until it accepts connections.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "the server is running");
        self.run().await?;
        self.wait_for_port().await
    }

    /// Stops (fast) and starts again.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop(Shutdown::Fast).await?;
        self.start_again().await
    }

    /// What the server logged last.
    pub fn log(&self) -> String {
        self.output.text()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder that the server's user owns. Short, because a socket's path has at most 107 bytes.
    fn prepare(programs: Programs, options: PostgresOptions) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("pg-").tempdir_in("/tmp")?;
        programs.own(folder.path())?;
        Ok(Self {
            options,
            programs,
            folder,
            port: 0,
            output: Output::new(),
            ready: watch::Sender::new(0),
            child: None,
        })
    }

    async fn copy_data(&self, template: &Path) -> Result<()> {
        let mut copy = self.programs.command("cp");
        copy.args(["-a", "--reflink=auto"]).arg(template).arg(self.data());
        run(copy, START_DEADLINE).await?;
        Ok(())
    }

    /// Finds a free port and starts. Somebody else may take it in between: tried again elsewhere.
    async fn run_on_new_port(mut self) -> Result<Self> {
        self.configure()?;
        let mut last = anyhow!("no port tried");
        for _ in 0..5 {
            self.port = port()?;
            match self.run().await {
                Ok(()) => return Ok(self),
                Err(error) => last = error,
            }
            self.child = None;
        }
        Err(last)
    }

    fn configure(&self) -> Result<()> {
        let mut hba = String::from("local all all trust\nlocal replication all trust\n");
        hba.push_str(match (&self.options.hba, &self.options.password) {
            (Some(lines), _) => lines,
            (None, Some(_)) => "host all all 127.0.0.1/32 scram-sha-256\n",
            (None, None) => "host all all 127.0.0.1/32 trust\n",
        });
        self.write("pg_hba.conf", &hba)?;
        let mut settings = String::from(
            "fsync = off\nfull_page_writes = off\nsynchronous_commit = off\nautovacuum = off\n\
             password_encryption = 'scram-sha-256'\nshared_buffers = 8MB\nmax_connections = 60\nmax_wal_senders = 4\nwal_level = replica\n\
             listen_addresses = '127.0.0.1'\nlogging_collector = off\nlog_line_prefix = '%m [%p] '\n",
        );
        if let Some(tls) = &self.options.tls {
            self.write("server.crt", &tls.cert)?;
            self.write("server.key", &tls.key)?;
            settings
                .push_str("ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n");
            if let Some(ca) = &tls.client_ca {
                self.write("client-ca.crt", ca)?;
                settings.push_str("ssl_ca_file = 'client-ca.crt'\n");
            }
        }
        for (name, value) in &self.options.settings {
            writeln!(settings, "{name} = '{value}'")?;
        }
        self.write("postgresql.conf", &settings)
    }

    /// Writes a file that only the server's user can read (Postgres insists on it for keys).
    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.data().join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600))?;
        self.programs.own(&path)
    }

    async fn run(&mut self) -> Result<()> {
        let mut command = self.programs.command("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.socket_dir());
        command.args(["-p", &self.port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("postgres")?;
        let stderr = child.stderr.take().context("no standard error")?;
        let (ready, mut seen) = (self.ready.clone(), self.ready.subscribe());
        let before = *seen.borrow_and_update();
        self.output.follow_with(stderr, move |line| {
            if line.contains("is ready to accept") {
                ready.send_modify(|count| *count += 1);
            }
        });
        let started = tokio::select! {
            ready = timeout(START_DEADLINE, seen.wait_for(|count| *count > before)) => {
                ready.map(drop).map_err(|_| anyhow!("not ready after {START_DEADLINE:?}"))
            }
            status = child.wait() => Err(anyhow!("it ended with {}", status?)),
        };
        self.child = Some(child);
        started.with_context(|| format!("Postgres did not start:\n{}", self.log()))
    }

    /// The log line comes after the socket is open, but a standby writes it from another process.
    async fn wait_for_port(&mut self) -> Result<()> {
        crate::eventually(START_DEADLINE, "Postgres to accept connections", async || {
            self.psql("SELECT 1").await
        })
        .await?;
        Ok(())
    }
}

impl Drop for Postgres {
    /// Ends the server in a way that leaves no shared memory behind, and only then by force.
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        if signal(child, Signal::QUIT).is_ok() {
            for _ in 0..1000 {
                if !matches!(child.try_wait(), Ok(None)) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        // `kill_on_drop` does the rest.
    }
}

/// A free port below those that the kernel gives to outgoing connections, so that it is still free
/// after a restart.
pub(crate) fn port() -> Result<u16> {
    const FIRST: u16 = 15_000;
    const COUNT: u16 = 17_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 1000)? * 16;
    for _ in 0..COUNT {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST + offset)).is_ok() {
            return Ok(FIRST + offset);
        }
    }
    bail!("no free port")
}

fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    kill_process(pid.context("the server has ended")?, signal)?;
    Ok(())
}
