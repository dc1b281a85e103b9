//! `cargo xtask test`: every test of the workspace, those against real servers included.

use std::process::Command;

use anyhow::{Context, Result};

use crate::host::{self, say};

pub(crate) fn run(filter: Option<&str>) -> Result<()> {
    host::provide(host::SERVERS)?;
    let root = host::root()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());

    say("building beamjoin");
    host::run(Command::new(&cargo).current_dir(&root).args(["build", "--package", "beamjoin"]))?;
    let target = std::env::current_exe()?;
    let binary = target.parent().context("no target directory")?.join("beamjoin");

    say("running the tests");
    let mut tests = Command::new(&cargo);
    tests.current_dir(&root).args(["test", "--workspace", "--no-fail-fast"]);
    tests.args(filter).env("BEAMJOIN_BIN", binary);
    host::run(&mut tests)
}
