//! Postgres' programs, and as whom they run.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tokio::process::Command;
use tokio::time::timeout;

use super::SUPERUSER;

/// How long `initdb` may take, and how long anything else.
const INITDB_DEADLINE: Duration = Duration::from_secs(60);
const SHORT_DEADLINE: Duration = Duration::from_secs(20);

/// Where Postgres' programs are, and as whom they run: Postgres refuses to be root.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
    user: Option<(u32, u32)>,
}

impl Programs {
    pub(crate) fn find() -> Result<Self> {
        let user =
            if rustix::process::geteuid().is_root() { Some(unprivileged_user()?) } else { None };
        Ok(Self { folder: postgres_folder()?, user })
    }

    /// A command that ends with this process and does not see the tester's Postgres settings.
    pub(crate) fn command(&self, program: &str) -> Command {
        let own = self.folder.join(program);
        let mut command = Command::new(if own.exists() { own } else { PathBuf::from(program) });
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.current_dir("/").env("LC_ALL", "C").env("HOME", "/nonexistent").kill_on_drop(true);
        command
    }

    /// Gives a file or folder to the user who runs the programs.
    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        if let Some((uid, gid)) = self.user {
            chown(path, Some(uid), Some(gid)).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// A data folder made by `initdb`, made once for each version and user and copied for each
    /// server.
    pub(crate) async fn template(&self) -> Result<PathBuf> {
        let mut version = self.command("postgres");
        version.arg("--version");
        let version = run(version, SHORT_DEADLINE).await?;
        let version: String =
            version.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let uid = self.user.map_or_else(|| rustix::process::geteuid().as_raw(), |(uid, _)| uid);
        let template = std::env::temp_dir().join(format!("integration-initdb-{version}-{uid}"));
        if template.join("PG_VERSION").exists() {
            return Ok(template);
        }
        let fresh = tempfile::Builder::new().prefix("initdb-").tempdir()?;
        self.own(fresh.path())?;
        let data = fresh.path().join("data");
        let mut initdb = self.command("initdb");
        initdb.arg("--pgdata").arg(&data).args([
            "--username",
            SUPERUSER,
            "--auth=trust",
            "--no-sync",
        ]);
        initdb.args(["--encoding=UTF8", "--locale=C", "--wal-segsize=1"]);
        run(initdb, INITDB_DEADLINE).await.context("initdb")?;
        match std::fs::rename(&data, &template) {
            Ok(()) => Ok(template),
            // Another test was faster.
            Err(_) if template.join("PG_VERSION").exists() => Ok(template),
            Err(error) => Err(error).with_context(|| template.display().to_string()),
        }
    }
}

/// The newest version's folder, as Debian and others lay them out, else where `PATH` has `initdb`.
fn postgres_folder() -> Result<PathBuf> {
    let version = |folder: &Path| -> Option<u32> { folder.file_name()?.to_str()?.parse().ok() };
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> =
        versions.map(|entry| entry.path()).filter(|path| version(path).is_some()).collect();
    found.sort_by_key(|path| version(path));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = found
        .into_iter()
        .rev()
        .map(|folder| folder.join("bin"))
        .chain(std::env::split_paths(&path));
    for folder in candidates {
        if folder.join("postgres").exists() && folder.join("initdb").exists() {
            return Ok(folder);
        }
    }
    bail!(
        "Postgres is not installed: no `postgres` and `initdb` in /usr/lib/postgresql/*/bin or PATH"
    )
}

/// Uid and gid of `postgres`, else of `nobody`.
fn unprivileged_user() -> Result<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
    let find = |wanted: &str| {
        users.lines().find_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            match fields.as_slice() {
                [name, _, uid, gid, ..] if *name == wanted => {
                    Some((uid.parse().ok()?, gid.parse().ok()?))
                }
                _ => None,
            }
        })
    };
    find("postgres")
        .or_else(|| find("nobody"))
        .context("neither user `postgres` nor `nobody` exists")
}

/// Runs a command to its end and returns its standard output, trimmed.
pub(crate) async fn run(mut command: Command, deadline: Duration) -> Result<String> {
    let name = format!("{:?}", command.as_std().get_program());
    let output = timeout(deadline, command.stdin(Stdio::null()).output())
        .await
        .map_err(|_| anyhow!("{name} did not end within {deadline:?}"))?
        .with_context(|| name.clone())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    ensure!(output.status.success(), "{name}: {}: {}", output.status, text(&output.stderr));
    Ok(text(&output.stdout))
}
