//! `cargo xtask bench`: figures of ours beside those of a peer, taken in the same run.

mod bound;
mod calls;
mod codec;
mod command;
mod cpu;
mod erl_dist;
mod groups;
mod idle;
mod join;
mod large;
mod links;
mod messages;
mod row;
mod sample;

use std::process::Command;

use anyhow::{Context, Result};
use integration::{ElixirNode, MemberOptions, Postgres, World};

use crate::host::{self, say};

/// Set for the release build of this command, which does the measuring.
const MEASURE: &str = "XTASK_BENCH_MEASURE";

/// Builds what is measured in release mode, measures, prints a table or JSON, and keeps the table in
/// `docs/benchmarks.md`.
pub(crate) fn run(json: bool, filter: Option<&str>) -> Result<()> {
    if links::be_peers()? {
        return Ok(());
    }
    if std::env::var_os(MEASURE).is_some() {
        return measure(json, filter);
    }
    host::provide(host::SERVERS)?;
    let root = host::root()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    say("building in release mode");
    let mut build = Command::new(&cargo);
    build.current_dir(&root).args(["build", "--release"]);
    build.args(["--package", "beamjoin", "--package", "integration", "--package", "bench"]);
    host::run(build.args(["--bin", "beamjoin", "--bin", "xtask", "--bin", "bench"]))?;
    let target = std::env::current_exe()?;
    let release =
        target.parent().and_then(|debug| debug.parent()).context("no target directory")?;
    let release = release.join("release");
    let mut command = Command::new(release.join("xtask"));
    command.arg("bench").args(json.then_some("--json")).args(filter).current_dir(&root);
    command.env(MEASURE, "1").env("BEAMJOIN_BIN", release.join("beamjoin"));
    host::run(&mut command)
}

#[tokio::main]
async fn measure(json: bool, filter: Option<&str>) -> Result<()> {
    let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter));
    let mut rows = Vec::new();
    if wanted("codec") {
        rows.extend(codec::rows()?);
    }
    if wanted("join") {
        rows.extend(join::rows().await?);
    }
    if wanted("idle") {
        rows.extend(idle::rows().await?);
    }
    if wanted("calls") {
        rows.extend(calls::rows().await?);
    }
    if wanted("groups") {
        rows.extend(groups::rows().await?);
    }
    if wanted("large") {
        rows.extend(large::rows().await?);
    }
    if wanted("messages") {
        rows.extend(messages::rows().await?);
    }
    if wanted("cpu") {
        rows.extend(cpu::rows().await?);
    }
    if wanted("links") {
        rows.extend(links::rows().await?);
    }
    if wanted("command") {
        rows.extend(command::rows().await?);
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        let table = row::table(&rows);
        println!("{table}");
        if filter.is_none() {
            row::keep(&table)?;
        }
    }
    Ok(())
}

/// BEAM nodes that form a cluster through Postgres, for a node of ours to join.
struct Cluster {
    postgres: Postgres,
    world: World,
    channel: &'static str,
    members: Vec<ElixirNode>,
}

impl Cluster {
    async fn start(members: usize) -> Result<Self> {
        let (postgres, world) = (Postgres::start().await?, World::new().await?);
        let mut cluster = Self { postgres, world, channel: "bench", members: Vec::new() };
        for _ in 0..members {
            let member = cluster.member().await?;
            cluster.members.push(member);
        }
        Ok(cluster)
    }

    /// Starts one more BEAM node of the cluster.
    async fn member(&self) -> Result<ElixirNode> {
        let options = MemberOptions::new(&self.postgres, self.channel);
        ElixirNode::start(self.world.beam_options("member"), options).await
    }
}
