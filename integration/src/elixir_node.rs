//! BEAM nodes that find each other through Postgres as libcluster_postgres does, without hex: the stand-in of
//! `integration/elixir`, compiled once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::time::timeout;

use crate::Postgres;
use crate::beam::{self, Beam, BeamOptions};

const COMPILE_DEADLINE: Duration = Duration::from_secs(60);

/// How a member reaches Postgres, in libcluster_postgres' words.
#[derive(Clone, Debug)]
pub struct MemberOptions {
    /// The host of Postgres.
    pub hostname: String,
    /// Its port.
    pub port: u16,
    /// The user.
    pub username: String,
    /// The password; nothing asks for it under trust authentication.
    pub password: String,
    /// The database.
    pub database: String,
    /// The channel.
    pub channel_name: String,
    /// Between two announcements; libcluster_postgres has 5 s.
    pub heartbeat_interval: Duration,
}

impl MemberOptions {
    /// The way to `postgres`, with libcluster_postgres' own interval.
    pub fn new(postgres: &Postgres, channel: &str) -> Self {
        Self {
            hostname: "127.0.0.1".into(),
            port: postgres.port(),
            username: "postgres".into(),
            password: "postgres".into(),
            database: "postgres".into(),
            channel_name: channel.into(),
            heartbeat_interval: Duration::from_secs(5),
        }
    }
}

/// A BEAM node that announces itself on a Postgres channel and dials whom it hears. Otherwise a [`Beam`].
#[derive(Debug)]
pub struct ElixirNode {
    beam: Beam,
    member: MemberOptions,
}

impl ElixirNode {
    /// Starts the node and then its strategy. Postgres need not be there yet.
    ///
    /// # Errors
    /// As [`Beam::start`]; when Elixir is missing or the member does not compile.
    pub async fn start(node: BeamOptions, member: MemberOptions) -> Result<Self> {
        let beam = Beam::start(with_member_code(node).await?).await?;
        let elixir = Self { beam, member };
        elixir.start_member().await?;
        Ok(elixir)
    }

    /// Starts the node again with the same options.
    ///
    /// # Errors
    /// As [`ElixirNode::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.beam.restart().await?;
        self.start_member().await
    }

    async fn start_member(&self) -> Result<()> {
        let member = &self.member;
        let options = format!(
            "[hostname: {:?}, port: {}, username: {:?}, password: {:?}, database: {:?}, channel_name: {:?}, \
             heartbeat_interval: {}]",
            member.hostname,
            member.port,
            member.username,
            member.password,
            member.database,
            member.channel_name,
            member.heartbeat_interval.as_millis()
        );
        let started = self.beam.elixir(format!("elem(Member.start({options}), 0)")).await?;
        ensure!(started == ":ok", "the member did not start: {started}\n{}", self.beam.output());
        Ok(())
    }
}

impl Deref for ElixirNode {
    type Target = Beam;
    fn deref(&self) -> &Beam {
        &self.beam
    }
}

impl DerefMut for ElixirNode {
    fn deref_mut(&mut self) -> &mut Beam {
        &mut self.beam
    }
}

/// The options of a node that can load the modules of `integration/elixir`, `Member.PubSub` among them.
///
/// # Errors
/// When Elixir is missing or they do not compile.
pub async fn with_member_code(node: BeamOptions) -> Result<BeamOptions> {
    let compiled = compiled().await?;
    let path = compiled.to_str().context("a path that is not UTF-8")?;
    Ok(node.elixir().args(["-pa", path]))
}

/// The folder with the compiled member, among the temporary files and named after its sources and what compiled them.
async fn compiled() -> Result<PathBuf> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("elixir/lib");
    let mut sources = vec![library.join("member.ex")];
    for entry in std::fs::read_dir(library.join("member"))? {
        sources.push(entry?.path());
    }
    sources.sort();
    let mut hasher = DefaultHasher::new();
    beam::elixir().await?.version.hash(&mut hasher);
    for source in &sources {
        std::fs::read(source)?.hash(&mut hasher);
    }
    let uid = rustix::process::geteuid().as_raw();
    let temporary = std::env::temp_dir();
    let folder = temporary.join(format!("integration-member-{:016x}-{uid}", hasher.finish()));
    if folder.is_dir() {
        return Ok(folder);
    }
    // Tests in other processes may be at it too: each compiles aside, and the first to rename wins.
    let aside = tempfile::tempdir_in(&temporary)?;
    let mut compile = Command::new("elixirc");
    compile.arg("-o").arg(aside.path()).args(&sources).kill_on_drop(true);
    let output =
        timeout(COMPILE_DEADLINE, compile.output()).await.context("elixirc did not end")?;
    let output = output.context(
        "elixirc could not be started: the tests need Elixir (`cargo xtask test` installs it)",
    )?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(
        output.status.success(),
        "the member does not compile: {}",
        String::from_utf8_lossy(&said)
    );
    let renamed = std::fs::rename(aside.path(), &folder);
    ensure!(folder.is_dir(), "no {}: {renamed:?}", folder.display());
    Ok(folder)
}
