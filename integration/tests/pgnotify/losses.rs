//! Postgres goes away and comes back.

use std::time::Duration;

use anyhow::Result;
use integration::{Postgres, Proxy, Shutdown};
use pgnotify::{Error, Event, NotifyError};

use crate::helpers::{Ears, channel, config, probing};

#[tokio::test]
async fn survives_a_restart() -> Result<()> {
    let mut postgres = Postgres::start().await?;
    let mut ears = Ears::connected_on(config(&postgres.url()), &["a", "B c"]).await?;
    postgres.restart().await?;
    // 57P01: "terminating connection due to administrator command".
    ears.lost_with("57P01").await?;
    let connected = ears.connected().await?;
    assert_eq!((connected.generation, connected.may_have_missed), (2, true));
    for name in ["a", "B c"] {
        postgres.psql(&format!("NOTIFY \"{name}\", 'after'")).await?;
        assert_eq!(ears.hear().await?.0, name);
    }
    Ok(())
}

#[tokio::test]
async fn survives_a_crash() -> Result<()> {
    let mut postgres = Postgres::start().await?;
    let mut ears = Ears::connected_on(config(&postgres.url()), &["c"]).await?;
    postgres.stop(Shutdown::Immediate).await?;
    postgres.start_again().await?;
    assert_eq!(ears.connected().await?.generation, 2);
    postgres.psql("NOTIFY c, 'after'").await?;
    assert_eq!(ears.hear().await?.1, "after");
    Ok(())
}

#[tokio::test]
async fn waits_for_a_server_that_is_away_and_says_so() -> Result<()> {
    let mut postgres = Postgres::start().await?;
    let mut ears = Ears::connected_on(config(&postgres.url()), &["c"]).await?;
    postgres.stop(Shutdown::Fast).await?;
    let mut failures_seen = 0;
    loop {
        match ears.next().await? {
            Event::Lost { reason, failures, .. } => {
                failures_seen += 1;
                assert_eq!(failures, failures_seen);
                if failures > 3 {
                    assert!(matches!(reason, Error::Connect { .. }), "{reason}");
                    break;
                }
            }
            other => panic!("expected losses, got {other:?}"),
        }
    }
    // Nothing is kept for later.
    let refused = ears.listener.notify(&channel("c"), "x").await;
    assert_eq!(refused, Err(NotifyError::NotConnected));
    // What is wanted meanwhile is listened to afterwards.
    ears.listener.listen(channel("d")).await?;
    postgres.start_again().await?;
    assert_eq!(ears.connected().await?.generation, 2);
    postgres.psql("NOTIFY d, 'after'").await?;
    let (name, payload, _) = ears.hear().await?;
    assert_eq!((name.as_str(), payload.as_str()), ("d", "after"));
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() -> Result<()> {
    let mut postgres = Postgres::start().await?;
    postgres.stop(Shutdown::Fast).await?;
    let mut ears = Ears::on(config(&postgres.url()), &["c"]);
    let reason = ears.lost().await?;
    assert!(matches!(reason, Error::Connect { .. }), "{reason}");
    assert!(reason.to_string().contains(&postgres.addr().to_string()), "{reason}");
    postgres.start_again().await?;
    let connected = ears.connected().await?;
    assert_eq!((connected.generation, connected.may_have_missed), (1, false));
    Ok(())
}

#[tokio::test]
async fn a_terminated_backend_is_replaced() -> Result<()> {
    let postgres = Postgres::start().await?;
    let mut ears = Ears::on(config(&postgres.url()), &["c"]);
    let first = ears.connected().await?.backend_pid;
    assert_eq!(postgres.kill_backends().await?, 1);
    let reason = ears.lost().await?;
    assert_eq!(reason.sqlstate(), Some("57P01"), "{reason}");
    let second = ears.connected().await?;
    assert_eq!((second.generation, second.may_have_missed), (2, true));
    assert_ne!(second.backend_pid, first);
    Ok(())
}

/// The server's last words may arrive as the answer to a query of ours.
#[tokio::test]
async fn the_servers_last_words_are_the_reason_also_while_queries_run() -> Result<()> {
    let postgres = Postgres::start().await?;
    let config = probing(&postgres.url()).probe_interval(Duration::ZERO);
    let mut ears = Ears::connected_on(config, &["c"]).await?;
    for _ in 0..10 {
        postgres.kill_backends_where("application_name = 'pgnotify'").await?;
        let reason = ears.lost().await?;
        assert_eq!(reason.sqlstate(), Some("57P01"), "{reason}");
        ears.connected().await?;
    }
    Ok(())
}

/// A cluster's many listeners do not come back in step, and all come back.
#[tokio::test]
async fn many_listeners_come_back() -> Result<()> {
    let mut postgres = Postgres::start().await?;
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(Ears::connected_on(config(&postgres.url()), &["c"]).await?);
    }
    postgres.restart().await?;
    for ears in &mut crowd {
        assert_eq!(ears.connected().await?.generation, 2);
    }
    postgres.psql("NOTIFY c, 'all'").await?;
    for ears in &mut crowd {
        assert_eq!(ears.hear().await?.1, "all");
    }
    Ok(())
}

#[tokio::test]
async fn moves_with_the_name_to_another_server() -> Result<()> {
    let (old, new) = (Postgres::start().await?, Postgres::start().await?);
    let proxy = Proxy::start(old.addr()).await?;
    let mut ears = Ears::connected_on(config(&old.url_at(proxy.addr())), &["c"]).await?;
    proxy.retarget(new.addr());
    proxy.cut();
    assert_eq!(ears.connected().await?.generation, 2);
    new.psql("NOTIFY c, 'new'").await?;
    assert_eq!(ears.hear().await?.1, "new");
    Ok(())
}
