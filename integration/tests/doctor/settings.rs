//! Settings that make no sense, from wherever they come.

use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use integration::{JoinOptions, Postgres, RustNode, World, unique};

use super::{DEADLINE, announce, doctor, quoted, run};

#[tokio::test]
async fn a_setting_makes_no_sense() -> Result<()> {
    let (world, postgres) = (World::without_epmd()?, Postgres::start().await?);
    let options = JoinOptions::new(&world, &postgres, "c").args(["--heartbeat-interval", "soon"]);
    let found = doctor(options, "200ms").await?;
    // With all else in order, Postgres is still tried.
    found.ended(64, &["settings", "heard"]);
    found.says("settings", "failed", "invalid --heartbeat-interval \"soon\"", "correct it");
    found.ok("listen");
    found.skipped(&["name", "host", "port", "epmd"], "settings");
    Ok(())
}

#[tokio::test]
async fn there_is_no_cookie() -> Result<()> {
    let (postgres, home) = (Postgres::start().await?, tempfile::tempdir()?);
    let (url, home) = (postgres.url(), home.path().display().to_string());
    let args = ["doctor", "--name", "rust@127.0.0.1", "--url", &url, "--wait", "200ms"];
    let exit = RustNode::run(args, &[("HOME", &home)], DEADLINE).await?;
    assert_eq!(exit.code, Some(78), "{exit:?}");
    let first = exit.stdout.lines().next().unwrap_or_default();
    assert!(first.starts_with("failed       settings   no cookie: "), "{first}");
    // The channel is derived from it.
    assert!(exit.stdout.contains("not checked  channel    because of settings\n"), "{exit:?}");
    assert!(exit.stdout.ends_with("\na join would not work: 1 check failed\n"), "{exit:?}");
    Ok(())
}

#[tokio::test]
async fn a_cookie_that_others_can_read_is_warned_of() -> Result<()> {
    let (world, postgres) = (World::new().await?, Postgres::start().await?);
    let (beam, channel, file) =
        (world.beam("there").await?, unique("c"), tempfile::NamedTempFile::new()?);
    std::fs::write(file.path(), &world.cookie)?;
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644))?;
    let _node = announce(&postgres.url(), quoted(&channel, beam.name())).await?;
    let path = file.path().display().to_string();
    let options = JoinOptions::new(&world, &postgres, &channel).args(["--cookie-file", &path]);
    let found = doctor(options, "3s").await?;
    found.ended(0, &[]);
    found.says("settings", "warning", "chmod 400", "OTP takes no such file");
    Ok(())
}

#[tokio::test]
async fn the_command_line_is_wrong() -> Result<()> {
    let (world, postgres) = (World::without_epmd()?, Postgres::start().await?);
    let options = JoinOptions::new(&world, &postgres, "c");
    for wait in ["infinity", "soon"] {
        let exit = run(&options, &["--wait", wait]).await?;
        assert_eq!((exit.code, exit.stdout.as_str()), (Some(64), ""), "{exit:?}");
    }
    Ok(())
}
