//! The commands that look and go: `names`, `ping` and `watch`, against real nodes and against such as fail at each step.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Result;
use integration::{Answer, Exit, FakeEpmd, Postgres, RustNode, SOON, World, unique};
use serde_json::Value;

async fn ping(node: &str, cookie: &str, epmd_port: u16) -> Result<(Exit, Value)> {
    let port = epmd_port.to_string();
    let environment = [("BEAMJOIN_COOKIE", cookie), ("ERL_EPMD_PORT", port.as_str())];
    let exit = RustNode::run(["ping", "--json", node], &environment, SOON).await?;
    let answer = serde_json::from_str(&exit.stdout)?;
    Ok((exit, answer))
}

/// Asserts that a ping fails at `step` with `code`, and that the reason has `part` in it.
#[track_caller]
fn failed(of: (Exit, Value), step: &str, code: i32, part: &str) {
    let (exit, answer) = of;
    assert_eq!(
        (exit.code, &answer["step"], &answer["ok"]),
        (Some(code), &step.into(), &false.into()),
        "{answer}"
    );
    let error = answer["error"].as_str().unwrap_or_default();
    assert!(error.contains(part), "{error}");
}

/// A port where `serve` is called for every connection, and EPMD that says a node called `n` is there.
async fn impostor(
    mut serve: impl FnMut(std::net::TcpStream) + Send + 'static,
) -> Result<(FakeEpmd, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            serve(stream);
        }
    });
    let epmd = FakeEpmd::start(move |_| Answer::Port(addr.port())).await?;
    Ok((epmd, addr))
}

/// What an initiator without a name of its own is sent: a status that names it, then the challenge.
fn challenge(flags: u64) -> Vec<u8> {
    let mut status = b"snamed:".to_vec();
    status.extend(13_u16.to_be_bytes());
    status.extend(b"ABC@127.0.0.1");
    status.extend(77_u32.to_be_bytes());
    let mut challenge = b"N".to_vec();
    challenge.extend(flags.to_be_bytes());
    challenge.extend(1_u32.to_be_bytes());
    challenge.extend(77_u32.to_be_bytes());
    challenge.extend(11_u16.to_be_bytes());
    challenge.extend(b"n@127.0.0.1");
    let framed = |message: Vec<u8>| {
        let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
        [length.to_be_bytes().to_vec(), message].concat()
    };
    [framed(status), framed(challenge)].concat()
}

#[tokio::test]
async fn names_lists_what_epmd_lists() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("listed").await?;
    let port = world.port.to_string();
    let environment = [("ERL_EPMD_PORT", port.as_str())];
    let exit = RustNode::run(["names", "127.0.0.1"], &environment, SOON).await?;
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    let theirs = integration::epmd::epmd(world.port, &["-names"]).await?;
    assert_eq!(exit.stdout.trim(), theirs.trim());

    let exit = RustNode::run(["names", "127.0.0.1", "--json"], &environment, SOON).await?;
    let listed: Value = serde_json::from_str(&exit.stdout)?;
    assert_eq!(listed["names"][0]["name"], beam.name().replace("@127.0.0.1", ""));
    assert!(listed["names"][0]["port"].is_u64(), "{listed}");
    Ok(())
}

#[tokio::test]
async fn ping_says_pong() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("there").await?;
    let (exit, answer) = ping(beam.name(), &world.cookie, world.port).await?;
    assert_eq!((exit.code, &answer["ok"]), (Some(0), &true.into()), "{answer} {}", exit.stderr);
    assert!(answer["connect_us"].is_u64() && answer["answer_us"].is_u64(), "{answer}");
    assert_eq!(exit.stderr, "");

    let port = world.port.to_string();
    let environment =
        [("BEAMJOIN_COOKIE", world.cookie.as_str()), ("ERL_EPMD_PORT", port.as_str())];
    let exit = RustNode::run(["ping", beam.name()], &environment, SOON).await?;
    assert!(exit.stdout.starts_with(&format!("pong from {} in ", beam.name())), "{}", exit.stdout);
    // Gone without a trace, and no name of ours is left with EPMD.
    beam.eval_until(SOON, "nodes(connected)", "[]").await
}

#[tokio::test]
async fn ping_says_which_step_failed() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("there").await?;
    let cookie = world.cookie.as_str();

    failed(ping("nohost", cookie, world.port).await?, "name", 64, "has no @");
    failed(ping("a@no.such.invalid", cookie, world.port).await?, "name", 69, "failed to resolve");
    failed(ping("nobody@127.0.0.1", cookie, world.port).await?, "epmd", 69, "knows no node nobody");
    let unused = integration::free_port()?;
    failed(ping(beam.name(), cookie, unused).await?, "epmd", 69, "Connection refused");
    failed(ping(beam.name(), "another", world.port).await?, "cookie", 77, "the cookies differ");

    let epmd = FakeEpmd::start(move |_| Answer::Port(unused)).await?;
    failed(ping("n@127.0.0.1", cookie, epmd.port()).await?, "tcp", 69, "Connection refused");
    let epmd = FakeEpmd::start(|_| Answer::Silence).await?;
    failed(ping("n@127.0.0.1", cookie, epmd.port()).await?, "epmd", 75, "did not answer in time");
    Ok(())
}

#[tokio::test]
async fn ping_says_how_the_handshake_failed() -> Result<()> {
    let (epmd, _) = impostor(drop).await?;
    failed(ping("n@127.0.0.1", "c", epmd.port()).await?, "handshake", 76, "closed");

    let mut kept = Vec::new();
    let (epmd, _) = impostor(move |stream| kept.push(stream)).await?;
    failed(ping("n@127.0.0.1", "c", epmd.port()).await?, "handshake", 75, "in time");

    let mut kept = Vec::new();
    let (epmd, _) = impostor(move |mut stream| {
        use std::io::Write;
        stream.write_all(b"\0\x05hello").ok();
        kept.push(stream);
    })
    .await?;
    failed(ping("n@127.0.0.1", "c", epmd.port()).await?, "handshake", 76, "malformed");

    // EXTENDED_REFERENCES alone.
    let (epmd, _) = impostor(|mut stream| {
        use std::io::Write;
        stream.write_all(&challenge(4)).ok();
        stream.read_to_end(&mut Vec::new()).ok();
    })
    .await?;
    failed(ping("n@127.0.0.1", "c", epmd.port()).await?, "flags", 76, "UTF8_ATOMS");
    Ok(())
}

#[tokio::test]
async fn watch_shows_who_announces_and_joins_nothing() -> Result<()> {
    let (world, postgres, channel) = (World::new().await?, Postgres::start().await?, unique("c"));
    let beam = world.beam("watched").await?;
    let url = postgres.url();
    let args = ["watch", "--url", &url, "--channel-name", &channel];
    let mut watching = RustNode::start(args, &[])?;
    let up = watching.line(SOON).await?;
    assert!(up.starts_with("postgres up "), "{up}");
    postgres.psql(&format!("NOTIFY \"{channel}\", '{}'", beam.name())).await?;
    assert_eq!(watching.line(SOON).await?, format!("heard {}", beam.name()));
    postgres.psql(&format!("SELECT pg_notify('{channel}', E'\\x1b[31mred\\n')")).await?;
    assert_eq!(
        watching.line(SOON).await?,
        "heard \"\\x1b[31mred\\n\", which is ignored because it is not a node name (base@host)"
    );
    assert_eq!(beam.eval("nodes(connected)").await?, "[]");
    watching.terminate()?;
    let exit = watching.exit(Duration::from_secs(5)).await?;
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    Ok(())
}

#[tokio::test]
async fn a_channel_derived_from_the_cookie_is_the_one_elixir_uses_and_is_not_shown() -> Result<()> {
    let postgres = Postgres::start().await?;
    let url = postgres.url();
    let args = ["watch", "--url", &url, "--events", "json", "--log-level", "trace"];
    let mut watching = RustNode::start(args, &[("BEAMJOIN_COOKIE", "hush-Hush.1")])?;
    watching.event_named("postgres_up", SOON).await?;
    postgres.psql("NOTIFY \"hush_Hush_1\", 'n1@127.0.0.1'").await?;
    let heard = watching.event_named("heard", SOON).await?;
    assert_eq!(heard["node"], "n1@127.0.0.1");
    watching.terminate()?;
    let exit = watching.exit(Duration::from_secs(5)).await?;
    let all = format!("{}{}", exit.stdout, exit.stderr).to_lowercase();
    assert!(!all.contains("hush"), "the cookie shows: {all}");
    Ok(())
}
