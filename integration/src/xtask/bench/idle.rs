//! What an idle member costs.

use std::time::Duration;

use anyhow::Result;
use dist::etf::{Term, term};
use dist::{Caller, Exit, GenServer, Node, Process, Reply};
use integration::joined::JoinOptions;
use integration::{SOON, World};

use super::row::{Goal, Row};
use super::sample::Usage;
use super::{Cluster, load};

/// Long enough for several heartbeats and a few clock ticks of CPU time.
const WATCHED: Duration = Duration::from_secs(20);

const PROCESSES: u32 = 100_000;

pub(super) async fn rows() -> Result<Vec<Row>> {
    let mut rows = spawned().await?;
    let cluster = Cluster::start(3).await?;
    let options = JoinOptions::new(&cluster.world, &cluster.postgres, cluster.channel);
    let node = options.args(["--heartbeat-interval", "5000"]).start()?;
    for member in &cluster.members {
        member.sees(&node.name, true, SOON).await?;
    }
    let pids = [node.pid(), cluster.members.first().map_or(0, |member| member.pid())];
    let before = pids.map(Usage::of);
    tokio::time::sleep(WATCHED).await;
    let after = pids.map(Usage::of);
    let mut figures = Vec::new();
    for (before, after) in before.into_iter().zip(after) {
        let (before, after) = (before?, after?);
        figures.push((after.resident, (after.cpu - before.cpu) / WATCHED.as_secs_f64() * 100.0));
    }
    if let [(memory, cpu), (beam_memory, beam_cpu)] = figures[..] {
        let peer = "Elixir stand-in";
        rows.push(Row::new(
            "idle with three peers, resident MB",
            memory,
            Some((peer, beam_memory)),
            Goal::Below(12.0),
        ));
        rows.push(Row::new(
            "idle with three peers, % of a core",
            cpu,
            Some((peer, beam_cpu)),
            Goal::Below(0.5),
        ));
    }
    Ok(rows)
}

/// Of one node: the memory of processes that ended would be there for the next, and be counted for nobody.
async fn spawned() -> Result<Vec<Row>> {
    let world = World::without_epmd()?;
    let node = world.node("rust")?.start().await?;
    Ok(vec![process(&node).await?, server(&node).await?])
}

/// What a process that waits for a message costs.
async fn process(node: &Node) -> Result<Row> {
    let own = std::process::id();
    let before = Usage::of(own)?.resident;
    for _ in 0..PROCESSES {
        node.spawn(|mut process: Process| async move { while process.recv().await.is_some() {} });
    }
    let mut last = node.register("last")?;
    node.send(last.pid().clone(), term!(turn)).await?;
    last.recv().await;
    let each = (Usage::of(own)?.resident - before) * 1e6 / f64::from(PROCESSES);
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let theirs: f64 = beam
        .eval(format!(
            "B = erlang:memory(processes), P = [spawn(fun() -> receive x -> ok end end) || _ <- lists:seq(1, {PROCESSES})], \
             A = erlang:memory(processes), [exit(X, kill) || X <- P], (A - B) / {PROCESSES}"
        ))
        .await?
        .parse()?;
    Ok(Row::new("an idle process, bytes", each, Some(("BEAM", theirs)), Goal::Below(1024.0)))
}

/// A server with no state of its own.
struct Idle;

impl GenServer for Idle {
    type Init = ();

    async fn init((): (), _: &mut Process) -> Result<Self, Exit> {
        Ok(Self)
    }

    async fn handle_call(&mut self, _: Term, _: &Caller, _: &mut Process) -> Result<Reply, Exit> {
        Ok(Reply::Later)
    }
}

/// What a server that waits for a message costs.
async fn server(node: &Node) -> Result<Row> {
    let own = std::process::id();
    let before = Usage::of(own)?.resident;
    for _ in 0..PROCESSES {
        Idle::start(node, ()).await?;
    }
    let each = (Usage::of(own)?.resident - before) * 1e6 / f64::from(PROCESSES);
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    load(&beam).await?;
    let theirs: f64 = beam.eval(format!("bench:idle_servers({PROCESSES})")).await?.parse()?;
    Ok(Row::new("an idle GenServer, bytes", each, Some(("BEAM", theirs)), Goal::None))
}
