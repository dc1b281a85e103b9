//! `/metrics`: well formed, and true.

use anyhow::{Context, Result, ensure};
use integration::{SOON, Shutdown, eventually};

use crate::http::request;
use crate::place::{Node, Place};
use crate::prometheus::{Metrics, parse};

async fn scrape(node: &Node) -> Result<Metrics> {
    parse(&node.get("/metrics").await?.body)
}

/// Waits until series have values that `wanted` takes.
async fn scrape_that(
    node: &Node,
    what: &str,
    wanted: impl Fn(&Metrics) -> bool,
) -> Result<Metrics> {
    eventually(SOON, what, async || {
        let metrics = scrape(node).await?;
        ensure!(wanted(&metrics), "{metrics:?}");
        Ok::<_, anyhow::Error>(metrics)
    })
    .await
}

#[tokio::test]
async fn counters_rise_by_what_was_sent() -> Result<()> {
    let place = Place::new().await?;
    let mut node = place.joined().await?;
    let beam = place.beam("beam", &mut node).await?;
    let peer = [("peer", beam.name())];
    let before = scrape(&node).await?;
    let of = |metrics: &Metrics, name: &str| metrics.value(name, &peer).unwrap_or(-1.0);
    assert_eq!(of(&before, "beamjoin_peer_up"), 1.0);
    assert_eq!(of(&before, "beamjoin_peer_reconnects_total"), 0.0);
    // 1,000 messages of a bit over 1 kB to nobody, and one of a megabyte.
    let to = format!("{{nobody, '{}'}}", node.joined.name);
    beam.eval(format!("[{to} ! binary:copy(<<0>>, 1000) || _ <- lists:seq(1, 1000)], ok")).await?;
    beam.eval(format!("{to} ! binary:copy(<<0>>, 1048576), ok")).await?;
    let rise = |metrics: &Metrics, name: &str| of(metrics, name) - of(&before, name);
    let after = scrape_that(&node, "all messages", |metrics| {
        rise(metrics, "beamjoin_peer_skipped_messages_total") >= 1001.0
    })
    .await?;
    assert_eq!(rise(&after, "beamjoin_peer_received_messages_total"), 1001.0);
    assert_eq!(rise(&after, "beamjoin_peer_received_fragments_total"), 17.0);
    let bytes = rise(&after, "beamjoin_peer_received_bytes_total");
    assert!((2_048_576.0..2_300_000.0).contains(&bytes), "{bytes}");

    // Each ping is answered.
    let before = after;
    let ping =
        format!("[pong = net_adm:ping('{}') || _ <- lists:seq(1, 50)], ok", node.joined.name);
    beam.eval(ping).await?;
    let rise = |metrics: &Metrics, name: &str| of(metrics, name) - of(&before, name);
    let after = scrape_that(&node, "all answers", |metrics| {
        rise(metrics, "beamjoin_peer_sent_messages_total") >= 50.0
    })
    .await?;
    assert!(rise(&after, "beamjoin_peer_sent_bytes_total") > 50.0 * 20.0);
    assert_eq!(of(&after, "beamjoin_peer_queue_bytes"), 0.0);
    assert!((0.0..40.0).contains(&of(&after, "beamjoin_peer_tick_age_seconds")));
    Ok(())
}

#[tokio::test]
async fn a_lost_link_leaves_its_reason_and_the_next_one_is_a_reconnect() -> Result<()> {
    let place = Place::new().await?;
    let mut node = place.joined().await?;
    let mut beam = place.beam("beam", &mut node).await?;
    let name = beam.name().to_owned();
    let up = |metrics: &Metrics| metrics.value("beamjoin_peer_up", &[("peer", &name)]);
    let reason = [("peer", name.as_str()), ("reason", "connection_closed")];
    let first = scrape(&node).await?;
    assert_eq!((up(&first), first.value("beamjoin_peer_last_down", &reason)), (Some(1.0), None));

    beam.kill9().await?;
    let down = scrape_that(&node, "the loss", |metrics| up(metrics) == Some(0.0)).await?;
    assert_eq!(down.value("beamjoin_peer_last_down", &reason), Some(1.0));
    assert_eq!(down.value("beamjoin_members", &[("state", "down")]), Some(1.0));
    let carried = down.value("beamjoin_peer_received_bytes_total", &[("peer", &name)]);
    assert_eq!(carried, None, "there is no link");

    beam.restart().await?;
    let back = scrape_that(&node, "the next link", |metrics| up(metrics) == Some(1.0)).await?;
    assert_eq!(back.value("beamjoin_peer_reconnects_total", &[("peer", &name)]), Some(1.0));
    assert_eq!(back.value("beamjoin_peer_last_down", &reason), Some(1.0));
    Ok(())
}

#[tokio::test]
async fn postgres_going_and_coming_shows() -> Result<()> {
    let mut place = Place::new().await?;
    let node = place.joined().await?;
    let alone = |metrics: &Metrics, name: &str| metrics.value(name, &[]);
    let all = |metrics: &Metrics| {
        ["up", "joined", "generation", "lost_total"]
            .map(|name| alone(metrics, &format!("beamjoin_postgres_{name}")).unwrap_or(-1.0))
    };
    let start = scrape(&node).await?;
    assert_eq!(all(&start), [1.0, 1.0, 1.0, 0.0]);
    assert_eq!(alone(&start, "beamjoin_postgres_failed_attempts_total"), Some(0.0));
    place.postgres.stop(Shutdown::Fast).await?;
    let lost = scrape_that(&node, "the loss", |metrics| all(metrics)[0] == 0.0).await?;
    assert_eq!(all(&lost), [0.0, 0.0, 1.0, 1.0]);
    assert_eq!(alone(&lost, "beamjoin_ready"), Some(0.0));
    // Each attempt counts, also those whose reason is the same as before.
    let failed = "beamjoin_postgres_failed_attempts_total";
    let failing = scrape_that(&node, "failed attempts", |metrics| {
        alone(metrics, failed).is_some_and(|count| count >= 3.0)
    })
    .await?;
    assert_eq!(all(&failing), [0.0, 0.0, 1.0, 1.0]);
    place.postgres.start_again().await?;
    let back = scrape_that(&node, "the next connection", |metrics| all(metrics)[1] == 1.0).await?;
    assert_eq!(all(&back), [1.0, 1.0, 2.0, 1.0]);
    let before = alone(&back, failed).context("no count")?;
    // Every announcement counts, ours as well; those of no use by the reason.
    place.announce("nonsense").await?;
    let reason = [("reason", "not_a_name")];
    let ignored = scrape_that(&node, "an ignored announcement", |metrics| {
        metrics.value("beamjoin_postgres_ignored_announcements_total", &reason) == Some(1.0)
    })
    .await?;
    let heard = alone(&ignored, "beamjoin_postgres_announcements_total").context("no count")?;
    assert!(heard >= 3.0, "{heard}");
    assert!(alone(&ignored, "beamjoin_postgres_heard_age_seconds").is_some_and(|age| age < 20.0));
    assert_eq!(alone(&ignored, failed), Some(before));
    Ok(())
}

#[tokio::test]
async fn what_the_readme_names_is_there() -> Result<()> {
    let place = Place::new().await?;
    let node = place.joined().await?;
    let metrics = node.get("/metrics").await?.body;
    let named =
        include_str!("../../../README.md").split('`').filter(|it| it.starts_with("beamjoin_"));
    let mut count = 0;
    for name in named.map(|name| name.trim_end_matches('…')) {
        assert!(metrics.contains(&format!("# TYPE {name}")), "{name} in {metrics}");
        count += 1;
    }
    assert!(count > 8, "{count}");
    Ok(())
}

#[tokio::test]
async fn both_formats_are_well_formed_and_tell_the_same() -> Result<()> {
    let place = Place::new().await?;
    let mut node = place.joined().await?;
    let _beam = place.beam("beam", &mut node).await?;
    let plain = node.get("/metrics").await?;
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let admin = node.admin;
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let head = format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nAccept: {accept}\r\n\r\n");
    let open = request(admin, &head).await?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.header("content-type"), Some(kind));
    assert!(open.body.ends_with("# EOF\n") && !plain.body.contains("# EOF"));
    let (plain, open) = (parse(&plain.body)?, parse(&open.body)?);
    for mailbox in ["process", "gen_server", "supervisor", "rpc", "global", "service"] {
        let kind = [("kind", mailbox)];
        assert_eq!(plain.value("beamjoin_mailbox_messages", &kind), Some(0.0), "{mailbox}");
        assert_eq!(open.value("beamjoin_mailbox_messages", &kind), Some(0.0), "{mailbox}");
    }
    assert_eq!(plain.value("beamjoin_ready", &[]), Some(1.0));
    assert!(plain.families().len() > 30, "{:?}", plain.families());
    Ok(())
}
