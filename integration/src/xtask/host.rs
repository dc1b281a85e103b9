//! The machine that this runs on: its programs, its packages, running commands.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// A program that a task needs, and the Debian package that has it.
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
}

/// What the tests need: real servers, and who reads our manual pages.
pub(crate) const SERVERS: &[Tool] = &[
    Tool { program: "erl", package: "erlang-nox" },
    Tool { program: "epmd", package: "erlang-base" },
    Tool { program: "elixir", package: "elixir" },
    Tool { program: "initdb", package: "postgresql" },
    Tool { program: "psql", package: "postgresql-client" },
    Tool { program: "pgbouncer", package: "pgbouncer" },
    Tool { program: "chromium", package: "chromium" },
    Tool { program: "chromedriver", package: "chromium-driver" },
    Tool { program: "man", package: "man-db" },
];

/// The root of the repository.
pub(crate) fn root() -> Result<PathBuf> {
    let integration = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = integration.parent().context("the integration crate lies in the repository")?;
    ensure!(root.join("docker-compose.yml").is_file(), "{} is not the repository", root.display());
    Ok(root.to_path_buf())
}

/// Says on stderr what is being done.
pub(crate) fn say(message: impl AsRef<str>) {
    eprintln!("==> {}", message.as_ref());
}

/// Where `program` is, also in the folders that only root's PATH or Debian's Postgres has.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let postgres = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .chain(postgres.map(|version| version.path().join("bin")))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Installs the packages of the tools that are missing.
///
/// # Errors
/// When that takes root and there is no way to become root, with the command that would do it.
pub(crate) fn provide(tools: &[Tool]) -> Result<()> {
    let missing: Vec<&Tool> = tools.iter().filter(|tool| find(tool.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    packages.dedup();
    let by_hand = format!("apt-get install --no-install-recommends {}", packages.join(" "));
    let programs: Vec<&str> = missing.iter().map(|tool| tool.program).collect();
    let programs = programs.join(", ");
    if find("apt-get").is_none() {
        bail!("missing: {programs}; this machine has no apt-get: install them by its own means");
    }
    let Some(become_root) = become_root() else {
        bail!("missing: {programs}; as root, run: apt-get update && {by_hand}");
    };
    say(format!("missing: {programs}; installing {}", packages.join(" ")));
    run(as_root(become_root, "apt-get").arg("update").arg("--quiet"))?;
    run(as_root(become_root, "apt-get")
        .args(["install", "--quiet", "--yes", "--no-install-recommends"])
        .args(&packages))?;
    for tool in missing {
        ensure!(find(tool.program).is_some(), "{} has no {}", tool.package, tool.program);
    }
    Ok(())
}

/// A command that runs as root: directly, or through sudo.
pub(crate) fn root_command(program: &str) -> Result<Command> {
    let become_root =
        become_root().with_context(|| format!("{program} takes root, and there is no sudo"))?;
    Ok(as_root(become_root, program))
}

#[derive(Clone, Copy)]
enum BecomeRoot {
    AlreadyRoot,
    Sudo,
}

fn become_root() -> Option<BecomeRoot> {
    if rustix::process::geteuid().is_root() {
        return Some(BecomeRoot::AlreadyRoot);
    }
    find("sudo")?;
    let silently = Command::new("sudo").args(["-n", "true"]).stderr(Stdio::null()).status();
    let may_ask = std::io::stdin().is_terminal();
    (may_ask || silently.is_ok_and(|status| status.success())).then_some(BecomeRoot::Sudo)
}

fn as_root(become_root: BecomeRoot, program: &str) -> Command {
    let mut command = match become_root {
        BecomeRoot::AlreadyRoot => Command::new(find(program).unwrap_or_else(|| program.into())),
        BecomeRoot::Sudo => {
            let mut command = Command::new("sudo");
            command.args(["--preserve-env=DEBIAN_FRONTEND", program]);
            command
        }
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Runs a command; its output goes where ours goes.
///
/// # Errors
/// When it cannot be started or fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status =
        command.status().with_context(|| format!("{} could not be started", shown(command)))?;
    ensure!(status.success(), "{} failed: {status}", shown(command));
    Ok(())
}

/// Runs a command and returns its stdout.
///
/// # Errors
/// When it cannot be started or fails, with its stderr.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} could not be started", shown(command)))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "{} failed: {}\n{stdout}{}",
        shown(command),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(stdout.into_owned())
}

/// Runs a command and returns its stdout; its stderr goes where ours goes.
///
/// # Errors
/// When it cannot be started or fails.
pub(crate) fn read_stdout(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} could not be started", shown(command)))?;
    ensure!(output.status.success(), "{} failed: {}", shown(command), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a command succeeds, silently, within `deadline`.
pub(crate) fn succeeds_within(deadline: Duration, command: &mut Command) -> bool {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = spawned else { return false };
    let end = Instant::now() + deadline;
    while Instant::now() < end {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => sleep(Duration::from_millis(20)),
            Err(_) => break,
        }
    }
    // It is one of ours that took too long; how it ends no longer matters.
    child.kill().ok();
    child.wait().ok();
    false
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
