//! Listening and notifying.

use anyhow::{Result, ensure};
use integration::{Postgres, eventually};
use pgnotify::{Event, ListenError, Listener, MAX_PAYLOAD_BYTES, NotifyError};

use crate::helpers::{DEADLINE, Ears, channel, config, probing};

#[tokio::test]
async fn hears_others_and_itself() -> Result<()> {
    let postgres = Postgres::start().await?;
    let mut ears = Ears::on(config(&postgres.url()), &["jobs"]);
    let connected = ears.connected().await?;
    assert_eq!((connected.generation, connected.may_have_missed), (1, false));
    assert_eq!(connected.server, postgres.addr().to_string());

    postgres.psql("NOTIFY jobs, 'from psql'").await?;
    let (name, payload, pid) = ears.hear().await?;
    assert_eq!((name.as_str(), payload.as_str()), ("jobs", "from psql"));
    assert_ne!(pid, connected.backend_pid);

    ears.listener.notify(&channel("jobs"), "from us").await?;
    assert_eq!(ears.hear().await?, ("jobs".into(), "from us".into(), connected.backend_pid));
    Ok(())
}

#[tokio::test]
async fn is_one_session_under_its_own_name() -> Result<()> {
    let postgres = Postgres::start().await?;
    let config =
        probing(&postgres.url()).application_name("a name").parameter("work_mem", "1234kB");
    let mut ears = Ears::on(config, &["c"]);
    let pid = ears.connected().await?.backend_pid;
    let sessions = "SELECT pid, application_name FROM pg_stat_activity WHERE backend_type = 'client backend' \
                    AND pid <> pg_backend_pid()";
    assert_eq!(postgres.psql(sessions).await?, format!("{pid}|a name"));
    Ok(())
}

#[tokio::test]
async fn works_on_a_unix_socket() -> Result<()> {
    let postgres = Postgres::start().await?;
    let directory = postgres.socket_dir().display().to_string().replace('/', "%2F");
    let port = postgres.port();
    let url = format!("postgres://postgres@{directory}:{port}/postgres?sslmode=verify-full");
    let mut ears = Ears::on(config(&url), &["c"]);
    let server = ears.connected().await?.server;
    assert!(server.ends_with(&format!("/.s.PGSQL.{port}")), "{server}");
    postgres.psql("NOTIFY c, 'x'").await?;
    assert_eq!(ears.hear().await?.1, "x");
    Ok(())
}

#[tokio::test]
async fn every_legal_channel_works_both_ways() -> Result<()> {
    let postgres = Postgres::start().await?;
    let longest = "é".repeat(31) + "x";
    let names = [
        "Mixed Case",
        "mixed case",
        "q\"uo\"te",
        "semi;--",
        "grüße→",
        "select",
        "'",
        "\\",
        &longest,
    ];
    let mut ears = Ears::connected_on(config(&postgres.url()), &names).await?;
    for name in names {
        ears.listener.notify(&channel(name), "ours").await?;
        assert_eq!(ears.hear().await?.0, name);
        let quoted = name.replace('"', "\"\"");
        postgres.psql(&format!("NOTIFY \"{quoted}\", 'theirs'")).await?;
        let (heard, payload, _) = ears.hear().await?;
        assert_eq!((heard.as_str(), payload.as_str()), (name, "theirs"));
    }
    Ok(())
}

#[tokio::test]
async fn payloads_arrive_as_they_are_up_to_the_limit() -> Result<()> {
    let postgres = Postgres::start().await?;
    let mut ears = Ears::connected_on(config(&postgres.url()), &["c"]).await?;
    let longest = "x".repeat(MAX_PAYLOAD_BYTES);
    for payload in
        ["", "it's", "back\\slash", "$1", "new\nline", "grüße", "'; DROP TABLE x; --", &longest]
    {
        ears.listener.notify(&channel("c"), payload).await?;
        assert_eq!(ears.hear().await?.1, payload);
    }
    let too_long = "x".repeat(MAX_PAYLOAD_BYTES + 1);
    let refused = ears.listener.notify(&channel("c"), &too_long).await;
    assert_eq!(refused, Err(NotifyError::TooLong { bytes: 8000 }));
    assert_eq!(ears.listener.notify(&channel("c"), "a\0b").await, Err(NotifyError::Nul));
    // What is refused here would be refused there.
    let error = postgres.psql("SELECT pg_notify('c', repeat('x', 8000))").await.unwrap_err();
    assert!(format!("{error:#}").contains("payload string too long"), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn channels_come_and_go_while_connected() -> Result<()> {
    let postgres = Postgres::start().await?;
    let mut ears = Ears::connected_on(config(&postgres.url()), &["first"]).await?;
    ears.listener.listen(channel("second")).await?;
    postgres.psql("NOTIFY second, '1'").await?;
    assert_eq!(ears.hear().await?.0, "second");

    ears.listener.unlisten(channel("first")).await?;
    postgres.psql("NOTIFY first, '2'").await?;
    postgres.psql("NOTIFY second, '3'").await?;
    assert_eq!(ears.hear().await?.1, "3");

    // Both changes hold on the next connection.
    postgres.kill_backends().await?;
    assert_eq!(ears.connected().await?.generation, 2);
    postgres.psql("NOTIFY first, '4'").await?;
    postgres.psql("NOTIFY second, '5'").await?;
    assert_eq!(ears.hear().await?.1, "5");
    Ok(())
}

#[tokio::test]
async fn changes_of_one_channel_by_many_tasks_end_as_asked_last() -> Result<()> {
    let postgres = Postgres::start().await?;
    let mut ears = Ears::connected_on(config(&postgres.url()), &[]).await?;
    let mut changes = Vec::new();
    for round in 0..20 {
        let handle = ears.listener.handle();
        changes.push(async move {
            if round % 2 == 0 {
                handle.unlisten(channel("c")).await
            } else {
                handle.listen(channel("c")).await
            }
        });
    }
    for result in futures::future::join_all(changes).await {
        result?;
    }
    postgres.psql("NOTIFY c, 'x'").await?;
    assert_eq!(ears.hear().await?.1, "x");
    Ok(())
}

#[tokio::test]
async fn a_slow_consumer_loses_the_oldest_and_is_told_how_many() -> Result<()> {
    let postgres = Postgres::start().await?;
    let config = config(&postgres.url()).queue_capacity(10);
    let mut ears = Ears::connected_on(config, &["c"]).await?;
    postgres.psql("SELECT count(pg_notify('c', n::text)) FROM generate_series(1, 1000) n").await?;
    // Postgres sends a session what it notifies itself before the answer, and the rest before that.
    ears.listener.notify(&channel("c"), "last").await?;
    let Event::Lagged(missed) = ears.next().await? else { panic!("expected to lag") };
    assert_eq!(missed, 991);
    for expected in 992..=1000 {
        assert_eq!(ears.hear().await?.1, expected.to_string());
    }
    assert_eq!(ears.hear().await?.1, "last");
    Ok(())
}

#[tokio::test]
async fn many_notifications_at_once_all_arrive_in_order() -> Result<()> {
    let postgres = Postgres::start().await?;
    let config = probing(&postgres.url()).queue_capacity(100_000);
    let mut ears = Ears::connected_on(config, &["c"]).await?;
    postgres.psql("SELECT count(pg_notify('c', n::text)) FROM generate_series(1, 20000) n").await?;
    for expected in 1..=20_000 {
        assert_eq!(ears.hear().await?.1, expected.to_string());
    }
    Ok(())
}

#[tokio::test]
async fn many_callers_notify_at_once() -> Result<()> {
    let postgres = Postgres::start().await?;
    let mut ears = Ears::connected_on(config(&postgres.url()), &["c"]).await?;
    let all = (0..500).map(|n| {
        let handle = ears.listener.handle();
        async move { handle.notify(&channel("c"), &n.to_string()).await }
    });
    let sent: Result<Vec<()>, _> = futures::future::join_all(all).await.into_iter().collect();
    sent?;
    let mut heard = Vec::new();
    for _ in 0..500 {
        heard.push(ears.hear().await?.1.parse::<u32>()?);
    }
    heard.sort_unstable();
    assert_eq!(heard, (0..500).collect::<Vec<_>>());
    Ok(())
}

/// In an `SQL_ASCII` database anybody can send bytes that are not UTF-8. They must not cost the
/// connection.
#[tokio::test]
async fn a_payload_that_is_not_utf_8_costs_nothing() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres.psql("CREATE DATABASE raw ENCODING 'SQL_ASCII' TEMPLATE template0").await?;
    let mut ears = Ears::connected_on(config(&postgres.url_of("raw")), &["c"]).await?;
    postgres.psql_in("raw", "SELECT pg_notify('c', e'n\\xff\\xfe@h')").await?;
    postgres.psql_in("raw", "NOTIFY c, 'after'").await?;
    assert_eq!(ears.hear().await?.1, "n\u{fffd}\u{fffd}@h");
    assert_eq!(ears.hear().await?.1, "after");
    Ok(())
}

/// Other databases of the same server, other encodings: what can be translated arrives translated.
#[tokio::test]
async fn a_latin_1_database_is_heard_in_utf_8() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres.psql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0").await?;
    let mut ears = Ears::connected_on(config(&postgres.url_of("latin")), &["grün"]).await?;
    ears.listener.notify(&channel("grün"), "Straße").await?;
    assert_eq!(ears.hear().await?.1, "Straße");
    let refused = ears.listener.notify(&channel("grün"), "→").await;
    assert!(
        matches!(refused, Err(NotifyError::Server { ref sqlstate, .. }) if sqlstate == "22P05"),
        "{refused:?}"
    );
    let refused = ears.listener.listen(channel("→")).await;
    assert!(
        matches!(refused, Err(ListenError::Server { ref sqlstate, .. }) if sqlstate == "22P05"),
        "{refused:?}"
    );
    // Refused is not wanted: the next connection comes up without it.
    postgres.kill_backends().await?;
    assert_eq!(ears.connected().await?.generation, 2);
    Ok(())
}

#[tokio::test]
async fn close_takes_leave_of_the_server() -> Result<()> {
    let postgres = Postgres::start().await?;
    let mut ears = Ears::connected_on(config(&postgres.url()), &["c"]).await?;
    ears.listener.close();
    ears.end().await?;
    assert_eq!(ears.listener.notify(&channel("c"), "x").await, Err(NotifyError::Closed));
    assert_eq!(ears.listener.listen(channel("d")).await, Err(ListenError::Closed));
    assert_no_session_is_left(&postgres).await
}

#[tokio::test]
async fn dropping_the_listener_ends_the_driver() -> Result<()> {
    let postgres = Postgres::start().await?;
    let (mut listener, driver) = Listener::new(config(&postgres.url()), [channel("c")]);
    let driver = tokio::spawn(driver);
    let event = listener.next().await;
    ensure!(matches!(event, Some(Event::Connected { .. })), "{event:?}");
    let handle = listener.handle();
    drop(listener);
    tokio::time::timeout(DEADLINE, driver).await??;
    assert_eq!(handle.notify(&channel("c"), "x").await, Err(NotifyError::Closed));
    assert_no_session_is_left(&postgres).await
}

#[tokio::test]
async fn dropping_the_driver_ends_the_events() -> Result<()> {
    let postgres = Postgres::start().await?;
    let (listener, driver) = Listener::new(config(&postgres.url()), [channel("c")]);
    let mut ears = Ears { listener };
    let driver = tokio::spawn(driver);
    ears.connected().await?;
    driver.abort();
    ears.end().await?;
    assert_no_session_is_left(&postgres).await
}

async fn assert_no_session_is_left(postgres: &Postgres) -> Result<()> {
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgnotify'";
    eventually(DEADLINE, "the session to end", async || {
        postgres.psql(sessions).await.map(|count| count == "0").unwrap_or(false)
    })
    .await
}
