//! `cargo xtask demo`: a cluster of BEAM nodes and a Rust node, in containers, and who sees whom in it.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::compose::{Compose, MEMBERS, Member, RUST, up_according_to, wait};
use crate::demo_pubsub;
use crate::host::say;

const PROJECT: &str = "beamjoin-demo";
/// How long the cluster may take to form once the containers run.
const DEADLINE: Duration = Duration::from_secs(120);

/// Starts everything, waits for the cluster and shows it; with `once` it is stopped again.
pub(crate) fn up(once: bool) -> Result<()> {
    let mut compose = Compose::find(PROJECT)?;
    let outcome = compose.up().and_then(|()| {
        say("waiting until every node sees every other");
        let cluster = wait(DEADLINE, "the cluster", || connected(&compose))?;
        Ok((cluster, demo_pubsub::both_ways(&compose)?))
    });
    match outcome {
        Ok((cluster, heard)) => print!("{}\n{heard}", cluster.table()),
        Err(error) => {
            eprint!("{}", compose.all_logs());
            if once {
                compose.down()?;
            }
            return Err(error);
        }
    }
    if once {
        return compose.down();
    }
    let (rust, elixir) = (compose.container(RUST)?, compose.container(MEMBERS[0])?);
    println!("\nIt goes on running. To look at it:");
    println!("  docker logs --follow {rust}");
    println!(
        "  docker exec {elixir} /member/member.sh eval 'IO.inspect(:erlang.nodes(:connected))'"
    );
    println!("To stop it:\n  cargo xtask demo --down");
    Ok(())
}

/// Stops and removes what `up` left running.
pub(crate) fn down() -> Result<()> {
    Compose::find(PROJECT)?.down()
}

/// A cluster in which every node sees every other.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) rust: String,
    pub(crate) members: Vec<Member>,
}

/// Asks every node; an error says who does not see whom.
pub(crate) fn connected(compose: &Compose) -> Result<Cluster> {
    let events = compose.events()?;
    let listening = events.first().filter(|event| event["event"] == "listening");
    let rust = listening.and_then(|event| event["node"].as_str());
    let rust = rust.context("the Rust node does not listen yet")?.to_owned();
    let seen = up_according_to(&events);

    let members: Vec<Member> =
        MEMBERS.into_iter().map(|service| compose.member(service)).collect::<Result<_>>()?;
    for member in &members {
        ensure!(seen.contains(&member.name), "{rust} does not see {}", member.name);
        let others = members.iter().filter(|other| other.name != member.name);
        for other in others.map(|other| &other.name).chain([&rust]) {
            ensure!(member.sees(other).is_some(), "{} does not see {other}", member.name);
        }
    }
    Ok(Cluster { rust, members })
}

impl Member {
    /// How this node sees `other`, if it does.
    pub(crate) fn sees(&self, other: &str) -> Option<&'static str> {
        let visible = self.visible.contains(other).then_some("visible");
        visible.or_else(|| self.hidden.contains(other).then_some("hidden"))
    }
}

impl Cluster {
    /// A row for each node: whom it sees, and how.
    fn table(&self) -> String {
        let names: Vec<&str> = self
            .members
            .iter()
            .map(|member| member.name.as_str())
            .chain([self.rust.as_str()])
            .collect();
        let width = names.iter().map(|name| name.len()).max().unwrap_or_default() + 2;
        let mut table = format!("\n{:width$}", "sees");
        for name in &names {
            write!(table, "{name:width$}").ok();
        }
        table.push('\n');
        for (row, name) in names.iter().enumerate() {
            write!(table, "{name:width$}").ok();
            for (column, other) in names.iter().enumerate() {
                let cell = match self.members.get(row) {
                    _ if row == column => "-",
                    Some(member) => member.sees(other).unwrap_or("no"),
                    None => "connected",
                };
                write!(table, "{cell:width$}").ok();
            }
            table.push('\n');
        }
        for member in &self.members {
            writeln!(table, "{} runs {}", member.name, member.strategy).ok();
        }
        table
    }
}
