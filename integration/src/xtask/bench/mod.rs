//! `cargo xtask bench`: figures of ours beside those of a peer, taken in the same run.

mod asker;
mod bound;
mod calls;
mod carrier;
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

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use integration::{Beam, ElixirNode, MemberOptions, Postgres, World};

use self::row::Row;
use crate::host::{self, say};

/// Set for the release build of this command, which does the measuring.
const MEASURE: &str = "XTASK_BENCH_MEASURE";

/// Names the group that a process measures.
const GROUP: &str = "XTASK_BENCH_GROUP";

/// What is measured, each in a process of its own: what one leaves behind would be in the figures of
/// the next.
const GROUPS: [&str; 10] =
    ["codec", "join", "idle", "calls", "groups", "large", "messages", "cpu", "links", "command"];

/// Builds what is measured in release mode, measures, prints a table or JSON, and keeps the table in
/// `docs/benchmarks.md`.
pub(crate) fn run(json: bool, filter: Option<&str>) -> Result<()> {
    if links::be_peers()? {
        return Ok(());
    }
    if let Ok(group) = std::env::var(GROUP) {
        return measure_group(&group);
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

fn measure(json: bool, filter: Option<&str>) -> Result<()> {
    let mut rows: Vec<Row> = Vec::new();
    for group in GROUPS.iter().filter(|group| filter.is_none_or(|filter| group.contains(filter))) {
        let mut command = Command::new(std::env::current_exe()?);
        let output = command.arg("bench").env(GROUP, group).stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "{group}: {}", output.status);
        rows.extend(serde_json::from_slice::<Vec<Row>>(&output.stdout)?);
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

#[tokio::main]
async fn measure_group(group: &str) -> Result<()> {
    let rows = match group {
        "codec" => codec::rows()?,
        "join" => join::rows().await?,
        "idle" => idle::rows().await?,
        "calls" => calls::rows().await?,
        "groups" => groups::rows().await?,
        "large" => large::rows().await?,
        "messages" => messages::rows().await?,
        "cpu" => cpu::rows().await?,
        "links" => links::rows().await?,
        "command" => command::rows().await?,
        _ => bail!("there is no group {group}"),
    };
    println!("{}", serde_json::to_string(&rows)?);
    Ok(())
}

/// Loads what a BEAM node measures itself.
async fn load(beam: &Beam) -> Result<()> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/erl/bench.erl");
    beam.eval(format!(
        "{{ok, bench, B}} = compile:file(\"{source}\", [binary]), code:load_binary(bench, \"bench\", B), ok"
    ))
    .await
    .map(drop)
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
