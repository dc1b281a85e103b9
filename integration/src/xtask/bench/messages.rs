//! One-way small messages, counted where they arrive.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use dist::etf::{Pid, Term, term};
use dist::{Node, Process};
use futures::future::{try_join, try_join_all};
use integration::{Beam, World, name_of};

use super::bound::{Much, Reader, Then};
use super::erl_dist;
use super::row::{Goal, Row};
use super::sample::median;

/// Messages of one round, of all senders together, and rounds of each side in turn.
const MESSAGES: usize = 409_600;
const ROUNDS: usize = 5;

/// BEAM nodes that send to one receiver.
const SENDERS: usize = 4;

/// Pairs of processes at once.
const PAIRS: [usize; 2] = [1, 64];

/// How long one round may take.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) async fn rows() -> Result<Vec<Row>> {
    let mut rows = vec![to_beam().await?];
    rows.extend(from_beam().await?);
    for pairs in PAIRS {
        rows.push(between(pairs).await?);
    }
    Ok(rows)
}

/// To a BEAM node, from ours and from another one.
async fn to_beam() -> Result<Row> {
    let world = World::new().await?;
    let (receiver, sender) = tokio::try_join!(beam(&world, &[]), beam(&world, &[]))?;
    let node = world.node("rust")?.start().await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        expect(&receiver, MESSAGES).await?;
        send(&node, &sink(&node, &receiver).await?, MESSAGES).await?;
        ours.push(took(&receiver).await?);
        expect(&receiver, MESSAGES).await?;
        beam_send(&sender, receiver.name(), MESSAGES).await?;
        theirs.push(took(&receiver).await?);
    }
    Ok(row("to a BEAM node", ours, "BEAM", theirs, Goal::TimesAsFast(1.3)))
}

/// From several BEAM nodes, to one process of ours, to erl_dist, and to threads that only read.
async fn from_beam() -> Result<Vec<Row>> {
    let world = World::new().await?;
    let senders = try_join_all((0..SENDERS).map(|_| beam(&world, &[]))).await?;
    let node = world.node("rust")?.start().await?;
    let mut channels = Vec::new();
    for sender in &senders {
        channels.push(erl_dist::dial(&world, sender).await?);
    }
    let mut readers =
        try_join_all(senders.iter().map(|sender| Reader::connect(&world, sender))).await?;
    let share = MESSAGES / SENDERS;
    let (mut ours, mut theirs, mut only_read) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mailbox = node.register("sink")?;
        let name = node.name().as_str();
        let start = Instant::now();
        let received = tokio::spawn(receive(mailbox, MESSAGES));
        let sent = try_join_all(senders.iter().map(|sender| beam_send(sender, name, share)));
        try_join(async { received.await? }, sent).await?;
        ours.push(nanoseconds(start));

        let start = Instant::now();
        let mut receivers = Vec::new();
        let mut names = Vec::new();
        for (mut channel, name) in channels.drain(..) {
            names.push(name);
            receivers.push(tokio::spawn(async move {
                erl_dist::receive(&mut channel.1, share).await.map(|()| channel)
            }));
        }
        let sent = senders.iter().zip(&names).map(|(sender, name)| beam_send(sender, name, share));
        let received = try_join_all(receivers.into_iter().map(|done| async move { done.await? }));
        let (received, _) = try_join(received, try_join_all(sent)).await?;
        theirs.push(nanoseconds(start));
        channels = received.into_iter().zip(names).collect();

        let start = Instant::now();
        let names: Vec<_> = readers.iter().map(|reader| reader.name.clone()).collect();
        let reading: Vec<_> = readers
            .drain(..)
            .map(|reader| reader.read(Much::Frames(share), Then::Nothing))
            .collect();
        let sent = senders.iter().zip(&names).map(|(sender, name)| beam_send(sender, name, share));
        let read = try_join_all(reading.into_iter().map(|done| async move { done.await? }));
        let (read, _) = try_join(read, try_join_all(sent)).await?;
        only_read.push(nanoseconds(start));
        readers = read.into_iter().map(|done| done.reader).collect();
    }
    let bound = "from four BEAM nodes to threads that only read";
    Ok(vec![
        row("from four BEAM nodes", ours, "erl_dist", theirs.clone(), Goal::TimesAsFast(1.5)),
        row(bound, only_read, "erl_dist", theirs, Goal::None),
    ])
}

/// Between two nodes of ours, and between two ends of erl_dist's channel: there each pair has a
/// connection of its own.
async fn between(pairs: usize) -> Result<Row> {
    let world = World::new().await?;
    let (left, right) =
        tokio::try_join!(world.node("left")?.start(), world.node("right")?.start())?;
    left.connect(right.name()).await?;
    let mut channels = Vec::new();
    for _ in 0..pairs {
        channels.push(erl_dist::pair().await?);
    }
    let share = MESSAGES / pairs;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut tasks = Vec::new();
        for _ in 0..pairs {
            let mailbox = right.process()?;
            let to = mailbox.pid().clone();
            let left = left.clone();
            tasks.push(tokio::spawn(receive(mailbox, share)));
            tasks.push(tokio::spawn(async move { send(&left, &to, share).await }));
        }
        try_join_all(tasks.into_iter().map(|done| async move { done.await? })).await?;
        ours.push(nanoseconds(start));

        let start = Instant::now();
        let mut tasks = Vec::new();
        for ((mut sender, back), (forth, mut receiver)) in channels.drain(..) {
            let sent =
                tokio::spawn(
                    async move { erl_dist::send(&mut sender, share).await.map(|()| sender) },
                );
            let received = tokio::spawn(async move {
                erl_dist::receive(&mut receiver, share).await.map(|()| receiver)
            });
            tasks.push(async move {
                let (sender, receiver) = (sent.await??, received.await??);
                anyhow::Ok(((sender, back), (forth, receiver)))
            });
        }
        channels = try_join_all(tasks).await?;
        theirs.push(nanoseconds(start));
    }
    let s = if pairs == 1 { "" } else { "s" };
    let what = format!("between Rust nodes, {pairs} pair{s} of processes");
    Ok(row(&what, ours, "erl_dist", theirs, Goal::TimesAsFast(4.0)))
}

/// A row of the time per message.
fn row(what: &str, ours: Vec<f64>, peer: &str, theirs: Vec<f64>, goal: Goal) -> Row {
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let each = |rounds| median(rounds) / MESSAGES as f64;
    let theirs = Some((peer, each(theirs)));
    Row::new(format!("small messages {what}, ns each"), each(ours), theirs, goal)
}

fn nanoseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e9
}

/// A BEAM node that can measure.
pub(super) async fn beam(world: &World, args: &[&str]) -> Result<Beam> {
    let beam = Beam::start(world.beam_options("beam").args(args.iter().copied())).await?;
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/erl/messages.erl");
    beam.eval(format!(
        "{{ok, messages, B}} = compile:file(\"{source}\", [binary]), code:load_binary(messages, \"messages\", B), ok"
    ))
    .await?;
    Ok(beam)
}

/// The process `sink` of a BEAM node begins to count.
pub(super) async fn expect(beam: &Beam, count: usize) -> Result<()> {
    beam.eval(format!("messages:expect({count})")).await?;
    Ok(())
}

/// How long it took until the last was there, in ns.
pub(super) async fn took(beam: &Beam) -> Result<f64> {
    Ok(beam.eval_within(PATIENCE, "messages:took()").await?.parse()?)
}

/// A BEAM node sends to the process `sink` of another node.
pub(super) async fn beam_send(beam: &Beam, to: &str, count: usize) -> Result<()> {
    beam.eval_within(PATIENCE, format!("messages:send({{sink, '{to}'}}, {count})")).await?;
    Ok(())
}

/// The pid of `sink`.
pub(super) async fn sink(node: &Node, beam: &Beam) -> Result<Pid> {
    let name = name_of(beam)?;
    let pid = node.rpc(&name, "erlang", "whereis", vec![Term::atom("sink")], PATIENCE).await?;
    pid.as_pid().cloned().context("no sink")
}

pub(super) async fn send(node: &Node, to: &Pid, count: usize) -> Result<()> {
    let process = node.process()?;
    let message = term!({(Term::atom("$gen_cast")), {event, 42, (Term::from(&b"hello"[..]))}});
    for _ in 0..count {
        process.send(to, message.clone()).await?;
    }
    Ok(())
}

pub(super) async fn receive(mut mailbox: Process, count: usize) -> Result<()> {
    for _ in 0..count {
        mailbox.recv().await.context("the mailbox was closed")?;
    }
    Ok(())
}
