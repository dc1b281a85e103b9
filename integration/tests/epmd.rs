//! Our EPMD and our registration beside real nodes and OTP's own EPMD.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dist::epmd::{Config, Mode, RegisterError, Registrar, ServedBy, Status, lookup, names};
use integration::epmd::epmd;
use integration::{Beam, BeamOptions, EpmdProcess, eventually, free_port, unique};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);
const HOST: &str = "127.0.0.1";
const OUR_PORT: u16 = 7777;

/// The settings that `ERL_EPMD_PORT=port ERL_EPMD_ADDRESS=127.0.0.1` gives.
fn config(port: u16) -> Config {
    let mut config = Config::with_port(port);
    config.addresses = vec![[127, 0, 0, 1].into()];
    config
}

async fn registrar(base: &str, port: u16, mode: Mode) -> Result<Registrar, RegisterError> {
    Registrar::start(base, OUR_PORT, mode, config(port)).await
}

async fn beam(base: &str, port: u16) -> Result<Beam> {
    Beam::start(BeamOptions::new(format!("{base}@{HOST}"), "cookie", port)).await
}

async fn reaches(registrar: &Registrar, wanted: impl FnMut(&Status) -> bool) -> Result<()> {
    let mut status = registrar.status();
    timeout(DEADLINE, status.wait_for(wanted))
        .await
        .with_context(|| format!("it is {:?}", registrar.status().borrow()))??;
    Ok(())
}

fn is(wanted: ServedBy) -> impl Fn(&Status) -> bool {
    move |status| matches!(status, Status::Registered { by } if *by == wanted)
}

/// Polls until EPMD lists exactly these, and nobody else.
async fn listed(port: u16, bases: &[&str]) -> Result<()> {
    eventually(DEADLINE, "the names in EPMD", async || {
        let mut found: Vec<String> = names(HOST, port).await?.into_iter().map(|n| n.0).collect();
        found.sort();
        ensure!(found == bases, "it lists {found:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn real_nodes_live_with_our_epmd() -> Result<()> {
    let port = free_port()?;
    let ours = registrar("ours", port, Mode::Auto).await?;
    ensure!(is(ServedBy::Embedded)(&ours.status().borrow()), "nobody else is there");

    let mut first = beam("first", port).await?;
    let _short = Beam::start(BeamOptions::new("short@localhost", "cookie", port)).await?;
    listed(port, &["first", "ours", "short"]).await?;

    // Their own means of looking.
    let seen =
        first.eval("{ok, L} = net_adm:names({127,0,0,1}), lists:sort([N || {N, _} <- L])").await?;
    assert_eq!(seen, r#"["first","ours","short"]"#);
    let found = first.eval("erl_epmd:port_please(\"ours\", {127,0,0,1})").await?;
    assert_eq!(found, format!("{{port,{OUR_PORT},6}}"));
    assert_eq!(first.eval("erl_epmd:port_please(\"nobody\", {127,0,0,1})").await?, "noport");
    assert_eq!(first.eval("net_adm:ping('short@localhost')").await?, "pang", "long to short");
    let text = epmd(port, &["-names"]).await?;
    assert!(text.starts_with(&format!("epmd: up and running on port {port} with data:\n")));
    assert!(text.contains(&format!("name ours at port {OUR_PORT}\n")), "{text}");
    assert!(text.contains("name first at port "), "{text}");

    // Nobody can end it or take a name from it.
    let refused = epmd(port, &["-kill"]).await?;
    assert!(refused.contains("Killing not allowed"), "{refused}");
    epmd(port, &["-stop", "first"]).await?;
    let error = EpmdProcess::start(port).await.unwrap_err().to_string();
    assert!(error.contains("it ended"), "{error}");
    let error = beam("ours", port).await.unwrap_err().to_string();
    assert!(error.contains("seems to be in use"), "{error}");
    listed(port, &["first", "ours", "short"]).await?;

    // A node that dies is gone, and comes back as another incarnation.
    let creation = first.eval("erlang:system_info(creation)").await?;
    first.kill9().await?;
    listed(port, &["ours", "short"]).await?;
    first.restart().await?;
    assert_ne!(first.eval("erlang:system_info(creation)").await?, creation);
    listed(port, &["first", "ours", "short"]).await?;
    assert_eq!(lookup(HOST, port, "first").await?.highest, 6);
    Ok(())
}

#[tokio::test]
async fn takes_over_from_an_epmd_that_is_killed() -> Result<()> {
    let mut real = EpmdProcess::start_anywhere().await?;
    let port = real.port();
    let node = beam("node", port).await?;
    let ours = registrar("ours", port, Mode::Auto).await?;
    ensure!(is(ServedBy::External)(&ours.status().borrow()), "there is one");
    let second = registrar("second", port, Mode::Auto).await?;
    let creations = (ours.creation(), node.eval("erlang:system_info(creation)").await?);
    assert!(creations.0.is_some());

    real.kill9().await?;
    reaches(&ours, |status| matches!(status, Status::Lost { .. })).await?;
    // One of the two serves, the other and the real node come back by themselves.
    listed(port, &["node", "ours", "second"]).await?;
    reaches(&ours, |status| matches!(status, Status::Registered { .. })).await?;
    reaches(&second, |status| matches!(status, Status::Registered { .. })).await?;
    let serving = [&ours, &second].map(|r| is(ServedBy::Embedded)(&r.status().borrow()));
    assert_ne!(serving[0], serving[1]);
    assert_eq!(creations.1, node.eval("erlang:system_info(creation)").await?);
    assert_eq!(creations.0, ours.creation());

    // The one that serves leaves, and the other takes its place.
    let (leaving, staying, left) =
        if serving[0] { (ours, second, "second") } else { (second, ours, "ours") };
    leaving.close().await;
    reaches(&staying, is(ServedBy::Embedded)).await?;
    let mut expected = ["node", left];
    expected.sort_unstable();
    listed(port, &expected).await?;

    // When it leaves too, a real one can have the port again.
    staying.close().await;
    real.restart().await?;
    listed(port, &["node"]).await
}

#[tokio::test]
async fn gives_way_to_an_epmd_that_comes_back() -> Result<()> {
    let mut real = EpmdProcess::start_anywhere().await?;
    let port = real.port();
    // Time enough for a real one to start on a busy machine.
    let mut patient = config(port);
    patient.take_over = DEADLINE;
    let ours = Registrar::start("ours", OUR_PORT, Mode::Auto, patient).await?;
    let creation = ours.creation();
    real.kill9().await?;
    reaches(&ours, |status| matches!(status, Status::Lost { .. })).await?;
    real.restart().await?;
    reaches(&ours, is(ServedBy::External)).await?;
    listed(port, &["ours"]).await?;
    assert!(real.output().contains("registering 'ours:"), "{}", real.output());
    assert_eq!(ours.creation(), creation, "the creation stays");
    Ok(())
}

#[tokio::test]
async fn a_name_that_another_node_has() -> Result<()> {
    let real = EpmdProcess::start_anywhere().await?;
    let port = real.port();
    let base = unique("taken");
    let mut node = beam(&base, port).await?;
    let error = registrar(&base, port, Mode::Auto).await.unwrap_err();
    assert!(matches!(error, RegisterError::NameTaken { .. }), "{error:?}");

    // Tried again until the other leaves, within the 3 s.
    let patient =
        async { eventually(DEADLINE, "the name", || registrar(&base, port, Mode::External)).await };
    let (ours, stopped) = tokio::join!(patient, node.stop());
    stopped?;
    reaches(&ours?, is(ServedBy::External)).await
}
