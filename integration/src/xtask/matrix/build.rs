//! The tests as static programs: what is built here then runs with the older and the newer C libraries of every release.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::host::{self, say};

/// The packages whose tests have a peer or a Postgres at the other end, and what those tests start.
const PACKAGES: [&str; 3] = ["integration", "beamjoin", "dist"];

/// What was built.
pub(super) struct Built {
    /// The folder with `beamjoin` and the examples in it.
    pub(super) profile: PathBuf,
    /// The tests, by name.
    pub(super) tests: Vec<Test>,
}

/// One test program.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) name: String,
    pub(super) program: PathBuf,
    /// The folder of its package, in which cargo would run it.
    pub(super) folder: PathBuf,
}

/// Builds the commands, the examples and the tests of the package `integration`.
pub(super) fn tests() -> Result<Built> {
    say("building the tests, statically");
    let mut programs = cargo("build")?;
    host::run(programs.args(packages()).args(["--bin", "beamjoin", "--examples"]))?;
    let mut build = cargo("test")?;
    build.args(packages()).args(["--test", "*", "--no-run"]);
    let artifacts = host::read_stdout(build.args(["--message-format", "json-render-diagnostics"]))?;
    let mut tests = Vec::new();
    for line in artifacts.lines() {
        let artifact: Value = serde_json::from_str(line).context("cargo's messages")?;
        tests.extend(test(&artifact));
    }
    tests.sort_by(|a, b| a.name.cmp(&b.name));
    let first = tests.first().context("cargo built no tests")?;
    let profile = first.program.parent().and_then(|deps| deps.parent());
    let profile = profile.context("no target directory")?.to_path_buf();
    Ok(Built { profile, tests })
}

/// Builds one example of the package `integration` in the same way.
pub(crate) fn example(name: &str) -> Result<PathBuf> {
    say(format!("building {name}, statically"));
    let mut build = cargo("build")?;
    build.args(packages()).args(["--example", name]);
    let artifacts = host::read_stdout(build.args(["--message-format", "json-render-diagnostics"]))?;
    let mut built = artifacts.lines().filter_map(|line| {
        let artifact: Value = serde_json::from_str(line).ok()?;
        let wanted =
            artifact["target"]["name"] == name && artifact["target"]["kind"][0] == "example";
        wanted.then(|| artifact["executable"].as_str().map(PathBuf::from))?
    });
    built.next().with_context(|| format!("cargo built no {name}"))
}

/// Always the same ones, for what they have in common is built for them together.
fn packages() -> impl Iterator<Item = &'static str> {
    PACKAGES.into_iter().flat_map(|package| ["--package", package])
}

fn test(artifact: &Value) -> Option<Test> {
    let kinds = artifact["target"]["kind"].as_array()?;
    if !kinds.iter().any(|kind| kind == "test") || artifact["profile"]["test"] != true {
        return None;
    }
    let manifest = PathBuf::from(artifact["manifest_path"].as_str()?);
    let folder = manifest.parent()?.to_path_buf();
    let name = artifact["target"]["name"].as_str()?;
    // Those of other crates need no server.
    let ours = folder.file_name()? == "integration";
    ours.then(|| {
        let program = PathBuf::from(artifact["executable"].as_str()?);
        Some(Test { name: name.to_owned(), program, folder })
    })?
}

/// `cargo COMMAND` for static programs, in a target directory of its own, for the flags would make cargo build everything anew each
/// time. The target is named so that the flag does not reach build scripts and macros.
fn cargo(command: &str) -> Result<Command> {
    let root = host::root()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let version = host::read(Command::new("rustc").current_dir(&root).arg("-vV"))?;
    let target = version.lines().find_map(|line| line.strip_prefix("host: "));
    let target = target.context("rustc -vV names no host")?;
    ensure!(target.contains("linux-gnu"), "{target}: this takes Linux with glibc");
    let mut cargo = Command::new(cargo);
    cargo.current_dir(&root).args([command, "--locked", "--target", target, "--target-dir"]);
    cargo.arg(root.join("target/static")).env("RUSTFLAGS", "-C target-feature=+crt-static");
    cargo.stderr(Stdio::inherit());
    Ok(cargo)
}
