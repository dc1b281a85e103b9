//! When the node says that it is ready.

use anyhow::Result;
use integration::{SOON, Shutdown, eventually};

use crate::http::get;
use crate::place::Place;

#[tokio::test]
async fn it_is_ready_once_postgres_has_told_us_of_ourselves() -> Result<()> {
    let mut place = Place::new().await?;
    place.postgres.stop(Shutdown::Fast).await?;
    let mut node = place.start(place.options()).await?;
    node.joined.event_named("postgres_lost", SOON).await?;
    let said = node.ready_is(503, "has not come back from Postgres yet").await?;
    assert_eq!((&said["ready"], &said["postgres"]), (&false.into(), &false.into()));
    assert!(
        said["reasons"][0].as_str().is_some_and(|it| it.contains("Connection refused")),
        "{said}"
    );
    assert_eq!(node.get("/live").await?.status, 200);

    place.postgres.start_again().await?;
    let said = node.ready().await?;
    assert_eq!((&said["ready"], &said["reasons"]), (&true.into(), &serde_json::json!([])));
    Ok(())
}

#[tokio::test]
async fn as_many_nodes_as_asked_for_must_be_connected() -> Result<()> {
    let place = Place::new().await?;
    let mut node = place.start(place.options().args(["--ready-peers", "1"])).await?;
    node.ready_is(503, "0 of at least 1 nodes are connected").await?;
    let mut beam = place.beam("beam", &mut node).await?;
    assert_eq!(node.ready().await?["connected"], 1);
    beam.kill9().await?;
    node.ready_is(503, "0 of at least 1 nodes are connected").await?;
    assert_eq!(node.get("/live").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_member_stays_ready_without_postgres_and_one_that_is_alone_does_not() -> Result<()> {
    let mut place = Place::new().await?;
    let mut node = place.joined().await?;
    let mut beam = place.beam("beam", &mut node).await?;
    place.postgres.stop(Shutdown::Fast).await?;
    node.joined.event_named("postgres_lost", SOON).await?;
    let said = node.ready().await?;
    assert_eq!((&said["postgres"], &said["connected"]), (&false.into(), &1.into()));

    beam.kill9().await?;
    node.ready_is(503, "Postgres is lost and no node is connected").await?;
    place.postgres.start_again().await?;
    assert_eq!(node.ready().await?["postgres"], true);
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_the_port_is_said_at_the_start() -> Result<()> {
    let place = Place::new().await?;
    let node = place.joined().await?;
    let taken = node.admin.to_string();
    let exit = place.options().args(["--admin", &taken]).start()?.exit(SOON).await?;
    // The option is given twice, which is no way to hide the first.
    assert_eq!(exit.code, Some(64), "{}", exit.stderr);

    let mut options = place.options();
    options.args = vec!["--admin".into(), taken.clone()];
    let exit = options.start()?.exit(SOON).await?;
    assert_eq!(exit.code, Some(69), "{}", exit.stderr);
    let said = format!("--admin cannot listen on {taken}: Address already in use");
    assert!(exit.stderr.contains(&said), "{}", exit.stderr);
    assert_eq!(exit.stdout, "", "it has not begun to listen");

    for (args, said) in [
        (["--admin", "localhost:1"], "invalid --admin \"localhost:1\": it must be ADDRESS:PORT"),
        (["--ready-peers", "some"], "invalid --ready-peers \"some\": it must be a number of nodes"),
    ] {
        let mut options = place.options();
        options.args = args.map(str::to_owned).into();
        let exit = options.start()?.exit(SOON).await?;
        assert_eq!(exit.code, Some(64), "{}", exit.stderr);
        assert!(exit.stderr.contains(said), "{}", exit.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn it_answers_while_it_waits_for_what_it_needs_to_start() -> Result<()> {
    let place = Place::new().await?;
    let port = integration::free_port()?;
    let mut options = place.options().url("postgres://postgres@no.such.invalid/postgres");
    options.name = integration::unique("base");
    options.args = vec!["--admin".into(), port.to_string()];
    let node = options.start()?;
    let admin = (std::net::Ipv4Addr::LOCALHOST, port).into();
    eventually(SOON, "an answer", async || get(admin, "/live").await).await?;
    let ready = get(admin, "/ready").await?;
    assert_eq!(ready.status, 503, "{ready:?}");
    assert!(ready.body.contains("the node is starting"), "{ready:?}");
    for path in ["/members", "/metrics"] {
        assert_eq!(get(admin, path).await?.status, 503, "{path}");
    }
    drop(node);
    Ok(())
}
