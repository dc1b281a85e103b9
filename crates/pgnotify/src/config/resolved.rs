//! What the settings come to, with defaults for what is not set.

use std::path::Path;
use std::time::Duration;

use super::passfile::{Key, look_up};
use super::{Config, ConfigError, Host, Password, RootCert, SslMode, Target, TargetSessionAttrs};
use crate::Backoff;

/// TCP keepalive of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keepalive {
    pub(crate) idle: Duration,
    pub(crate) interval: Duration,
    pub(crate) count: u32,
}

impl Config {
    pub(crate) fn get_target_session_attrs(&self) -> TargetSessionAttrs {
        self.target_session_attrs.unwrap_or(TargetSessionAttrs::Any)
    }

    pub(crate) fn get_load_balance(&self) -> bool {
        self.load_balance.unwrap_or(false)
    }

    pub(crate) fn get_ssl_root_cert(&self) -> Option<&RootCert> {
        self.ssl_root_cert.as_ref()
    }

    pub(crate) fn get_ssl_client_cert(&self) -> Result<Option<(&Path, &Path)>, ConfigError> {
        match (&self.ssl_cert, &self.ssl_key) {
            (Some(cert), Some(key)) => Ok(Some((cert, key))),
            (None, None) => Ok(None),
            _ => Err(ConfigError::CertWithoutKey),
        }
    }

    pub(crate) fn get_connect_timeout(&self) -> Duration {
        self.connect_timeout.unwrap_or(Self::CONNECT_TIMEOUT)
    }

    pub(crate) fn get_probe_interval(&self) -> Duration {
        self.probe_interval.unwrap_or(Self::PROBE_INTERVAL)
    }

    pub(crate) fn get_probe_timeout(&self) -> Duration {
        self.probe_timeout.unwrap_or(Self::PROBE_TIMEOUT)
    }

    pub(crate) fn get_backoff(&self) -> Backoff {
        self.backoff.unwrap_or_default()
    }

    pub(crate) fn get_queue_capacity(&self) -> usize {
        self.queue_capacity.unwrap_or(Self::QUEUE_CAPACITY)
    }

    /// libpq waits two hours before the first keepalive packet, which is as good as never.
    pub(crate) fn get_keepalive(&self) -> Option<Keepalive> {
        self.keepalives.unwrap_or(true).then(|| Keepalive {
            idle: self.keepalives_idle.unwrap_or(Duration::from_secs(30)),
            interval: self.keepalives_interval.unwrap_or(Duration::from_secs(10)),
            count: self.keepalives_count.unwrap_or(3),
        })
    }

    /// How long sent bytes may stay unacknowledged.
    pub(crate) fn get_tcp_user_timeout(&self) -> Duration {
        self.tcp_user_timeout.unwrap_or(Duration::from_secs(20))
    }

    /// The settings that tokio-postgres itself needs. Hosts, TLS and time-outs are not among them.
    pub(crate) fn session(&self, target: &Target) -> tokio_postgres::Config {
        let mut session = tokio_postgres::Config::new();
        session.application_name(self.application_name.as_deref().unwrap_or("pgnotify"));
        if let Some(username) = &self.username {
            session.user(username);
        }
        if let Some(database) = &self.database {
            session.dbname(database);
        }
        if let Some(options) = self.server_options() {
            session.options(options);
        }
        if let Some(Password(password)) = &self.password {
            session.password(password);
        } else if let Some(password) = self.password_from_file(target) {
            session.password(password);
        }
        session
    }

    fn password_from_file(&self, target: &Target) -> Option<String> {
        let home = || std::env::home_dir().map(|home| home.join(".pgpass"));
        let path = self.passfile.clone().or_else(home)?;
        let host = match &target.host {
            Host::Tcp(host) => host.clone(),
            Host::Unix(directory) => directory.to_string_lossy().into_owned(),
        };
        let username = self.username.as_deref().unwrap_or_default();
        let database = self.database.as_deref().unwrap_or(username);
        look_up(&path, &Key { host: &host, port: target.port, database, username })
    }

    /// `options` and the run-time parameters as command-line options of the backend.
    fn server_options(&self) -> Option<String> {
        let given = self.options.iter().cloned();
        let parameters = self
            .parameters
            .iter()
            .map(|(name, value)| format!("-c {}={}", escape_option(name), escape_option(value)));
        let all: Vec<_> = given.chain(parameters).collect();
        (!all.is_empty()).then(|| all.join(" "))
    }

    /// A setting that looks as if it protected the connection and does not.
    pub(crate) fn unverified(&self) -> Option<&'static str> {
        let given = matches!(self.ssl_root_cert, Some(RootCert::File(_)));
        match self.get_ssl_mode() {
            SslMode::Prefer | SslMode::Require if given => Some(
                "a root certificate is configured, but this sslmode verifies nothing: use verify-ca \
                 or verify-full",
            ),
            _ => None,
        }
    }
}

/// Spaces part options and a backslash escapes (`pg_split_opts` in the backend).
fn escape_option(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\\' || character.is_ascii_whitespace() {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_escaped_for_the_backend() {
        let config = Config::new().parameter("search_path", "a b\\c");
        assert_eq!(config.server_options().unwrap(), "-c search_path=a\\ b\\\\c");
    }

    #[test]
    fn a_root_certificate_without_verification_is_worth_a_warning() {
        let config = Config::new().ssl_root_cert("/ca.pem");
        for (mode, warns) in [
            (SslMode::Disable, false),
            (SslMode::Prefer, true),
            (SslMode::Require, true),
            (SslMode::VerifyCa, false),
            (SslMode::VerifyFull, false),
        ] {
            assert_eq!(config.clone().ssl_mode(mode).unverified().is_some(), warns, "{mode}");
        }
    }
}
