//! libpq's environment variables (PostgreSQL manual, 34.15).

use super::{Config, ConfigError};

/// Each variable with the option that it sets.
const VARIABLES: [(&str, &str); 18] = [
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGPASSFILE", "passfile"),
    ("PGDATABASE", "dbname"),
    ("PGOPTIONS", "options"),
    ("PGAPPNAME", "application_name"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGSERVICE", "service"),
];

/// Reads the variables through `get`.
pub(super) fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
    let mut config = Config::new();
    for (variable, option) in VARIABLES {
        if let Some(value) = get(variable).filter(|value| !value.is_empty()) {
            config.set(option, &value).map_err(|error| name(variable, error))?;
        }
    }
    Ok(config)
}

/// Says which variable it was.
fn name(variable: &str, error: ConfigError) -> ConfigError {
    match error {
        ConfigError::InvalidValue { expected, .. } => {
            ConfigError::InvalidValue { option: variable.to_owned(), expected }
        }
        ConfigError::Unsupported { reason, .. } => {
            ConfigError::Unsupported { option: variable.to_owned(), reason }
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Password, SslMode, TargetSessionAttrs};
    use super::*;

    fn env(set: &[(&str, &str)]) -> Result<Config, ConfigError> {
        parse(|name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn every_variable_sets_its_option() {
        let config = env(&[
            ("PGHOST", "a,b"),
            ("PGPORT", "1,2"),
            ("PGUSER", "u"),
            ("PGPASSWORD", "p"),
            ("PGDATABASE", "d"),
            ("PGSSLMODE", "verify-ca"),
            ("PGAPPNAME", "app"),
            ("PGCONNECT_TIMEOUT", "9"),
            ("PGTARGETSESSIONATTRS", "primary"),
        ])
        .unwrap();
        let labels: Vec<_> = config.targets().unwrap().iter().map(|t| t.label()).collect();
        assert_eq!(labels, ["a:1", "b:2"]);
        assert_eq!(config.username.as_deref(), Some("u"));
        assert!(config.password == Some(Password(b"p".to_vec())));
        assert_eq!(config.database.as_deref(), Some("d"));
        assert_eq!(config.get_ssl_mode(), SslMode::VerifyCa);
        assert_eq!(config.application_name.as_deref(), Some("app"));
        assert_eq!(config.get_connect_timeout().as_secs(), 9);
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::Primary);
    }

    #[test]
    fn empty_is_absent() {
        assert!(env(&[("PGPORT", ""), ("PGSSLMODE", "")]).is_ok());
    }

    #[test]
    fn errors_name_the_variable() {
        let error = env(&[("PGSSLMODE", "allow")]).unwrap_err().to_string();
        assert!(error.starts_with("invalid PGSSLMODE"), "{error}");
        let error = env(&[("PGSERVICE", "x")]).unwrap_err().to_string();
        assert!(error.starts_with("PGSERVICE"), "{error}");
    }
}
