//! docker-compose.yml through whichever Compose there is, and what its containers say.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::host::{self, Tool};
use crate::images::{self, Choice};

/// The services of the compose file that are BEAM nodes.
pub(crate) const MEMBERS: [&str; 2] = ["elixir1", "elixir2"];
/// The service that is the Rust node.
pub(crate) const RUST: &str = "rust";
/// The service that is Postgres.
pub(crate) const POSTGRES: &str = "postgres";

const SERVICES: [&str; 4] = [POSTGRES, MEMBERS[0], MEMBERS[1], RUST];
const POLL: Duration = Duration::from_millis(300);

/// One project: containers of the compose file under a name of their own.
pub(crate) struct Compose {
    program: &'static [&'static str],
    project: &'static str,
    images: Choice,
}

/// What a BEAM node says of itself.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) service: &'static str,
    pub(crate) name: String,
    pub(crate) strategy: String,
    pub(crate) visible: BTreeSet<String>,
    pub(crate) hidden: BTreeSet<String>,
}

impl Compose {
    /// Finds Docker and Compose, installing the latter when missing. Decides on no images: enough for [`Compose::down`].
    pub(crate) fn find(project: &'static str) -> Result<Self> {
        images::ensure_docker()?;
        let plugin = host::read(Command::new("docker").args(["compose", "version"])).is_ok();
        let program: &[&str] = if plugin { &["docker", "compose"] } else { &["docker-compose"] };
        if !plugin {
            host::provide(&[Tool { program: "docker-compose", package: "docker-compose" }])?;
        }
        Ok(Self { program, project, images: Vec::new() })
    }

    /// Builds what is missing and starts everything.
    pub(crate) fn up(&mut self) -> Result<()> {
        self.images = images::choose()?;
        host::say("building the images");
        self.run(&["build"])?;
        host::say("starting the containers");
        self.run(&["up", "--detach", "--no-build"])
    }

    /// Stops and removes everything, volumes too.
    pub(crate) fn down(&self) -> Result<()> {
        self.run(&["down", "--volumes", "--remove-orphans", "--timeout", "10"])
    }

    /// `docker-compose ARGS`.
    pub(crate) fn run(&self, args: &[&str]) -> Result<()> {
        // Compose v1 prints its progress on both streams; ours is for results.
        host::run(self.command(args)?.stdin(Stdio::null()).stdout(std::io::stderr()))
    }

    /// The container of a service.
    pub(crate) fn container(&self, service: &str) -> Result<String> {
        let id = host::read(&mut self.command(&["ps", "--all", "--quiet", service])?)?;
        let id = id.lines().next().unwrap_or_default().trim();
        ensure!(!id.is_empty(), "{service} has no container");
        let name =
            host::read(Command::new("docker").args(["inspect", "--format", "{{.Name}}", id]))?;
        Ok(name.trim().trim_start_matches('/').to_owned())
    }

    /// What a service has printed, both streams.
    pub(crate) fn logs(&self, service: &str) -> Result<String> {
        let mut logs = Command::new("docker");
        logs.args(["logs", "--tail", "200", &self.container(service)?]);
        let output = logs.stdin(Stdio::null()).output()?;
        let (out, err) = (output.stdout, output.stderr);
        Ok(format!("{}{}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&err)))
    }

    /// What every service has printed, for the message of a failure.
    pub(crate) fn all_logs(&self) -> String {
        let logs = SERVICES.map(|service| {
            let text = self.logs(service).unwrap_or_else(|error| format!("{error:#}\n"));
            format!("--- {service}\n{text}")
        });
        logs.concat()
    }

    /// Evaluates Elixir code on a member; what it prints.
    pub(crate) fn eval(&self, service: &str, code: &str) -> Result<String> {
        let container = self.container(service)?;
        let output = host::read(Command::new("docker").args([
            "exec",
            &container,
            "/member/member.sh",
            "eval",
            code,
        ]))?;
        Ok(output.trim().to_owned())
    }

    /// Asks a member who it is and whom it sees. The nodes that ask are left out.
    pub(crate) fn member(&self, service: &'static str) -> Result<Member> {
        let code = "IO.puts(Enum.join([node(), Member.describe(), \
                    Enum.join(:erlang.nodes(:visible), \" \"), Enum.join(:erlang.nodes(:hidden), \" \")], \"\\n\"))";
        let answer = self.eval(service, code)?;
        let mut lines = answer.lines();
        let mut line = || lines.next().unwrap_or_default().trim().to_owned();
        let (name, strategy) = (line(), line());
        let nodes = |names: String| {
            let names = names.split_whitespace().filter(|name| !name.starts_with("eval-"));
            names.map(ToOwned::to_owned).collect::<BTreeSet<String>>()
        };
        ensure!(name.contains('@'), "{service} answered {answer:?}");
        Ok(Member { service, name, strategy, visible: nodes(line()), hidden: nodes(line()) })
    }

    /// The Rust node's events since it was last started, of which `listening` is the first. Docker's own times would not do:
    /// a container is said to have started after it has printed its first lines.
    pub(crate) fn events(&self) -> Result<Vec<Value>> {
        let container = self.container(RUST)?;
        // Events are on stdout, logs on stderr.
        let lines = host::read(Command::new("docker").args(["logs", &container]))?;
        let events = lines.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
        let mut events = events.with_context(|| format!("not JSON: {lines}"))?;
        let start = events.iter().rposition(|event| event["event"] == "listening");
        Ok(events.split_off(start.unwrap_or_default()))
    }

    fn command(&self, args: &[&str]) -> Result<Command> {
        let Some((program, first)) = self.program.split_first() else { bail!("no compose") };
        let mut command = Command::new(program);
        command.current_dir(host::root()?).args(first);
        command.args(["--project-name", self.project, "--file", "docker-compose.yml"]).args(args);
        command.envs(self.images.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }
}

/// The nodes that are up according to a list of events.
pub(crate) fn up_according_to(events: &[Value]) -> BTreeSet<String> {
    let mut up = BTreeSet::new();
    for event in events {
        let Some(node) = event["node"].as_str() else { continue };
        match event["event"].as_str() {
            Some("up") => drop(up.insert(node.to_owned())),
            Some("down") => drop(up.remove(node)),
            _ => {}
        }
    }
    up
}

/// Polls until `probe` succeeds.
///
/// # Errors
/// After `deadline`, with the last error.
pub(crate) fn wait<T>(
    deadline: Duration,
    what: &str,
    mut probe: impl FnMut() -> Result<T>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= end => {
                return Err(error.context(format!("waited {deadline:?} for {what}")));
            }
            Err(_) => sleep(POLL),
        }
    }
}
