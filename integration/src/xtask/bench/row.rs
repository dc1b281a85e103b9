//! One line of the result.

use std::fmt::Write;
use std::process::Command;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::host;

/// One figure of ours, one of a peer's, and what ours should be.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    /// What was measured, with its unit.
    pub(super) name: String,
    /// Our median.
    pub(super) ours: f64,
    /// The peer and its median in the same run.
    pub(super) theirs: Option<(String, f64)>,
    /// Ours divided by theirs.
    pub(super) ratio: Option<f64>,
    /// What ours, or the ratio, should be at most.
    pub(super) goal: Goal,
}

/// What a figure should be.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Goal {
    /// Ours below this.
    Below(f64),
    /// Ours divided by the peer's, at most.
    RatioBelow(f64),
    /// The peer takes at least so many times as long as we do.
    TimesAsFast(f64),
    /// Nothing was promised.
    None,
}

impl Row {
    /// A figure beside a peer's.
    pub(super) fn new(
        name: impl Into<String>,
        ours: f64,
        theirs: Option<(&str, f64)>,
        goal: Goal,
    ) -> Self {
        Self {
            name: name.into(),
            ours,
            theirs: theirs.map(|(peer, figure)| (peer.to_owned(), figure)),
            // Beside nothing there is no ratio.
            ratio: theirs.map(|(_, figure)| ours / figure).filter(|ratio| ratio.is_finite()),
            goal,
        }
    }

    fn met(&self) -> &'static str {
        let met = match self.goal {
            Goal::Below(most) => self.ours < most,
            Goal::RatioBelow(most) => self.ratio.is_some_and(|ratio| ratio <= most),
            Goal::TimesAsFast(least) => self.ratio.is_some_and(|ratio| ratio * least <= 1.0),
            Goal::None => return "",
        };
        if met { "yes" } else { "no" }
    }
}

/// The rows as a table in Markdown.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| what | ours | peer | theirs | ours / theirs | goal | met |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let (peer, theirs) = match &row.theirs {
            Some((peer, figure)) => (peer.as_str(), format!("{figure:.2}")),
            None => ("", String::new()),
        };
        let ratio = row.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let goal = match row.goal {
            Goal::Below(most) => format!("< {most}"),
            Goal::RatioBelow(most) => format!("ratio ≤ {most}"),
            Goal::TimesAsFast(least) => format!("{least} × as fast"),
            Goal::None => String::new(),
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} | {:.2} | {peer} | {theirs} | {ratio} | {goal} | {} |",
            row.name,
            row.ours,
            row.met()
        );
    }
    text
}

/// Keeps the table in `docs/benchmarks.md`, with where and when it was made. What stands below the table there,
/// under headings of its own, stays.
pub(super) fn keep(table: &str) -> Result<()> {
    let root = host::root()?;
    let said = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output();
        output
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
            .unwrap_or_default()
    };
    let otp = "{ok, V} = file:read_file(filename:join([code:root_dir(), releases, erlang:system_info(otp_release), \
               'OTP_VERSION'])), io:put_chars(V), halt().";
    let text = format!(
        "# Benchmarks\n\nWritten by `cargo xtask bench` on {date}: {cores} cores, {machine}, {rust}, OTP {otp}.\n\n\
         Medians over several rounds, both sides in one run, everything on loopback. Compare the ratios: \
         the machine is shared, and its speed drifts.\n\n{table}",
        date = said("date", &["-u", "+%Y-%m-%d"]),
        cores = said("nproc", &[]),
        machine = said("uname", &["-sm"]),
        rust = said("rustc", &["--version"]),
        otp = said("erl", &["-noshell", "-eval", otp]),
    );
    let path = root.join("docs/benchmarks.md");
    let before = std::fs::read_to_string(&path)?;
    let below = before.find("\n## ").and_then(|at| before.get(at..)).unwrap_or_default();
    Ok(std::fs::write(path, text + below)?)
}
