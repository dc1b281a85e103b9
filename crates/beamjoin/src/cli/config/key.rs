//! Every setting that can be given in more than one place.

/// One setting. Its flag is its name with `-` for `_`, and its variable `BEAMJOIN_` and its name in capitals.
#[derive(Debug)]
pub(crate) struct Key {
    /// As in the file: libcluster_postgres' word where it has one.
    pub(crate) name: &'static str,
    /// Other variables that are honoured, after our own.
    pub(crate) variables: &'static [&'static str],
    /// Never quoted in a message.
    pub(crate) secret: bool,
}

impl Key {
    const fn new(name: &'static str) -> Self {
        Self { name, variables: &[], secret: false }
    }

    const fn or(self, variables: &'static [&'static str]) -> Self {
        Self { variables, ..self }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    pub(crate) const URL: Self = Self::new("url").secret();
    pub(crate) const HOSTNAME: Self = Self::new("hostname").or(&["PGHOST"]);
    pub(crate) const PORT: Self = Self::new("port").or(&["PGPORT"]);
    pub(crate) const SOCKET_DIR: Self = Self::new("socket_dir");
    pub(crate) const USERNAME: Self = Self::new("username").or(&["PGUSER"]);
    pub(crate) const PASSWORD: Self = Self::new("password").or(&["PGPASSWORD"]).secret();
    pub(crate) const DATABASE: Self = Self::new("database").or(&["PGDATABASE"]);
    pub(crate) const SSL: Self = Self::new("ssl").or(&["PGSSLMODE"]);
    pub(crate) const SSL_ROOT_CERT: Self = Self::new("ssl_root_cert").or(&["PGSSLROOTCERT"]);
    pub(crate) const PARAMETERS: Self = Self::new("parameters");
    pub(crate) const CHANNEL_NAME: Self = Self::new("channel_name");
    pub(crate) const HEARTBEAT_INTERVAL: Self = Self::new("heartbeat_interval");

    pub(crate) const NAME: Self = Self::new("name").or(&["RELEASE_NODE"]);
    pub(crate) const HOST: Self = Self::new("host");
    pub(crate) const NAMES: Self = Self::new("names");
    pub(crate) const COOKIE_FILE: Self = Self::new("cookie_file");
    pub(crate) const LISTEN: Self = Self::new("listen");
    pub(crate) const ADVERTISE_PORT: Self = Self::new("advertise_port");
    pub(crate) const EPMD: Self = Self::new("epmd");
    pub(crate) const VISIBLE: Self = Self::new("visible");
    pub(crate) const GLOBAL: Self = Self::new("global");
    pub(crate) const PREVENT_OVERLAPPING_PARTITIONS: Self =
        Self::new("prevent_overlapping_partitions");

    pub(crate) const TLS_CERT: Self = Self::new("tls_cert");
    pub(crate) const TLS_KEY: Self = Self::new("tls_key");
    pub(crate) const TLS_CA: Self = Self::new("tls_ca");

    pub(crate) const PEER_PORT: Self = Self::new("peer_port");
    pub(crate) const ALLOW: Self = Self::new("allow");
    pub(crate) const PRIVATE_ONLY: Self = Self::new("private_only");
    pub(crate) const DIAL_RATE: Self = Self::new("dial_rate");
    pub(crate) const MAX_HANDSHAKES: Self = Self::new("max_handshakes");
    pub(crate) const SETUP_TIME: Self = Self::new("setup_time");

    pub(crate) const ADMIN: Self = Self::new("admin");
    pub(crate) const READY_PEERS: Self = Self::new("ready_peers");
    pub(crate) const EVENTS: Self = Self::new("events");
    pub(crate) const LOG_LEVEL: Self = Self::new("log_level").or(&["RUST_LOG"]);
    pub(crate) const LOG_FORMAT: Self = Self::new("log_format");

    /// What may stand in a file.
    pub(crate) const ALL: &'static [Self] = &[
        Self::URL,
        Self::HOSTNAME,
        Self::PORT,
        Self::SOCKET_DIR,
        Self::USERNAME,
        Self::PASSWORD,
        Self::DATABASE,
        Self::SSL,
        Self::SSL_ROOT_CERT,
        Self::PARAMETERS,
        Self::CHANNEL_NAME,
        Self::HEARTBEAT_INTERVAL,
        Self::NAME,
        Self::HOST,
        Self::NAMES,
        Self::COOKIE_FILE,
        Self::LISTEN,
        Self::ADVERTISE_PORT,
        Self::EPMD,
        Self::VISIBLE,
        Self::GLOBAL,
        Self::PREVENT_OVERLAPPING_PARTITIONS,
        Self::TLS_CERT,
        Self::TLS_KEY,
        Self::TLS_CA,
        Self::PEER_PORT,
        Self::ALLOW,
        Self::PRIVATE_ONLY,
        Self::DIAL_RATE,
        Self::MAX_HANDSHAKES,
        Self::SETUP_TIME,
        Self::ADMIN,
        Self::READY_PEERS,
        Self::EVENTS,
        Self::LOG_LEVEL,
        Self::LOG_FORMAT,
    ];

    pub(crate) fn flag(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    pub(crate) fn variable(&self) -> String {
        format!("BEAMJOIN_{}", self.name.to_ascii_uppercase())
    }
}
