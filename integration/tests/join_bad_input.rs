//! Whatever is announced on the channel, the node stays a good member: nothing is dialled that is no name, nothing grows, and
//! the log says each kind of nonsense once.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use dist::epmd;
use integration::{
    Answer, FakeEpmd, JoinOptions, Joined, Postgres, RustNode, SOON, World, eventually, unique,
};

/// What stands behind every message about an announcement that is ignored.
const IGNORED: &str = "is ignored because";

async fn announce(postgres: &Postgres, channel: &str, payload: &str) -> Result<()> {
    let payload = payload.replace('\'', "''");
    postgres.psql(&format!("SELECT pg_notify('{channel}', '{payload}')")).await.map(drop)
}

/// Waits until it listens and has announced itself.
async fn ready(joined: &mut Joined) -> Result<()> {
    joined.event_named("announced", SOON).await.map(drop)
}

fn times(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[tokio::test]
async fn nonsense_is_logged_once_per_kind_and_nothing_of_it_is_dialled() -> Result<()> {
    let (world, postgres, channel) = (World::new().await?, Postgres::start().await?, unique("c"));
    let beam = world.beam("beam").await?;
    let port = real_port(&world, beam.name()).await?;
    let epmd = FakeEpmd::start(move |_| Answer::Port(port)).await?;
    let options = JoinOptions::new(&world, &postgres, &channel)
        .epmd_port(epmd.port())
        .args(["--epmd", "none"]);
    let mut joined = options.start()?;
    ready(&mut joined).await?;

    let own = joined.name.clone();
    let kinds = [
        ("it is empty", vec![String::new(), String::new(), String::new()]),
        ("it is over 255 bytes", vec![format!("a@{}", "h".repeat(254)), "x".repeat(7000)]),
        (
            "it is not a node name (base@host)",
            [
                "nohost",
                "@host",
                "base@",
                "a@b@127.0.0.1",
                "a b@127.0.0.1",
                "a@127.0.0.1\n",
                "ä@h",
                "'\"@;--",
            ]
            .map(str::to_owned)
            .to_vec(),
        ),
        ("it is our own name in other case", vec![own.to_uppercase(), own.replacen('r', "R", 1)]),
    ];
    for (_, payloads) in &kinds {
        for payload in payloads {
            announce(&postgres, &channel, payload).await?;
        }
    }
    announce(&postgres, &channel, &own).await?;
    announce(&postgres, &channel, beam.name()).await?;
    joined.up(beam.name(), SOON).await?;

    let stderr = joined.stderr();
    for (why, _) in &kinds {
        assert_eq!(times(&stderr, &format!("{IGNORED} {why};")), 1, "{why}\n{stderr}");
    }
    let base = beam.name().split('@').next().unwrap_or_default();
    assert_eq!(epmd.names(), [base], "only a name that is one is looked up");
    assert_eq!(joined.count("up")?, 1);
    Ok(())
}

#[tokio::test]
async fn bytes_that_are_not_utf_8_are_ignored() -> Result<()> {
    let (world, postgres, channel) = (World::new().await?, Postgres::start().await?, unique("c"));
    let database = unique("ascii");
    let create = "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
    postgres.psql(&format!("CREATE DATABASE {database} {create}")).await?;
    let options = JoinOptions::new(&world, &postgres, &channel).url(postgres.url_of(&database));
    let mut joined = options.start()?;
    ready(&mut joined).await?;
    for _ in 0..3 {
        let notify = format!(r"SELECT pg_notify('{channel}', E'a\xff\xfe@127.0.0.1')");
        postgres.psql_in(&database, &notify).await?;
    }
    let beam = world.beam("beam").await?;
    postgres.psql_in(&database, &format!("NOTIFY \"{channel}\", '{}'", beam.name())).await?;
    joined.up(beam.name(), SOON).await?;
    let stderr = joined.stderr();
    assert_eq!(times(&stderr, &format!("{IGNORED} it is not UTF-8;")), 1, "{stderr}");
    Ok(())
}

#[tokio::test]
async fn a_flood_of_new_names_is_bounded_and_the_real_node_gets_through() -> Result<()> {
    let (world, postgres, channel) = (World::new().await?, Postgres::start().await?, unique("c"));
    let beam = world.beam("beam").await?;
    let (port, base) =
        (real_port(&world, beam.name()).await?, beam.name().replace("@127.0.0.1", ""));
    let real = base.clone();
    let epmd = FakeEpmd::start(move |name| match name {
        name if name == real => Answer::Port(port),
        _ => Answer::NoSuchNode,
    })
    .await?;
    let rate = 5;
    let mut joined = JoinOptions::new(&world, &postgres, &channel)
        .epmd_port(epmd.port())
        .args(["--epmd", "none", "--dial-rate", &rate.to_string()])
        .start()?;
    ready(&mut joined).await?;
    let before = resident_kib(joined.pid())?;
    let start = Instant::now();

    // Names of which none exists, as fast as Postgres takes them: far more than the hundred new ones at once that go with
    // that rate, however many the listener drops on a slow machine.
    for batch in 0..20 {
        let flood = format!(
            "SELECT count(pg_notify('{channel}', 'n{batch}x' || i || '@127.0.0.1')) FROM generate_series(1, 600) i"
        );
        postgres.psql(&flood).await?;
    }
    eventually(SOON, "the node that announces itself", async || {
        announce(&postgres, &channel, beam.name()).await?;
        beam.sees(&joined.name, true, Duration::from_millis(500)).await
    })
    .await?;
    joined.up(beam.name(), SOON).await?;
    assert_eq!(epmd.asked(&base).times, 1, "what is announced again and again is dialled once");
    let dials: usize = epmd.names().iter().map(|name| epmd.asked(name).times).sum();
    let most = 2 * rate + (rate * usize::try_from(start.elapsed().as_secs() + 1)?);
    assert!(dials <= most, "{dials} dials where {most} were allowed");

    let stderr = joined.stderr();
    let too_many = times(&stderr, &format!("{IGNORED} too many new names are announced;"));
    assert_eq!(too_many, 1, "said once, not for each message: {stderr}");
    let failures = times(&stderr, "failed to connect");
    assert!(failures <= dials, "{failures} lines of log for {dials} dials");
    let grown = resident_kib(joined.pid())?.saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB more after 12,000 names");

    joined.terminate()?;
    let exit = joined.exit(Duration::from_secs(5)).await?;
    assert_eq!(exit.code, Some(0), "it still stops in order: {}", exit.stderr);
    Ok(())
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_is_dialled_one_at_a_time_and_in_nobodys_way() -> Result<()> {
    let (world, postgres, channel) = (World::new().await?, Postgres::start().await?, unique("c"));
    let beam = world.beam("beam").await?;
    let (port, base) =
        (real_port(&world, beam.name()).await?, beam.name().replace("@127.0.0.1", ""));
    let epmd = FakeEpmd::start(move |name| match name {
        name if name == base => Answer::Port(port),
        name if name.starts_with("silent") => Answer::Silence,
        _ => Answer::NoSuchNode,
    })
    .await?;
    let options = JoinOptions::new(&world, &postgres, &channel)
        .epmd_port(epmd.port())
        .args(["--epmd", "none"]);
    let mut joined = options.start()?;
    ready(&mut joined).await?;

    // As many that never answer as there are dials at one time, and more.
    let flood = format!(
        "SELECT count(pg_notify('{channel}', 'silent' || i || '@127.0.0.1')) FROM generate_series(1, 100) i"
    );
    // Each announcement in a transaction of its own: Postgres drops those that are repeated in one.
    for _ in 0..5 {
        postgres.psql(&flood).await?;
        announce(&postgres, &channel, "gone@127.0.0.1").await?;
    }
    eventually(SOON, "dials that hang", async || epmd.asked("silent1").times > 0).await?;
    announce(&postgres, &channel, beam.name()).await?;
    joined.up(beam.name(), SOON).await?;

    eventually(SOON, "a second attempt", async || {
        announce(&postgres, &channel, "gone@127.0.0.1").await?;
        let asked = epmd.asked("gone");
        ensure!(asked.times >= 2, "{asked:?}");
        Ok(())
    })
    .await?;
    for name in epmd.names() {
        let asked = epmd.asked(&name);
        assert_eq!(asked.at_once, 1, "{name}: {asked:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_taken_at_the_start_ends_it() -> Result<()> {
    let (world, postgres) = (World::new().await?, Postgres::start().await?);
    let mut beam = world.beam("taken").await?;
    let mut options = JoinOptions::new(&world, &postgres, "c");
    options.name = beam.name().to_owned();

    let exit = options.clone().start()?.exit(SOON).await?;
    assert_eq!(exit.code, Some(69), "{}", exit.stderr);
    let base = beam.name().replace("@127.0.0.1", "");
    let said = format!(
        "error: failed to start the node: the name {base} is taken in EPMD at 127.0.0.1:{}",
        world.port
    );
    assert!(exit.stderr.contains(&said), "{}", exit.stderr);

    // The node before us may just be dying: it is waited for.
    let mut joined = options.start()?;
    beam.kill9().await?;
    joined.event_named("listening", SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_taken_while_running_is_said_and_tried_again() -> Result<()> {
    let (world, postgres, channel) = (World::new().await?, Postgres::start().await?, unique("c"));
    let beam = world.beam("beam").await?;
    let port = real_port(&world, beam.name()).await?;
    let epmd = FakeEpmd::start(move |_| Answer::Port(port)).await?;
    let options = JoinOptions::new(&world, &postgres, &channel)
        .epmd_port(epmd.port())
        .args(["--epmd", "external"]);
    let mut joined = options.start()?;
    ready(&mut joined).await?;
    announce(&postgres, &channel, beam.name()).await?;
    joined.up(beam.name(), SOON).await?;

    epmd.drop_registrations([1]);
    let status = async |joined: &mut Joined, status: &str| {
        joined
            .event(status, SOON, |event| event["event"] == "epmd" && event["status"] == status)
            .await
    };
    status(&mut joined, "name_taken").await?;
    status(&mut joined, "registered").await?;
    let stderr = joined.stderr();
    assert!(stderr.contains("WARN") && stderr.contains("is taken in EPMD at"), "{stderr}");
    assert_eq!(joined.count("down")?, 0, "links are kept");
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_ends_it() -> Result<()> {
    let (world, postgres) = (World::new().await?, Postgres::start().await?);
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let addr = taken.local_addr()?;
    let options = JoinOptions::new(&world, &postgres, "c").args(["--listen", &addr.to_string()]);
    let exit = options.start()?.exit(SOON).await?;
    assert_eq!(exit.code, Some(69), "{}", exit.stderr);
    assert!(exit.stderr.contains(&format!("{addr} cannot be listened on")), "{}", exit.stderr);
    let port = world.port.to_string();
    let names = RustNode::run(["names", "127.0.0.1"], &[("ERL_EPMD_PORT", &port)], SOON).await?;
    assert!(!names.stdout.contains("name "), "nothing was registered: {}", names.stdout);
    Ok(())
}

/// The port of a BEAM node, from the real EPMD.
async fn real_port(world: &World, name: &str) -> Result<u16> {
    let base = name.split('@').next().unwrap_or_default();
    Ok(epmd::lookup("127.0.0.1", world.port, base).await?.port)
}

/// What a process has in memory (`VmRSS`).
fn resident_kib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.unwrap_or_default().parse()?)
}
