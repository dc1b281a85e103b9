//! Several servers, of which one will do.

use std::net::SocketAddr;

use anyhow::Result;
use integration::{Postgres, PostgresOptions, Shutdown, free_port};
use pgnotify::Error;

use crate::helpers::{Ears, config};

fn url(servers: &[SocketAddr], options: &str) -> String {
    let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
    format!("postgres://postgres@{}/postgres?{options}", servers.join(","))
}

async fn read_only() -> Result<Postgres> {
    let settings = vec![("default_transaction_read_only".to_owned(), "on".to_owned())];
    Postgres::start_with(PostgresOptions { settings, ..PostgresOptions::default() }).await
}

#[tokio::test]
async fn the_first_that_answers_is_taken() -> Result<()> {
    let postgres = Postgres::start().await?;
    let dead = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let mut ears = Ears::on(config(&url(&[dead, postgres.addr()], "")), &["c"]);
    assert_eq!(ears.connected().await?.server, postgres.addr().to_string());
    Ok(())
}

#[tokio::test]
async fn when_none_answers_each_is_named() -> Result<()> {
    let dead = [free_port()?, free_port()?].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let reason = Ears::on(config(&url(&dead, "")), &["c"]).lost().await?;
    assert!(matches!(reason, Error::Hosts(_)), "{reason}");
    for addr in dead {
        assert!(reason.to_string().contains(&addr.to_string()), "{reason}");
    }
    Ok(())
}

/// The name has two addresses, and only one of them a server.
#[tokio::test]
async fn every_address_of_a_name_is_tried() -> Result<()> {
    let postgres = Postgres::start().await?;
    let url = format!("postgres://postgres@localhost:{}/postgres", postgres.port());
    let mut ears = Ears::on(config(&url), &["c"]);
    assert_eq!(ears.connected().await?.server, format!("localhost:{}", postgres.port()));
    Ok(())
}

/// Whether one of a name's addresses is dead or not, a refusal by the server is what counts.
#[tokio::test]
async fn a_refusal_outweighs_a_dead_address() -> Result<()> {
    let postgres = Postgres::start().await?;
    let url = format!("postgres://postgres@localhost:{}/nowhere", postgres.port());
    let error = Ears::on(config(&url), &["c"]).failed().await?;
    assert_eq!(error.sqlstate(), Some("3D000"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_permanent_only_if_every_server_refuses() -> Result<()> {
    let (one, two) = (Postgres::start().await?, Postgres::start().await?);
    let dead = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let nowhere = |servers: &[SocketAddr]| config(&url(servers, "dbname=nowhere"));
    let error = Ears::on(nowhere(&[one.addr(), two.addr()]), &["c"]).failed().await?;
    assert_eq!(error.sqlstate(), Some("3D000"), "{error}");
    let mut ears = Ears::on(nowhere(&[dead, one.addr()]), &["c"]);
    ears.lost_with("3D000").await?;
    ears.lost_with("3D000").await?;
    Ok(())
}

#[tokio::test]
async fn a_read_only_server_is_passed_over_when_asked() -> Result<()> {
    let (read_only, writable) = (read_only().await?, Postgres::start().await?);
    let servers = [read_only.addr(), writable.addr()];
    for (attrs, expected) in [
        ("any", read_only.addr()),
        ("read-write", writable.addr()),
        ("read-only", read_only.addr()),
        // It writes nothing by default, and is no standby.
        ("primary", read_only.addr()),
    ] {
        let options = format!("target_session_attrs={attrs}");
        let mut ears = Ears::on(config(&url(&servers, &options)), &["c"]);
        assert_eq!(ears.connected().await?.server, expected.to_string(), "{attrs}");
    }
    let only = url(&[read_only.addr()], "target_session_attrs=read-write");
    let reason = Ears::on(config(&only), &["c"]).lost().await?;
    assert!(matches!(reason, Error::WrongSession { .. }), "{reason}");
    assert!(reason.to_string().contains("read-write"), "{reason}");
    Ok(())
}

/// A standby refuses LISTEN (25006). It passes: the standby may be promoted.
#[tokio::test]
async fn a_standby_is_passed_over_until_it_is_promoted() -> Result<()> {
    let mut primary = Postgres::start().await?;
    let standby = primary.standby().await?;
    let servers = [standby.addr(), primary.addr()];
    let mut any = Ears::on(config(&url(&servers, "")), &["c"]);
    let mut writable = Ears::on(config(&url(&servers, "target_session_attrs=primary")), &["c"]);
    for ears in [&mut any, &mut writable] {
        assert_eq!(ears.connected().await?.server, primary.addr().to_string());
    }
    primary.stop(Shutdown::Fast).await?;
    any.lost_with("25006").await?;
    standby.promote().await?;
    for ears in [&mut any, &mut writable] {
        let connected = ears.connected().await?;
        assert_eq!(connected.server, standby.addr().to_string());
        assert_eq!((connected.generation, connected.may_have_missed), (2, true));
    }
    standby.psql("NOTIFY c, 'promoted'").await?;
    assert_eq!(any.hear().await?.1, "promoted");
    Ok(())
}
