//! What can go wrong, and whether it passes.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::backoff::Failure;
use crate::sqlstate;

/// Why there is no connection. `Display` is one line, fit for a log; it never contains a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings contradict each other or lack something.
    #[error(transparent)]
    Config(#[from] crate::ConfigError),
    /// A file with certificates or a key cannot be read or used.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The host's name has no address.
    #[error("cannot resolve {host}: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's answer.
        source: io::Error,
    },
    /// No connection to the socket: refused, unreachable, no such file.
    #[error("cannot connect to {server}: {source}")]
    Connect {
        /// The server.
        server: String,
        /// The cause.
        source: io::Error,
    },
    /// A step took longer than `connect_timeout`, or a query longer than `probe_timeout`.
    #[error("{server} did not answer within {after:?} ({step})")]
    Timeout {
        /// The server.
        server: String,
        /// What was waited for.
        step: &'static str,
        /// For how long.
        after: Duration,
    },
    /// `sslmode` demands TLS and the server has none.
    #[error("{server} does not speak TLS, and sslmode={sslmode} demands it")]
    NoTls {
        /// The server.
        server: String,
        /// The mode in force.
        sslmode: crate::SslMode,
    },
    /// The server's certificate is not acceptable: unknown issuer, other host name, expired.
    #[error("the certificate of {server} is not acceptable: {source}")]
    Certificate {
        /// The server.
        server: String,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The TLS handshake failed for another reason.
    #[error("TLS handshake with {server} failed: {source}")]
    Tls {
        /// The server.
        server: String,
        /// The cause.
        source: io::Error,
    },
    /// The server (or a pooler before it) refused, in its own words.
    #[error("{server} says: {message} (SQLSTATE {sqlstate})")]
    Server {
        /// The server.
        server: String,
        /// Five characters, see the appendix "PostgreSQL Error Codes".
        sqlstate: String,
        /// The server's message, with its detail and hint where it gave them.
        message: String,
    },
    /// The server wants a password and none was given.
    #[error("{server} wants a password and none is configured")]
    PasswordMissing {
        /// The server.
        server: String,
    },
    /// The client side of authentication failed: an unknown method, or a server that does not know
    /// the password either.
    #[error("authentication with {server} failed: {reason}")]
    Authentication {
        /// The server.
        server: String,
        /// What failed.
        reason: String,
    },
    /// The server is not what `target_session_attrs` asks for.
    #[error("{server} is not {wanted} (target_session_attrs)")]
    WrongSession {
        /// The server.
        server: String,
        /// What was asked for.
        wanted: crate::TargetSessionAttrs,
    },
    /// The server closed the connection without a word.
    #[error("{server} closed the connection")]
    Closed {
        /// The server.
        server: String,
    },
    /// Reading or writing failed.
    #[error("connection to {server} broke: {source}")]
    Io {
        /// The server.
        server: String,
        /// The cause.
        source: io::Error,
    },
    /// What came does not follow Postgres' protocol.
    #[error("{server} does not speak Postgres' protocol: {reason}")]
    Protocol {
        /// The server.
        server: String,
        /// What was wrong.
        reason: String,
    },
    /// The probe was not answered: the socket is open and nobody is there.
    #[error("{server} is silent: a query was not answered within {after:?}")]
    Silent {
        /// The server.
        server: String,
        /// How long was waited.
        after: Duration,
    },
    /// Queries are answered and our own notification is not heard: something between us and
    /// Postgres swallows LISTEN.
    #[error(
        "{server} answers queries, but our own notification was not heard within {after:?}: LISTEN does not work \
         through a pooler in transaction mode; connect to Postgres itself or to a pool in session mode"
    )]
    ListenSwallowed {
        /// The server.
        server: String,
        /// How long was waited.
        after: Duration,
    },
    /// None of several hosts can be used; one error for each, in order.
    #[error("no host can be used: {}", join(.0))]
    Hosts(Vec<Self>),
}

impl Error {
    /// Whether it is pointless to try again when no connection has ever succeeded. After a first
    /// success nothing is: a password may be rotated, a database re-created, a certificate
    /// replaced.
    ///
    /// True for SQLSTATE 28P01 (wrong password), 28000 (no such role, refused by `pg_hba.conf`) and
    /// 3D000 (no such database), for a certificate or TLS that the configured `sslmode` does not
    /// accept, and for a wrong configuration. With several hosts: true if it holds for each.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Config(_)
            | Self::File { .. }
            | Self::NoTls { .. }
            | Self::Certificate { .. }
            | Self::PasswordMissing { .. }
            | Self::Authentication { .. } => true,
            Self::Server { sqlstate, .. } => sqlstate::is_permanent(sqlstate),
            Self::Hosts(errors) => errors.iter().all(Self::is_permanent),
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Tls { .. }
            | Self::WrongSession { .. }
            | Self::Closed { .. }
            | Self::Io { .. }
            | Self::Protocol { .. }
            | Self::Silent { .. }
            | Self::ListenSwallowed { .. } => false,
        }
    }

    /// The SQLSTATE, if a server refused us.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Server { sqlstate, .. } => Some(sqlstate),
            Self::Hosts(errors) => errors.iter().find_map(Self::sqlstate),
            _ => None,
        }
    }
}

impl Error {
    /// Translates tokio-postgres' error, keeping the server's own words.
    pub(crate) fn from_postgres(server: &str, error: tokio_postgres::Error) -> Self {
        let server = server.to_owned();
        if let Some(db) = error.as_db_error() {
            let sqlstate = db.code().code().to_owned();
            return Self::Server { server, sqlstate, message: words(db) };
        }
        if error.is_closed() {
            return Self::Closed { server };
        }
        let reason = error.to_string();
        match error.into_source().map(|source| source.downcast::<io::Error>()) {
            Some(Ok(source)) if source.kind() == io::ErrorKind::InvalidData => {
                Self::Protocol { server, reason: source.to_string() }
            }
            Some(Ok(source)) => Self::Io { server, source: *source },
            Some(Err(_)) | None => Self::Protocol { server, reason },
        }
    }

    /// How patiently to try again.
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Server { sqlstate, .. } => sqlstate::failure(sqlstate),
            Self::Hosts(errors) => {
                let away = errors.iter().any(|error| error.failure() == Failure::Away);
                if away { Failure::Away } else { Failure::Refused }
            }
            Self::ListenSwallowed { .. } => Failure::Refused,
            error if error.is_permanent() => Failure::Refused,
            _ => Failure::Away,
        }
    }
}

/// The server's message with its detail and hint.
pub(crate) fn words(db: &tokio_postgres::error::DbError) -> String {
    let mut words = db.message().to_owned();
    for more in [db.detail(), db.hint()].into_iter().flatten() {
        words.push_str("; ");
        words.push_str(more);
    }
    words
}

fn join(errors: &[Error]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Why a notification was not sent, or may not have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotifyError {
    /// The payload is longer than [`MAX_PAYLOAD_BYTES`](crate::MAX_PAYLOAD_BYTES). Nothing was
    /// sent.
    #[error("a payload has at most 7999 bytes, this one has {bytes}")]
    TooLong {
        /// Length of the payload in bytes.
        bytes: usize,
    },
    /// The payload contains a NUL character, which no text in Postgres can. Nothing was sent.
    #[error("a payload cannot contain a NUL character")]
    Nul,
    /// There is no connection now. Nothing was sent; wait for
    /// [`Event::Connected`](crate::Event::Connected).
    #[error("not connected to Postgres")]
    NotConnected,
    /// The connection was lost, or the server silent, before the answer: the notification may or
    /// may not have been sent.
    #[error("the connection to Postgres was lost before it answered")]
    Unconfirmed,
    /// The server refused it, in its own words. Nothing was sent.
    #[error("Postgres refused the notification: {message} (SQLSTATE {sqlstate})")]
    Server {
        /// Five characters.
        sqlstate: String,
        /// The server's message.
        message: String,
    },
    /// The driver has ended.
    #[error("the connection's driver has ended")]
    Closed,
}

/// Why a channel could not be listened to on the present connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The server refused it, in its own words. The channel is not wanted any more.
    #[error("Postgres refused to listen: {message} (SQLSTATE {sqlstate})")]
    Server {
        /// Five characters.
        sqlstate: String,
        /// The server's message.
        message: String,
    },
    /// As many channels as may be are wanted already ([`MAX_CHANNELS`](crate::MAX_CHANNELS)).
    #[error("too many channels are listened to")]
    TooMany,
    /// The driver has ended.
    #[error("the connection's driver has ended")]
    Closed,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(sqlstate: &str) -> Error {
        let (server, message) = ("db:5432".to_owned(), "no".to_owned());
        Error::Server { server, sqlstate: sqlstate.to_owned(), message }
    }

    fn closed() -> Error {
        Error::Closed { server: "db:5432".to_owned() }
    }

    #[test]
    fn several_hosts_fail_for_good_only_together() {
        let password = || refused("28P01");
        assert!(Error::Hosts(vec![password(), password()]).is_permanent());
        assert!(!Error::Hosts(vec![password(), closed()]).is_permanent());
        assert_eq!(Error::Hosts(vec![password(), closed()]).failure(), Failure::Away);
        assert_eq!(Error::Hosts(vec![closed(), password()]).sqlstate(), Some("28P01"));
    }

    #[test]
    fn every_message_is_one_line_that_names_the_server() {
        let errors = [refused("28P01"), closed(), Error::Hosts(vec![closed(), refused("3D000")])];
        for error in errors {
            let text = error.to_string();
            assert!(text.contains("db:5432") && !text.contains('\n'), "{text}");
        }
    }
}
