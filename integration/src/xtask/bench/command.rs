//! One call of a function of a node on this host, from the start of the process to its end, beside the commands that come
//! with Erlang and Elixir.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use integration::rust_node::binary;
use integration::{Beam, World};
use tokio::process::Command;
use tokio::time::timeout;

use super::row::{Goal, Row};
use super::sample::median;

const ROUNDS: usize = 21;
/// `elixir` takes a good part of a second each time.
const ELIXIR_ROUNDS: usize = 7;

const LONG: Duration = Duration::from_secs(30);

pub(super) async fn rows() -> Result<Vec<Row>> {
    let world = World::new().await?;
    let beam = Beam::start(world.beam_options("target").elixir()).await?;
    // A copy, as installing makes one, which `erl_call` is too: what a linker writes here and there is kept page by
    // page by the kernel, which then takes an eighth longer to start it.
    let built = binary()?;
    let folder = tempfile::tempdir_in(built.parent().context("no folder")?)?;
    let installed = folder.path().join("beamjoin");
    std::fs::copy(built, &installed)?;
    let (mut ours, mut erl_call, mut elixir) = (Vec::new(), Vec::new(), Vec::new());
    // In turn, so that what else the machine does weighs on all alike.
    for round in 0..ROUNDS {
        ours.push(beamjoin(&installed, &world, &beam).await?);
        erl_call.push(of_erlang(&world, &beam).await?);
        if round < ELIXIR_ROUNDS {
            elixir.push(of_elixir(&world, &beam, round).await?);
        }
    }
    let (ours, erl_call) = (median(ours), median(erl_call));
    let row = |peer, theirs, goal| {
        let what = format!("`beamjoin call` beside `{peer}`, the whole process, ms");
        Row::new(what, ours, Some((peer, theirs)), Goal::RatioBelow(goal))
    };
    Ok(vec![row("erl_call", erl_call, 1.5), row("elixir --rpc-eval", median(elixir), 0.1)])
}

async fn beamjoin(installed: &Path, world: &World, beam: &Beam) -> Result<f64> {
    let mut command = Command::new(installed);
    command.args(["call", beam.name(), "lists:sum", "[1, 2, 3]"]);
    command.env("BEAMJOIN_COOKIE", &world.cookie);
    run(world, command, "6").await
}

async fn of_erlang(world: &World, beam: &Beam) -> Result<f64> {
    let mut command = Command::new("erl_call");
    command.args(["-c", &world.cookie, "-name", beam.name(), "-a", "lists sum [[1,2,3]]"]);
    run(world, command, "6").await
}

async fn of_elixir(world: &World, beam: &Beam, round: usize) -> Result<f64> {
    let mut command = Command::new("elixir");
    let name = format!("asker{round}@127.0.0.1");
    let code = "IO.puts(:lists.sum([1, 2, 3]))";
    command.args(["--name", &name, "--cookie", &world.cookie, "--rpc-eval", beam.name(), code]);
    run(world, command, "6").await
}

async fn run(world: &World, mut command: Command, expected: &str) -> Result<f64> {
    command.env("ERL_EPMD_PORT", world.port.to_string()).stdin(Stdio::null()).kill_on_drop(true);
    let start = Instant::now();
    let output = timeout(LONG, command.output()).await.context("no answer")?;
    let time = start.elapsed();
    let output = output.with_context(|| format!("{command:?} could not be started"))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && stdout.trim() == expected, "{command:?}: {output:?}");
    Ok(time.as_secs_f64() * 1e3)
}
