//! Calls between nodes: latency with one caller and with many at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use dist::etf::{Term, term};
use dist::{Caller, Exit, GenServer, Node, NodeName, Process, Reply};
use integration::{Beam, World, name_of, unique};

use super::asker::Asker;
use super::bound::{self, Wait};
use super::load;
use super::row::{Goal, Row};
use super::sample::median;

/// What ours may take of what a BEAM node takes.
const GOAL: f64 = 0.8;

/// Callers at once.
const CALLERS: [usize; 3] = [1, 16, 256];

/// Calls of all callers in one round, and rounds of each side in turn.
const CALLS: usize = 4096;
const ROUNDS: usize = 5;

/// How the threads wait that show what anybody could reach.
const WAITS: [(&str, Wait); 2] = [("asleep", Wait::Asleep), ("pausing", Wait::Pausing)];

/// The median and the 99th percentile of one round, in µs.
type Latency = (f64, f64);

/// Replies at once.
struct Pong;

impl GenServer for Pong {
    type Init = ();

    async fn init((): (), _: &mut Process) -> Result<Self, Exit> {
        Ok(Self)
    }

    async fn handle_call(&mut self, _: Term, _: &Caller, _: &mut Process) -> Result<Reply, Exit> {
        Ok(Reply::Now(term!(pong)))
    }
}

/// The same on a BEAM node.
const PONG: &str = "register(pong, spawn(fun Loop() -> receive {'$gen_call', From, ping} -> \
                    gen:reply(From, pong), Loop() end end)), ok";

pub(super) async fn rows() -> Result<Vec<Row>> {
    let world = World::new().await?;
    let (driver, beam) = tokio::try_join!(world.beam("driver"), world.beam("beam"))?;
    let node = world.node("rust")?.start().await?;
    load(&driver).await?;
    beam.eval(PONG).await?;
    Pong::start_named(&node, "pong", ()).await?;

    let mut rows = Vec::new();
    for callers in CALLERS {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(latency(&driver, &call(node.name().as_str(), callers)).await?);
            theirs.push(latency(&driver, &call(beam.name(), callers)).await?);
        }
        pair(&mut rows, "GenServer.call from a BEAM node", callers, ours, theirs);
    }
    for (how, wait) in WAITS {
        rows.extend(bounds(&world, &driver, &beam, how, wait).await?);
    }
    for callers in CALLERS {
        let (ours, theirs) = rpcs(&node, &driver, &beam, callers).await?;
        pair(&mut rows, "erpc to a BEAM node", callers, ours, theirs);
    }
    for (how, wait) in WAITS {
        rows.extend(asked(&world, &driver, &beam, how, wait).await?);
    }
    rows.push(of_one_scheduler(&node, &driver, &beam).await?);
    Ok(rows)
}

/// The same with a single scheduler in the node that is called: on two cores, rounds in which its second one is awake
/// are slow.
async fn of_one_scheduler(node: &Node, driver: &Beam, beam: &Beam) -> Result<Row> {
    let all = beam.eval("erlang:system_flag(schedulers_online, 1)").await?;
    let callers = CALLERS[1];
    let (ours, theirs) = rpcs(node, driver, beam, callers).await?;
    beam.eval(format!("erlang:system_flag(schedulers_online, {all})")).await?;
    let medians = |of: Vec<Latency>| of.into_iter().map(|latency| latency.0).collect();
    Ok(bound_row("erpc to a BEAM node of one scheduler", callers, medians(ours), medians(theirs)))
}

/// Rounds of calls by `erpc`, from Rust and from a BEAM node.
async fn rpcs(
    node: &Node,
    driver: &Beam,
    beam: &Beam,
    callers: usize,
) -> Result<(Vec<Latency>, Vec<Latency>)> {
    let name = name_of(beam)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(rpc(node, &name, callers).await?);
        theirs.push(latency(driver, &erpc(beam.name(), callers)).await?);
    }
    Ok((ours, theirs))
}

fn call(node: &str, callers: usize) -> String {
    format!("bench:call({{pong, '{node}'}}, {callers}, {CALLS})")
}

fn erpc(node: &str, callers: usize) -> String {
    format!("bench:erpc('{node}', {callers}, {CALLS})")
}

/// The same calls, answered by a thread that does nothing else: nobody can be much faster.
async fn bounds(
    world: &World,
    driver: &Beam,
    beam: &Beam,
    how: &str,
    wait: Wait,
) -> Result<Vec<Row>> {
    let name = format!("{}@127.0.0.1", unique(how));
    bound::answer(world, driver, &name, wait).await?;
    let mut rows = Vec::new();
    for callers in CALLERS {
        let (mut bound, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bound.push(latency(driver, &call(&name, callers)).await?.0);
            theirs.push(latency(driver, &call(beam.name(), callers)).await?.0);
        }
        let what = format!("GenServer.call to a thread that only answers, {how}");
        rows.push(bound_row(&what, callers, bound, theirs));
    }
    driver.eval(format!("erlang:disconnect_node('{name}')")).await?;
    Ok(rows)
}

/// Calls by `erpc` of a thread that does nothing else.
async fn asked(
    world: &World,
    driver: &Beam,
    beam: &Beam,
    how: &str,
    wait: Wait,
) -> Result<Vec<Row>> {
    let mut asker = Asker::connect(world, beam, wait).await?;
    let mut rows = Vec::new();
    for callers in CALLERS {
        let (mut bound, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let times;
            (asker, times) = asker.calls(callers, CALLS).await?;
            bound.push(median(times));
            theirs.push(latency(driver, &erpc(beam.name(), callers)).await?.0);
        }
        let what = format!("erpc from a thread that only asks, {how}");
        rows.push(bound_row(&what, callers, bound, theirs));
    }
    Ok(rows)
}

/// A row of what anybody could reach.
fn bound_row(what: &str, callers: usize, bound: Vec<f64>, theirs: Vec<f64>) -> Row {
    let what = format!("{what}, {callers} at once, median, µs");
    Row::new(what, median(bound), Some(("BEAM", median(theirs))), Goal::None)
}

/// A row for the median and one for the 99th percentile.
fn pair(rows: &mut Vec<Row>, what: &str, callers: usize, ours: Vec<Latency>, theirs: Vec<Latency>) {
    let part = |of: &[Latency], part: fn(&Latency) -> f64| median(of.iter().map(part).collect());
    for (which, of, goal) in [
        ("median", (|latency| latency.0) as fn(&Latency) -> f64, Goal::RatioBelow(GOAL)),
        ("99th percentile", |latency| latency.1, Goal::None),
    ] {
        let theirs = Some(("BEAM", part(&theirs, of)));
        rows.push(Row::new(
            format!("{what}, {callers} at once, {which}, µs"),
            part(&ours, of),
            theirs,
            goal,
        ));
    }
}

async fn latency(driver: &Beam, call: &str) -> Result<Latency> {
    let said = driver.eval_within(Duration::from_secs(120), call).await?;
    let figures = said.trim_matches(['{', '}']).split_once(',').context("not two figures")?;
    Ok((figures.0.parse()?, figures.1.parse()?))
}

/// Calls from Rust, shared out among tasks.
async fn rpc(node: &Node, target: &NodeName, callers: usize) -> Result<Latency> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let (node, target) = (node.clone(), target.clone());
        tasks.spawn(async move {
            let mut times = Vec::new();
            for _ in 0..(CALLS / callers).max(1) {
                let start = Instant::now();
                let one = node.rpc(&target, "erlang", "abs", vec![Term::Int(-1)], None).await?;
                ensure!(one == Term::Int(1), "{one}");
                times.push(start.elapsed().as_secs_f64() * 1e6);
            }
            Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done??);
    }
    times.sort_by(f64::total_cmp);
    let at = |index: usize| times.get(index).copied().context("no calls");
    Ok((at(times.len() / 2)?, at(times.len() * 99 / 100)?))
}
