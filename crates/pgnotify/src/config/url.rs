//! `postgres://user:password@host:port,host2:port2/database?option=value&...`
//! (PostgreSQL manual, 34.1.1.2 "Connection URIs").

use super::{Config, ConfigError, Password, percent};

/// What follows `postgres://` or `postgresql://`, if it is a URL at all.
pub(super) fn strip_scheme(url: &str) -> Option<&str> {
    url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"))
}

pub(super) fn parse(rest: &str) -> Result<Config, ConfigError> {
    let mut config = Config::new();
    let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = location.split_once('/').unwrap_or((location, ""));
    // The last @: a password with one in it is a common slip that need not fail.
    let (credentials, hosts) = match authority.rsplit_once('@') {
        Some((credentials, hosts)) => (Some(credentials), hosts),
        None => (None, authority),
    };
    if let Some(credentials) = credentials {
        set_credentials(&mut config, credentials)?;
    }
    set_hosts(&mut config, hosts)?;
    if !database.is_empty() {
        config.set("dbname", &percent::decode(database)?)?;
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (option, value) = pair
            .split_once('=')
            .ok_or(ConfigError::Malformed("an option after ? has the form name=value"))?;
        let (option, value) = (percent::decode(option)?, percent::decode(value)?);
        match (option.as_str(), value.as_str()) {
            // libpq accepts what JDBC writes.
            ("ssl", "true") => config.set("sslmode", "require")?,
            (option, value) => config.set(option, value)?,
        }
    }
    Ok(config)
}

fn set_credentials(config: &mut Config, credentials: &str) -> Result<(), ConfigError> {
    let (user, password) = match credentials.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (credentials, None),
    };
    if !user.is_empty() {
        config.set("user", &percent::decode(user)?)?;
    }
    if let Some(password) = password.filter(|password| !password.is_empty()) {
        config.password = Some(Password(percent::decode_bytes(password)?));
    }
    Ok(())
}

/// Nothing at all means no host here: it may stand in an option or another layer.
fn set_hosts(config: &mut Config, hosts: &str) -> Result<(), ConfigError> {
    if hosts.is_empty() {
        return Ok(());
    }
    let mut names = Vec::new();
    let mut ports = Vec::new();
    for host in hosts.split(',') {
        let (name, port) = split_port(host)?;
        let name = percent::decode(name)?;
        names.push(if name.is_empty() { "localhost".to_owned() } else { name });
        ports.push(port);
    }
    if names.iter().any(|name| name.contains(',')) {
        return Err(ConfigError::Malformed("a host name contains a comma"));
    }
    config.set("host", &names.join(","))?;
    if ports.iter().any(|port| !port.is_empty()) {
        config.set("port", &ports.join(","))?;
    }
    Ok(())
}

fn split_port(host: &str) -> Result<(&str, &str), ConfigError> {
    if let Some(bracketed) = host.strip_prefix('[') {
        let (address, rest) =
            bracketed.split_once(']').ok_or(ConfigError::Malformed("[ without ]"))?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((address, port)),
            None if rest.is_empty() => Ok((address, "")),
            None => Err(ConfigError::Malformed("unexpected text after ]")),
        };
    }
    Ok(host.split_once(':').unwrap_or((host, "")))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::super::{Host, RootCert, SslMode, TargetSessionAttrs};
    use super::*;

    fn labels(config: &Config) -> Vec<String> {
        config.targets().unwrap().iter().map(super::super::Target::label).collect()
    }

    #[test]
    fn a_full_url() {
        let config = Config::from_url(
            "postgresql://us%40er:p%3Aw@db1:5433,[::1],db3:1/my%20db?sslmode=verify-full\
             &sslrootcert=/ca.pem&application_name=x&target_session_attrs=read-write",
        )
        .unwrap();
        assert_eq!(labels(&config), ["db1:5433", "[::1]:5432", "db3:1"]);
        assert_eq!(config.username.as_deref(), Some("us@er"));
        assert!(config.password == Some(Password(b"p:w".to_vec())));
        assert_eq!(config.database.as_deref(), Some("my db"));
        assert_eq!(config.get_ssl_mode(), SslMode::VerifyFull);
        assert_eq!(config.ssl_root_cert, Some(RootCert::File("/ca.pem".into())));
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
    }

    #[test]
    fn short_forms() {
        assert_eq!(labels(&Config::from_url("postgres://").unwrap()), ["localhost:5432"]);
        assert_eq!(labels(&Config::from_url("postgres://h").unwrap()), ["h:5432"]);
        assert_eq!(labels(&Config::from_url("postgres://:7/db").unwrap()), ["localhost:7"]);
        let config = Config::from_url("postgres://u@/db?host=/run/pg&port=7").unwrap();
        assert_eq!(labels(&config), ["/run/pg/.s.PGSQL.7"]);
        let config = Config::from_url("postgres://%2Frun%2Fpg/db").unwrap();
        assert_eq!(config.hosts(), [Host::Unix(PathBuf::from("/run/pg"))]);
        let config = Config::from_url("postgres://h/db?ssl=true").unwrap();
        assert_eq!(config.get_ssl_mode(), SslMode::Require);
    }

    #[test]
    fn a_password_with_an_at_sign_still_works() {
        let config = Config::from_url("postgres://u:p@ss@h/db").unwrap();
        assert!(config.password == Some(Password(b"p@ss".to_vec())));
        assert_eq!(labels(&config), ["h:5432"]);
    }

    #[test]
    fn a_password_that_was_not_encoded_is_not_repeated_in_the_error() {
        for url in
            ["postgres://u:hun/ter2@h/db", "postgres://u:hun?ter2@h/db", "postgres://u:hun%ter2@h"]
        {
            let error = Config::from_url(url).unwrap_err().to_string();
            assert!(!error.contains("hun") && !error.contains("ter2"), "{error}");
        }
    }

    #[test]
    fn malformed_urls_are_errors() {
        for url in [
            "postgres://h:0/db",
            "postgres://h:65536/db",
            "postgres://h:x/db",
            "postgres://[::1/db",
            "postgres://[::1]x/db",
            "postgres://h/db?sslmode",
            "postgres://h/db?no_such_option=1",
            "postgres://h1,h2/db?port=1,2,3",
            "postgres://h/db?hostaddr=1.2.3.4,5.6.7.8",
            "mysql://h/db",
        ] {
            assert!(Config::from_url(url).is_err(), "{url}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(rest in "\\PC{0,80}") {
            let _ = Config::from_url(&format!("postgres://{rest}"));
        }

        #[test]
        fn any_password_arrives(password in "\\PC{1,20}") {
            let encoded: String = password.bytes().map(|b| format!("%{b:02x}")).collect();
            let config = Config::from_url(&format!("postgres://u:{encoded}@h")).unwrap();
            prop_assert!(config.password == Some(Password(password.into_bytes())));
        }
    }
}
