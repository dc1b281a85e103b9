//! Reads the text formats of Prometheus and OpenMetrics, as strictly as a scraper could.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

/// Samples by name and labels.
#[derive(Debug, Default)]
pub struct Metrics {
    samples: BTreeMap<(String, Vec<(String, String)>), f64>,
    kinds: BTreeMap<String, String>,
}

/// # Errors
/// On a line that is neither a comment nor a sample, a family whose lines are not together or that has no type, a counter
/// without `_total` or below zero, a series that comes twice, a label that is not quoted as it must be.
pub fn parse(text: &str) -> Result<Metrics> {
    let mut metrics = Metrics::default();
    let (mut family, mut seen) = (String::new(), BTreeSet::new());
    ensure!(text.ends_with('\n'), "the last line is not ended");
    for line in text.lines() {
        let bad = || format!("in the line {line:?}");
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            match (words.next(), words.next(), words.next()) {
                (Some("HELP"), Some(name), Some(_)) => {
                    family = name.to_owned();
                    ensure!(seen.insert(family.clone()), "the family twice {}", bad());
                }
                (Some("TYPE"), Some(name), Some(kind)) => {
                    ensure!(name == family, "a type without its help {}", bad());
                    metrics.kinds.insert(name.to_owned(), kind.to_owned());
                }
                (Some("UNIT"), Some(name), Some(unit)) => {
                    ensure!(name.ends_with(&format!("_{unit}")), "a wrong unit {}", bad());
                }
                (Some("EOF"), None, None) => {}
                _ => bail!("no comment that is known {}", bad()),
            }
            continue;
        }
        let (name, labels, value) = sample(line).with_context(bad)?;
        let kind = metrics.kinds.get(&family).map(String::as_str);
        ensure!(name.starts_with(&family), "a sample of no family {}", bad());
        match kind {
            Some("counter") => {
                ensure!(name.ends_with("_total") && value >= 0.0, "no counter {}", bad())
            }
            Some("gauge") => ensure!(name == family, "no gauge {}", bad()),
            Some("info") => ensure!(value == 1.0, "no info {}", bad()),
            _ => bail!("no type {}", bad()),
        }
        ensure!(
            metrics.samples.insert((name, labels), value).is_none(),
            "a series twice {}",
            bad()
        );
    }
    Ok(metrics)
}

type Sample = (String, Vec<(String, String)>, f64);

fn sample(line: &str) -> Result<Sample> {
    let end = line.find(['{', ' ']).context("no value")?;
    let (name, rest) = line.split_at(end);
    ensure!(is_name(name), "a bad name");
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = value.strip_prefix(' ').context("no space before the value")?;
    Ok((name.to_owned(), labels, value.parse()?))
}

/// Labels up to the closing brace, and what follows it.
fn labels(mut text: &str) -> Result<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        let (name, rest) = text.split_once("=\"").context("a label without a value")?;
        ensure!(is_name(name) && labels.iter().all(|(other, _)| other != name), "a bad label");
        let (mut value, mut characters) = (String::new(), rest.char_indices());
        let end = loop {
            match characters.next().context("a label that is not ended")? {
                (at, '"') => break at,
                (_, '\\') => match characters.next().context("a label that is not ended")?.1 {
                    'n' => value.push('\n'),
                    escaped @ ('\\' | '"') => value.push(escaped),
                    other => bail!("an escape of {other:?}"),
                },
                (_, other) => value.push(other),
            }
        };
        labels.push((name.to_owned(), value));
        let rest = &rest[end + 1..];
        match rest.split_at_checked(1) {
            Some((",", rest)) => text = rest,
            Some(("}", rest)) => {
                labels.sort();
                return Ok((labels, rest));
            }
            _ => bail!("neither another label nor the end"),
        }
    }
}

fn is_name(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Metrics {
    /// The value of a series.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut labels: Vec<_> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        labels.sort();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    /// The names of all families.
    pub fn families(&self) -> Vec<&str> {
        self.kinds.keys().map(String::as_str).collect()
    }
}
