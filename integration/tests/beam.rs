//! The harness itself: real nodes answer, fail loudly and can be killed.

use std::time::Duration;

use anyhow::Result;
use integration::{Beam, BeamOptions, EpmdProcess, free_port, unique};

const DEADLINE: Duration = Duration::from_secs(30);

/// An EPMD of the test's own, and a node that registers there.
async fn start(
    base: &str,
    change: impl Fn(BeamOptions) -> BeamOptions,
) -> Result<(EpmdProcess, Beam)> {
    let epmd = EpmdProcess::start_anywhere().await?;
    let name = format!("{}@127.0.0.1", unique(base));
    let beam = Beam::start(change(BeamOptions::new(name, "harness", epmd.port()))).await?;
    Ok((epmd, beam))
}

#[tokio::test]
async fn evaluates_and_tells_values_from_exceptions() -> Result<()> {
    let (_epmd, beam) = start("eval", |options| options).await?;
    assert_eq!(beam.eval("1 + 1").await?, "2");
    assert_eq!(
        beam.eval("X = [a, <<\"b\">>, \"c\"], {X, 1.5}.").await?,
        "{[a,<<\"b\">>,\"c\"],1.5}"
    );
    assert_eq!(beam.eval("node()").await?, format!("'{}'", beam.name()));
    assert_eq!(beam.eval("<<\"é\"/utf8>>").await?, "<<\"é\"/utf8>>");

    let error = beam.eval("error(boom)").await.unwrap_err().to_string();
    assert!(error.contains("error: boom"), "{error}");
    let error = beam.eval("1 +").await.unwrap_err().to_string();
    assert!(error.contains("syntax error"), "{error}");
    let error =
        beam.eval_within(Duration::from_millis(50), "receive after infinity -> ok end").await;
    assert!(error.unwrap_err().to_string().contains("no answer within"));
    Ok(())
}

#[tokio::test]
async fn evaluates_several_expressions_at_once_and_keeps_sessions_apart() -> Result<()> {
    let (_epmd, beam) = start("many", |options| options).await?;
    let waiting = beam.eval("register(waiting, self()), receive Go -> Go end");
    let waking = async {
        beam.eval_until(DEADLINE, "is_pid(whereis(waiting))", "true").await?;
        beam.eval("waiting ! go").await
    };
    assert_eq!(tokio::try_join!(waiting, waking)?, ("go".to_owned(), "go".to_owned()));

    let (one, two) = (beam.session(), beam.session());
    one.eval("X = 1").await?;
    two.eval("X = 2").await?;
    one.eval("throw(oops)").await.unwrap_err();
    assert_eq!((one.eval("X").await?, two.eval("X").await?), ("1".to_owned(), "2".to_owned()));
    Ok(())
}

#[tokio::test]
async fn dies_stops_freezes_and_starts_again() -> Result<()> {
    let (_epmd, mut beam) = start("dies", |options| options).await?;
    beam.freeze().await?;
    beam.eval_within(Duration::from_millis(100), "ok").await.unwrap_err();
    beam.thaw()?;
    assert_eq!(beam.eval("ok").await?, "ok");
    beam.kill9().await?;
    assert!(beam.eval("ok").await.unwrap_err().to_string().contains("ended"));
    beam.restart().await?;
    assert_eq!(beam.eval("ok").await?, "ok");
    assert!(beam.stop().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_node_that_cannot_start_says_why() -> Result<()> {
    let name = format!("{}@127.0.0.1", unique("lonely"));
    let error =
        Beam::start(BeamOptions::new(name, "harness", free_port()?)).await.unwrap_err().to_string();
    assert!(error.contains("did not start") && error.contains("econnrefused"), "{error}");
    Ok(())
}

#[tokio::test]
async fn runs_elixir() -> Result<()> {
    let (_epmd, beam) = start("elixir", BeamOptions::elixir).await?;
    assert_eq!(beam.elixir("Enum.map([1, 2], &%{a: &1})").await?, "[%{a: 1}, %{a: 2}]");
    let error = beam.elixir("raise \"boom\"").await.unwrap_err().to_string();
    assert!(error.contains("boom"), "{error}");
    Ok(())
}
