//! How long it takes from the start of a process until every BEAM node has it in
//! `nodes(connected)`.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use integration::joined::JoinOptions;
use integration::{RustNode, Session};

use super::Cluster;
use super::row::{Goal, Row};
use super::sample::median;

const ROUNDS: usize = 7;
const PINGS: usize = 15;

pub(super) async fn rows() -> Result<Vec<Row>> {
    let cluster = Cluster::start(2).await?;
    let watchers: Vec<_> = cluster.members.iter().map(|member| member.session()).collect();
    for watcher in &watchers {
        watcher.eval("net_kernel:monitor_nodes(true, [{node_type, all}])").await?;
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = now()?;
        let node = JoinOptions::new(&cluster.world, &cluster.postgres, cluster.channel).start()?;
        ours.push(seen_by_all(&watchers, &node.name).await? - start);
        let start = now()?;
        let member = cluster.member().await?;
        theirs.push(seen_by_all(&watchers, member.name()).await? - start);
    }
    Ok(vec![
        Row::new(
            "start to member of two BEAM nodes, ms",
            median(ours),
            Some(("Elixir stand-in", median(theirs))),
            Goal::Below(150.0),
        ),
        ping(&cluster).await?,
    ])
}

/// When the last of the watchers saw the node come up, in ms.
async fn seen_by_all(watchers: &[Session<'_>], name: &str) -> Result<f64> {
    let mut last = 0.0_f64;
    for watcher in watchers {
        let seen = format!(
            "receive {{nodeup, '{name}', _}} -> erlang:system_time(microsecond) after 19000 -> timeout end"
        );
        let at: f64 = watcher.eval(seen).await?.parse().context("no nodeup in 19 s")?;
        last = last.max(at / 1e3);
    }
    Ok(last)
}

fn now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64() * 1e3)
}

async fn ping(cluster: &Cluster) -> Result<Row> {
    let target = cluster.members.first().context("no member")?.name();
    let port = cluster.world.port.to_string();
    let env =
        [("BEAMJOIN_COOKIE", cluster.world.cookie.as_str()), ("ERL_EPMD_PORT", port.as_str())];
    let mut times = Vec::new();
    for _ in 0..PINGS {
        let start = Instant::now();
        let exit = RustNode::run(["ping", target], &env, Duration::from_secs(10)).await?;
        anyhow::ensure!(exit.code == Some(0), "{}", exit.stderr);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(Row::new("`beamjoin ping`, the whole process, ms", median(times), None, Goal::Below(15.0)))
}
