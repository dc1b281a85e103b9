//! This node's own name, host, port and EPMD.

use std::net::TcpListener;

use anyhow::Result;
use integration::{JoinOptions, Postgres, World, unique};

use super::{announce, doctor, quoted};

#[tokio::test]
async fn the_host_of_our_name_does_not_resolve() -> Result<()> {
    let (world, postgres) = (World::new().await?, Postgres::start().await?);
    let (beam, channel) = (world.beam("there").await?, unique("c"));
    let _node = announce(&postgres.url(), quoted(&channel, beam.name())).await?;
    let mut options = JoinOptions::new(&world, &postgres, &channel);
    options.name = "rust@no.such.invalid".into();
    let found = doctor(options, "3s").await?;
    found.ended(69, &["host"]);
    found.says(
        "host",
        "failed",
        "no.such.invalid of our name does not resolve",
        "add it to the DNS",
    );
    Ok(())
}

#[tokio::test]
async fn our_name_is_taken() -> Result<()> {
    let (world, postgres) = (World::new().await?, Postgres::start().await?);
    let (beam, channel) = (world.beam("taken").await?, unique("c"));
    let mut options = JoinOptions::new(&world, &postgres, &channel);
    options.name = beam.name().to_owned();
    let _node = announce(&postgres.url(), quoted(&channel, beam.name())).await?;
    let found = doctor(options, "3s").await?;
    found.ended(69, &["name", "heard", "heard"]);
    found.says("name", "failed", "is taken: the EPMD of this host has a node", "another --name");
    let heard = found.all("heard", "failed");
    assert!(heard[0]["detail"].to_string().contains("which is our name"), "{heard:#?}");
    // It is not dialled.
    assert_eq!(beam.eval("nodes(connected)").await?, "[]");
    Ok(())
}

#[tokio::test]
async fn our_port_is_taken() -> Result<()> {
    let (world, postgres) = (World::new().await?, Postgres::start().await?);
    let holder = TcpListener::bind("127.0.0.1:0")?;
    let at = holder.local_addr()?.to_string();
    let options = JoinOptions::new(&world, &postgres, &unique("c")).args(["--listen", &at]);
    let found = doctor(options.clone(), "200ms").await?;
    found.ended(69, &["port", "heard"]);
    found.says("port", "failed", &format!("{at} cannot be listened on"), "--listen");
    drop(holder);
    doctor(options, "200ms").await?.ended(69, &["heard"]);
    Ok(())
}

#[tokio::test]
async fn epmd_is_not_as_it_is_set() -> Result<()> {
    let (with, without) = (World::new().await?, World::without_epmd()?);
    let postgres = Postgres::start().await?;
    let options = |world: &World, mode: &str| {
        JoinOptions::new(world, &postgres, &unique("c")).args(["--epmd", mode])
    };
    let found = doctor(options(&without, "external"), "200ms").await?;
    found.ended(69, &["epmd", "heard"]);
    found.says("epmd", "failed", "Connection refused", "start one (epmd -daemon)");
    let found = doctor(options(&with, "embedded"), "200ms").await?;
    found.ended(78, &["epmd", "heard"]);
    found.says("epmd", "failed", "--epmd embedded wants to serve one there", "give --epmd auto");
    for (world, mode) in [(&with, "auto"), (&with, "external"), (&without, "embedded")] {
        doctor(options(world, mode), "200ms").await?.ok("epmd");
    }

    // That EPMD listens on 127.0.0.1 only.
    let mut options = options(&with, "auto");
    options.name = "rust@127.0.0.2".into();
    let found = doctor(options, "200ms").await?;
    found.ended(69, &["epmd", "heard"]);
    found.says("epmd", "failed", "answers on loopback", "start it without ERL_EPMD_ADDRESS");
    Ok(())
}
