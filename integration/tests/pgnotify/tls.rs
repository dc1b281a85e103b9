//! TLS in every `sslmode`, with a certification authority of our own.

use anyhow::Result;
use integration::{Authority, Identity, Postgres, PostgresOptions, TlsFiles};
use pgnotify::{Config, Error};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tempfile::TempDir;

use crate::helpers::{Ears, config};

/// What a session says about itself: is it encrypted?
const ENCRYPTED: &str = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                         WHERE application_name = 'pgnotify'";

/// A certificate and its key as Postgres takes them.
fn files(identity: &Identity) -> Result<TlsFiles> {
    let read = |path| std::fs::read_to_string(path);
    let (cert, key, ca) = (read(&identity.cert)?, read(&identity.key)?, read(&identity.ca)?);
    Ok(TlsFiles { cert, key, client_ca: Some(ca) })
}

fn sign(authority: &Authority, hosts: &[&str]) -> Result<TlsFiles> {
    files(&authority.sign(hosts)?)
}

/// A server for 127.0.0.1 under this authority.
async fn server_of(authority: &Authority) -> Result<Postgres> {
    server(sign(authority, &["127.0.0.1"])?, None).await
}

async fn server(tls: TlsFiles, hba: Option<&str>) -> Result<Postgres> {
    let hba = hba.map(|kind| format!("{kind} all all 127.0.0.1/32 trust\n"));
    Postgres::start_with(PostgresOptions { tls: Some(tls), hba, ..PostgresOptions::default() })
        .await
}

fn with(postgres: &Postgres, options: &str) -> Config {
    config(&format!("{}?{options}", postgres.url()))
}

/// Connects, and says whether the session is encrypted.
async fn encrypted(postgres: &Postgres, config: Config) -> Result<bool> {
    let mut ears = Ears::connected_on(config, &["c"]).await?;
    postgres.psql("NOTIFY c, 'x'").await?;
    assert_eq!(ears.hear().await?.1, "x");
    Ok(postgres.psql(ENCRYPTED).await? == "t")
}

#[tokio::test]
async fn every_mode_does_what_it_says() -> Result<()> {
    let authority = Authority::new()?;
    let postgres = server_of(&authority).await?;
    let root = format!("sslrootcert={}", authority.file().display());
    for (mode, expected) in [
        ("disable", false),
        ("prefer", true),
        ("require", true),
        ("verify-ca", true),
        ("verify-full", true),
    ] {
        let config = with(&postgres, &format!("sslmode={mode}&{root}"));
        assert_eq!(encrypted(&postgres, config).await?, expected, "{mode}");
    }
    Ok(())
}

#[tokio::test]
async fn another_authority_is_refused_by_the_verifying_modes_only() -> Result<()> {
    let (authority, other) = (Authority::new()?, Authority::new()?);
    let postgres = server_of(&authority).await?;
    let root = format!("sslrootcert={}", other.file().display());
    for mode in ["prefer", "require"] {
        assert!(encrypted(&postgres, with(&postgres, &format!("sslmode={mode}&{root}"))).await?);
    }
    for mode in ["verify-ca", "verify-full"] {
        let config = with(&postgres, &format!("sslmode={mode}&{root}"));
        let error = Ears::on(config, &["c"]).failed().await?;
        assert!(matches!(error, Error::Certificate { .. }), "{mode}: {error}");
        assert!(error.to_string().contains("UnknownIssuer"), "{mode}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn another_host_name_is_refused_by_verify_full_only() -> Result<()> {
    let authority = Authority::new()?;
    let postgres = server(sign(&authority, &["elsewhere.example"])?, None).await?;
    let root = format!("sslrootcert={}", authority.file().display());
    assert!(encrypted(&postgres, with(&postgres, &format!("sslmode=verify-ca&{root}"))).await?);
    let strict = with(&postgres, &format!("sslmode=verify-full&{root}"));
    let error = Ears::on(strict, &["c"]).failed().await?;
    assert!(matches!(error, Error::Certificate { .. }), "{error}");
    assert!(error.to_string().contains("elsewhere.example"), "{error}");

    // The host's name is what counts, not where it leads.
    let url = format!(
        "postgres://postgres@elsewhere.example:{}/postgres?hostaddr=127.0.0.1&sslmode=verify-full&{root}",
        postgres.port()
    );
    assert!(encrypted(&postgres, config(&url)).await?);
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_is_replaced_later_passes() -> Result<()> {
    let (authority, other) = (Authority::new()?, Authority::new()?);
    let postgres = server_of(&authority).await?;
    let root = authority.folder().join("root.pem");
    std::fs::copy(authority.file(), &root)?;
    let options = format!("sslmode=verify-full&sslrootcert={}", root.display());
    let mut ears = Ears::connected_on(with(&postgres, &options), &["c"]).await?;
    std::fs::copy(other.file(), &root)?;
    postgres.kill_backends().await?;
    ears.lost().await?;
    let reason = ears.lost().await?;
    assert!(matches!(reason, Error::Certificate { .. }), "{reason}");
    std::fs::copy(authority.file(), &root)?;
    assert_eq!(ears.connected().await?.generation, 2);
    Ok(())
}

/// The first recipe of Postgres' manual makes the server a self-signed certificate, which is then
/// given to the clients as the root.
#[tokio::test]
async fn a_self_signed_certificate_is_its_own_root() -> Result<()> {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let cert = params.self_signed(&key)?.pem();
    let folder = TempDir::new()?;
    let file = folder.path().join("server.crt");
    std::fs::write(&file, &cert)?;
    let tls = TlsFiles { cert, key: key.serialize_pem(), client_ca: None };
    let postgres = server(tls, None).await?;
    for mode in ["verify-ca", "verify-full"] {
        let options = format!("sslmode={mode}&sslrootcert={}", file.display());
        assert!(encrypted(&postgres, with(&postgres, &options)).await?, "{mode}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_without_tls_serves_prefer_and_disable_only() -> Result<()> {
    let authority = Authority::new()?;
    let postgres = Postgres::start().await?;
    let root = format!("sslrootcert={}", authority.file().display());
    for mode in ["disable", "prefer"] {
        assert!(
            !encrypted(&postgres, with(&postgres, &format!("sslmode={mode}"))).await?,
            "{mode}"
        );
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        let config = with(&postgres, &format!("sslmode={mode}&{root}"));
        let error = Ears::on(config, &["c"]).failed().await?;
        assert!(matches!(error, Error::NoTls { .. }), "{mode}: {error}");
        assert!(error.to_string().contains(mode), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn prefer_falls_back_where_tls_is_not_admitted() -> Result<()> {
    let authority = Authority::new()?;
    let postgres = server(sign(&authority, &["127.0.0.1"])?, Some("hostnossl")).await?;
    assert!(!encrypted(&postgres, with(&postgres, "sslmode=prefer")).await?);
    let error = Ears::on(with(&postgres, "sslmode=require"), &["c"]).failed().await?;
    assert_eq!(error.sqlstate(), Some("28000"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_demands_tls_refuses_disable() -> Result<()> {
    let authority = Authority::new()?;
    let postgres = server(sign(&authority, &["127.0.0.1"])?, Some("hostssl")).await?;
    assert!(encrypted(&postgres, with(&postgres, "sslmode=prefer")).await?);
    let error = Ears::on(with(&postgres, "sslmode=disable"), &["c"]).failed().await?;
    assert_eq!(error.sqlstate(), Some("28000"), "{error}");
    // In the words of Postgres up to 13, and of later ones.
    let said = error.to_string();
    assert!(said.contains("SSL off") || said.contains("no encryption"), "{error}");
    Ok(())
}

#[tokio::test]
async fn tls_1_2_is_spoken_too() -> Result<()> {
    let authority = Authority::new()?;
    let settings = vec![("ssl_max_protocol_version".to_owned(), "TLSv1.2".to_owned())];
    let tls = Some(sign(&authority, &["127.0.0.1"])?);
    let postgres =
        Postgres::start_with(PostgresOptions { tls, settings, ..PostgresOptions::default() })
            .await?;
    let options = format!("sslmode=verify-full&sslrootcert={}", authority.file().display());
    assert!(encrypted(&postgres, with(&postgres, &options)).await?);
    Ok(())
}

#[tokio::test]
async fn a_password_crosses_tls() -> Result<()> {
    let authority = Authority::new()?;
    let tls = Some(sign(&authority, &["127.0.0.1"])?);
    let password = Some("correct-horse".to_owned());
    let postgres =
        Postgres::start_with(PostgresOptions { tls, password, ..PostgresOptions::default() })
            .await?;
    assert!(encrypted(&postgres, with(&postgres, "sslmode=require")).await?);
    Ok(())
}

#[tokio::test]
async fn a_client_certificate_is_shown_when_asked_for() -> Result<()> {
    let authority = Authority::new()?;
    let tls = sign(&authority, &["127.0.0.1"])?;
    let options = PostgresOptions {
        tls: Some(tls),
        hba: Some("hostssl all all 127.0.0.1/32 cert\n".to_owned()),
        ..PostgresOptions::default()
    };
    let postgres = Postgres::start_with(options).await?;
    // `cert` wants the role's name as the common name.
    let client = authority.sign_common_name("postgres")?;
    let (cert, key) = (client.cert, client.key);
    let options = format!("sslmode=require&sslcert={}&sslkey={}", cert.display(), key.display());
    assert!(encrypted(&postgres, with(&postgres, &options)).await?);
    let error = Ears::on(with(&postgres, "sslmode=require"), &["c"]).failed().await?;
    assert_eq!(error.sqlstate(), Some("28000"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_root_certificate_that_cannot_be_read_is_named() -> Result<()> {
    let authority = Authority::new()?;
    let postgres = server_of(&authority).await?;
    let config = with(&postgres, "sslmode=verify-full&sslrootcert=/nonexistent/root.pem");
    let error = Ears::on(config, &["c"]).failed().await?;
    assert!(error.to_string().contains("/nonexistent/root.pem"), "{error}");
    Ok(())
}
