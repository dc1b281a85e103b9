//! What a run came to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Result, ensure};
use integration::lab::Report;
use integration::lab::report::Calls;

use super::check::{Names, Settled};
use super::fault::Fault;

/// How much more memory a Rust node may have in the end than at the start, in KiB: an allocator keeps some of what it once had.
const GROWTH: u64 = 32 * 1024;

/// Counts of a run.
pub(super) struct Summary {
    seed: u64,
    took: Duration,
    steps: usize,
    kinds: BTreeMap<&'static str, usize>,
    /// Of Rust nodes in earlier lives, and of the present ones.
    ended: Vec<Calls>,
    before: Vec<Report>,
    last: Vec<Report>,
    longest: u64,
    /// The longest time for which our visible node was without a global name.
    nameless: Duration,
    /// The steps after which BEAM nodes lacked some, and how many at most.
    lacking: (usize, usize),
}

impl Summary {
    pub(super) fn new(seed: u64, before: &Settled) -> Self {
        let (before, last) = (before.rusts.clone(), before.rusts.clone());
        let (took, nameless) = (Duration::ZERO, Duration::ZERO);
        let (kinds, ended) = (BTreeMap::new(), Vec::new());
        let (steps, longest, lacking) = (0, 0, (0, 0));
        Self { seed, took, steps, kinds, ended, before, last, longest, nameless, lacking }
    }

    pub(super) fn add(&mut self, faults: &[Fault], after: &Settled, names: &Names) {
        self.steps += 1;
        self.nameless = self.nameless.max(names.took);
        self.lacking.0 += usize::from(names.lacking > 0);
        self.lacking.1 = self.lacking.1.max(names.lacking);
        for fault in faults {
            *self.kinds.entry(fault.kind()).or_default() += 1;
        }
        for (last, now) in self.last.iter().zip(&after.rusts) {
            if now.born != last.born {
                self.ended.push(last.calls.clone());
            }
            self.longest = self.longest.max(now.calls.longest);
        }
        self.last.clone_from(&after.rusts);
    }

    pub(super) fn end(&mut self, took: Duration) {
        self.took = took;
    }

    /// Whether memory stayed as it was. All else was looked at after each step.
    pub(super) fn verdict(&self) -> Result<()> {
        ensure!(self.steps > 0, "there was no time for a single fault");
        for (before, last) in self.before.iter().zip(&self.last) {
            let (then, now) = (before.holds.resident, last.holds.resident);
            ensure!(now < then + GROWTH, "memory grew from {then} to {now} KiB");
        }
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.took.as_secs_f64() / 60.0;
        writeln!(
            f,
            "seed {}: {} steps in {minutes:.1} min, all well again",
            self.seed, self.steps
        )?;
        for (kind, count) in &self.kinds {
            writeln!(f, "  {count:4} × {kind}")?;
        }
        let calls: Vec<&Calls> =
            self.ended.iter().chain(self.last.iter().map(|report| &report.calls)).collect();
        let sum = |count: fn(&Calls) -> u64| calls.iter().map(|calls| count(calls)).sum::<u64>();
        writeln!(
            f,
            "calls of the Rust nodes: {} begun, {} answered, {} reported as failed, 0 lost; the longest took {} ms",
            sum(|calls| calls.started),
            sum(|calls| calls.answered),
            sum(Calls::failures),
            self.longest
        )?;
        let mut failed: BTreeMap<&str, u64> = BTreeMap::new();
        for (words, count) in calls.iter().flat_map(|calls| &calls.failed) {
            *failed.entry(words).or_default() += count;
        }
        for (words, count) in failed {
            writeln!(f, "  {count:6} × {words}")?;
        }
        writeln!(
            f,
            "global names: the visible Rust node had all within {:.1} s after each fault; BEAM nodes lacked some after {} of {} (OTP's own), at most {} of them",
            self.nameless.as_secs_f64(),
            self.lacking.0,
            self.steps,
            self.lacking.1
        )?;
        for (name, before, last) in [("hidden", 0), ("visible", 1)]
            .into_iter()
            .filter_map(|(name, at)| Some((name, self.before.get(at)?, self.last.get(at)?)))
        {
            let (then, now) = (&before.holds, &last.holds);
            writeln!(
                f,
                "the {name} Rust node: memory {} KiB, in the end {} KiB; open files {}, in the end {}; tables {:?}, in the end {:?}",
                then.resident,
                now.resident,
                then.descriptors,
                now.descriptors,
                then.tables,
                now.tables
            )?;
        }
        Ok(())
    }
}
