//! What was checked and what came of it, for people and for programs.

use std::{
    fmt::Write as _,
    io::{IsTerminal, stdout},
    process::ExitCode,
};

use beamjoin::exit_code::OK;
use dist::NodeName;
use serde_json::{Value, json};

use crate::cli::exit::Failure;

/// One thing that was looked at.
#[derive(Debug)]
pub(super) struct Check {
    /// What was looked at, in a word.
    pub(super) name: &'static str,
    /// The node that it is about, if it is about one of the others.
    pub(super) node: Option<NodeName>,
    pub(super) outcome: Outcome,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Ok(String),
    /// A join works, but not as well as it could.
    Warning(Finding),
    /// A join does not work, and the command ends with this code.
    Failed(Finding, u8),
    /// The check with this name failed, and without it this one says nothing.
    NotChecked {
        because: &'static str,
    },
}

/// What is wrong, and what to do about it.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) what: String,
    pub(super) advice: String,
}

impl Finding {
    pub(super) fn new(what: impl ToString, advice: impl Into<String>) -> Self {
        Self { what: what.to_string(), advice: advice.into() }
    }
}

impl Outcome {
    pub(super) fn ok(detail: impl Into<String>) -> Self {
        Self::Ok(detail.into())
    }

    pub(super) fn warning(what: impl ToString, advice: impl Into<String>) -> Self {
        Self::Warning(Finding::new(what, advice))
    }

    pub(super) fn failed(code: u8, what: impl ToString, advice: impl Into<String>) -> Self {
        Self::Failed(Finding::new(what, advice), code)
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Ok(_) => "ok",
            Self::Warning(_) => "warning",
            Self::Failed(..) => "failed",
            Self::NotChecked { .. } => "not checked",
        }
    }

    /// As the terminal's colours are chosen (SGR): green, yellow, red, faint.
    fn colour(&self) -> &'static str {
        match self {
            Self::Ok(_) => "32",
            Self::Warning(_) => "33",
            Self::Failed(..) => "31",
            Self::NotChecked { .. } => "2",
        }
    }
}

/// How it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// One line for each check as soon as it is known, maybe in colour.
    Text { colour: bool },
    /// One object when all is done.
    Json,
}

impl Style {
    /// Colour only where it may be and on a terminal.
    pub(super) fn choose(json: bool, colour: bool) -> Self {
        if json { Self::Json } else { Self::Text { colour: colour && stdout().is_terminal() } }
    }
}

/// All checks so far.
#[derive(Debug)]
pub(super) struct Report {
    style: Style,
    checks: Vec<Check>,
}

impl Report {
    pub(super) fn new(style: Style) -> Self {
        Self { style, checks: Vec::new() }
    }

    /// A check that is about no other node.
    pub(super) fn add(&mut self, name: &'static str, outcome: Outcome) -> Result<(), Failure> {
        self.push(Check { name, node: None, outcome })
    }

    pub(super) fn skip(
        &mut self,
        names: &[&'static str],
        because: &'static str,
    ) -> Result<(), Failure> {
        names.iter().try_for_each(|name| self.add(name, Outcome::NotChecked { because }))
    }

    pub(super) fn push(&mut self, check: Check) -> Result<(), Failure> {
        if let Style::Text { colour } = self.style {
            crate::cli::print_result(&line(&check, colour))?;
        }
        self.checks.push(check);
        Ok(())
    }

    /// Says what it comes to. The exit code is that of the first check that failed.
    pub(super) fn finish(self) -> Result<ExitCode, Failure> {
        let code = self.code();
        let text = match self.style {
            Style::Text { .. } => self.summary(),
            Style::Json => {
                let checks: Vec<Value> = self.checks.iter().map(object).collect();
                format!("{}\n", json!({"ok": code == OK, "exit": code, "checks": checks}))
            }
        };
        crate::cli::print_result(&text)?;
        Ok(ExitCode::from(code))
    }

    fn code(&self) -> u8 {
        let failed = self.checks.iter().find_map(|check| match check.outcome {
            Outcome::Failed(_, code) => Some(code),
            _ => None,
        });
        failed.unwrap_or(OK)
    }

    fn summary(&self) -> String {
        let count = |word| self.checks.iter().filter(|check| check.outcome.word() == word).count();
        let (failed, warnings) = (count("failed"), count("warning"));
        let mut summary = match failed {
            0 => "a join would work".to_owned(),
            1 => "a join would not work: 1 check failed".to_owned(),
            _ => format!("a join would not work: {failed} checks failed"),
        };
        if warnings > 0 {
            let plural = if warnings == 1 { "" } else { "s" };
            write!(summary, "; {warnings} warning{plural}").ok();
        }
        summary.push('\n');
        summary
    }
}

fn line(check: &Check, colour: bool) -> String {
    let Check { name, node, outcome } = check;
    let mut text = match outcome {
        Outcome::Ok(detail) => detail.clone(),
        Outcome::Warning(Finding { what, advice })
        | Outcome::Failed(Finding { what, advice }, _) => {
            format!("{what}; {advice}")
        }
        Outcome::NotChecked { because } => format!("because of {because}"),
    };
    if let Some(node) = node {
        text.insert_str(0, &format!("{node}: "));
    }
    let word = format!("{:<11}", outcome.word());
    let word = if colour { format!("\x1b[{}m{word}\x1b[0m", outcome.colour()) } else { word };
    format!("{word}  {name:<9}  {}\n", harmless(&text))
}

/// What servers and peers say, on one line and without what a terminal would obey.
fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { harmless.extend(c.escape_debug()) } else { harmless.push(c) }
    }
    harmless
}

fn object(check: &Check) -> Value {
    let Check { name, node, outcome } = check;
    let status = outcome.word().replace(' ', "_");
    let mut fields = vec![("check", *name), ("status", &status)];
    fields.extend(node.as_ref().map(|node| ("node", node.as_str())));
    match outcome {
        Outcome::Ok(detail) => fields.push(("detail", detail)),
        Outcome::Warning(Finding { what, advice })
        | Outcome::Failed(Finding { what, advice }, _) => {
            fields.extend([("detail", what.as_str()), ("advice", advice)]);
        }
        Outcome::NotChecked { because } => fields.push(("because", because)),
    }
    fields.into_iter().map(|(field, text)| (field.to_owned(), Value::from(text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::{COOKIE, UNAVAILABLE};

    fn check(name: &'static str, outcome: Outcome) -> Check {
        Check { name, node: None, outcome }
    }

    #[test]
    fn a_line_for_each() {
        let ok = check("postgres", Outcome::ok("db:5432 answers"));
        assert_eq!(line(&ok, false), "ok           postgres   db:5432 answers\n");
        let node = Some("a@b".parse().unwrap());
        let refused = Outcome::failed(COOKIE, "the cookies differ", "compare them");
        let failed = Check { name: "cookie", node, outcome: refused };
        let text = "failed       cookie     a@b: the cookies differ; compare them\n";
        assert_eq!(line(&failed, false), text);
        assert_eq!(
            line(&failed, true),
            text.replacen("failed     ", "\x1b[31mfailed     \x1b[0m", 1)
        );
        let skipped = check("ticks", Outcome::NotChecked { because: "cookie" });
        assert_eq!(line(&skipped, false), "not checked  ticks      because of cookie\n");
        let said = check("heard", Outcome::ok("\x1b[2J\nfailed"));
        assert_eq!(line(&said, false), "ok           heard      \\u{1b}[2J\\nfailed\n");
    }

    #[test]
    fn the_first_failure_decides() {
        let mut report = Report::new(Style::Json);
        assert_eq!((report.code(), report.summary().as_str()), (0, "a join would work\n"));
        report.add("channel", Outcome::warning("w", "a")).unwrap();
        assert_eq!(
            (report.code(), report.summary().as_str()),
            (0, "a join would work; 1 warning\n")
        );
        report.add("heard", Outcome::failed(UNAVAILABLE, "f", "a")).unwrap();
        report.add("cookie", Outcome::failed(COOKIE, "f", "a")).unwrap();
        report.skip(&["ticks"], "cookie").unwrap();
        let summary = "a join would not work: 2 checks failed; 1 warning\n";
        assert_eq!((report.code(), report.summary().as_str()), (UNAVAILABLE, summary));
        let objects: Vec<String> = report.checks.iter().map(|c| object(c).to_string()).collect();
        assert_eq!(
            objects[0],
            r#"{"advice":"a","check":"channel","detail":"w","status":"warning"}"#
        );
        assert_eq!(objects[3], r#"{"because":"cookie","check":"ticks","status":"not_checked"}"#);
    }
}
