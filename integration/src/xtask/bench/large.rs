//! Large terms, and what else they hold up: one of 100 MB each way, and calls meanwhile.
//!
//! A BEAM node drives all of it, against a Rust node and against another BEAM node.

use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};
use dist::etf::{Atom, Term, encode, term};
use dist::{Caller, Exit, GenServer, Process, Reply};
use integration::{Beam, World, name_of, unique};

use super::bound::{self, Much, Reader, Then, Wait, Writer};
use super::carrier;
use super::row::{Goal, Row};
use super::sample::{self, median};

/// A binary of 100 MB, and a list that takes 100 MB when it is encoded.
const BYTES: usize = 100_000_000;
const ELEMENTS: usize = 20_000_000;

const ROUNDS: usize = 3;

/// Rounds of calls while a binary goes: few calls have their turn in one.
const ROUNDS_OF_CALLS: usize = 9;
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
    Bench { driver, ends: [ours, theirs] }.rows(&world).await
}

/// The node that drives, and the two that it talks with: ours first.
struct Bench {
    driver: Beam,
    ends: [End; 2],
}

/// What calls took in one round, in µs.
struct Calls {
    /// The 99th percentile; of fewer than a hundred calls the second longest.
    high: f64,
    longest: f64,
}

/// Which way a term goes, seen from the driver.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Out,
    Back,
}

impl Bench {
    async fn rows(self, world: &World) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (what, name) in [("binary", "a binary of 100 MB"), ("list", "small terms of 100 MB")] {
            for way in [Way::Out, Way::Back] {
                rows.extend(self.transfers(what, name, way, world).await?);
            }
            for (ways, direction, goal) in [
                ("[out, back]", "goes each way", Goal::RatioBelow(0.5)),
                ("[out]", "goes to it", Goal::None),
                ("[back]", "comes from it", Goal::None),
            ] {
                rows.extend(
                    self.calls(what, &format!("{name} {direction}"), ways, goal, world).await?,
                );
            }
        }
        Ok(rows)
    }

    /// Calls while a term goes these ways; where there is a goal, what anybody could reach as well.
    async fn calls(
        &self,
        what: &str,
        during: &str,
        ways: &str,
        goal: Goal,
        world: &World,
    ) -> Result<Vec<Row>> {
        let [ours, theirs] = &self.ends;
        let bounds = !matches!(goal, Goal::None);
        let mut times = <[Vec<Calls>; 2]>::default();
        let (mut of_thread, mut of_carrier) = (Vec::new(), Vec::new());
        for _ in 0..if what == "binary" { ROUNDS_OF_CALLS } else { ROUNDS } {
            for (end, times) in [ours, theirs].into_iter().zip(&mut times) {
                times.push(self.pings(&end.name, what, ways, &end.name).await?);
            }
            if bounds {
                let name = format!("{}@127.0.0.1", unique("pong"));
                bound::answer(world, &self.driver, &name, Wait::Asleep).await?;
                of_thread.push(self.pings(&ours.name, what, ways, &name).await?);
                self.disconnect(&name).await?;
            }
            if bounds && what == "binary" {
                let name = carrier::carry(world, &self.driver).await?;
                of_carrier.push(self.pings(&name, what, ways, &name).await?);
                self.disconnect(&name).await?;
            }
        }
        let [ours, theirs] = times;
        let mut rows = Vec::new();
        for (whom, calls, goal) in [
            (" to a thread that only answers", of_thread, Goal::None),
            (
                " to threads that only answer and carry it on the same connection",
                of_carrier,
                Goal::None,
            ),
            ("", ours, goal),
        ] {
            if calls.is_empty() {
                continue;
            }
            let mut row = |which, of: fn(&Calls) -> f64, goal| {
                let middle = |calls: &[Calls]| median(calls.iter().map(of).collect());
                let what = format!("calls{whom} while {during}, {which}, µs");
                rows.push(Row::new(what, middle(&calls), Some(("BEAM", middle(&theirs))), goal));
            };
            row("99th percentile", |calls| calls.high, goal);
            if bounds {
                row("the longest", |calls| calls.longest, Goal::None);
            }
        }
        Ok(rows)
    }

    /// Calls to the node `called` during transfers between the driver and `end`.
    async fn pings(&self, end: &str, what: &str, ways: &str, called: &str) -> Result<Calls> {
        let call = format!("large:pings('{end}', {what}, {ways}, '{called}')");
        let said = self.driver.eval_within(PATIENCE, call).await?;
        let said = said.trim_matches(['{', '}']).split_once(',').context("not two figures")?;
        self.drop_all(end).await?;
        Ok(Calls { high: said.0.parse()?, longest: said.1.parse()? })
    }

    async fn disconnect(&self, name: &str) -> Result<()> {
        self.driver.eval(format!("erlang:disconnect_node('{name}')")).await?;
        Ok(())
    }

    /// What a transfer takes, what anybody could reach, and the memory for it.
    async fn transfers(&self, what: &str, name: &str, way: Way, world: &World) -> Result<Vec<Row>> {
        let (mut times, mut beside) = ([vec![], vec![]], [vec![], vec![]]);
        let (mut only_read, mut kept, mut only_written) = (vec![], vec![], vec![]);
        for _ in 0..ROUNDS {
            for ((end, times), beside) in self.ends.iter().zip(&mut times).zip(&mut beside) {
                let (time, memory) = self.transfer(end, way, what).await?;
                times.push(time);
                beside.push(memory);
            }
            match way {
                Way::Out => {
                    only_read.push(self.only_read(what, Then::Nothing, world).await?);
                    kept.push(self.only_read(what, Then::Keep, world).await?);
                }
                Way::Back => only_written.push(self.only_write(what, world).await?),
            }
        }
        let direction = match way {
            Way::Out => "to it from a BEAM node",
            Way::Back => "from it to a BEAM node",
        };
        let [ours, theirs] = times.map(median);
        let [our_memory, their_memory] = beside.map(median);
        let mut rows = vec![
            Row::new(
                format!("{name}, {direction}, ms"),
                ours,
                Some(("BEAM", theirs)),
                Goal::TimesAsFast(FASTER),
            ),
            Row::new(
                format!("{name}, {direction}, most memory beside the term, MB"),
                our_memory,
                Some(("BEAM", their_memory)),
                Goal::Below(BESIDE),
            ),
        ];
        for (bound, times) in [
            ("to a thread that only reads", only_read),
            ("to a thread that reads and keeps", kept),
            ("from a thread that only writes", only_written),
        ] {
            if !times.is_empty() {
                let theirs = Some(("BEAM", theirs));
                rows.push(Row::new(
                    format!("{name}, {bound}, ms"),
                    median(times),
                    theirs,
                    Goal::None,
                ));
            }
        }
        Ok(rows)
    }

    /// What one transfer takes, in ms, and the most memory that its end there held beside the term.
    async fn transfer(&self, end: &End, way: Way, what: &str) -> Result<(f64, f64)> {
        let name = &end.name;
        let call = match way {
            Way::Out => format!("large:out('{name}', {what})"),
            Way::Back => {
                let prepare = format!("large:ask('{name}', [prepare, {what}])");
                self.driver.eval_within(PATIENCE, prepare).await?;
                format!("large:back('{name}')")
            }
        };
        // The term is there before it is sent, or after it was received.
        let before = sample::Usage::of(end.pid)?.resident;
        sample::forget_peak(end.pid)?;
        let time = self.driver.eval_within(PATIENCE, call).await?.parse()?;
        let peak = sample::peak(end.pid)?;
        let with_term = match way {
            Way::Out => sample::Usage::of(end.pid)?.resident,
            Way::Back => before,
        };
        self.drop_all(&end.name).await?;
        Ok((time, (peak - with_term).max(0.0)))
    }

    /// How long it takes, in ms, until a thread that does nothing else has read the term.
    async fn only_read(&self, what: &str, then: Then, world: &World) -> Result<f64> {
        let reader = Reader::connect(world, &self.driver).await?;
        let push = format!("large:push('{}', {what})", reader.name);
        let reading = reader.read(Much::Bytes(BYTES), then);
        let start: u64 = self.driver.eval_within(PATIENCE, push).await?.parse()?;
        let start = UNIX_EPOCH + Duration::from_nanos(start);
        Ok(reading.await??.at.duration_since(start)?.as_secs_f64() * 1e3)
    }

    /// How long it takes, in ms, until the term has arrived from a thread that has it encoded.
    async fn only_write(&self, what: &str, world: &World) -> Result<f64> {
        let term = encode(&make(&Term::Atom(Atom::new(what)?)))?.into_bytes().split_off(1);
        let writer = Writer::connect(world, &self.driver).await?;
        let back = format!("large:back('{}')", writer.name);
        let writing = writer.answer(term.to_vec());
        let time = self.driver.eval_within(PATIENCE, back).await?.parse()?;
        writing.await??;
        self.driver.eval("[garbage_collect(P) || P <- processes()], ok").await?;
        Ok(time)
    }

    async fn drop_all(&self, end: &str) -> Result<()> {
        self.driver.eval_within(PATIENCE, format!("large:drop('{end}')")).await?;
        self.driver.eval("[garbage_collect(P) || P <- processes()], ok").await?;
        Ok(())
    }
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
        let answer = match request.as_atom().map(Atom::as_str) {
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

/// The term of this name.
pub(super) fn make(what: &Term) -> Term {
    if what.is_atom("binary") {
        return Term::from(&vec![7; BYTES][..]);
    }
    Term::List((1000..).take(ELEMENTS).map(Term::Int).collect())
}
