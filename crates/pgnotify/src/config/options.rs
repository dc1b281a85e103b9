//! libpq's options by name, and their values.

use std::fmt;
use std::time::Duration;

use super::{Config, Host, Password, RootCert};

/// Whether to use TLS and what to verify: libpq's `sslmode` without `allow`.
///
/// Only [`VerifyCa`](Self::VerifyCa) and [`VerifyFull`](Self::VerifyFull) protect against somebody
/// who answers in the server's place. On a Unix socket TLS is never used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS if the server has it and the handshake succeeds, else none. Verifies nothing.
    Prefer,
    /// TLS or nothing. Verifies nothing, also when a root certificate is configured.
    Require,
    /// TLS, and the certificate must be signed by a root certificate; its name does not matter.
    VerifyCa,
    /// TLS, and the certificate must be signed by a root certificate for the host's name. The name
    /// is looked for in the certificate's `subjectAltName` only.
    VerifyFull,
}

/// Which server will do: libpq's `target_session_attrs`.
///
/// `standby` and `prefer-standby` are not among them, because a standby refuses LISTEN. For the
/// same reason a standby is passed over whatever is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TargetSessionAttrs {
    /// Every server.
    Any,
    /// One whose transactions may write.
    ReadWrite,
    /// One whose transactions may not write by default.
    ReadOnly,
    /// One that is not a standby.
    Primary,
}

/// What is wrong with the settings. Never contains a value, which could be a misplaced password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Neither a URL nor libpq's `key=value` form.
    #[error("malformed connection string: {0}")]
    Malformed(&'static str),
    /// An option that is not known here.
    #[error("unknown connection option{}", quoted(.0))]
    UnknownOption(String),
    /// An option that is known and cannot be honoured.
    #[error("{option} cannot be honoured: {reason}")]
    Unsupported {
        /// The option or variable.
        option: String,
        /// Why not.
        reason: &'static str,
    },
    /// A value that does not fit its option.
    #[error("invalid {option}: expected {expected}")]
    InvalidValue {
        /// The option.
        option: String,
        /// What would fit.
        expected: &'static str,
    },
    /// Lists that belong together differ in length.
    #[error("the number of {what}s differs from the number of hosts")]
    Count {
        /// The list.
        what: &'static str,
    },
    /// A client certificate without its key, or the reverse.
    #[error("sslcert and sslkey are given together or not at all")]
    CertWithoutKey,
}

impl Config {
    /// Sets one of libpq's options by its name.
    pub(super) fn set(&mut self, option: &str, value: &str) -> Result<(), ConfigError> {
        match option {
            "host" => self.hosts = value.split(',').map(|h| Host::parse(h.to_owned())).collect(),
            "hostaddr" => self.addresses = list(option, value, "IP addresses")?,
            "port" => self.ports = ports(value)?,
            "user" => self.username = Some(value.to_owned()),
            "password" => self.password = Some(Password(value.as_bytes().to_vec())),
            "passfile" => self.passfile = Some(value.into()),
            "dbname" => self.database = Some(value.to_owned()),
            "options" => self.options = Some(value.to_owned()),
            "application_name" => self.application_name = Some(value.to_owned()),
            "fallback_application_name" => {
                self.application_name.get_or_insert_with(|| value.to_owned());
            }
            "sslmode" => self.ssl_mode = Some(value.parse()?),
            "sslrootcert" if value == "system" => self.ssl_root_cert = Some(RootCert::System),
            "sslrootcert" => self.ssl_root_cert = Some(RootCert::File(value.into())),
            "sslcert" => self.ssl_cert = Some(value.into()),
            "sslkey" => self.ssl_key = Some(value.into()),
            "target_session_attrs" => self.target_session_attrs = Some(value.parse()?),
            "load_balance_hosts" => {
                self.load_balance =
                    Some(choice(option, value, "disable or random", |v| match v {
                        "disable" => Some(false),
                        "random" => Some(true),
                        _ => None,
                    })?);
            }
            "connect_timeout" => self.connect_timeout = seconds(option, value)?,
            "keepalives" => {
                self.keepalives = Some(choice(option, value, "0 or 1", |v| match v {
                    "0" => Some(false),
                    "1" => Some(true),
                    _ => None,
                })?);
            }
            "keepalives_idle" => self.keepalives_idle = seconds(option, value)?,
            "keepalives_interval" => self.keepalives_interval = seconds(option, value)?,
            "keepalives_count" => {
                self.keepalives_count = Some(number(option, value)?).filter(|n| *n > 0);
            }
            "tcp_user_timeout" => {
                // Milliseconds, unlike its neighbours.
                let ms = Some(number(option, value)?).filter(|n| *n > 0);
                self.tcp_user_timeout = ms.map(|n| Duration::from_millis(n.into()));
            }
            _ => return unused(option, value),
        }
        Ok(())
    }
}

/// Options of libpq that make no difference here, unless they demand something.
fn unused(option: &str, value: &str) -> Result<(), ConfigError> {
    let unsupported = |reason| Err(ConfigError::Unsupported { option: option.to_owned(), reason });
    match option {
        "client_encoding" | "sslcompression" | "sslsni" | "krbsrvname" | "gsslib"
        | "gssdelegation" => Ok(()),
        "gssencmode" if value == "require" => unsupported("there is no GSSAPI here"),
        "channel_binding" if value == "require" => {
            unsupported("there is no channel binding here; use sslmode=verify-full")
        }
        "sslnegotiation" if value == "direct" => unsupported("TLS starts with an SSLRequest here"),
        "gssencmode" | "channel_binding" | "sslnegotiation" => Ok(()),
        "service" => unsupported("there are no service files here"),
        "replication" => unsupported("a replication connection cannot listen"),
        "requirepeer"
        | "require_auth"
        | "sslcrl"
        | "sslcrldir"
        | "sslpassword"
        | "sslcertmode"
        | "ssl_min_protocol_version"
        | "ssl_max_protocol_version" => {
            unsupported("it would restrict the connection and is not implemented")
        }
        _ => Err(ConfigError::UnknownOption(option.to_owned())),
    }
}

fn quoted(option: &str) -> String {
    // What does not look like an option may be the rest of a password that was not encoded.
    let plausible = option.len() <= 40
        && option.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if plausible && !option.is_empty() {
        format!(" {option:?}")
    } else {
        " (are special characters in the user, password and database percent-encoded?)".to_owned()
    }
}

fn invalid(option: &str, expected: &'static str) -> ConfigError {
    ConfigError::InvalidValue { option: option.to_owned(), expected }
}

fn choice<T>(
    option: &str,
    value: &str,
    expected: &'static str,
    known: impl FnOnce(&str) -> Option<T>,
) -> Result<T, ConfigError> {
    known(value).ok_or_else(|| invalid(option, expected))
}

fn number(option: &str, value: &str) -> Result<u32, ConfigError> {
    value.trim().parse().map_err(|_| invalid(option, "a number"))
}

/// Zero and less mean the default, as in libpq.
fn seconds(option: &str, value: &str) -> Result<Option<Duration>, ConfigError> {
    let seconds: i32 = value.trim().parse().map_err(|_| invalid(option, "seconds"))?;
    Ok(u64::try_from(seconds).ok().filter(|s| *s > 0).map(Duration::from_secs))
}

fn list<T: std::str::FromStr>(
    option: &str,
    value: &str,
    expected: &'static str,
) -> Result<Vec<T>, ConfigError> {
    value
        .split(',')
        .map(|item| item.trim().parse().map_err(|_| invalid(option, expected)))
        .collect()
}

fn ports(value: &str) -> Result<Vec<u16>, ConfigError> {
    let port = |item: &str| match item.trim() {
        "" => Some(Config::DEFAULT_PORT),
        item => item.parse().ok().filter(|port| *port != 0),
    };
    value.split(',').map(|item| port(item).ok_or_else(|| invalid("port", "1 to 65535"))).collect()
}

impl std::str::FromStr for SslMode {
    type Err = ConfigError;

    fn from_str(value: &str) -> Result<Self, ConfigError> {
        match value {
            "disable" => Ok(Self::Disable),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err(invalid("sslmode", "disable, prefer, require, verify-ca or verify-full")),
        }
    }
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        })
    }
}

impl std::str::FromStr for TargetSessionAttrs {
    type Err = ConfigError;

    fn from_str(value: &str) -> Result<Self, ConfigError> {
        match value {
            "any" => Ok(Self::Any),
            "read-write" => Ok(Self::ReadWrite),
            "read-only" => Ok(Self::ReadOnly),
            "primary" => Ok(Self::Primary),
            "standby" | "prefer-standby" => Err(ConfigError::Unsupported {
                option: format!("target_session_attrs={value}"),
                reason: "a standby refuses LISTEN",
            }),
            _ => Err(invalid("target_session_attrs", "any, read-write, read-only or primary")),
        }
    }
}

impl fmt::Display for TargetSessionAttrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any",
            Self::ReadWrite => "read-write",
            Self::ReadOnly => "read-only",
            Self::Primary => "primary",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(option: &str, value: &str) -> Result<Config, ConfigError> {
        let mut config = Config::new();
        config.set(option, value).map(|()| config)
    }

    #[test]
    fn every_sslmode_is_read_as_it_is_written() {
        for mode in ["disable", "prefer", "require", "verify-ca", "verify-full"] {
            assert_eq!(set("sslmode", mode).unwrap().get_ssl_mode().to_string(), mode);
        }
        assert!(set("sslmode", "allow").unwrap_err().to_string().contains("verify-full"));
    }

    #[test]
    fn every_target_is_read_as_it_is_written() {
        for attrs in ["any", "read-write", "read-only", "primary"] {
            let config = set("target_session_attrs", attrs).unwrap();
            assert_eq!(config.get_target_session_attrs().to_string(), attrs);
        }
        let error = set("target_session_attrs", "standby").unwrap_err();
        assert!(error.to_string().contains("refuses LISTEN"), "{error}");
    }

    #[test]
    fn time_outs_have_libpq_units_and_zero_is_the_default() {
        let config = set("connect_timeout", "3").unwrap();
        assert_eq!(config.get_connect_timeout(), Duration::from_secs(3));
        let config = set("tcp_user_timeout", "1500").unwrap();
        assert_eq!(config.get_tcp_user_timeout(), Duration::from_millis(1500));
        for none in ["0", "-1"] {
            let config = set("connect_timeout", none).unwrap();
            assert_eq!(config.get_connect_timeout(), Config::CONNECT_TIMEOUT);
        }
    }

    #[test]
    fn errors_do_not_repeat_values() {
        for option in ["port", "sslmode", "connect_timeout", "hostaddr", "keepalives"] {
            let error = set(option, "hunter2").unwrap_err().to_string();
            assert!(error.contains(option) && !error.contains("hunter2"), "{error}");
        }
        let error = set("word@db.example", "x").unwrap_err().to_string();
        assert!(!error.contains("word@"), "{error}");
    }

    #[test]
    fn what_demands_more_than_is_there_is_refused() {
        assert!(set("channel_binding", "prefer").is_ok());
        for (option, value) in [
            ("channel_binding", "require"),
            ("gssencmode", "require"),
            ("sslcrl", "x"),
            ("service", "x"),
        ] {
            assert!(matches!(set(option, value), Err(ConfigError::Unsupported { .. })), "{option}");
        }
    }
}
