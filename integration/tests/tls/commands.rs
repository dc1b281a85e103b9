//! The commands with `--tls-cert`, `--tls-key` and `--tls-ca`.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::{Authority, Identity, JoinOptions, Postgres, RustNode, SOON, eventually, unique};

use crate::support::Place;

/// How long a command may take.
const DEADLINE: Duration = Duration::from_secs(40);

async fn run(
    place: &Place,
    args: &[&str],
    identity: Option<&Identity>,
) -> Result<integration::Exit> {
    let port = place.world.port.to_string();
    let env = [("ERL_EPMD_PORT", port.as_str()), ("BEAMJOIN_COOKIE", &place.world.cookie)];
    let mut args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
    args.extend(identity.map(Identity::flags).unwrap_or_default());
    RustNode::run(args, &env, DEADLINE).await
}

#[tokio::test]
async fn join_meets_beam_nodes_over_tls() -> Result<()> {
    let place = Place::new().await?;
    let (postgres, beam) = tokio::try_join!(Postgres::start(), place.beam())?;
    let channel = unique("c");
    for visibility in ["--hidden", "--visible"] {
        let options = JoinOptions::new(&place.world, &postgres, &channel);
        let args = place.identity()?.flags();
        let mut joined = options.args(args).args([visibility]).start()?;
        joined.event_named("announced", SOON).await?;
        // As the Elixir strategy does when it hears a name.
        assert_eq!(beam.eval(format!("net_kernel:connect_node('{}')", joined.name)).await?, "true");
        joined.up(beam.name(), SOON).await?;
        beam.eval(format!("erlang:disconnect_node('{}')", joined.name)).await?;
        joined.event_about("down", beam.name(), SOON).await?;
        // And we dial whom we hear.
        eventually(SOON, "up again", async || {
            postgres.psql(&format!("NOTIFY \"{channel}\", '{}'", beam.name())).await?;
            joined.up(beam.name(), Duration::from_secs(1)).await
        })
        .await?;
        assert_eq!(beam.eval(format!("net_adm:ping('{}')", joined.name)).await?, "pong");
        joined.terminate()?;
        let exit = joined.exit(SOON).await?;
        assert_eq!(exit.code, Some(0), "{}", exit.stderr);
        beam.sees(&joined.name, false, SOON).await?;
    }
    Ok(())
}

#[tokio::test]
async fn join_reads_the_certificates_again_on_sighup() -> Result<()> {
    let place = Place::new().await?;
    let postgres = Postgres::start().await?;
    let files = place.identity()?;
    let options = JoinOptions::new(&place.world, &postgres, &unique("c"));
    let mut joined = options.args(files.flags()).start()?;
    joined.event_named("announced", SOON).await?;

    let whole = fs::read(&files.cert)?;
    fs::write(&files.cert, "rubbish")?;
    joined.hang_up()?;
    eventually(SOON, "the error", async || joined.stderr().contains("from before are kept"))
        .await?;
    ensure!(joined.stderr().contains(&files.cert.display().to_string()), "{}", joined.stderr());
    let beam = place.beam().await?;
    assert_eq!(beam.eval(format!("net_adm:ping('{}')", joined.name)).await?, "pong");

    fs::write(&files.cert, whole)?;
    joined.hang_up()?;
    eventually(SOON, "the reload", async || {
        joined.stderr().contains("SIGHUP: the certificates were read again")
    })
    .await?;
    assert_eq!(beam.eval(format!("net_adm:ping('{}')", joined.name)).await?, "pong");
    ensure!(joined.is_running()?);
    Ok(())
}

#[tokio::test]
async fn a_node_can_be_reached_for_a_moment() -> Result<()> {
    let place = Place::new().await?;
    let beam = place.beam().await?;
    let identity = place.identity()?;
    beam.eval("register(sink, spawn(fun L() -> receive M -> put(got, M), L() end end)), ok")
        .await?;
    for (args, printed) in [
        (vec!["ping", beam.name()], "pong from "),
        (vec!["call", beam.name(), "lists:sum", "[1, 2]"], "3\n"),
        (vec!["eval", "--erl", beam.name(), "1 + 2."], "3\n"),
        (vec!["send", beam.name(), "sink", ":hello"], ""),
    ] {
        let exit = run(&place, &args, Some(&identity)).await?;
        assert_eq!(exit.code, Some(0), "{args:?}: {}", exit.stderr);
        assert!(exit.stdout.starts_with(printed.trim_end()), "{args:?}: {}", exit.stdout);
    }
    beam.eval_until(SOON, "process_info(whereis(sink), dictionary)", "{dictionary,[{got,hello}]}")
        .await
}

#[tokio::test]
async fn what_is_wrong_is_said() -> Result<()> {
    let place = Place::new().await?;
    let (secure, plain) = tokio::try_join!(place.beam(), place.world.beam("plain"))?;
    let identity = place.identity()?;
    let authority = Authority::new()?;
    let foreign = authority.sign(&["127.0.0.1"])?;
    for (node, identity, codes, said) in [
        (secure.name(), None, &[76][..], "; give --tls-cert, --tls-key and --tls-ca"),
        // It waits for more, or closes.
        (plain.name(), Some(&identity), &[75, 76], "(a peer without TLS does not answer it)"),
        (secure.name(), Some(&foreign), &[76], "not signed by an authority that this node trusts"),
    ] {
        for command in [vec!["ping", node], vec!["call", node, "erlang:node"]] {
            let exit = run(&place, &command, identity).await?;
            let code = exit.code.context("it was killed")?;
            assert!(codes.contains(&code), "{command:?}: {code}: {}", exit.stderr);
            assert!(exit.stderr.contains(said), "{command:?}: {}", exit.stderr);
        }
    }
    let exit = run(&place, &["ping", secure.name(), "--tls-cert", "node.pem"], None).await?;
    assert_eq!(exit.code, Some(78));
    assert!(exit.stderr.contains("--tls-key and --tls-ca is missing"), "{}", exit.stderr);
    Ok(())
}

#[tokio::test]
async fn the_environment_names_the_files_too() -> Result<()> {
    let place = Place::new().await?;
    let beam = place.beam().await?;
    let identity = place.identity()?;
    let port = place.world.port.to_string();
    let file = |path: &std::path::Path| path.display().to_string();
    let (cert, key, ca) = (file(&identity.cert), file(&identity.key), file(&identity.ca));
    let env = [
        ("ERL_EPMD_PORT", port.as_str()),
        ("BEAMJOIN_COOKIE", &place.world.cookie),
        ("BEAMJOIN_TLS_CERT", &cert),
        ("BEAMJOIN_TLS_KEY", &key),
        ("BEAMJOIN_TLS_CA", &ca),
    ];
    let exit = RustNode::run(["ping", beam.name()], &env, DEADLINE).await?;
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    Ok(())
}
