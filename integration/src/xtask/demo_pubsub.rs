//! A message by `Phoenix.PubSub` from each BEAM node to Rust, and one from Rust to each of them.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::compose::{Compose, MEMBERS, RUST, wait};
use crate::host;

const DEADLINE: Duration = Duration::from_secs(60);

/// What the members run and listen to (`integration/elixir/lib/member.ex`).
const PUBSUB: &str = "Demo.PubSub";
const TOPIC: &str = "demo";

/// What arrived where, a line each.
pub(crate) fn both_ways(compose: &Compose) -> Result<String> {
    let rust = compose.container(RUST)?;
    let count = MEMBERS.len().to_string();
    let mut tail = Command::new("docker");
    tail.args(["exec", &rust, "/beamjoin", "pubsub", "tail", TOPIC, "--pubsub", PUBSUB]);
    let tail =
        tail.args(["--count", &count]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    for service in MEMBERS {
        // The other members, this one, and the command.
        let members = "IO.puts(length(:pg.get_members(Phoenix.PubSub, Demo.PubSub.Adapter)))";
        wait(DEADLINE, "Rust to take part", || {
            let seen = compose.eval(service, members)?;
            ensure!(seen == (MEMBERS.len() + 1).to_string(), "{service} sees {seen}");
            Ok(())
        })?;
        let said = format!("Member.PubSub.broadcast({PUBSUB}, \"{TOPIC}\", {{:hello, node()}})");
        compose.eval(service, &said)?;
    }
    let heard = tail.wait_with_output().context("the command that listens")?;
    let heard = String::from_utf8_lossy(&heard.stdout).into_owned();
    for service in MEMBERS {
        let name = compose.member(service)?.name;
        ensure!(heard.contains(&name), "Rust did not hear {name}: {heard}");
    }
    let mut text: String = heard.lines().map(|line| format!("Rust heard {line}\n")).collect();

    let message = "{:hello, \"from Rust\"}";
    let publish = ["/beamjoin", "pubsub", "publish", TOPIC, message, "--pubsub", PUBSUB];
    host::read(Command::new("docker").args(["exec", &rust]).args(publish))?;
    for service in MEMBERS {
        let line = format!("heard on {TOPIC}: {message}");
        wait(DEADLINE, "the broadcast to arrive", || {
            let logs = compose.logs(service)?;
            ensure!(logs.contains(&line), "{service} has not heard it");
            Ok(())
        })?;
        text += &format!("{} {line}\n", compose.member(service)?.name);
    }
    Ok(text)
}
