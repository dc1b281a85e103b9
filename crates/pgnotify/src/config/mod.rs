//! How to reach the server, from a URL, the environment or code.

mod conninfo;
mod env;
mod options;
mod passfile;
mod percent;
mod resolved;
mod target;
mod url;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use options::{ConfigError, SslMode, TargetSessionAttrs};
pub use target::Host;
pub(crate) use target::Target;

use crate::Backoff;

/// How to reach the server and how patient to be.
///
/// Everything has a default: `localhost`, port 5432, the user's name of the operating system, no
/// password, the database named as the user, `sslmode=prefer`.
///
/// Settings are layered with [`or`](Self::or), for instance as libpq does it, the URL before the
/// environment:
///
/// ```
/// use pgnotify::Config;
///
/// let config = Config::from_url("postgres://app@db.example/prod?sslmode=verify-full")?
///     .or(Config::from_env()?)
///     .application_name("billing");
/// # Ok::<(), pgnotify::ConfigError>(())
/// ```
///
/// `Debug` never shows the password.
#[derive(Clone, Default)]
pub struct Config {
    hosts: Vec<Host>,
    addresses: Vec<IpAddr>,
    ports: Vec<u16>,
    username: Option<String>,
    password: Option<Password>,
    passfile: Option<PathBuf>,
    database: Option<String>,
    options: Option<String>,
    parameters: Vec<(String, String)>,
    application_name: Option<String>,
    ssl_mode: Option<SslMode>,
    ssl_root_cert: Option<RootCert>,
    ssl_cert: Option<PathBuf>,
    ssl_key: Option<PathBuf>,
    target_session_attrs: Option<TargetSessionAttrs>,
    load_balance: Option<bool>,
    connect_timeout: Option<Duration>,
    keepalives: Option<bool>,
    keepalives_idle: Option<Duration>,
    keepalives_interval: Option<Duration>,
    keepalives_count: Option<u32>,
    tcp_user_timeout: Option<Duration>,
    probe_interval: Option<Duration>,
    probe_timeout: Option<Duration>,
    backoff: Option<Backoff>,
    queue_capacity: Option<usize>,
}

/// Where the certificates are that sign the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RootCert {
    /// A PEM file.
    File(PathBuf),
    /// The operating system's, as libpq's `sslrootcert=system`.
    System,
}

#[derive(Clone, PartialEq, Eq)]
struct Password(Vec<u8>);

impl Config {
    /// The default of [`connect_timeout`](Self::connect_timeout).
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    /// The default of [`probe_interval`](Self::probe_interval).
    pub const PROBE_INTERVAL: Duration = Duration::from_secs(10);
    /// The default of [`probe_timeout`](Self::probe_timeout).
    pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
    /// The default of [`queue_capacity`](Self::queue_capacity).
    pub const QUEUE_CAPACITY: usize = 1024;

    const DEFAULT_PORT: u16 = 5432;

    /// Nothing but defaults. Neither the environment nor a file is read.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads `postgres://user:password@host:port,host2:port2/database?option=value&...`, or libpq's
    /// `host=... user=...` form.
    ///
    /// Special characters in user, password, database and values are percent-encoded. The options
    /// are libpq's; one that is not known, or cannot be honoured, is an error and not ignored. The
    /// error never contains parts of the URL that may be a password.
    ///
    /// ```
    /// use pgnotify::{Config, Host};
    ///
    /// let config = Config::from_url("postgres://app:s%2Fcret@db1:5433,db2/prod?sslmode=require")?;
    /// assert_eq!(config.hosts(), [Host::Tcp("db1".into()), Host::Tcp("db2".into())]);
    /// assert!(!format!("{config:?}").contains("cret"));
    /// # Ok::<(), pgnotify::ConfigError>(())
    /// ```
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        let config = match url::strip_scheme(url) {
            Some(rest) => url::parse(rest)?,
            None => conninfo::parse(url)?,
        };
        config.targets()?;
        Ok(config)
    }

    /// Reads libpq's environment variables: `PGHOST`, `PGHOSTADDR`, `PGPORT`, `PGUSER`,
    /// `PGPASSWORD`, `PGPASSFILE`, `PGDATABASE`, `PGOPTIONS`, `PGAPPNAME`, `PGSSLMODE`,
    /// `PGSSLROOTCERT`, `PGSSLCERT`, `PGSSLKEY`, `PGCONNECT_TIMEOUT`, `PGTARGETSESSIONATTRS`,
    /// `PGLOADBALANCEHOSTS`. `PGSERVICE` is an error. An empty variable counts as absent.
    pub fn from_env() -> Result<Self, ConfigError> {
        env::parse(|name| std::env::var(name).ok())
    }

    /// Takes from `fallback` what is not set here. Hosts and their addresses go together, as do a
    /// client certificate and its key.
    #[must_use]
    pub fn or(mut self, fallback: Self) -> Self {
        let placed = !(self.hosts.is_empty() && self.addresses.is_empty());
        // A list of ports belongs to its own hosts; a single one holds for any.
        if self.ports.is_empty() && (!placed || fallback.ports.len() == 1) {
            self.ports = fallback.ports;
        }
        if !placed {
            self.hosts = fallback.hosts;
            self.addresses = fallback.addresses;
        }
        if self.ssl_cert.is_none() && self.ssl_key.is_none() {
            self.ssl_cert = fallback.ssl_cert;
            self.ssl_key = fallback.ssl_key;
        }
        for (name, value) in fallback.parameters {
            if !self.parameters.iter().any(|(known, _)| *known == name) {
                self.parameters.push((name, value));
            }
        }
        self.username = self.username.or(fallback.username);
        self.password = self.password.or(fallback.password);
        self.passfile = self.passfile.or(fallback.passfile);
        self.database = self.database.or(fallback.database);
        self.options = self.options.or(fallback.options);
        self.application_name = self.application_name.or(fallback.application_name);
        self.ssl_mode = self.ssl_mode.or(fallback.ssl_mode);
        self.ssl_root_cert = self.ssl_root_cert.or(fallback.ssl_root_cert);
        self.target_session_attrs = self.target_session_attrs.or(fallback.target_session_attrs);
        self.load_balance = self.load_balance.or(fallback.load_balance);
        self.connect_timeout = self.connect_timeout.or(fallback.connect_timeout);
        self.keepalives = self.keepalives.or(fallback.keepalives);
        self.keepalives_idle = self.keepalives_idle.or(fallback.keepalives_idle);
        self.keepalives_interval = self.keepalives_interval.or(fallback.keepalives_interval);
        self.keepalives_count = self.keepalives_count.or(fallback.keepalives_count);
        self.tcp_user_timeout = self.tcp_user_timeout.or(fallback.tcp_user_timeout);
        self.probe_interval = self.probe_interval.or(fallback.probe_interval);
        self.probe_timeout = self.probe_timeout.or(fallback.probe_timeout);
        self.backoff = self.backoff.or(fallback.backoff);
        self.queue_capacity = self.queue_capacity.or(fallback.queue_capacity);
        self
    }

    /// Adds a host: a name, an IP address, or the directory of a Unix socket if it starts with `/`.
    /// Several hosts are tried in order at each attempt.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(Host::parse(host.into()));
        self
    }

    /// Adds a server behind the Unix socket in a directory.
    #[must_use]
    pub fn socket_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.hosts.push(Host::Unix(directory.into()));
        self
    }

    /// Adds a port. One port holds for all hosts; otherwise there are as many as hosts. Default
    /// 5432.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.ports.push(port);
        self
    }

    /// The role to log in as. Default: the user's name of the operating system.
    #[must_use]
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// The password. Default: the one of the password file (`~/.pgpass`), if there is one.
    #[must_use]
    pub fn password(mut self, password: impl AsRef<[u8]>) -> Self {
        self.password = Some(Password(password.as_ref().to_vec()));
        self
    }

    /// The password file. Default `~/.pgpass`. One that others may read is not used.
    #[must_use]
    pub fn passfile(mut self, path: impl Into<PathBuf>) -> Self {
        self.passfile = Some(path.into());
        self
    }

    /// The database. Default: named as the role. Notifications do not cross databases.
    #[must_use]
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.database = Some(database.into());
        self
    }

    /// Sets a run-time parameter of the server for this connection, such as `work_mem`.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// The name shown in `pg_stat_activity`. Default `pgnotify`.
    #[must_use]
    pub fn application_name(mut self, name: impl Into<String>) -> Self {
        self.application_name = Some(name.into());
        self
    }

    /// Whether to use TLS, and what to verify. Default [`SslMode::Prefer`].
    #[must_use]
    pub fn ssl_mode(mut self, mode: SslMode) -> Self {
        self.ssl_mode = Some(mode);
        self
    }

    /// A PEM file with the certificates that may sign the server's. Default:
    /// `~/.postgresql/root.crt` if it exists, else the operating system's. The file is read at each
    /// attempt, so it can be replaced.
    #[must_use]
    pub fn ssl_root_cert(mut self, path: impl Into<PathBuf>) -> Self {
        self.ssl_root_cert = Some(RootCert::File(path.into()));
        self
    }

    /// Our own certificate and its key, two PEM files, for servers that ask for one.
    #[must_use]
    pub fn ssl_client_cert(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.ssl_cert = Some(cert.into());
        self.ssl_key = Some(key.into());
        self
    }

    /// Which of several servers will do. Default [`TargetSessionAttrs::Any`].
    #[must_use]
    pub fn target_session_attrs(mut self, attrs: TargetSessionAttrs) -> Self {
        self.target_session_attrs = Some(attrs);
        self
    }

    /// The longest time for one attempt with one address, from the first packet to `LISTEN`
    /// confirmed. Default 5 s; zero means the default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = (!timeout.is_zero()).then_some(timeout);
        self
    }

    /// The longest time without hearing anything before a probe is sent. Default 10 s. A dead
    /// connection is noticed, at the latest, after this and the
    /// [`probe_timeout`](Self::probe_timeout).
    #[must_use]
    pub fn probe_interval(mut self, interval: Duration) -> Self {
        self.probe_interval = Some(interval);
        self
    }

    /// How long the server may take for a query, or for our own notification to come back, before
    /// the connection counts as dead. Default 5 s.
    #[must_use]
    pub fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.probe_timeout = Some(timeout);
        self
    }

    /// The waits between attempts.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// How many events wait for a slow consumer before the oldest are dropped. Default 1,024, which
    /// is at most about 8 MiB.
    #[must_use]
    pub fn queue_capacity(mut self, events: usize) -> Self {
        self.queue_capacity = Some(events);
        self
    }

    /// The hosts in the order in which they are tried.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The ports, as [`port`](Self::port) describes them; empty for the default.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Whether to use TLS and what to verify.
    pub fn get_ssl_mode(&self) -> SslMode {
        self.ssl_mode.unwrap_or(SslMode::Prefer)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("hosts", &self.hosts)
            .field("addresses", &self.addresses)
            .field("ports", &self.ports)
            .field("username", &self.username)
            .field("password", &self.password)
            .field("database", &self.database)
            .field("application_name", &self.application_name)
            .field("ssl_mode", &self.get_ssl_mode())
            .field("ssl_root_cert", &self.ssl_root_cert)
            .field("target_session_attrs", &self.get_target_session_attrs())
            .field("connect_timeout", &self.get_connect_timeout())
            .field("probe_interval", &self.get_probe_interval())
            .field("probe_timeout", &self.get_probe_timeout())
            .field("backoff", &self.get_backoff())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_password_nor_its_length() {
        let config = Config::new().username("u").password("hunter2");
        let shown = format!("{config:?}");
        assert!(shown.contains("[redacted]") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn the_first_layer_wins_and_hosts_stay_with_their_ports() {
        let first = Config::from_url("postgres://a:1/db").unwrap();
        let second = Config::new().host("b").port(2).username("u").database("other");
        let both = first.or(second);
        assert_eq!(both.targets().unwrap()[0].label(), "a:1");
        assert_eq!(both.database.as_deref(), Some("db"));
        assert_eq!(both.username.as_deref(), Some("u"));
    }

    #[test]
    fn a_port_of_the_second_layer_serves_a_host_of_the_first() {
        let first = Config::from_url("postgres://a,b/db").unwrap();
        let both = first.or(Config::new().host("c").port(7));
        let labels: Vec<_> = both.targets().unwrap().iter().map(Target::label).collect();
        assert_eq!(labels, ["a:7", "b:7"]);
    }
}
