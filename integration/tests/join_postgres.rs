//! Postgres comes and goes; the node says so, finds it again, and drops no link over it.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration::{
    Beam, JoinOptions, Joined, Postgres, PostgresOptions, Proxy, RustNode, SOON, Shutdown, World,
    eventually, unique,
};
use serde_json::Value;

/// Longer than a probe's interval and its time-out together.
const PROBED: Duration = Duration::from_secs(60);

struct Cluster {
    world: World,
    postgres: Postgres,
    channel: String,
    beam: Beam,
}

impl Cluster {
    async fn start() -> Result<Self> {
        let (world, postgres) = (World::new().await?, Postgres::start().await?);
        let beam = world.beam("beam").await?;
        Ok(Self { world, postgres, channel: unique("c"), beam })
    }

    fn options(&self) -> JoinOptions {
        JoinOptions::new(&self.world, &self.postgres, &self.channel)
    }

    /// A node that is connected with the BEAM node, which announced itself.
    async fn joined(&self, options: JoinOptions) -> Result<Joined> {
        let mut joined = options.start()?;
        joined.event_named("announced", SOON).await?;
        self.announce(self.beam.name()).await?;
        joined.up(self.beam.name(), SOON).await?;
        self.beam.sees(&joined.name, true, SOON).await?;
        Ok(joined)
    }

    async fn announce(&self, name: &str) -> Result<()> {
        self.postgres.psql(&format!("NOTIFY \"{}\", '{name}'", self.channel)).await.map(drop)
    }

    /// A node that starts now, and is announced once, is connected; the link to the first was never down.
    async fn discovers(&self, joined: &mut Joined) -> Result<()> {
        let late = self.world.beam("late").await?;
        self.announce(late.name()).await?;
        joined.up(late.name(), SOON).await?;
        let dropped =
            |event: &&Value| event["event"] == "down" && event["node"] == self.beam.name();
        assert_eq!(joined.events()?.iter().find(dropped), None);
        assert_eq!(self.beam.eval(format!("net_adm:ping('{}')", joined.name)).await?, "pong");
        Ok(())
    }
}

fn reason(event: &Value) -> &str {
    event["reason"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn what_happens_at_the_start_happens_in_order() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut watching = watch(&cluster)?;
    watching.event_named("postgres_up", SOON).await?;
    let mut joined = cluster.joined(cluster.options()).await?;
    let events: Vec<String> = joined
        .events()?
        .iter()
        .filter_map(|event| event["event"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(events[..3], ["listening", "postgres_up", "announced"]);
    let ts: Vec<u64> = joined.events()?.iter().filter_map(|event| event["ts"].as_u64()).collect();
    assert!(ts.is_sorted() && ts.len() == joined.events()?.len(), "{ts:?}");

    let name = joined.name.clone();
    for _ in 0..3 {
        watching.event("the next heartbeat", SOON, |event| event["node"] == name).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_restart_of_postgres_drops_no_link_and_discovery_works_again() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let mut joined = cluster.joined(cluster.options()).await?;
    for how in [Shutdown::Fast, Shutdown::Immediate] {
        cluster.postgres.stop(how).await?;
        joined.event_named("postgres_lost", SOON).await?;
        cluster.postgres.start_again().await?;
        joined.event_named("postgres_up", SOON).await?;
        joined.event_named("announced", SOON).await?;
        cluster.discovers(&mut joined).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_listening_backend_that_is_terminated_is_replaced() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut joined = cluster.joined(cluster.options()).await?;
    ensure!(cluster.postgres.kill_backends().await? > 0, "there was no backend");
    let lost = joined.event_named("postgres_lost", SOON).await?;
    assert!(reason(&lost).contains("57P01"), "{lost}");
    joined.event_named("announced", SOON).await?;
    cluster.discovers(&mut joined).await
}

#[tokio::test]
async fn a_connection_that_stalls_is_noticed() -> Result<()> {
    let cluster = Cluster::start().await?;
    let proxy = Proxy::start(cluster.postgres.addr()).await?;
    let options = cluster.options().url(cluster.postgres.url_at(proxy.addr()));
    let mut joined = cluster.joined(options).await?;
    proxy.stall();
    joined.event_named("postgres_lost", PROBED).await?;
    proxy.resume();
    joined.event_named("postgres_up", PROBED).await?;
    joined.event_named("announced", SOON).await?;
    cluster.discovers(&mut joined).await
}

#[tokio::test]
async fn a_connection_that_is_cut_is_made_again() -> Result<()> {
    let cluster = Cluster::start().await?;
    let proxy = Proxy::start(cluster.postgres.addr()).await?;
    let options = cluster.options().url(cluster.postgres.url_at(proxy.addr()));
    let mut joined = cluster.joined(options).await?;
    for fault in [Proxy::cut, Proxy::half_close] {
        fault(&proxy);
        joined.event_named("postgres_lost", SOON).await?;
        joined.event_named("announced", SOON).await?;
    }
    cluster.discovers(&mut joined).await
}

#[tokio::test]
async fn a_postgres_that_is_not_there_at_the_start_is_waited_for() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    cluster.postgres.stop(Shutdown::Fast).await?;
    let mut joined = cluster.options().start()?;
    joined.event_named("listening", SOON).await?;
    let lost = joined.event_named("postgres_lost", SOON).await?;
    assert!(reason(&lost).contains("Connection refused"), "{lost}");
    // Who knows us can connect already.
    assert_eq!(cluster.beam.eval(format!("net_adm:ping('{}')", joined.name)).await?, "pong");
    cluster.postgres.start_again().await?;
    joined.event_named("announced", SOON).await?;
    cluster.discovers(&mut joined).await
}

#[tokio::test]
async fn an_outage_is_not_told_at_every_attempt() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let proxy = {
        let mut proxy = Proxy::start(cluster.postgres.addr()).await?;
        proxy.refuse().await;
        proxy
    };
    let mut joined = cluster
        .options()
        .url(cluster.postgres.url_at(proxy.addr()))
        .args(["--log-level", "debug"])
        .start()?;
    // Attempts are counted in the debug log of the listener below.
    eventually(SOON, "five attempts", async || {
        let stderr = joined.stderr();
        ensure!(stderr.contains("failures=5"), "{stderr}");
        Ok(())
    })
    .await?;
    assert_eq!(joined.count("postgres_lost")?, 1);
    assert_eq!(joined.stderr().matches("no announcements are heard for now").count(), 1);
    cluster.postgres.stop(Shutdown::Fast).await
}

#[tokio::test]
async fn a_wrong_password_or_database_at_the_start_ends_it() -> Result<()> {
    let world = World::new().await?;
    let password = Some("right".to_owned());
    let postgres =
        Postgres::start_with(PostgresOptions { password, ..PostgresOptions::default() }).await?;
    let options = JoinOptions::new(&world, &postgres, "c");

    let wrong = postgres.url().replace("right", "hush");
    let exit = options.clone().url(wrong).start()?.exit(SOON).await?;
    assert_eq!(exit.code, Some(78), "{}", exit.stderr);
    let said = "password authentication failed for user \"postgres\"";
    assert!(exit.stderr.contains("error: ") && exit.stderr.contains(said), "{}", exit.stderr);
    assert!(!format!("{}{}", exit.stdout, exit.stderr).contains("hush"), "{}", exit.stderr);

    let exit = options.clone().url(postgres.url_of("nowhere")).start()?.exit(SOON).await?;
    assert_eq!(exit.code, Some(78), "{}", exit.stderr);
    assert!(exit.stderr.contains("database \"nowhere\" does not exist"), "{}", exit.stderr);

    let url = postgres.url_of("nowhere");
    let watch = ["watch", "--url", &url, "--channel-name", "c"];
    let exit = RustNode::run(watch, &[], SOON).await?;
    assert_eq!(exit.code, Some(78), "{}", exit.stderr);
    assert!(exit.stderr.contains("database \"nowhere\" does not exist"), "{}", exit.stderr);
    Ok(())
}

#[tokio::test]
async fn a_password_that_becomes_wrong_later_is_tried_again() -> Result<()> {
    let world = World::new().await?;
    let password = Some("right".to_owned());
    let postgres =
        Postgres::start_with(PostgresOptions { password, ..PostgresOptions::default() }).await?;
    let mut joined = JoinOptions::new(&world, &postgres, &unique("c")).start()?;
    joined.event_named("announced", SOON).await?;

    postgres.psql("ALTER ROLE postgres PASSWORD 'other'").await?;
    postgres.kill_backends().await?;
    let refused = |event: &Value| reason(event).contains("password authentication failed");
    joined.event("a refusal", SOON, refused).await?;
    postgres.psql("ALTER ROLE postgres PASSWORD 'right'").await?;
    joined.event_named("announced", SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_signal_ends_it_in_order_also_while_postgres_is_away() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let mut joined = cluster.joined(cluster.options()).await?;
    cluster.postgres.stop(Shutdown::Fast).await?;
    joined.event_named("postgres_lost", SOON).await?;
    joined.interrupt()?;
    let exit = joined.exit(Duration::from_secs(5)).await?;
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    cluster.beam.sees(&joined.name, false, SOON).await?;
    let port = cluster.world.port.to_string();
    let names = RustNode::run(["names", "127.0.0.1"], &[("ERL_EPMD_PORT", &port)], SOON).await?;
    let base = joined.name.replace("@127.0.0.1", "");
    assert!(!names.stdout.contains(&base), "EPMD was left: {}", names.stdout);
    Ok(())
}

fn watch(cluster: &Cluster) -> Result<RustNode> {
    let url = cluster.postgres.url();
    let args = ["watch", "--url", &url, "--channel-name", &cluster.channel, "--events", "json"];
    RustNode::start(args, &[])
}
