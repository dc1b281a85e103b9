//! Clusters of several releases at once, with a hidden and a visible Rust node in each.
//!
//! OTP 26 and later demand more of their peers than OTP 23 offers (V4_NC and UNLINK_ID, DFLAG_DIST_MANDATORY in `dist.hrl`), so they
//! never connect, with or without a Rust node. With `prevent_overlapping_partitions`, the default since OTP 25, a node leaves whoever
//! cannot reach all others; so a cluster with both in it takes nodes without that.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use integration::lab::Settings;
use serde::{Deserialize, Serialize};

use super::build;
use super::release::Release;
use crate::chaos::{Cluster, Place, SETTINGS, check};
use crate::host::{self, say};
use crate::images::{self, Images};

/// The scopes of the Rust nodes and of OTP 27.
const BOTH: &[&str] = &["older", "newer"];

/// What the table says of groups.
pub(super) const PG: &str = "OTP 29 shares no scope of `pg` with 23 and 25 there: the scope of OTP 25.2 ends each time that of 29 says \
    `{discover, Pid, 1}`, also in a cluster of two BEAM nodes; 27 and the Rust nodes have both scopes";

/// How many calls each Rust node makes before they are looked at.
const CALLS: u64 = 500;

/// The clusters, by the key under which what came of them is kept.
pub(super) const CLUSTERS: [Kind; 2] = [
    Kind {
        key: "defaults",
        about: "One cluster of OTP 25, 27 and 29 as they are by default",
        otps: &[25, 27, 29],
        prevent_overlapping_partitions: true,
        why: "OTP 23 is not in it: since 25, OTP has `prevent_overlapping_partitions` on, by which a node leaves whoever cannot \
              reach all others, and 23 cannot reach 27 and 29",
    },
    Kind {
        key: "all",
        about: "One cluster of all four, with `prevent_overlapping_partitions` off",
        otps: &[23, 25, 27, 29],
        prevent_overlapping_partitions: false,
        why: "OTP 23 is connected with 25 and with both Rust nodes, not with 27 and 29, which demand flags that it does not offer \
              (V4_NC and UNLINK_ID), with or without a Rust node; everybody has the global names of those whom it is connected with",
    },
];

/// One of the clusters.
#[derive(Debug)]
pub(super) struct Kind {
    key: &'static str,
    /// What the table calls it.
    pub(super) about: &'static str,
    /// The releases in it.
    pub(super) otps: &'static [u32],
    prevent_overlapping_partitions: bool,
    /// What the table says under it.
    pub(super) why: &'static str,
}

/// What came of them, by their keys.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Mixed(BTreeMap<String, Outcome>);

#[derive(Debug, Serialize, Deserialize)]
struct Outcome {
    day: String,
    /// Why not, if it failed.
    failed: Option<String>,
}

/// Starts one after the other and has all call all: the Rust nodes each other and the BEAM nodes, and those both Rust nodes.
pub(super) fn run(releases: &[(Release, String)], day: &str) -> Result<Mixed> {
    let member = build::example("member")?;
    // Rust nodes run in any image.
    let images = Images {
        postgres: images::choose_servers()?.postgres,
        elixir: releases.last().context("no release")?.1.clone(),
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let mut mixed = Mixed::default();
    for kind in &CLUSTERS {
        say(kind.about);
        let within: Vec<&(Release, String)> =
            releases.iter().filter(|(release, _)| kind.otps.contains(&release.otp)).collect();
        let beams: Vec<(&str, &[&str])> =
            within.iter().map(|(release, image)| (image.as_str(), scopes(release.otp))).collect();
        let otps: Vec<u32> = within.iter().map(|(release, _)| release.otp).collect();
        let settings = Settings {
            prevent_overlapping_partitions: kind.prevent_overlapping_partitions,
            scopes: BOTH,
            ..SETTINGS
        };
        let outcome = runtime.block_on(async {
            let mut cluster = Cluster::start("matrix", &images, &beams, &member, settings).await?;
            cluster.apart = apart(&otps);
            let outcome = all_call_all(&cluster).await;
            if outcome.is_err() {
                cluster.print_logs().await;
            }
            outcome
        });
        let failed = outcome.err().map(|error| format!("{error:#}"));
        match &failed {
            None => say(format!("{}: passed", kind.about)),
            Some(error) => eprintln!("{}: FAILED {error}", kind.about),
        }
        mixed.0.insert(kind.key.to_owned(), Outcome { day: day.to_owned(), failed });
    }
    Ok(mixed)
}

/// The scopes of `pg` that a release has: none with both OTP 25 and OTP 29, see [`PG`].
fn scopes(otp: u32) -> &'static [&'static str] {
    match otp {
        ..=25 => &["older"],
        29.. => &["newer"],
        _ => BOTH,
    }
}

/// The pairs of them that never connect.
fn apart(otps: &[u32]) -> Vec<[Place; 2]> {
    let mut pairs = Vec::new();
    for (one, old) in otps.iter().enumerate() {
        for (other, new) in otps.iter().enumerate() {
            if *old < 25 && *new > 25 {
                pairs.push([Place::Beam(one), Place::Beam(other)]);
            }
        }
    }
    pairs
}

async fn all_call_all(cluster: &Cluster) -> Result<()> {
    check::whole(cluster).await?;
    check::named(cluster).await?;
    cluster.call_all().await?;
    for rust in &cluster.rusts {
        integration::eventually(check::DEADLINE, "calls to be answered", async || {
            let answered = rust.state().await?.calls.answered;
            ensure!(answered >= CALLS, "{answered} so far");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
    }
    for beam in &cluster.beams {
        integration::eventually(check::DEADLINE, "calls of BEAM nodes", async || {
            let (calls, _) = beam.calls().await?;
            ensure!(calls.answered > 0, "{} got no answer: {calls:?}", beam.name());
            ensure!(calls.failures() == 0, "calls of {} failed: {calls:?}", beam.name());
            Ok(())
        })
        .await?;
    }
    for report in check::settled(cluster).await?.rusts {
        ensure!(report.calls.failures() == 0, "calls failed: {:?}", report.calls);
    }
    check::named(cluster).await
}

impl Mixed {
    /// How many failed.
    pub(super) fn failures(&self) -> usize {
        self.0.values().filter(|outcome| outcome.failed.is_some()).count()
    }

    /// Why one of them failed, if it did; `None` if it was not run.
    pub(super) fn failed(&self, kind: &Kind) -> Option<Option<&str>> {
        self.0.get(kind.key).map(|outcome| outcome.failed.as_deref())
    }

    pub(super) fn keep(&self) -> Result<()> {
        Ok(std::fs::write(path()?, serde_json::to_vec_pretty(self)?)?)
    }

    /// What was kept last, if it was ever run here.
    pub(super) fn kept() -> Result<Option<Self>> {
        let path = path()?;
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&std::fs::read(path)?)?))
    }
}

fn path() -> Result<PathBuf> {
    let folder = host::root()?.join("target/static/matrix");
    std::fs::create_dir_all(&folder)?;
    Ok(folder.join("mixed.json"))
}
