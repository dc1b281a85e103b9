//! Behind a real PgBouncer.

use std::time::Duration;

use anyhow::Result;
use integration::{PgBouncer, PoolMode, Postgres, Proxy, eventually};
use pgnotify::{Error, Event, NotifyError};

use crate::helpers::{DEADLINE, Ears, channel, config};

/// A transaction-mode pool of one client hands us, for each of our own statements, the backend that
/// once ran our LISTEN. So we hear ourselves, and nobody else: a probe through the same connection
/// would find nothing wrong.
#[tokio::test]
async fn a_pooler_in_transaction_mode_is_recognised() -> Result<()> {
    let postgres = Postgres::start().await?;
    let pooler = PgBouncer::start(&postgres, PoolMode::Transaction).await?;
    let config = config(&postgres.url_at(pooler.addr())).probe_timeout(Duration::from_millis(500));
    let mut ears = Ears::on(config, &["c"]);
    for _ in 0..2 {
        let reason = match ears.next().await? {
            Event::Lost { reason, .. } => reason,
            other => panic!("expected a loss, got {other:?}"),
        };
        assert!(matches!(reason, Error::ListenSwallowed { .. }), "{reason}");
        assert!(reason.to_string().contains("transaction mode"), "{reason}");
        assert!(!reason.is_permanent());
    }
    let refused = ears.listener.notify(&channel("c"), "x").await;
    assert_eq!(refused, Err(NotifyError::NotConnected));
    Ok(())
}

#[tokio::test]
async fn a_pooler_in_session_mode_is_as_good_as_none() -> Result<()> {
    let postgres = Postgres::start().await?;
    let pooler = PgBouncer::start(&postgres, PoolMode::Session).await?;
    let config = config(&postgres.url_at(pooler.addr()))
        .probe_interval(Duration::from_millis(100))
        .probe_timeout(Duration::from_secs(5));
    let mut ears = Ears::on(config, &["c"]);
    let connected = ears.connected().await?;
    postgres.psql("NOTIFY c, 'theirs'").await?;
    assert_eq!(ears.hear().await?.1, "theirs");
    ears.listener.notify(&channel("c"), "ours").await?;
    assert_eq!(ears.hear().await?, ("c".into(), "ours".into(), connected.backend_pid));

    // The probes come from short connections of their own, again and again.
    let logins = || pooler.log().matches("login attempt").count();
    let before = logins();
    eventually(DEADLINE, "more probes", async || logins() >= before + 5).await?;
    postgres.psql("NOTIFY c, 'still'").await?;
    assert_eq!(ears.hear().await?.1, "still");

    // A backend that ends behind the pooler ends the connection.
    postgres.kill_backends_where(&format!("pid = {}", connected.backend_pid)).await?;
    assert_eq!(ears.connected().await?.generation, 2);
    Ok(())
}

/// There is no second connection to be had, so nothing can be proved about LISTEN. It is used all
/// the same, and a dead connection is noticed all the same.
#[tokio::test]
async fn a_pool_of_one_gets_the_benefit_of_the_doubt() -> Result<()> {
    let postgres = Postgres::start().await?;
    let pooler = PgBouncer::start_with(&postgres, PoolMode::Session, 1).await?;
    let proxy = Proxy::start(pooler.addr()).await?;
    let config = config(&postgres.url_at(proxy.addr()))
        .connect_timeout(Duration::from_secs(1))
        .probe_interval(Duration::from_millis(100))
        .probe_timeout(Duration::from_secs(1));
    let mut ears = Ears::connected_on(config, &["c"]).await?;
    postgres.psql("NOTIFY c, 'x'").await?;
    assert_eq!(ears.hear().await?.1, "x");
    proxy.stall();
    let reason = ears.lost().await?;
    assert!(matches!(reason, Error::Silent { .. }), "{reason}");
    Ok(())
}
