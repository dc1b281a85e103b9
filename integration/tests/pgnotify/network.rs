//! The server is well and the network is not.

use std::time::Duration;

use anyhow::Result;
use integration::{Postgres, Proxy, eventually};
use pgnotify::{Config, Error, NotifyError};

use crate::helpers::{DEADLINE, Ears, channel, config};

async fn behind_a_proxy() -> Result<(Postgres, Proxy, Config)> {
    let postgres = Postgres::start().await?;
    let proxy = Proxy::start(postgres.addr()).await?;
    let config = config(&postgres.url_at(proxy.addr()))
        .probe_interval(Duration::from_millis(50))
        .probe_timeout(Duration::from_millis(500))
        .connect_timeout(Duration::from_secs(1));
    Ok((postgres, proxy, config))
}

#[tokio::test]
async fn a_stalled_connection_is_noticed_by_the_probe() -> Result<()> {
    let (postgres, proxy, config) = behind_a_proxy().await?;
    let mut ears = Ears::connected_on(config, &["c"]).await?;
    proxy.stall();
    let reason = ears.lost().await?;
    assert!(matches!(reason, Error::Silent { .. }), "{reason}");
    // The next attempts find a server that accepts and says nothing.
    let reason = ears.lost().await?;
    assert!(matches!(reason, Error::Timeout { .. }), "{reason}");
    proxy.resume();
    let connected = ears.connected().await?;
    assert_eq!((connected.generation, connected.may_have_missed), (2, true));
    postgres.psql("NOTIFY c, 'after'").await?;
    assert_eq!(ears.hear().await?.1, "after");
    Ok(())
}

#[tokio::test]
async fn a_notification_on_a_stalled_connection_is_unconfirmed() -> Result<()> {
    let (_postgres, proxy, config) = behind_a_proxy().await?;
    let mut ears =
        Ears::connected_on(config.probe_interval(Duration::from_secs(600)), &["c"]).await?;
    proxy.stall();
    let result = ears.listener.notify(&channel("c"), "x").await;
    assert_eq!(result, Err(NotifyError::Unconfirmed));
    let reason = ears.lost().await?;
    assert!(matches!(reason, Error::Silent { .. }), "{reason}");
    Ok(())
}

#[tokio::test]
async fn a_pause_shorter_than_the_time_out_costs_nothing() -> Result<()> {
    let (postgres, proxy, config) = behind_a_proxy().await?;
    let config = config.probe_timeout(Duration::from_secs(600));
    let mut ears = Ears::connected_on(config, &["c"]).await?;
    proxy.stall();
    postgres.psql("NOTIFY c, 'held back'").await?;
    proxy.resume();
    assert_eq!(ears.hear().await?.1, "held back");
    Ok(())
}

#[tokio::test]
async fn a_connection_that_is_reset_is_replaced() -> Result<()> {
    let (_postgres, proxy, config) = behind_a_proxy().await?;
    let mut ears = Ears::connected_on(config, &["c"]).await?;
    proxy.cut();
    let reason = ears.lost().await?;
    assert!(matches!(reason, Error::Io { .. } | Error::Closed { .. }), "{reason}");
    assert_eq!(ears.connected().await?.generation, 2);
    Ok(())
}

#[tokio::test]
async fn a_connection_that_is_half_closed_is_replaced() -> Result<()> {
    let (postgres, proxy, config) = behind_a_proxy().await?;
    let mut ears = Ears::connected_on(config, &["c"]).await?;
    proxy.half_close();
    let reason = ears.lost().await?;
    assert!(matches!(reason, Error::Closed { .. }), "{reason}");
    assert_eq!(ears.connected().await?.generation, 2);
    // We have closed our side too: nothing is left behind.
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgnotify'";
    eventually(DEADLINE, "the old session to end", async || {
        postgres.psql(sessions).await.map(|count| count == "1").unwrap_or(false)
    })
    .await
}

#[tokio::test]
async fn a_port_that_refuses_is_tried_again() -> Result<()> {
    let (_postgres, mut proxy, config) = behind_a_proxy().await?;
    let mut ears = Ears::connected_on(config, &["c"]).await?;
    proxy.refuse().await;
    ears.lost().await?;
    let reason = ears.lost().await?;
    assert!(matches!(reason, Error::Connect { .. }), "{reason}");
    proxy.accept().await?;
    assert_eq!(ears.connected().await?.generation, 2);
    Ok(())
}

#[tokio::test]
async fn a_connection_that_never_answers_does_not_hang_the_start() -> Result<()> {
    let (_postgres, proxy, config) = behind_a_proxy().await?;
    proxy.stall();
    let mut ears = Ears::on(config, &["c"]);
    let reason = ears.lost().await?;
    assert!(matches!(reason, Error::Timeout { .. }), "{reason}");
    assert!(!reason.is_permanent());
    proxy.resume();
    assert_eq!(ears.connected().await?.generation, 1);
    Ok(())
}

#[tokio::test]
async fn a_server_of_another_kind_is_not_taken_for_postgres() -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            let Ok((mut socket, _)) = listener.accept().await else { return };
            let greeting = b"HTTP/1.1 400 Bad Request\r\n\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, greeting).await;
        }
    });
    for sslmode in ["disable", "prefer", "require"] {
        let url = format!("postgres://u:p@{addr}/db?sslmode={sslmode}");
        let reason = Ears::on(config(&url), &["c"]).lost().await?;
        assert!(matches!(reason, Error::Protocol { .. }), "{sslmode}: {reason:?}");
    }
    Ok(())
}
