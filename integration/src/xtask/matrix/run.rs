//! The test programs, one after the other, in a container of one release.

use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::build::{Built, Test};
use super::outcome::{Column, Group};
use super::release::Release;
use super::unsupported;
use crate::host::{self, say};

/// How long one program may take, in seconds, before it counts as hanging.
const DEADLINE: &str = "1200";

/// Runs every test and reports what came of it; the output is kept in a file that failures name.
pub(super) fn column(
    release: Release,
    image: &str,
    built: &Built,
    programs: &[String],
) -> Result<Column> {
    let container = Container::start(release, image)?;
    let versions = release.versions(&container.id)?;
    let what = format!("OTP {}", versions.otp);
    say(format!("{what}, Elixir {}, Postgres {}", versions.elixir, versions.postgres));
    let path = host::root()?.join(format!("target/static/matrix-otp-{}.log", release.otp));
    let mut log = File::create(&path).with_context(|| path.display().to_string())?;
    let groups = match Column::kept(release)? {
        Some(kept) if !programs.is_empty() => kept.groups,
        _ => Default::default(),
    };
    let mut column = Column { otp: release.otp, versions, day: today()?, groups };
    let wanted = |test: &&Test| programs.is_empty() || programs.contains(&test.name);
    for test in built.tests.iter().filter(wanted) {
        let group = container.run(release, built, test, &mut log)?;
        let (passed, failed) = (group.passed, group.failed.len());
        say(format!("{what}: {}: {passed} passed, {failed} failed", test.name));
        column.groups.insert(test.name.clone(), group);
    }
    for failure in column.failures() {
        eprintln!("{what}: FAILED {failure}");
    }
    if column.failures().count() > 0 {
        eprintln!("{what}: what they printed is in {}", path.display());
    }
    Ok(column)
}

/// The day, as the table has it.
pub(super) fn today() -> Result<String> {
    let today = host::read(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    Ok(today.trim().to_owned())
}

/// A container in which the repository lies where it lies outside, so that paths in the test programs hold. Removed at the end.
struct Container {
    id: String,
}

impl Container {
    fn start(release: Release, image: &str) -> Result<Self> {
        let root = host::root()?;
        let root = root.to_str().context("a path that is not UTF-8")?;
        let mut run = Command::new("docker");
        run.args(["run", "--detach", "--rm", "--init"]);
        run.args(["--name", &format!("beamjoin-matrix-{}-{}", release.otp, std::process::id())]);
        // Docker takes ::1 away from containers otherwise.
        run.args(["--sysctl", "net.ipv6.conf.all.disable_ipv6=0"]);
        run.args(["--volume", &format!("{root}:{root}:ro"), image, "sleep", "infinity"]);
        Ok(Self { id: host::read(&mut run)?.trim().to_owned() })
    }

    fn run(&self, release: Release, built: &Built, test: &Test, log: &mut File) -> Result<Group> {
        let unsupported = unsupported::of(release, &test.name);
        let mut run = Command::new("docker");
        run.arg("exec").arg("--workdir").arg(&test.folder);
        let beamjoin = built.profile.join("beamjoin");
        run.arg("--env").arg(format!("BEAMJOIN_BIN={}", beamjoin.display()));
        run.args(["--env", "RUST_BACKTRACE=1", &self.id]);
        run.args(["timeout", "--kill-after=10", DEADLINE]).arg(&test.program);
        for (name, _) in &unsupported {
            run.args(["--skip", name]);
        }
        let output = run.stdin(Stdio::null()).output()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        writeln!(log, "### {}\n{printed}", test.name)?;
        log.write_all(&output.stderr)?;
        let mut group = Group::read(&printed);
        if !output.status.success() && group.failed.is_empty() {
            let words = String::from_utf8_lossy(&output.stderr);
            let last = words.lines().last().unwrap_or_default();
            group.broken = Some(format!("{}: {last}", output.status));
        }
        ensure!(
            group.passed + group.failed.len() + unsupported.len() > 0 || group.broken.is_some(),
            "{} ran no test",
            test.name
        );
        group.unsupported = unsupported.into_iter().map(|(test, _)| test.to_owned()).collect();
        Ok(group)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        host::read(Command::new("docker").args(["rm", "--force", &self.id])).ok();
    }
}
