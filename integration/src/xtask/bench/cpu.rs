//! The CPU time that a message costs who sends it and who receives it.

use anyhow::Result;
use integration::World;

use super::bound::{Much, Reader, Then};
use super::messages::{beam, beam_send, expect, receive, send, sink, took};
use super::row::{Goal, Row};
use super::sample::{cpu, median};

const MESSAGES: usize = 409_600;
const ROUNDS: usize = 5;

/// A BEAM node that does not spin while it waits, so that its CPU time is that of its work. Ours
/// looks for the next message for a while and is charged for that.
const NO_SPINNING: [&str; 6] = ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"];

pub(super) async fn rows() -> Result<Vec<Row>> {
    let world = World::new().await?;
    let (one, other) = tokio::try_join!(beam(&world, &NO_SPINNING), beam(&world, &NO_SPINNING))?;
    let node = world.node("rust")?.start().await?;
    let own = std::process::id();
    let mut reader = Reader::connect(&world, &one).await?;
    let (mut sent, mut received) = <(Sides, Sides)>::default();
    let mut only_read = Vec::new();
    for _ in 0..ROUNDS {
        expect(&other, MESSAGES).await?;
        let to = sink(&node, &other).await?;
        let before = cpu(own)?;
        send(&node, &to, MESSAGES).await?;
        took(&other).await?;
        sent.ours.push(cpu(own)? - before);

        let mailbox = node.register("sink")?;
        let before = cpu(own)?;
        let receiver = tokio::spawn(receive(mailbox, MESSAGES));
        beam_send(&one, node.name().as_str(), MESSAGES).await?;
        receiver.await??;
        received.ours.push(cpu(own)? - before);

        let name = reader.name.clone();
        let reading = reader.read(Much::Frames(MESSAGES), Then::Nothing);
        beam_send(&one, &name, MESSAGES).await?;
        let done = reading.await??;
        only_read.push(done.cpu);
        reader = done.reader;

        expect(&other, MESSAGES).await?;
        let before = [cpu(one.pid())?, cpu(other.pid())?];
        beam_send(&one, other.name(), MESSAGES).await?;
        took(&other).await?;
        sent.theirs.push(cpu(one.pid())? - before[0]);
        received.theirs.push(cpu(other.pid())? - before[1]);
    }
    let only_read = Sides { ours: only_read, theirs: received.theirs.clone() };
    Ok(vec![
        sent.row("sent to a BEAM node", Goal::TimesAsFast(3.0)),
        received.row("received from a BEAM node", Goal::TimesAsFast(3.0)),
        only_read.row("from a BEAM node to a thread that only reads", Goal::None),
    ])
}

/// Nanoseconds of CPU time in each round.
#[derive(Default)]
struct Sides {
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

impl Sides {
    fn row(self, what: &str, goal: Goal) -> Row {
        let each = |rounds| median(rounds) / MESSAGES as f64;
        let theirs = Some(("BEAM", each(self.theirs)));
        Row::new(format!("CPU time of a small message {what}, ns"), each(self.ours), theirs, goal)
    }
}
