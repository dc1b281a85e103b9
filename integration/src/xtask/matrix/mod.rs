//! `cargo xtask matrix`: the tests against each OTP and each Postgres, in containers.

pub(crate) mod build;
mod mixed;
mod outcome;
mod release;
mod run;
mod table;
mod unsupported;

use anyhow::{Result, ensure};

use self::release::{RELEASES, Release};
use crate::host::say;
use crate::images;

/// Runs the tests on each release whose OTP is asked for, and of them only those of `programs`; everything if nothing is asked for.
/// Writes the table.
pub(crate) fn run(otps: &[u32], programs: &[String]) -> Result<()> {
    for otp in otps {
        ensure!(
            RELEASES.iter().any(|release| release.otp == *otp),
            "there is no image with OTP {otp}: there are {}",
            RELEASES.map(|release| release.otp.to_string()).join(", ")
        );
    }
    let wanted = |release: &Release| otps.is_empty() || otps.contains(&release.otp);
    let columns = images_of(RELEASES.into_iter().filter(wanted))?;
    let built = build::tests()?;
    for program in programs {
        let known = built.tests.iter().any(|test| test.name == *program);
        ensure!(known, "there is no {program} in integration/tests");
    }
    let mut failures = 0;
    for (release, image) in &columns {
        let column = run::column(*release, image, &built, programs)?;
        failures += column.failures().count();
        column.keep()?;
    }
    if columns.len() == RELEASES.len() {
        failures += clusters(&columns)?;
    }
    finish(failures)
}

/// Only the clusters of several releases at once.
pub(crate) fn run_clusters() -> Result<()> {
    let failures = clusters(&images_of(RELEASES)?)?;
    finish(failures)
}

/// The releases, each with an image of its servers.
fn images_of(releases: impl IntoIterator<Item = Release>) -> Result<Vec<(Release, String)>> {
    let image = |release: Release| Ok((release, images::servers(release.suite)?));
    releases.into_iter().map(image).collect()
}

/// How many of the clusters failed.
fn clusters(columns: &[(Release, String)]) -> Result<usize> {
    let mixed = mixed::run(columns, &run::today()?)?;
    mixed.keep()?;
    Ok(mixed.failures())
}

fn finish(failures: usize) -> Result<()> {
    table::write()?;
    ensure!(failures == 0, "{failures} tests failed");
    say("every test passed");
    Ok(())
}
