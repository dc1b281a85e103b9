//! The server refuses us: for good at the start, for a while later.

use anyhow::Result;
use integration::{Postgres, PostgresOptions};
use pgnotify::{Config, Error};

use crate::helpers::{Ears, config};

const PASSWORD: &str = "correct-horse";

async fn with_password() -> Result<Postgres> {
    let password = Some(PASSWORD.to_owned());
    Postgres::start_with(PostgresOptions { password, ..PostgresOptions::default() }).await
}

fn with(postgres: &Postgres, password: &str) -> Config {
    config(&postgres.url().replace(PASSWORD, password))
}

#[tokio::test]
async fn a_wrong_password_at_the_start_is_permanent() -> Result<()> {
    let postgres = with_password().await?;
    Ears::connected_on(config(&postgres.url()), &["c"]).await?;
    let error = Ears::on(with(&postgres, "hunter2"), &["c"]).failed().await?;
    assert_eq!(error.sqlstate(), Some("28P01"), "{error}");
    assert!(
        error.to_string().contains("password authentication failed for user \"postgres\""),
        "{error}"
    );
    let shown = format!("{error} {error:?} {:?}", with(&postgres, "hunter2"));
    assert!(!shown.contains("hunter2"), "{shown}");
    Ok(())
}

#[tokio::test]
async fn a_missing_password_is_named() -> Result<()> {
    let postgres = with_password().await?;
    let none = config(&format!("postgres://postgres@{}/postgres", postgres.addr()));
    let error = Ears::on(none.passfile("/nonexistent"), &["c"]).failed().await?;
    assert!(matches!(error, Error::PasswordMissing { .. }), "{error}");
    Ok(())
}

#[tokio::test]
async fn the_password_file_is_used() -> Result<()> {
    let postgres = with_password().await?;
    let file = tempfile::NamedTempFile::new()?;
    let line = format!("127.0.0.1:{}:*:postgres:{PASSWORD}\n", postgres.port());
    std::fs::write(file.path(), line)?;
    let none = config(&format!("postgres://postgres@{}/postgres", postgres.addr()));
    Ears::connected_on(none.passfile(file.path()), &["c"]).await?;
    Ok(())
}

#[tokio::test]
async fn an_unknown_database_at_the_start_is_permanent() -> Result<()> {
    let postgres = Postgres::start().await?;
    let error = Ears::on(config(&postgres.url_of("nowhere")), &["c"]).failed().await?;
    assert_eq!(error.sqlstate(), Some("3D000"), "{error}");
    assert!(error.to_string().contains("database \"nowhere\" does not exist"), "{error}");
    Ok(())
}

#[tokio::test]
async fn an_unknown_role_at_the_start_is_permanent() -> Result<()> {
    let postgres = Postgres::start().await?;
    let url = postgres.url().replace("postgres@", "nobody@");
    let error = Ears::on(config(&url), &["c"]).failed().await?;
    assert_eq!(error.sqlstate(), Some("28000"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_password_that_is_rotated_later_passes() -> Result<()> {
    let postgres = with_password().await?;
    let mut ears = Ears::connected_on(config(&postgres.url()), &["c"]).await?;
    postgres.psql("ALTER ROLE postgres PASSWORD 'another'").await?;
    postgres.kill_backends().await?;
    ears.lost_with("28P01").await?;
    ears.lost_with("28P01").await?;
    postgres.psql(&format!("ALTER ROLE postgres PASSWORD '{PASSWORD}'")).await?;
    assert_eq!(ears.connected().await?.generation, 2);
    Ok(())
}

#[tokio::test]
async fn a_database_that_is_created_again_passes() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres.psql("CREATE DATABASE later").await?;
    let mut ears = Ears::connected_on(config(&postgres.url_of("later")), &["c"]).await?;
    postgres.psql("DROP DATABASE later WITH (FORCE)").await?;
    ears.lost_with("3D000").await?;
    postgres.psql("CREATE DATABASE later").await?;
    assert_eq!(ears.connected().await?.generation, 2);
    Ok(())
}

#[tokio::test]
async fn too_many_connections_pass_even_at_the_start() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres.psql("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0").await?;
    let url = postgres.url().replace("postgres@", "crowded@");
    let mut ears = Ears::on(config(&url), &["c"]);
    ears.lost_with("53300").await?;
    ears.lost_with("53300").await?;
    postgres.psql("ALTER ROLE crowded CONNECTION LIMIT 5").await?;
    assert_eq!(ears.connected().await?.generation, 1);
    Ok(())
}
