//! `cargo xtask test --compose`: the essential tests against the containers of the compose file, for machines on which
//! Erlang and Postgres cannot be installed.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::compose::{Compose, MEMBERS, POSTGRES, RUST, wait};
use crate::demo::{Cluster, connected};
use crate::host;

const PROJECT: &str = "beamjoin-test";
const DEADLINE: Duration = Duration::from_secs(120);

type Test = (&'static str, fn(&Compose) -> Result<()>);

const TESTS: &[Test] = &[
    ("joins_and_is_seen", joins_and_is_seen),
    ("is_pinged_and_pings", is_pinged_and_pings),
    ("answers_a_message", answers_a_message),
    ("broadcasts_go_both_ways", broadcasts_go_both_ways),
    ("keeps_its_links_when_postgres_restarts", keeps_its_links_when_postgres_restarts),
    ("finds_restarted_beam_nodes_again", finds_restarted_beam_nodes_again),
    ("is_found_again_after_a_kill", is_found_again_after_a_kill),
];

pub(crate) fn run(filter: Option<&str>) -> Result<()> {
    let tests: Vec<&Test> =
        TESTS.iter().filter(|(name, _)| filter.is_none_or(|part| name.contains(part))).collect();
    ensure!(!tests.is_empty(), "no test has {} in its name", filter.unwrap_or_default());
    let mut compose = Compose::find(PROJECT)?;
    // What a run that was cut off may have left.
    compose.down()?;
    let outcome = compose.up().and_then(|()| run_all(&compose, &tests));
    if outcome.is_err() {
        eprintln!("{}", compose.all_logs());
    }
    compose.down()?;
    outcome
}

fn run_all(compose: &Compose, tests: &[&Test]) -> Result<()> {
    println!("running {} tests", tests.len());
    let mut failed = 0;
    for (name, test) in tests {
        match test(compose) {
            Ok(()) => println!("test {name} ... ok"),
            Err(error) => {
                println!("test {name} ... FAILED\n{error:#}");
                failed += 1;
            }
        }
    }
    println!("\n{} passed, {failed} failed", tests.len() - failed);
    ensure!(failed == 0, "{failed} tests failed");
    Ok(())
}

fn whole(compose: &Compose) -> Result<Cluster> {
    wait(DEADLINE, "the whole cluster", || connected(compose))
}

fn joins_and_is_seen(compose: &Compose) -> Result<()> {
    let cluster = whole(compose)?;
    for member in &cluster.members {
        let how = member.sees(&cluster.rust);
        ensure!(how == Some("hidden"), "{} sees the Rust node as {how:?}", member.name);
    }
    Ok(())
}

fn is_pinged_and_pings(compose: &Compose) -> Result<()> {
    let cluster = whole(compose)?;
    let rust = compose.container(RUST)?;
    for member in &cluster.members {
        let code = format!("IO.inspect(:net_adm.ping(:\"{}\"))", cluster.rust);
        let answer = compose.eval(member.service, &code)?;
        ensure!(answer == ":pong", "{} got {answer}", member.name);
        host::read(Command::new("docker").args([
            "exec",
            &rust,
            "/beamjoin",
            "ping",
            &member.name,
        ]))?;
    }
    Ok(())
}

/// A message to a registered process of the Rust node, and one back to the process that asked.
fn answers_a_message(compose: &Compose) -> Result<()> {
    let cluster = whole(compose)?;
    for member in &cluster.members {
        let code = format!(
            "rust = :\"{}\"; send({{:rex, rust}}, {{self(), :features_request}}); \
             receive do {{:features_reply, ^rust, features}} -> IO.inspect(is_list(features)) \
             after 10_000 -> IO.puts(\"silence\") end",
            cluster.rust
        );
        let answer = compose.eval(member.service, &code)?;
        ensure!(answer == "true", "{} got {answer}", member.name);
    }
    Ok(())
}

fn broadcasts_go_both_ways(compose: &Compose) -> Result<()> {
    whole(compose)?;
    crate::demo_pubsub::both_ways(compose).map(drop)
}

fn keeps_its_links_when_postgres_restarts(compose: &Compose) -> Result<()> {
    let before = whole(compose)?;
    let count = compose.events()?.len();
    compose.run(&["restart", POSTGRES])?;
    wait(DEADLINE, "Postgres lost and found", || {
        let events = compose.events()?;
        let since = events.get(count..).unwrap_or_default();
        for kind in ["postgres_lost", "postgres_up"] {
            ensure!(since.iter().any(|event| event["event"] == kind), "no {kind}");
        }
        Ok(())
    })?;
    for event in compose.events()?.get(count..).unwrap_or_default() {
        ensure!(event["event"] != "down", "a link was dropped: {event}");
    }
    ensure!(whole(compose)?.rust == before.rust, "another name");
    Ok(())
}

/// One after the other. The published strategy may have ended for good with Postgres' restart; a restart heals that too.
fn finds_restarted_beam_nodes_again(compose: &Compose) -> Result<()> {
    for service in MEMBERS {
        let name = compose.member(service)?.name;
        let count = compose.events()?.len();
        compose.run(&["restart", service])?;
        wait(DEADLINE, "the restarted node", || {
            let events = compose.events()?;
            let since = events.get(count..).unwrap_or_default();
            for kind in ["down", "up"] {
                let wanted =
                    since.iter().any(|event| event["event"] == kind && event["node"] == *name);
                ensure!(wanted, "no {kind} for {name}");
            }
            Ok(())
        })?;
    }
    whole(compose).map(drop)
}

fn is_found_again_after_a_kill(compose: &Compose) -> Result<()> {
    let before = whole(compose)?;
    compose.run(&["kill", "-s", "KILL", RUST])?;
    wait(DEADLINE, "the members to notice", || {
        for service in MEMBERS {
            let member = compose.member(service)?;
            ensure!(member.sees(&before.rust).is_none(), "{} still sees it", member.name);
        }
        Ok(())
    })?;
    compose.run(&["start", RUST])?;
    whole(compose).map(drop)
}
