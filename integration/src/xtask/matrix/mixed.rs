//! One cluster of every release at once, with a hidden and a visible Rust node in it.
//!
//! OTP 26 and later demand more of their peers than OTP 23 offers (V4_NC and UNLINK_ID, DFLAG_DIST_MANDATORY in `dist.hrl`), so the two never connect, with or
//! without a Rust node. Nor is `global` looked at: it takes a whole mesh for granted.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::build;
use super::release::Release;
use crate::chaos::{Cluster, Place, check};
use crate::host::{self, say};
use crate::images::{self, Images};

/// How many calls each Rust node makes before they are looked at.
const CALLS: u64 = 500;

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Mixed {
    pub(super) day: String,
    /// Why not, if it failed.
    pub(super) failed: Option<String>,
}

/// Starts it and has all call all: the Rust nodes each other and the BEAM nodes, and those both Rust nodes.
pub(super) fn run(releases: &[(Release, String)], day: String) -> Result<Mixed> {
    say("one cluster of them all");
    let member = build::example("member")?;
    // Rust nodes run in any image.
    let images = Images {
        postgres: images::choose_servers()?.postgres,
        elixir: releases.last().context("no release")?.1.clone(),
    };
    let apart = |[(one, a), (other, b)]: [(usize, u32); 2]| {
        (a < 25 && b > 25).then_some([Place::Beam(one), Place::Beam(other)])
    };
    let otps: Vec<_> = releases.iter().map(|(release, _)| release.otp).enumerate().collect();
    let apart: Vec<_> = otps
        .iter()
        .flat_map(|one| otps.iter().filter_map(move |other| apart([*one, *other])))
        .collect();
    let beams: Vec<&str> = releases.iter().map(|(_, image)| image.as_str()).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(async {
        let mut cluster = Cluster::start("matrix", &images, &beams, &member).await?;
        cluster.apart = apart;
        let outcome = all_call_all(&cluster).await;
        if outcome.is_err() {
            cluster.print_logs().await;
        }
        outcome
    });
    let failed = outcome.err().map(|error| format!("{error:#}"));
    match &failed {
        None => say("one cluster of them all: passed"),
        Some(error) => eprintln!("one cluster of them all: FAILED {error}"),
    }
    Ok(Mixed { day, failed })
}

async fn all_call_all(cluster: &Cluster) -> Result<()> {
    check::whole(cluster).await?;
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
    Ok(())
}

impl Mixed {
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
