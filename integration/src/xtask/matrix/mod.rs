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
    let wanted = |release: &&Release| otps.is_empty() || otps.contains(&release.otp);
    let releases: Vec<Release> = RELEASES.iter().filter(wanted).copied().collect();
    let mut columns = Vec::new();
    for release in releases {
        columns.push((release, images::servers(release.suite)?));
    }
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
        let mixed = mixed::run(&columns, run::today()?)?;
        failures += usize::from(mixed.failed.is_some());
        mixed.keep()?;
    }
    table::write()?;
    ensure!(failures == 0, "{failures} tests failed");
    say("every test passed");
    Ok(())
}
