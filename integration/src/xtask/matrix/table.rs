//! docs/compatibility.md: what was seen to work with what.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use super::mixed::{CLUSTERS, Mixed, PG};
use super::outcome::{Column, Group};
use super::release::RELEASES;
use super::unsupported;
use crate::host::{self, say};

const PATH: &str = "docs/compatibility.md";

/// Writes the table if every release has been run here.
pub(super) fn write() -> Result<()> {
    let mut columns = Vec::new();
    for release in RELEASES {
        match Column::kept(release)? {
            Some(column) => columns.push(column),
            None => {
                say(format!("{PATH} is left as it is: OTP {} was not run here yet", release.otp));
                return Ok(());
            }
        }
    }
    let root = host::root()?;
    let text = page(&columns, &root)?;
    std::fs::write(root.join(PATH), text)?;
    say(format!("wrote {PATH}"));
    Ok(())
}

fn page(columns: &[Column], root: &Path) -> Result<String> {
    let mut page = String::from(
        "# Compatibility\n\nWritten by `cargo xtask matrix`, which runs the tests of `integration/tests` in containers with the servers of \
         four Debian releases. A number says how many tests passed.\n\n",
    );
    let mut row = |first: &str, cell: &dyn Fn(&Column) -> String| {
        let cells: Vec<String> = columns.iter().map(cell).collect();
        writeln!(page, "| {first} | {} |", cells.join(" | ")).ok();
    };
    row("", &|column| format!("OTP {}", column.otp));
    row("---", &|_| "---".to_owned());
    row("OTP", &|column| column.versions.otp.clone());
    row("Elixir", &|column| column.versions.elixir.clone());
    row("Postgres", &|column| column.versions.postgres.clone());
    row("PgBouncer", &|column| column.versions.pgbouncer.clone());
    row("Debian", &|column| column.versions.debian.clone());
    row("run on", &|column| column.day.clone());
    let mut notes = Notes::default();
    let programs: Vec<&String> = columns.iter().flat_map(|column| column.groups.keys()).collect();
    let programs: std::collections::BTreeSet<&String> = programs.into_iter().collect();
    for program in programs {
        let first = format!("{} (`{program}`)", about(root, program)?);
        let cells: Vec<String> = columns
            .iter()
            .map(|column| match column.groups.get(program) {
                Some(group) => cell(column, program, group, &mut notes),
                None => "not run".to_owned(),
            })
            .collect();
        writeln!(page, "| {first} | {} |", cells.join(" | "))?;
    }
    if let Some(mixed) = Mixed::kept()? {
        for kind in &CLUSTERS {
            let Some(failed) = mixed.failed(kind) else { continue };
            let cells: Vec<&str> = columns
                .iter()
                .map(|column| match failed {
                    _ if !kind.otps.contains(&column.otp) => "not in it",
                    None => "passed",
                    Some(_) => "**failed**",
                })
                .collect();
            let first = format!(
                "{}, with a hidden and a visible Rust node: membership, groups, global names, calls both ways",
                kind.about
            );
            writeln!(page, "| {first} | {} |", cells.join(" | "))?;
            notes.write(&format!("{}: {}", kind.about, kind.why));
            if let Some(why) = failed {
                notes.write(&format!("{}: failed: {why}", kind.about));
            }
        }
        notes.write(&format!("these clusters: {PG}"));
    }
    page.push_str(&notes.0);
    Ok(page)
}

/// The notes under the table, a line each.
#[derive(Default)]
struct Notes(String);

fn cell(column: &Column, program: &str, group: &Group, notes: &mut Notes) -> String {
    let mut cell = format!("{} passed", group.passed);
    if let Some(why) = &group.broken {
        write!(cell, ", **ended early**").ok();
        notes.add(column, program, &format!("the program ended early: {why}"));
    }
    if !group.failed.is_empty() {
        write!(cell, ", **{} failed**", group.failed.len()).ok();
        notes.add(column, program, &format!("failed: `{}`", group.failed.join("`, `")));
    }
    if !group.unsupported.is_empty() {
        write!(cell, ", {} not supported", group.unsupported.len()).ok();
        let release = RELEASES.into_iter().find(|release| release.otp == column.otp);
        let known = release.map(|release| unsupported::of(release, program)).unwrap_or_default();
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (test, reason) in known {
            if group.unsupported.iter().any(|found| found == test) {
                reasons.entry(reason).or_default().push(test);
            }
        }
        for (reason, tests) in reasons {
            notes.add(
                column,
                program,
                &format!("not supported: {reason} (`{}`)", tests.join("`, `")),
            );
        }
    }
    cell
}

impl Notes {
    fn add(&mut self, column: &Column, program: &str, text: &str) {
        self.write(&format!("OTP {}, `{program}`: {text}", column.otp));
    }

    fn write(&mut self, text: &str) {
        if self.0.is_empty() {
            self.0.push('\n');
        }
        writeln!(self.0, "- {text}").ok();
    }
}

/// The first sentence of a test program's own description.
fn about(root: &Path, program: &str) -> Result<String> {
    let tests = root.join("integration/tests");
    let source = std::fs::read_to_string(tests.join(format!("{program}.rs")))
        .or_else(|_| std::fs::read_to_string(tests.join(program).join("main.rs")))
        .with_context(|| format!("the source of {program}"))?;
    let words: Vec<&str> = source.lines().map_while(|line| line.strip_prefix("//!")).collect();
    let text = words.concat();
    let sentence = text.split(". ").next().unwrap_or_default();
    Ok(sentence.trim().trim_end_matches('.').replace('|', "\\|"))
}
