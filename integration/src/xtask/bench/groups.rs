//! Process groups and broadcasts: how many a second, and how long many members take.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use dist::etf::{Pid, Term, term};
use dist::{Node, NodeName, PubSub};
use integration::{Beam, World, eventually, name_of, with_member_code};

use super::load;
use super::row::{Goal, Row};
use super::sample::median;

/// BEAM nodes that a broadcast goes to.
const RECEIVERS: usize = 3;

/// Broadcasts in one round, and rounds of each side in turn.
const BROADCASTS: i64 = 20_000;
const ROUNDS: usize = 5;

/// What ours may take of what a BEAM node takes: 1.2 times as many a second.
const GOAL: f64 = 1.0 / 1.2;

/// Members of one group.
const MEMBERS: usize = 100_000;

const PATIENCE: Duration = Duration::from_secs(120);

pub(super) async fn rows() -> Result<Vec<Row>> {
    let mut rows = vec![broadcasts().await?];
    rows.extend(members().await?);
    Ok(rows)
}

async fn broadcasts() -> Result<Row> {
    let world = World::new().await?;
    let mut beams = Vec::new();
    for _ in 0..=RECEIVERS {
        let beam = Beam::start(with_member_code(world.beam_options("beam")).await?).await?;
        load(&beam).await?;
        let start = "elem(Member.PubSub.start(name: Bench.PubSub, pool_size: 1), 0)";
        ensure!(beam.elixir(start).await? == ":ok", "no PubSub");
        beams.push(beam);
    }
    let (driver, receivers) = beams.split_first().context("no driver")?;
    for receiver in receivers {
        receiver.eval("bench:count_broadcasts('Elixir.Bench.PubSub')").await?;
        driver.eval(format!("true = net_kernel:connect_node('{}')", receiver.name())).await?;
    }
    let node = world.node("rust")?.start().await?;
    let pubsub = PubSub::new(&node, "Bench.PubSub")?;
    let names = receivers.iter().map(name_of).collect::<Result<Vec<_>>>()?;
    for name in &names {
        node.connect(name).await?;
    }
    eventually(PATIENCE, "the members", async || pubsub.nodes().len() == RECEIVERS).await?;
    let atoms: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let call =
        format!("bench:broadcast('Elixir.Bench.PubSub', [{}], {BROADCASTS})", atoms.join(","));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(broadcast(&node, &pubsub, &names).await?);
        theirs.push(driver.eval_within(PATIENCE, &call).await?.parse()?);
    }
    let name = format!("broadcast to {RECEIVERS} BEAM nodes until all have it, µs each");
    Ok(Row::new(name, median(ours), Some(("BEAM", median(theirs))), Goal::RatioBelow(GOAL)))
}

async fn broadcast(node: &Node, pubsub: &PubSub, receivers: &[NodeName]) -> Result<f64> {
    let start = Instant::now();
    for n in 0..BROADCASTS {
        pubsub.broadcast("bench", term!({n, (Term::Int(n))})).await?;
    }
    for receiver in receivers {
        let seen = term!({seen, (Term::Int(BROADCASTS))});
        node.call(("counter", receiver), seen, Some(PATIENCE)).await?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(i32::try_from(BROADCASTS)?))
}

/// How long until another node sees all members of a group: those that join together, and those that
/// are there when the link comes up.
async fn members() -> Result<Vec<Row>> {
    let world = World::new().await?;
    let (driver, beam) = tokio::try_join!(world.beam("driver"), world.beam("beam"))?;
    for beam in [&driver, &beam] {
        load(beam).await?;
        beam.eval("{ok, _} = pg:start(pg), ok").await?;
    }
    let node = world.node("rust")?.pg("pg").start().await?;
    let scope = node.pg("pg").context("no scope")?;
    let name = name_of(&beam)?;
    node.connect(&name).await?;
    driver.eval(format!("true = net_kernel:connect_node('{name}')")).await?;
    eventually(PATIENCE, "the scope", async || scope.nodes().len() == 1).await?;
    let processes: Vec<_> = (0..MEMBERS).map(|_| node.process()).collect::<Result<_, _>>()?;
    let pids: Vec<Pid> = processes.iter().map(|process| process.pid().clone()).collect();

    let seen = format!("bench:seen(ours, {MEMBERS})");
    let start = Instant::now();
    scope.join_all(&term!(ours), &pids).await?;
    beam.eval_within(PATIENCE, &seen).await?;
    let joined = start.elapsed().as_secs_f64();
    let call = format!("bench:join(theirs, {MEMBERS}, '{name}')");
    let theirs: f64 = driver.eval_within(PATIENCE, call).await?.parse()?;

    node.disconnect(&name);
    beam.eval_within(PATIENCE, "bench:seen(ours, 0)").await?;
    let start = Instant::now();
    node.connect(&name).await?;
    beam.eval_within(PATIENCE, &seen).await?;
    let synced = start.elapsed().as_secs_f64();
    Ok(vec![
        Row::new(
            format!("{MEMBERS} processes join a group until a BEAM node has them, s"),
            joined,
            Some(("BEAM", theirs)),
            Goal::Below(2.0),
        ),
        Row::new(
            format!("connect with {MEMBERS} in a group until a BEAM node has them, s"),
            synced,
            None,
            Goal::Below(2.0),
        ),
    ])
}
