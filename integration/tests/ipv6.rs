//! Distribution over IPv6, with real BEAM nodes (`-proto_dist inet6_tcp` and `inet6_tls`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result};
use dist::{Cookie, Listen, NodeBuilder, NodeName, Probe, Visibility, epmd};
use integration::both_ways::{call_both_ways, doubles, ping};
use integration::{
    Authority, Beam, BeamOptions, JoinOptions, Postgres, RustNode, SOON, World, eventually,
    name_of, unique,
};
use tokio::net::TcpStream;

fn beam_options(world: &World, base: &str, host: &str) -> BeamOptions {
    BeamOptions::new(format!("{}@{host}", unique(base)), &world.cookie, world.port)
}

async fn beam(world: &World, host: &str) -> Result<Beam> {
    Beam::start(beam_options(world, "beam", host).args(["-proto_dist", "inet6_tcp"])).await
}

/// A Rust node that listens where nobody has said.
fn node(world: &World, host: &str) -> Result<NodeBuilder> {
    let name = NodeName::from_parts(&unique("rust"), host)?;
    let any = Listen::any_port(&name);
    Ok(world.node_named(name, Cookie::new(&world.cookie)?).listen(any).exports(doubles()))
}

#[tokio::test]
async fn both_roles() -> Result<()> {
    let world = World::new().await?;
    let beam = beam(&world, "::1").await?;
    for visibility in [Visibility::Visible, Visibility::Hidden] {
        let dialling = node(&world, "::1")?.visibility(visibility).start().await?;
        dialling.connect(&name_of(&beam)?).await?;
        call_both_ways(&dialling, &beam).await?;
        let dialled = node(&world, "::1")?.visibility(visibility).start().await?;
        assert_eq!(ping(&beam, &dialled).await?, "pong");
        call_both_ways(&dialled, &beam).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_address_may_be_written_in_full() -> Result<()> {
    let world = World::new().await?;
    let beam = beam(&world, "0:0:0:0:0:0:0:1").await?;
    let node = node(&world, "0:0:0:0:0:0:0:1")?.start().await?;
    assert_eq!(ping(&beam, &node).await?, "pong");
    call_both_ways(&node, &beam).await
}

#[tokio::test]
async fn over_tls() -> Result<()> {
    let world = World::new().await?;
    let authority = Authority::new()?;
    let args = authority.sign(&["::1"])?.erl_with("inet6_tls", "")?;
    let beam = Beam::start(beam_options(&world, "beam", "::1").args(args)).await?;
    let tls = authority.sign(&["::1"])?.config()?;
    let dialling = node(&world, "::1")?.tls(tls.clone()).start().await?;
    dialling.connect(&name_of(&beam)?).await?;
    call_both_ways(&dialling, &beam).await?;
    let dialled = node(&world, "::1")?.tls(tls).start().await?;
    assert_eq!(ping(&beam, &dialled).await?, "pong");
    call_both_ways(&dialled, &beam).await
}

#[tokio::test]
async fn epmd_is_served_on_both_families() -> Result<()> {
    let world = World::without_epmd()?;
    let first = node(&world, "::1")?.start().await?;
    let beam = beam(&world, "::1").await?;
    for host in ["::1", "127.0.0.1"] {
        let names = epmd::names(host, world.port).await?;
        let known = |base: &str| names.iter().any(|(name, _)| name == base);
        assert!(known(first.name().base()) && known(name_of(&beam)?.base()), "{host}: {names:?}");
    }
    assert_eq!(ping(&beam, &first).await?, "pong");
    call_both_ways(&first, &beam).await
}

#[tokio::test]
async fn a_node_listens_on_what_its_name_promises() -> Result<()> {
    let world = World::new().await?;
    for (host, both) in [("::1", true), ("host.example", true), ("127.0.0.1", false)] {
        let node = node(&world, host)?.start().await?;
        let port = node.listen_addr().context("it does not listen")?.port();
        let reach = async |ip: IpAddr| TcpStream::connect(SocketAddr::new(ip, port)).await.is_ok();
        assert!(reach(Ipv4Addr::LOCALHOST.into()).await, "{host}");
        assert_eq!(reach(Ipv6Addr::LOCALHOST.into()).await, both, "{host}");
    }
    Ok(())
}

/// Both families at once: a node of each kind, and one Rust node that both can reach.
#[tokio::test]
async fn a_node_of_both_families_meets_nodes_of_each() -> Result<()> {
    let world = World::new().await?;
    let (old, new) = tokio::try_join!(world.beam("old"), beam(&world, "::1"))?;
    let node = node(&world, "::1")?.start().await?;
    assert_eq!(ping(&new, &node).await?, "pong");
    node.connect(&name_of(&old)?).await?;
    call_both_ways(&node, &old).await?;
    call_both_ways(&node, &new).await
}

/// `erl` with IPv6 takes such a name, and others can dial it; it cannot dial one itself (`inet:getaddr/2`
/// takes no IPv4 address for IPv6).
#[tokio::test]
async fn a_beam_with_ipv6_under_an_ipv4_name() -> Result<()> {
    let world = World::new().await?;
    let beam = beam(&world, "127.0.0.1").await?;
    let node = node(&world, "127.0.0.1")?.start().await?;
    node.connect(&name_of(&beam)?).await?;
    call_both_ways(&node, &beam).await
}

#[tokio::test]
async fn a_probe_is_named_in_the_same_family() -> Result<()> {
    let world = World::new().await?;
    let node = node(&world, "::1")?.start().await?;
    let probe = Probe::new(Cookie::new(&world.cookie)?, "::1").epmd_port(world.port);
    let connected = probe.connect(node.name()).await?;
    assert_eq!(connected.name().host(), "::1");
    assert_eq!(probe.ping(node.name()).await?.peer.name, *node.name());
    Ok(())
}

#[tokio::test]
async fn the_commands_reach_it() -> Result<()> {
    let world = World::new().await?;
    let (postgres, beam) = tokio::try_join!(Postgres::start(), beam(&world, "::1"))?;
    let channel = unique("c");
    let mut options = JoinOptions::new(&world, &postgres, &channel);
    options.name = format!("{}@::1", unique("rust"));
    let mut joined = options.start()?;
    joined.event_named("announced", SOON).await?;
    eventually(SOON, "up", async || {
        postgres.psql(&format!("NOTIFY \"{channel}\", '{}'", beam.name())).await?;
        joined.up(beam.name(), std::time::Duration::from_secs(1)).await
    })
    .await?;
    beam.sees(&joined.name, true, SOON).await?;
    let port = world.port.to_string();
    let env = [("ERL_EPMD_PORT", port.as_str()), ("BEAMJOIN_COOKIE", &world.cookie)];
    for (args, printed) in [
        (vec!["ping", beam.name()], "pong from "),
        (vec!["ping", &joined.name], "pong from "),
        (vec!["call", beam.name(), "lists:sum", "[1, 2]"], "3"),
        (vec!["names", "::1"], "epmd: up and running"),
    ] {
        let exit = RustNode::run(args.iter(), &env, SOON).await?;
        assert_eq!(exit.code, Some(0), "{args:?}: {}", exit.stderr);
        assert!(exit.stdout.starts_with(printed), "{args:?}: {}", exit.stdout);
    }
    Ok(())
}
