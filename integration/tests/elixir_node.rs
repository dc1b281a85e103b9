//! The stand-in for libcluster_postgres behaves as that does, and `beamjoin join` finds it and is found by it.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration::{
    ElixirNode, MemberOptions, Postgres, PostgresOptions, RustNode, SOON, World, eventually, unique,
};

/// Long enough for an interval of the strategy and a new connection.
const DEADLINE: Duration = Duration::from_secs(40);

fn options(postgres: &Postgres, channel: &str) -> MemberOptions {
    MemberOptions {
        password: "secret".to_owned(),
        heartbeat_interval: Duration::from_millis(500),
        ..MemberOptions::new(postgres, channel)
    }
}

async fn postgres() -> Result<Postgres> {
    let password = Some("secret".to_owned());
    Postgres::start_with(PostgresOptions { password, ..PostgresOptions::default() }).await
}

#[tokio::test]
async fn members_find_each_other_again_after_postgres_restarted() -> Result<()> {
    let (world, mut postgres) = (World::new().await?, postgres().await?);
    // Quoted both ways: an upper-case channel and a quote in its name work.
    let channel = unique("Cluster\"Ä");
    let one = ElixirNode::start(world.beam_options("one"), options(&postgres, &channel)).await?;
    let mut two =
        ElixirNode::start(world.beam_options("two"), options(&postgres, &channel)).await?;
    one.sees(two.name(), true, DEADLINE).await?;
    two.sees(one.name(), true, DEADLINE).await?;
    assert_eq!(one.elixir("Member.strategy()").await?, "Member.StandIn");

    two.kill9().await?;
    one.sees(two.name(), false, DEADLINE).await?;
    postgres.restart().await?;
    two.restart().await?;
    one.sees(two.name(), true, DEADLINE).await
}

#[tokio::test]
async fn announces_its_bare_name_at_once_from_the_second_of_two_connections() -> Result<()> {
    let (world, postgres) = (World::new().await?, postgres().await?);
    let channel = unique("channel");
    let url = postgres.url();
    let watch = ["watch", "--url", &url, "--channel-name", &channel, "--events", "json"];
    let mut watching = RustNode::start(watch, &[])?;
    watching.event_named("postgres_up", DEADLINE).await?;

    // An hour between announcements: what is heard is the first.
    let mut member = options(&postgres, &channel);
    member.heartbeat_interval = Duration::from_secs(3600);
    let node = ElixirNode::start(world.beam_options("member"), member).await?;
    let heard =
        watching.event("an announcement", DEADLINE, |event| event["node"] == node.name()).await?;
    assert!(heard["ts"].is_u64(), "{heard}");

    // The stand-in names no application; the watching command does.
    let connections = format!(
        "SELECT string_agg(split_part(query, ' ', 1), ' ' ORDER BY query) FROM pg_stat_activity \
         WHERE application_name = '' AND query LIKE '% \"{channel}\"%'"
    );
    eventually(SOON, "two connections", async || {
        let verbs = postgres.psql(&connections).await?;
        ensure!(verbs == "LISTEN NOTIFY", "they say {verbs}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_rust_node_joins_them() -> Result<()> {
    let (world, postgres) = (World::new().await?, postgres().await?);
    let channel = unique("channel");
    let one = ElixirNode::start(world.beam_options("one"), options(&postgres, &channel)).await?;
    let two = ElixirNode::start(world.beam_options("two"), options(&postgres, &channel)).await?;

    let (name, url) = (format!("{}@127.0.0.1", unique("rust")), postgres.url());
    let port = world.port.to_string();
    let mut rust = RustNode::start(
        ["join", "--name", &name, "--url", &url, "--channel-name", &channel, "--events", "json"],
        &[("BEAMJOIN_COOKIE", &world.cookie), ("ERL_EPMD_PORT", &port)],
    )?;
    for node in [&one, &two] {
        node.sees(&name, true, DEADLINE).await?;
        assert_eq!(node.eval(format!("net_adm:ping('{name}')")).await?, "pong");
    }
    for node in [&one, &two] {
        // Whichever came first; both are wanted.
        eventually(DEADLINE, "both nodes up", async || {
            let events = rust.events()?;
            let up =
                events.iter().any(|event| event["event"] == "up" && event["node"] == node.name());
            ensure!(up, "{events:?}");
            Ok(())
        })
        .await?;
    }

    rust.terminate()?;
    let exit = rust.exit(DEADLINE).await?;
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    one.sees(&name, false, DEADLINE).await
}
