//! The nodes that announce themselves.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use anyhow::Result;
use integration::{
    Answer, Authority, Beam, ElixirNode, FakeEpmd, JoinOptions, MemberOptions, Postgres, SOON,
    World, epmd, free_port, unique,
};

use super::{Findings, announce, doctor, quoted, run};

const STEPS: [&str; 7] = ["host", "epmd", "tcp", "handshake", "flags", "cookie", "ticks"];

/// What is found with a node of this name announcing itself, and EPMD at that port.
async fn with(world: &World, node: &str, epmd_port: u16, args: &[&str]) -> Result<Findings> {
    let (postgres, channel) = (Postgres::start().await?, unique("c"));
    let _node = announce(&postgres.url(), quoted(&channel, node)).await?;
    let options = JoinOptions::new(world, &postgres, &channel).epmd_port(epmd_port);
    doctor(options.args(args.iter().copied()), "3s").await
}

impl Findings {
    /// Of the checks of the one node, the outcome in the order of [`STEPS`].
    fn steps(&self) -> Vec<(&str, &str)> {
        let of_nodes = self.checks.iter().filter(|check| check["node"].is_string());
        of_nodes
            .filter_map(|check| Some((check["check"].as_str()?, check["status"].as_str()?)))
            .collect()
    }

    /// That all steps before `failed` went well, and those after it were not checked because of it.
    #[track_caller]
    fn stopped_at(&self, failed: &str) {
        let at = STEPS.iter().position(|step| *step == failed).expect("a step");
        let expected = STEPS.iter().enumerate().map(|(i, step)| match i.cmp(&at) {
            std::cmp::Ordering::Less => (*step, "ok"),
            std::cmp::Ordering::Equal => (*step, "failed"),
            std::cmp::Ordering::Greater => (*step, "not_checked"),
        });
        assert_eq!(self.steps(), expected.collect::<Vec<_>>(), "{:#?}", self.checks);
        self.skipped(&STEPS[at + 1..], failed);
    }
}

#[tokio::test]
async fn the_host_of_a_node_does_not_resolve() -> Result<()> {
    let world = World::new().await?;
    let found = with(&world, "app@no.such.invalid", world.port, &[]).await?;
    found.ended(69, &["host"]);
    found.stopped_at("host");
    found.says("host", "failed", "failed to resolve no.such.invalid", "add it to the DNS");
    Ok(())
}

#[tokio::test]
async fn the_epmd_of_a_node_is_not_reached() -> Result<()> {
    let world = World::new().await?;
    // Nobody listens there: the EPMD of this world is at 127.0.0.1.
    let found = with(&world, "app@127.0.0.3", world.port, &[]).await?;
    found.ended(69, &["epmd"]);
    found.stopped_at("epmd");
    found.says("epmd", "failed", "failed to reach EPMD at 127.0.0.3", "is ERL_EPMD_PORT the same");
    Ok(())
}

#[tokio::test]
async fn epmd_does_not_know_the_node() -> Result<()> {
    let world = World::new().await?;
    let found = with(&world, "gone@127.0.0.1", world.port, &[]).await?;
    found.ended(69, &["epmd"]);
    found.says("epmd", "failed", "knows no node gone", "`beamjoin names 127.0.0.1`");
    Ok(())
}

#[tokio::test]
async fn a_registration_is_stale() -> Result<()> {
    let (world, closed) = (World::without_epmd()?, free_port()?);
    let epmd = FakeEpmd::start(move |_| Answer::Port(closed)).await?;
    let found = with(&world, "n@127.0.0.1", epmd.port(), &["--epmd", "none"]).await?;
    found.ended(69, &["tcp"]);
    found.stopped_at("tcp");
    found.says("tcp", "failed", "Connection refused", "does EPMD keep an old registration?");
    Ok(())
}

#[tokio::test]
async fn the_cookies_differ() -> Result<()> {
    let world = World::new().await?;
    let mut options = world.beam_options("other");
    options.cookie = "another".into();
    let beam = Beam::start(options).await?;
    let found = with(&world, beam.name(), world.port, &[]).await?;
    found.ended(77, &["cookie"]);
    found.stopped_at("cookie");
    found.says("cookie", "failed", "the cookies differ", "erlang:get_cookie()");
    Ok(())
}

/// A port where every connection is served by `serve`.
fn impostor(serve: impl Fn(&mut std::net::TcpStream) + Send + 'static) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    // Ends with the test's process.
    std::thread::spawn(move || {
        listener.incoming().flatten().for_each(|mut stream| serve(&mut stream));
    });
    Ok(port)
}

#[tokio::test]
async fn a_node_lacks_flags() -> Result<()> {
    let world = World::without_epmd()?;
    let port = impostor(|stream| {
        stream.write_all(&challenge(4)).ok();
        stream.read_to_end(&mut Vec::new()).ok();
    })?;
    let args = ["--peer-port", &port.to_string()];
    let found = with(&world, "n@127.0.0.1", world.port, &args).await?;
    found.ended(76, &["flags"]);
    found.stopped_at("flags");
    found.says("flags", "failed", "UTF8_ATOMS", "update that node");
    Ok(())
}

/// What an initiator without a name of its own is sent: a status that names it, then the challenge of a node with these flags.
fn challenge(flags: u64) -> Vec<u8> {
    let name = |name: &[u8]| [&[0, u8::try_from(name.len()).unwrap_or(u8::MAX)], name].concat();
    let status = [b"snamed:".to_vec(), name(b"ABC@127.0.0.1"), vec![0, 0, 0, 77]].concat();
    let challenge = [b"N".to_vec(), flags.to_be_bytes().to_vec(), vec![0, 0, 0, 1, 0, 0, 0, 77]];
    let challenge = [challenge.concat(), name(b"n@127.0.0.1")].concat();
    [name(&status), name(&challenge)].concat()
}

#[tokio::test]
async fn something_else_listens_at_the_port() -> Result<()> {
    let world = World::without_epmd()?;
    let port = impostor(|stream| drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")))?;
    let args = ["--peer-port", &port.to_string()];
    let found = with(&world, "n@127.0.0.1", world.port, &args).await?;
    found.ended(76, &["handshake"]);
    found.stopped_at("handshake");
    found.says("handshake", "failed", "", "is it a node?");
    Ok(())
}

#[tokio::test]
async fn patterns_leave_nodes_alone() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("there").await?;
    let found = with(&world, beam.name(), world.port, &["--allow", "app@10.*"]).await?;
    found.ended(69, &["heard"]);
    let what = format!("no pattern allows {}", beam.name());
    found.says("heard", "warning", &what, "add an --allow");
    assert_eq!(found.steps(), []);
    Ok(())
}

#[tokio::test]
async fn tick_times_differ() -> Result<()> {
    let (world, postgres, channel) = (World::new().await?, Postgres::start().await?, unique("c"));
    let one = Beam::start(world.beam_options("one").net_ticktime(45)).await?;
    let two = world.beam("two").await?;
    let _one = announce(&postgres.url(), quoted(&channel, one.name())).await?;
    let _two = announce(&postgres.url(), quoted(&channel, two.name())).await?;
    let found = doctor(JoinOptions::new(&world, &postgres, &channel), "3s").await?;
    found.ended(0, &[]);
    let what = format!("net_ticktime is 45 s on {} and 60 s on {}", one.name(), two.name());
    found.says("ticks", "warning", &what, "give all BEAM nodes the same");
    Ok(())
}

#[tokio::test]
async fn all_is_right_and_nothing_is_left_behind() -> Result<()> {
    let (world, postgres, channel) = (World::new().await?, Postgres::start().await?, unique("c"));
    let member = || MemberOptions {
        heartbeat_interval: Duration::from_millis(300),
        ..MemberOptions::new(&postgres, &channel)
    };
    let (one, two) = tokio::try_join!(
        ElixirNode::start(world.beam_options("one"), member()),
        ElixirNode::start(world.beam_options("two"), member()),
    )?;
    one.sees(two.name(), true, SOON).await?;
    let names = epmd::epmd(world.port, &["-names"]).await?;
    // Whoever comes and goes is kept here.
    let watched = "net_kernel:monitor_nodes(true, [{node_type, all}])";
    let session = one.session();
    session.eval(watched).await?;

    let options = JoinOptions::new(&world, &postgres, &channel);
    let found = doctor(options.clone(), "3s").await?;
    found.ended(0, &[]);
    assert_eq!(found.steps().len(), 2 * STEPS.len());
    assert!(found.checks.iter().all(|check| check["status"] == "ok"), "{:#?}", found.checks);
    for ticks in found.all("ticks", "ok") {
        assert_eq!(ticks["detail"], "its net_ticktime is 60 s");
    }
    for node in [&one, &two] {
        let other = if node.name() == one.name() { two.name() } else { one.name() };
        node.eval_until(SOON, "nodes(connected)", &format!("['{other}']")).await?;
    }
    // It was a hidden node without a name of its own, and announced nothing, or the members would have dialled.
    let seen = "F = fun F(L) -> receive {nodeup, N, _} -> F([N | L]); {nodedown, _, _} -> F(L) after 0 -> L end end, F([])";
    let seen = session.eval(seen).await?;
    assert_eq!(seen.matches('@').count(), 1, "{seen}");
    assert!(!seen.contains("rust"), "{seen}");
    assert_eq!(epmd::epmd(world.port, &["-names"]).await?, names);

    let exit = run(&options, &["--wait", "3s"]).await?;
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(0), ""), "{exit:?}");
    let lines: Vec<&str> = exit.stdout.lines().collect();
    assert_eq!(lines.last(), Some(&"a join would work"), "{}", exit.stdout);
    let checks = &lines[..lines.len() - 1];
    assert_eq!(checks.len(), found.checks.len(), "{}", exit.stdout);
    assert!(checks.iter().all(|line| line.starts_with("ok           ")), "{}", exit.stdout);
    Ok(())
}

#[tokio::test]
async fn a_node_speaks_tls() -> Result<()> {
    let world = World::new().await?;
    // Each keeps the files as long as it is there.
    let (authority, stranger) = (Authority::new()?, Authority::new()?);
    let (identity, foreign) = (authority.sign(&["127.0.0.1"])?, stranger.sign(&["127.0.0.1"])?);
    let beam = Beam::start(world.beam_options("secure").args(identity.erl()?)).await?;
    let visit = async |flags: Vec<String>| {
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        with(&world, beam.name(), world.port, &flags).await
    };

    let found = visit(Vec::new()).await?;
    found.ended(76, &["handshake"]);
    found.says(
        "handshake",
        "failed",
        "the peer speaks TLS",
        "give --tls-cert, --tls-key and --tls-ca",
    );

    let found = visit(foreign.flags()).await?;
    found.ended(76, &["tls"]);
    found.says("tls", "failed", "not signed by an authority", "--tls-ca must have signed");
    found.skipped(&["handshake", "flags", "cookie", "ticks"], "tls");

    let found = visit(identity.flags()).await?;
    found.ended(0, &[]);
    found.ok("tls");
    Ok(())
}

#[tokio::test]
async fn no_other_than_private_addresses_are_asked_where_a_join_would_ask_none() -> Result<()> {
    let world = World::new().await?;
    for args in [&["--private-only"][..], &["--private-only", "--peer-port", "9"]] {
        // Of those that are kept for documentation (RFC 5737).
        let found = with(&world, "x@192.0.2.1", world.port, args).await?;
        found.ended(69, &["host"]);
        found.stopped_at("host");
        found.says("host", "failed", "192.0.2.1", "leave out --private-only");
    }
    Ok(())
}
