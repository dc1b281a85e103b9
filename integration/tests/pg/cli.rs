//! `beamjoin pubsub` against nodes that run the stand-in for Phoenix.PubSub.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use integration::rust_node::Exit;
use integration::{
    Beam, ElixirNode, MemberOptions, Postgres, RustNode, SOON, World, eventually, with_member_code,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt;

const NAME: &str = "Cli.PubSub";

struct Target {
    world: World,
    beams: Vec<Beam>,
}

impl Target {
    async fn new() -> Result<Self> {
        let world = World::new().await?;
        let mut beams: Vec<Beam> = Vec::new();
        for size in [1, 4] {
            let beam = Beam::start(with_member_code(world.beam_options("beam")).await?).await?;
            start(&beam, size).await?;
            if let Some(first) = beams.first() {
                crate::groups::connect(&beam, first).await?;
            }
            beams.push(beam);
        }
        Ok(Self { world, beams })
    }

    fn environment(&self) -> [(&str, String); 2] {
        [
            ("BEAMJOIN_COOKIE", self.world.cookie.clone()),
            ("ERL_EPMD_PORT", self.world.port.to_string()),
        ]
    }

    async fn run(&self, args: &[&str]) -> Result<Exit> {
        let environment = self.environment();
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        RustNode::run([&["pubsub"], args].concat(), &environment, SOON).await
    }

    fn start(&self, args: &[&str]) -> Result<RustNode> {
        let environment = self.environment();
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        RustNode::start([&["pubsub"], args].concat(), &environment)
    }
}

async fn start(beam: &Beam, size: usize) -> Result<()> {
    let start = format!("elem(Member.PubSub.start(name: {NAME}, pool_size: {size}), 0)");
    ensure!(beam.elixir(start).await? == ":ok", "no PubSub");
    Ok(())
}

/// Waits until a node sees a process of ours in each of its groups.
async fn seen_by(beam: &Beam, size: usize) -> Result<()> {
    let ours = "length([P || G <- pg:which_local_groups('Elixir.Phoenix.PubSub'), \
         P <- pg:get_members('Elixir.Phoenix.PubSub', G), lists:member(node(P), nodes(hidden))])";
    beam.eval_until(SOON, ours, &size.to_string()).await
}

#[tokio::test]
async fn tail_prints_what_is_broadcast_anywhere_in_the_cluster() -> Result<()> {
    let target = Target::new().await?;
    let [first, second] = target.beams.as_slice() else { unreachable!("two nodes") };
    // One node is named, the other found through it.
    let args =
        ["tail", "room:1", "room:2", "--pubsub", NAME, "--node", first.name(), "--count", "3"];
    let mut tail = target.start(&args)?;
    seen_by(first, 1).await?;
    seen_by(second, 4).await?;
    second
        .elixir(format!("Member.PubSub.broadcast({NAME}, \"room:1\", {{:hello, \"a\\nb\"}})"))
        .await?;
    assert_eq!(tail.line(SOON).await?, "room:1 {:hello, \"a\\nb\"}");
    first.elixir(format!("Member.PubSub.broadcast({NAME}, \"room:3\", :elsewhere)")).await?;
    first.elixir(format!("Member.PubSub.broadcast({NAME}, \"room:2\", %{{a: [1]}})")).await?;
    assert_eq!(tail.line(SOON).await?, "room:2 %{a: [1]}");
    let message =
        ["publish", "room:2", "{:from, :rust}", "--pubsub", NAME, "--node", second.name()];
    let published = target.run(&message).await?;
    assert_eq!(
        (published.code, published.stdout.as_str(), published.stderr.as_str()),
        (Some(0), "", "")
    );
    // Two commands listen nowhere, so they do not hear each other.
    first.elixir(format!("Member.PubSub.broadcast({NAME}, \"room:2\", :last)")).await?;
    let exit = tail.exit(SOON).await?;
    assert_eq!((exit.code, exit.stdout.lines().last()), (Some(0), Some("room:2 :last")));

    let args = ["tail", "t", "--pubsub", NAME, "--node", first.name(), "--format", "json"];
    let mut tail = target.start(&args)?;
    seen_by(second, 4).await?;
    second.elixir(format!("Member.PubSub.broadcast({NAME}, \"t\", %{{\"a\" => nil}})")).await?;
    assert_eq!(tail.line(SOON).await?, "{\"topic\":\"t\",\"message\":{\"a\":null}}");
    tail.terminate()?;
    assert_eq!(tail.exit(SOON).await?.code, Some(0));
    Ok(())
}

#[tokio::test]
async fn a_signal_ends_a_tail_whose_reader_stalls() -> Result<()> {
    let target = Target::new().await?;
    let [first, _] = target.beams.as_slice() else { unreachable!("two nodes") };
    let mut tail = tokio::process::Command::new(integration::rust_node::binary()?)
        .args(["pubsub", "tail", "t", "--pubsub", NAME, "--node", first.name()])
        .envs(target.environment())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    seen_by(first, 1).await?;
    // More than a pipe holds.
    let long = "String.duplicate(\"x\", 1_000_000)";
    first.elixir(format!("Member.PubSub.broadcast({NAME}, \"t\", {long})")).await?;
    let mut stdout = tail.stdout.take().context("no stdout")?;
    stdout.read_u8().await?;
    let pid = tail.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    kill_process(pid.context("it ended at once")?, Signal::TERM)?;
    let status = tokio::time::timeout(SOON, tail.wait()).await.context("it does not end")??;
    assert_eq!(status.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn publish_reaches_every_node_and_says_when_it_cannot() -> Result<()> {
    let target = Target::new().await?;
    let first = target.beams[0].name();
    let sessions: Vec<_> = target.beams.iter().map(Beam::session).collect();
    for session in &sessions {
        session
            .eval(format!("'Elixir.Member.PubSub':subscribe('Elixir.{NAME}', <<\"t\">>)"))
            .await?;
    }
    for (args, received) in [
        (&["publish", "t", "{:hello, 1}"][..], "{hello,1}"),
        (&["publish", "t", "{\"a\": 1}", "--json"], "#{<<\"a\">> => 1}"),
        (&["publish", "t", "[a|b]", "--erl"], "[a|b]"),
    ] {
        let exit = target.run(&[args, &["--pubsub", NAME, "--node", first]].concat()).await?;
        assert_eq!((exit.code, exit.stderr.as_str()), (Some(0), ""), "{args:?}");
        for session in &sessions {
            let got =
                session.eval("(fun() -> receive X -> X after 10000 -> none end end)()").await?;
            assert_eq!(got, received);
        }
    }
    for (args, code, stderr) in [
        (
            &["publish", "t", ":x", "--pubsub", "Nobody.PubSub", "--node", first][..],
            69,
            "error: no node that was reached takes part in Nobody.PubSub",
        ),
        (
            &["publish", "t", "{:x", "--pubsub", NAME, "--node", first],
            65,
            "error: the message is no Elixir literal",
        ),
        (
            &["publish", "t", ":x", "--event", "e", "--pubsub", NAME, "--node", first],
            65,
            "error: the payload of an event must be a map",
        ),
        (&["publish", "t", ":x", "--pubsub", NAME, "--node", "nobody@127.0.0.1"], 69, "error: "),
        (&["publish", "t", ":x", "--pubsub", NAME, "--node", "nobody"], 64, "error: invalid node"),
        (
            &["tail", "t", "--node", first],
            64,
            "error: the following required arguments were not provided:",
        ),
        (
            &["tail", "--pubsub", NAME],
            64,
            "error: the following required arguments were not provided:",
        ),
    ] {
        let exit = target.run(args).await?;
        assert_eq!(
            (exit.code, exit.stdout.as_str()),
            (Some(code), ""),
            "{args:?}: {}",
            exit.stderr
        );
        ensure!(exit.stderr.starts_with(stderr), "{args:?} says {}", exit.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn the_cluster_is_found_through_postgres() -> Result<()> {
    let world = World::new().await?;
    let postgres = Postgres::start().await?;
    let mut members = Vec::new();
    for _ in 0..2 {
        let options = MemberOptions::new(&postgres, "cluster");
        let member = ElixirNode::start(world.beam_options("member"), options).await?;
        start(&member, 1).await?;
        members.push(member);
    }
    let port = world.port.to_string();
    let environment =
        [("BEAMJOIN_COOKIE", world.cookie.as_str()), ("ERL_EPMD_PORT", port.as_str())];
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", postgres.port());
    let place = ["--pubsub", NAME, "--url", &url, "--channel-name", "cluster"];
    let tail = ["pubsub", "tail", "t", "--count", "2"];
    let mut tail = RustNode::start([&tail[..], &place].concat(), &environment)?;
    for member in &members {
        seen_by(member, 1).await?;
        member.elixir(format!("Member.PubSub.broadcast({NAME}, \"t\", node())")).await?;
        assert_eq!(tail.line(SOON).await?, format!("t :\"{}\"", member.name()));
    }
    assert_eq!(tail.exit(SOON).await?.code, Some(0));
    // One that comes later is met too.
    let args = ["pubsub", "tail", "t", "--count", "1"];
    let mut tail = RustNode::start([&args[..], &place].concat(), &environment)?;
    seen_by(&members[0], 1).await?;
    let late =
        ElixirNode::start(world.beam_options("late"), MemberOptions::new(&postgres, "cluster"))
            .await?;
    start(&late, 1).await?;
    eventually(SOON, "the late node to be met", async || seen_by(&late, 1).await).await?;
    late.elixir(format!("Member.PubSub.broadcast({NAME}, \"t\", :late)")).await?;
    let exit = tail.exit(SOON).await.context("the command goes on")?;
    assert_eq!((exit.code, exit.stdout.as_str()), (Some(0), "t :late\n"));
    Ok(())
}
