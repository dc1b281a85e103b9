//! Large terms, and what else they hold up: one of 100 MB each way, and calls meanwhile.
//!
//! A BEAM node drives all of it, against a Rust node and against another BEAM node.

use std::time::Duration;

use anyhow::{Context, Result};
use dist::etf::{Term, term};
use dist::{Caller, Exit, GenServer, Process, Reply};
use integration::{Beam, World, name_of};

use super::row::{Goal, Row};
use super::sample::{self, median};

/// A binary of 100 MB, and a list that takes 100 MB when it is encoded.
const BYTES: usize = 100_000_000;
const ELEMENTS: usize = 20_000_000;

const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(120);

/// How much faster than BEAM to BEAM it should be.
const FASTER: f64 = 1.5;

/// What may be held beside the term itself, in MB.
const BESIDE: f64 = 150.0;

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

/// One of the two that the driver talks with.
struct End {
    name: String,
    pid: u32,
}

pub(super) async fn rows() -> Result<Vec<Row>> {
    let world = World::new().await?;
    let (driver, beam) = tokio::try_join!(world.beam("driver"), world.beam("beam"))?;
    let node = world.node("rust")?.start().await?;
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/erl/large.erl");
    let load = format!(
        "{{ok, large, B}} = compile:file(\"{source}\", [binary]), code:load_binary(large, \"large\", B), ok"
    );
    for beam in [&driver, &beam] {
        beam.eval(&load).await?;
    }
    beam.eval("large:start()").await?;
    Pong::start_named(&node, "pong", ()).await?;
    let other = node.register("large")?;
    tokio::spawn(serve(other));
    node.connect(&name_of(&driver)?).await?;

    let ours = End { name: node.name().to_string(), pid: std::process::id() };
    let theirs = End { name: beam.name().to_owned(), pid: beam.pid() };
    let mut rows = Vec::new();
    for (what, name) in [("binary", "a binary of 100 MB"), ("list", "small terms of 100 MB")] {
        for (way, call) in [("to it from a BEAM node", "out"), ("from it to a BEAM node", "back")] {
            let (mut times, mut beside) = ([vec![], vec![]], [vec![], vec![]]);
            for _ in 0..ROUNDS {
                for (at, end) in [&ours, &theirs].into_iter().enumerate() {
                    let (time, memory) = transfer(&driver, end, call, what).await?;
                    times[at].push(time);
                    beside[at].push(memory);
                }
            }
            let [ours, theirs] = times.map(median);
            rows.push(Row::new(
                format!("{name}, {way}, ms"),
                ours,
                Some(("BEAM", theirs)),
                Goal::TimesAsFast(FASTER),
            ));
            let [ours, theirs] = beside.map(median);
            rows.push(Row::new(
                format!("{name}, {way}, most memory beside the term, MB"),
                ours,
                Some(("BEAM", theirs)),
                Goal::Below(BESIDE),
            ));
        }
        let mut times = [vec![], vec![]];
        for _ in 0..ROUNDS {
            for (at, end) in [&ours, &theirs].into_iter().enumerate() {
                let call = format!("element(1, large:pings('{}', {what}))", end.name);
                times[at].push(driver.eval_within(PATIENCE, call).await?.parse()?);
                drop_all(&driver, end).await?;
            }
        }
        let [ours, theirs] = times.map(median);
        rows.push(Row::new(
            format!("calls while {name} goes each way, 99th percentile, µs"),
            ours,
            Some(("BEAM", theirs)),
            Goal::RatioBelow(0.5),
        ));
    }
    drop(node);
    Ok(rows)
}

/// What one transfer takes, in ms, and the most memory that its end there held beside the term.
async fn transfer(driver: &Beam, end: &End, call: &str, what: &str) -> Result<(f64, f64)> {
    if call == "back" {
        // The term is there before, and is not what is counted.
        driver
            .eval_within(PATIENCE, format!("large:ask('{}', [prepare, {what}])", end.name))
            .await?;
    }
    sample::forget_peak(end.pid)?;
    let call = format!("large:{call}('{}', {what})", end.name);
    let time = driver.eval_within(PATIENCE, call).await?.parse()?;
    let peak = sample::peak(end.pid)?;
    let held = sample::Usage::of(end.pid)?.resident;
    drop_all(driver, end).await?;
    Ok((time, peak - held))
}

async fn drop_all(driver: &Beam, end: &End) -> Result<()> {
    driver.eval_within(PATIENCE, format!("large:drop('{}')", end.name)).await?;
    driver.eval("[garbage_collect(P) || P <- processes()], ok").await?;
    Ok(())
}

/// The other end of `large.erl`.
async fn serve(mut process: Process) -> Result<()> {
    let mut held = None;
    while let Some(message) = process.recv().await {
        let fields: Vec<Term> = message.term.into_tuple().ok().context("no tuple")?;
        let mut fields = fields.into_iter();
        let mut next = || fields.next().context("a field is missing");
        let (from, tag, request) = (next()?, next()?, next()?);
        let from = from.as_pid().context("no pid")?.clone();
        let answer = match request.as_atom().map(dist::etf::Atom::as_str) {
            Some("prepare") => {
                held = Some(make(&next()?));
                term!(ok)
            }
            Some("send") => held.take().context("nothing is prepared")?,
            Some("take") => {
                held = Some(next()?);
                term!(ok)
            }
            _ => {
                held = None;
                term!(ok)
            }
        };
        process.send(from, Term::Tuple(vec![tag, answer])).await?;
    }
    Ok(())
}

fn make(what: &Term) -> Term {
    if what.is_atom("binary") {
        return Term::from(&vec![7; BYTES][..]);
    }
    Term::List((1000..).take(ELEMENTS).map(Term::Int).collect())
}
