//! Each option of `beamjoin join` does what the README says, against real servers: names, cookies, ports, EPMD, and where the
//! values come from.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dist::epmd;
use integration::{
    Beam, BeamOptions, JoinOptions, Joined, Postgres, RustNode, SOON, World, eventually, free_port,
    unique,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

struct Place {
    world: World,
    postgres: Postgres,
    channel: String,
}

impl Place {
    async fn new() -> Result<Self> {
        let (world, postgres) = tokio::try_join!(World::new(), Postgres::start())?;
        Ok(Self { world, postgres, channel: unique("c") })
    }

    fn options(&self) -> JoinOptions {
        JoinOptions::new(&self.world, &self.postgres, &self.channel)
    }

    async fn announce(&self, name: &str) -> Result<()> {
        self.postgres.psql(&format!("NOTIFY \"{}\", '{name}'", self.channel)).await.map(drop)
    }

    /// Announces a BEAM node, and waits until both are connected.
    async fn meet(&self, joined: &mut Joined, beam: &Beam) -> Result<()> {
        joined.event_named("announced", SOON).await?;
        self.announce(beam.name()).await?;
        joined.up(beam.name(), SOON).await?;
        beam.sees(&joined.name, true, SOON).await
    }
}

fn file(dir: &Path, name: &str, mode: u32, text: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    std::fs::write(&path, text)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
    Ok(path)
}

#[tokio::test]
async fn visible_and_hidden_are_seen_as_such() -> Result<()> {
    let place = Place::new().await?;
    let beam = place.world.beam("beam").await?;
    for (flag, nodes) in [("--visible", "visible"), ("--hidden", "hidden")] {
        let mut joined = place.options().args([flag]).start()?;
        place.meet(&mut joined, &beam).await?;
        let seen =
            format!("[lists:member('{}', nodes(K)) || K <- [{nodes}, connected]]", joined.name);
        assert_eq!(beam.eval(seen).await?, "[true,true]", "{flag}");
        let listed = beam.eval(format!("lists:member('{}', nodes())", joined.name)).await?;
        assert_eq!(listed, (flag == "--visible").to_string());
        // Neither a member of `global` nor who knows nothing of it holds up names.
        assert_eq!(beam.eval(format!("global:register_name({nodes}, self())")).await?, "yes");
    }
    Ok(())
}

#[tokio::test]
async fn a_visible_node_is_kept_out_of_global_and_of_its_care_for_partitions() -> Result<()> {
    let place = Place::new().await?;
    let dir = tempfile::tempdir()?;
    let config = file(dir.path(), "off.toml", 0o600, "global = false\n")?;
    let config = config.to_str().context("a path of Unicode")?;
    // What is given, whether it is a member, and whether it leaves a node that another has lost.
    for (args, member, leaves) in [
        (&[][..], true, true),
        (&["--global", "false"], false, false),
        (&["--config", config], false, false),
        (&["--config", config, "--global", "true"], true, true),
        (&["--prevent-overlapping-partitions", "false"], true, false),
    ] {
        let beam = place.world.beam("beam").await?;
        let mut joined = place.options().args(["--visible"]).args(args.iter().copied()).start()?;
        place.meet(&mut joined, &beam).await?;
        let known = format!(
            "case gen_server:multi_call(['{}'], global_name_server, get_known) of \
             {{[{{_, Known}}], []}} -> lists:keymember(node(), 1, Known) orelse lists:member(node(), Known); \
             {{[], [_]}} -> nobody end",
            joined.name
        );
        let expected = if member { "true" } else { "nobody" };
        eventually(SOON, "its place in `global`", async || {
            let known = beam.eval(known.as_str()).await?;
            ensure!(known == expected, "{args:?}: {known}");
            anyhow::Ok(())
        })
        .await?;
        let lost = "{lost_connection, 'another@127.0.0.1', 1, 1, node()}";
        beam.eval(format!("{{global_name_server, '{}'}} ! {lost}", joined.name)).await?;
        if leaves {
            beam.sees(&joined.name, false, SOON).await?;
        } else {
            // Answered after the message was taken.
            assert_eq!(beam.eval(known.as_str()).await?, expected, "{args:?}");
            beam.sees(&joined.name, true, SOON).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn short_names_meet_short_names() -> Result<()> {
    let place = Place::new().await?;
    let name = format!("{}@localhost", unique("beam"));
    let beam = Beam::start(BeamOptions::new(name, &place.world.cookie, place.world.port)).await?;
    let mut options = place.options();
    options.name = format!("{}@localhost", unique("rust"));
    let mut joined = options.args(["--short"]).start()?;
    place.meet(&mut joined, &beam).await?;
    assert_eq!(beam.eval(format!("net_adm:ping('{}')", joined.name)).await?, "pong");
    // The command line reaches such nodes too.
    let port = place.world.port.to_string();
    let environment = [("BEAMJOIN_COOKIE", &*place.world.cookie), ("ERL_EPMD_PORT", &*port)];
    for command in [&["ping", beam.name()][..], &["call", beam.name(), "erlang:is_alive"]] {
        let exit = RustNode::run(command, &environment, SOON).await?;
        assert_eq!(exit.code, Some(0), "{command:?} {}", exit.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn the_next_free_port_of_a_range_is_taken() -> Result<()> {
    let place = Place::new().await?;
    let beam = place.world.beam("beam").await?;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let first = taken.local_addr()?.port();
    // The system gives out even and odd ports alike; some of the next are free.
    let last = first.saturating_add(20);
    let range = format!("127.0.0.1:{first}-{last}");
    let mut joined = place.options().args(["--listen", &range]).start()?;
    place.meet(&mut joined, &beam).await?;
    let base = joined.name.replace("@127.0.0.1", "");
    let found = epmd::lookup("127.0.0.1", place.world.port, &base).await?.port;
    assert!(found > first && found <= last, "{found} is not in {range}");
    assert_eq!(beam.eval(format!("net_adm:ping('{}')", joined.name)).await?, "pong");
    Ok(())
}

#[tokio::test]
async fn each_mode_of_epmd_is_that_one() -> Result<()> {
    let place = Place::new().await?;
    let beam = place.world.beam("beam").await?;
    let nobody = free_port()?;
    let none = place.options().epmd_port(nobody);

    let exit = none.clone().args(["--epmd", "external"]).start()?.exit(SOON).await?;
    assert_eq!(exit.code, Some(69), "{}", exit.stderr);
    assert!(exit.stderr.contains("failed to reach EPMD"), "{}", exit.stderr);
    let exit = place.options().args(["--epmd", "embedded"]).start()?.exit(SOON).await?;
    assert_eq!(exit.code, Some(69), "{}", exit.stderr);
    assert!(exit.stderr.contains("the port of EPMD is taken"), "{}", exit.stderr);

    // Nobody is asked and nobody is told: the port of the others is given, and ours is in no EPMD.
    let base = beam.name().replace("@127.0.0.1", "");
    let port = epmd::lookup("127.0.0.1", place.world.port, &base).await?.port.to_string();
    let alone = none.clone().args(["--epmd", "none", "--peer-port", &port]);
    let mut joined = alone.start()?;
    place.meet(&mut joined, &beam).await?;
    let port = nobody.to_string();
    let names = ["names", "127.0.0.1"];
    let exit = RustNode::run(names, &[("ERL_EPMD_PORT", port.as_str())], SOON).await?;
    assert_eq!(exit.code, Some(69), "somebody serves EPMD: {}", exit.stdout);
    drop(joined);

    // Our own: others on this host use it, and look us up there.
    let mut joined = none.args(["--epmd", "embedded"]).start()?;
    joined.event_named("announced", SOON).await?;
    let late = Beam::start(BeamOptions::new(
        format!("{}@127.0.0.1", unique("late")),
        &place.world.cookie,
        nobody,
    ))
    .await?;
    assert_eq!(late.eval(format!("net_adm:ping('{}')", joined.name)).await?, "pong");
    let exit = RustNode::run(names, &[("ERL_EPMD_PORT", port.as_str())], SOON).await?;
    for name in [&joined.name, late.name()] {
        let base = name.replace("@127.0.0.1", "");
        assert!(exit.stdout.contains(&format!("name {base} at port ")), "{}", exit.stdout);
    }
    Ok(())
}

#[tokio::test]
async fn a_cookie_that_others_can_read_is_taken_with_a_warning() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("beam").await?;
    let home = tempfile::tempdir()?;
    let port = world.port.to_string();
    let environment = [("ERL_EPMD_PORT", port.as_str()), ("HOME", home.path().to_str().unwrap())];
    let warning = "can be accessed by others than its owner";
    for (mode, warned) in [(0o600, false), (0o400, false), (0o644, true), (0o640, true)] {
        let name = format!("cookie{mode:o}");
        let path = file(home.path(), &name, mode, &format!("{}\n", world.cookie))?;
        let path = path.to_str().context("a path of Unicode")?;
        let args = ["ping", beam.name(), "--cookie-file", path];
        let exit = RustNode::run(args, &environment, SOON).await?;
        assert_eq!(exit.code, Some(0), "{mode:o}: {}", exit.stderr);
        assert_eq!(exit.stderr.contains(warning), warned, "{mode:o}: {}", exit.stderr);
        assert_eq!(exit.stderr.contains(path), warned, "{mode:o}: {}", exit.stderr);
        assert!(!exit.stderr.contains(&world.cookie));
    }
    // The one at home, last: without it there is none, and with it nothing has to be given.
    let exit = RustNode::run(["ping", beam.name()], &environment, SOON).await?;
    assert_eq!(exit.code, Some(78), "{}", exit.stderr);
    file(home.path(), ".erlang.cookie", 0o400, &world.cookie)?;
    let exit = RustNode::run(["ping", beam.name()], &environment, SOON).await?;
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(0), ""));
    Ok(())
}

#[tokio::test]
async fn flags_come_before_the_environment_and_that_before_the_file() -> Result<()> {
    let place = Place::new().await?;
    let beam = place.world.beam("app-1").await?;
    let other = place.world.beam("other").await?;
    let dir = tempfile::tempdir()?;
    let cookie = file(dir.path(), "cookie", 0o600, &format!("{}\n", place.world.cookie))?;
    let base = unique("rust");
    // In libcluster_postgres' words. Name and channel are found in the environment and on the command line.
    let text = format!(
        "name = 'wrong'\nsocket_dir = {:?}\nport = {}\nusername = 'postgres'\ndatabase = 'postgres'\n\
         channel_name = 'wrong'\nheartbeat_interval = 300\ncookie_file = {cookie:?}\nlisten = '127.0.0.1:0'\n\
         host = '127.0.0.1'\nevents = 'json'\nvisible = true\nallow = ['app-*@127.*']\nparameters = {{ work_mem = '1MB' }}\n",
        place.postgres.socket_dir(),
        place.postgres.port(),
    );
    let config = file(dir.path(), "beamjoin.toml", 0o600, &text)?;
    let port = place.world.port.to_string();
    let environment = [
        ("BEAMJOIN_CONFIG", config.to_str().context("a path of Unicode")?),
        ("ERL_EPMD_PORT", port.as_str()),
        ("RELEASE_NODE", base.as_str()),
        ("BEAMJOIN_CHANNEL_NAME", "wrong_too"),
    ];
    let process = RustNode::start(["join", "--channel-name", &place.channel], &environment)?;
    let mut joined = Joined { name: format!("{base}@127.0.0.1"), process };
    let listening = joined.event_named("listening", SOON).await?;
    assert_eq!(listening["node"], joined.name, "{listening}");
    joined.event_named("announced", SOON).await?;
    // Only names that match are dialled.
    for announced in [&other, &beam] {
        place.announce(announced.name()).await?;
    }
    joined.up(beam.name(), SOON).await?;
    beam.sees(&joined.name, true, SOON).await?;
    let dialled = |event: &&Value| event["node"] == other.name();
    assert_eq!(joined.events()?.iter().find(dialled), None);
    assert_eq!(other.eval("nodes(connected)").await?, "[]");
    assert_eq!(beam.eval("nodes()").await?, format!("['{}']", joined.name), "visible");
    let shown = "SELECT count(*) FROM pg_stat_activity WHERE client_port = -1 AND application_name LIKE 'beamjoin%'";
    let sessions: u32 = place.postgres.psql(shown).await?.parse()?;
    ensure!(sessions > 0, "no session of ours on the Unix socket");
    Ok(())
}

#[tokio::test]
async fn a_name_without_a_host_has_our_address_on_the_way_to_postgres() -> Result<()> {
    let place = Place::new().await?;
    let mut options = place.options();
    options.name = unique("rust");
    let mut joined = options.start()?;
    let listening = joined.event_named("listening", SOON).await?;
    assert_eq!(listening["node"], format!("{}@127.0.0.1", joined.name), "{listening}");
    Ok(())
}

#[tokio::test]
async fn a_signal_before_anything_is_there_ends_it_too() -> Result<()> {
    let place = Place::new().await?;
    // It waits for an EPMD that says nothing.
    let epmd = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = epmd.local_addr()?.port();
    let mut joined = place.options().epmd_port(port).args(["--epmd", "external"]).start()?;
    eventually(SOON, "the handlers of signals", async || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", joined.pid()))?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
        let caught = u64::from_str_radix(caught.context("no SigCgt")?, 16)?;
        ensure!(caught & (1 << 14) != 0, "SIGTERM is not caught");
        anyhow::Ok(())
    })
    .await?;
    joined.terminate()?;
    let exit = joined.exit(Duration::from_secs(5)).await?;
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    Ok(())
}

#[tokio::test]
async fn a_peer_that_does_not_answer_holds_up_no_end_and_a_second_signal_waits_for_nobody()
-> Result<()> {
    let place = Place::new().await?;
    let beam = place.world.beam("beam").await?;
    for (signals, code) in [(1, 0), (2, 143)] {
        let mut joined = place.options().start()?;
        place.meet(&mut joined, &beam).await?;
        beam.freeze().await?;
        joined.terminate()?;
        if signals == 2 {
            // Two at once may be one.
            eventually(SOON, "the first signal", async || {
                joined.stderr().contains("SIGTERM: stopping")
            })
            .await?;
            joined.terminate()?;
        }
        let exit = joined.exit(SOON).await?;
        beam.thaw()?;
        assert_eq!(exit.code, Some(code), "{}", exit.stderr);
        beam.sees(&joined.name, false, SOON).await?;
    }
    Ok(())
}

#[tokio::test]
async fn only_allowed_names_and_private_addresses_are_dialled_and_let_in() -> Result<()> {
    let place = Place::new().await?;
    let (app, other) = (place.world.beam("app").await?, place.world.beam("other").await?);
    let patterns = ["--allow", "app*@127.0.0.*", "--allow", "x@*", "--private-only"];
    let mut joined = place.options().args(patterns).start()?;
    joined.event_named("announced", SOON).await?;
    place.announce(other.name()).await?;
    // Of those that are kept for documentation (RFC 5737).
    place.announce("x@192.0.2.1").await?;
    place.announce(app.name()).await?;
    joined.up(app.name(), SOON).await?;
    assert_eq!(app.eval(format!("net_adm:ping('{}')", joined.name)).await?, "pong");
    assert_eq!(other.eval(format!("net_adm:ping('{}')", joined.name)).await?, "pang");
    for said in [
        "is ignored because no pattern allows it".to_owned(),
        "the address 192.0.2.1 of 192.0.2.1 is none that may be connected to".to_owned(),
        format!("a node named {} is not let in", other.name()),
    ] {
        eventually(SOON, &said, async || {
            let stderr = joined.stderr();
            ensure!(stderr.contains(&said), "{stderr}");
            Ok(())
        })
        .await?;
    }
    assert_eq!(joined.count("up")?, 1);
    Ok(())
}

#[tokio::test]
async fn the_log_says_from_where_a_node_came_and_who_it_is() -> Result<()> {
    let place = Place::new().await?;
    let mut joined = place.options().start()?;
    joined.event_named("announced", SOON).await?;
    let beam = place.world.beam("beam").await?;
    assert_eq!(beam.eval(format!("net_adm:ping('{}')", joined.name)).await?, "pong");
    let peer = format!(" peer={}}}: dist::node: up ", beam.name());
    eventually(SOON, "the line", async || {
        let stderr = joined.stderr();
        let mut lines = stderr.lines().filter(|line| line.contains("accept{addr=127.0.0.1:"));
        ensure!(lines.any(|line| line.contains(&peer)), "{stderr}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_is_not_let_in_is_bounded_and_so_is_what_is_said_of_it() -> Result<()> {
    let place = Place::new().await?;
    let bounds = ["--max-handshakes", "4", "--setup-time", "500"];
    let mut joined = place.options().args(bounds).start()?;
    let listening = joined.event_named("listening", SOON).await?;
    let port = u16::try_from(listening["port"].as_u64().context("a port")?)?;
    let addr = (Ipv4Addr::LOCALHOST, port);
    let closed = async |stream: &mut TcpStream| {
        // A reset is a close, too.
        timeout(SOON, stream.read(&mut [0])).await.map(|read| read.unwrap_or(0))
    };
    // Pushed out by those that follow, and then by the time.
    let mut idle = Vec::new();
    for _ in 0..10 {
        idle.push(TcpStream::connect(addr).await?);
    }
    for stream in &mut idle {
        assert_eq!(closed(stream).await?, 0);
    }
    for _ in 0..40 {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(b"\0\x05hello").await?;
        assert_eq!(closed(&mut stream).await?, 0);
    }
    let beam = place.world.beam("beam").await?;
    place.meet(&mut joined, &beam).await?;
    let said = joined.stderr().matches("a peer was not let in").count();
    assert_eq!(said, 10, "{}", joined.stderr());
    Ok(())
}
