//! What came of the tests on one release.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::release::{Release, Versions};
use crate::host;

/// All the tests with one release's servers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Column {
    pub(super) otp: u32,
    pub(super) versions: Versions,
    /// The day of the run.
    pub(super) day: String,
    /// By the name of the test program.
    pub(super) groups: BTreeMap<String, Group>,
}

/// The tests of one program.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) passed: usize,
    pub(super) failed: Vec<String>,
    /// Tests that this OTP or Postgres has not what it takes for.
    pub(super) unsupported: Vec<String>,
    /// Why the program itself did not come to its end.
    pub(super) broken: Option<String>,
}

impl Group {
    /// Reads what the test program printed, of which `test NAME ... ok` counts.
    pub(super) fn read(output: &str) -> Self {
        let mut group = Self::default();
        for line in output.lines() {
            let Some((name, result)) =
                line.strip_prefix("test ").and_then(|line| line.split_once(" ... "))
            else {
                continue;
            };
            match result.trim() {
                "ok" => group.passed += 1,
                "FAILED" => group.failed.push(name.to_owned()),
                _ => {}
            }
        }
        group
    }
}

impl Column {
    /// Every test that failed, as `program::test`.
    pub(super) fn failures(&self) -> impl Iterator<Item = String> {
        self.groups.iter().flat_map(|(program, group)| {
            let failed = group.failed.iter().map(move |test| format!("{program}::{test}"));
            failed.chain(group.broken.iter().map(move |why| format!("{program}: {why}")))
        })
    }

    /// Keeps it for the table, which has every release as it was last run.
    pub(super) fn keep(&self) -> Result<()> {
        let path = path(self.otp)?;
        std::fs::create_dir_all(path.parent().context("no folder")?)?;
        Ok(std::fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }

    /// What was kept last for a release, if it was ever run here.
    pub(super) fn kept(release: Release) -> Result<Option<Self>> {
        let path = path(release.otp)?;
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read(&path)?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string()).map(Some)
    }
}

fn path(otp: u32) -> Result<PathBuf> {
    Ok(host::root()?.join("target/static/matrix").join(format!("otp-{otp}.json")))
}

#[cfg(test)]
mod tests {
    use super::Group;

    #[test]
    fn results_are_read_from_what_a_test_program_prints() {
        let group = Group::read(
            "\nrunning 4 tests\ntest a::one ... ok\nnoise\ntest b ... FAILED\ntest c ... ignored\n\nfailures:\n\
             \n---- b stdout ----\ntest result: FAILED. 1 passed; 1 failed; 1 ignored\n",
        );
        assert_eq!((group.passed, group.failed), (1, vec!["b".to_owned()]));
    }
}
