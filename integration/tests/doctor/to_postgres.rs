//! Postgres, the channel, and who is heard on it.

use anyhow::Result;
use integration::{
    JoinOptions, PgBouncer, PoolMode, Postgres, PostgresOptions, World, free_port, unique,
};

use super::{announce, doctor, quoted};

#[tokio::test]
async fn postgres_is_down() -> Result<()> {
    let (world, postgres) = (World::without_epmd()?, Postgres::start().await?);
    let nowhere = format!("postgres://postgres@127.0.0.1:{}/postgres", free_port()?);
    let found = doctor(JoinOptions::new(&world, &postgres, "c").url(nowhere), "1s").await?;
    found.ended(69, &["postgres"]);
    found.says("postgres", "failed", "Connection refused", "does Postgres run");
    found.skipped(&["login", "listen", "heard"], "postgres");
    // What needs no Postgres is looked at all the same.
    assert!(found.ok("epmd").contains("this node would serve it"));
    Ok(())
}

#[tokio::test]
async fn the_host_of_postgres_is_unknown() -> Result<()> {
    let (world, postgres) = (World::without_epmd()?, Postgres::start().await?);
    let mut options = JoinOptions::new(&world, &postgres, "c");
    options = options.url("postgres://postgres@no.such.invalid/postgres");
    // The host of this name would be our address on the way there.
    options.name = unique("rust");
    let found = doctor(options, "1s").await?;
    found.ended(69, &["postgres"]);
    found.says("postgres", "failed", "cannot resolve no.such.invalid", "is the host's name right");
    found.skipped(&["login", "listen", "name", "host", "port", "epmd", "heard"], "postgres");
    Ok(())
}

#[tokio::test]
async fn the_password_is_wrong() -> Result<()> {
    let options = PostgresOptions { password: Some("right".into()), ..PostgresOptions::default() };
    let (world, postgres) = (World::without_epmd()?, Postgres::start_with(options).await?);
    let wrong = format!("postgres://postgres:hush@{}/postgres", postgres.addr());
    let found = doctor(JoinOptions::new(&world, &postgres, "c").url(wrong), "1s").await?;
    found.ended(78, &["login"]);
    found.ok("postgres");
    found.says("login", "failed", "password authentication failed", "correct the password");
    found.skipped(&["listen", "heard"], "login");
    assert!(!found.exit.stdout.contains("hush"), "{}", found.exit.stdout);

    let none = format!("postgres://postgres@{}/postgres", postgres.addr());
    let found = doctor(JoinOptions::new(&world, &postgres, "c").url(none), "1s").await?;
    found.ended(78, &["login"]);
    found.says("login", "failed", "wants a password", "set PGPASSWORD");
    Ok(())
}

#[tokio::test]
async fn the_database_is_unknown() -> Result<()> {
    let (world, postgres) = (World::without_epmd()?, Postgres::start().await?);
    let url = postgres.url_of("nowhere");
    let found = doctor(JoinOptions::new(&world, &postgres, "c").url(url), "1s").await?;
    found.ended(78, &["login"]);
    found.says("login", "failed", "database \"nowhere\" does not exist", "correct --database");
    Ok(())
}

#[tokio::test]
async fn a_pooler_swallows_listen() -> Result<()> {
    let (world, postgres) = (World::without_epmd()?, Postgres::start().await?);
    let pooler = PgBouncer::start(&postgres, PoolMode::Transaction).await?;
    let url = postgres.url_at(pooler.addr());
    let found = doctor(JoinOptions::new(&world, &postgres, "c").url(url), "1s").await?;
    found.ended(78, &["listen"]);
    found.ok("login");
    let what = "LISTEN does not work through a pooler in transaction mode";
    found.says("listen", "failed", what, "give the port of Postgres itself");
    found.skipped(&["heard"], "listen");
    Ok(())
}

#[tokio::test]
async fn of_a_pool_of_one_nothing_is_known() -> Result<()> {
    let (world, postgres) = (World::without_epmd()?, Postgres::start().await?);
    let pooler = PgBouncer::start_with(&postgres, PoolMode::Session, 1).await?;
    let url = format!("{}?connect_timeout=1", postgres.url_at(pooler.addr()));
    let found = doctor(JoinOptions::new(&world, &postgres, "c").url(url), "200ms").await?;
    found.ended(69, &["heard"]);
    found.says("listen", "warning", "had no second connection", "give the port of Postgres itself");
    Ok(())
}

#[tokio::test]
async fn a_standby_has_no_listen() -> Result<()> {
    let (world, postgres) = (World::without_epmd()?, Postgres::start().await?);
    let standby = postgres.standby().await?;
    let url = standby.url();
    let found = doctor(JoinOptions::new(&world, &postgres, "c").url(url), "1s").await?;
    found.ended(78, &["listen"]);
    found.says("listen", "failed", "recovery", "give the primary's host");
    Ok(())
}

#[tokio::test]
async fn a_channel_that_postgres_cuts_is_heard_and_warned_of() -> Result<()> {
    let (world, postgres) = (World::new().await?, Postgres::start().await?);
    let beam = world.beam("cut").await?;
    let channel = format!("{}_{}", unique("c"), "x".repeat(70));
    // As the Elixir side writes it: Postgres cuts it there too.
    let _node = announce(&postgres.url(), quoted(&channel, beam.name())).await?;
    let found = doctor(JoinOptions::new(&world, &postgres, &channel), "3s").await?;
    found.ended(0, &[]);
    let advice = "give all nodes a channel_name of at most 63 bytes";
    found.says("channel", "warning", "over 63 bytes", advice);
    assert!(found.ok("heard").contains(beam.name()));
    Ok(())
}

#[tokio::test]
async fn upper_case_is_heard_from_those_who_quote_and_the_others_are_found() -> Result<()> {
    let (world, postgres) = (World::new().await?, Postgres::start().await?);
    let beam = world.beam("quotes").await?;
    let channel = unique("Cluster");
    let _new = announce(&postgres.url(), quoted(&channel, beam.name())).await?;
    // As libcluster_postgres 0.1 writes it: Postgres takes it for lower case.
    let old = format!("NOTIFY {channel}, 'old@127.0.0.1'");
    let _old = announce(&postgres.url(), old.clone()).await?;
    let found = doctor(JoinOptions::new(&world, &postgres, &channel), "3s").await?;
    found.ended(0, &[]);
    let advice = "give all nodes a channel_name in lower case";
    found.says("channel", "warning", "upper-case letters", advice);
    assert!(found.ok("heard").starts_with(&format!("{} within", beam.name())));
    found.says("heard", "warning", "old@127.0.0.1 announce on this channel in lower case", advice);

    // With such nodes alone nobody is heard.
    let channel = unique("Cluster");
    let _old = announce(&postgres.url(), old.replace("NOTIFY Cluster", "NOTIFY Other")).await?;
    let other = old.split([' ', ',']).nth(1).unwrap_or_default().replace("Cluster", "Other");
    assert_ne!(other, channel);
    let found = doctor(JoinOptions::new(&world, &postgres, &other), "3s").await?;
    found.ended(69, &["heard"]);
    found.says("heard", "warning", "old@127.0.0.1", advice);
    Ok(())
}

#[tokio::test]
async fn nobody_is_heard() -> Result<()> {
    let (world, postgres) = (World::without_epmd()?, Postgres::start().await?);
    let found = doctor(JoinOptions::new(&world, &postgres, &unique("c")), "200ms").await?;
    found.ended(69, &["heard"]);
    found.says("heard", "failed", "nobody to dial within 200ms", "do the Elixir nodes run");
    Ok(())
}

#[tokio::test]
async fn what_is_no_name_is_shown() -> Result<()> {
    let (world, postgres) = (World::new().await?, Postgres::start().await?);
    let (beam, channel) = (world.beam("proper").await?, unique("c"));
    let _node = announce(&postgres.url(), quoted(&channel, beam.name())).await?;
    let _no_name = announce(&postgres.url(), quoted(&channel, "app at 10.0.0.4")).await?;
    let long = quoted(&channel, &format!("{}@h", "a".repeat(300)));
    let _long = announce(&postgres.url(), long).await?;
    let found = doctor(JoinOptions::new(&world, &postgres, &channel), "3s").await?;
    found.ended(0, &[]);
    let warnings = found.all("heard", "warning");
    let details: Vec<&str> = warnings.iter().filter_map(|check| check["detail"].as_str()).collect();
    let said = |part: &str, why: &str| {
        details.iter().any(|detail| detail.contains(part) && detail.contains(why))
    };
    assert!(said("\"app at 10.0.0.4\"", "it is not a node name"), "{details:#?}");
    assert!(said("\"aaaaa", "it is over 255 bytes"), "{details:#?}");
    let advice = warnings.first().map(|check| &check["advice"]);
    assert!(advice.is_some_and(|a| a.to_string().contains("find who announces it")), "{advice:?}");
    Ok(())
}
