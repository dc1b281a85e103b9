//! The command line. Values are text here; [`super::config`] reads them, wherever they come from, in one way.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;

use super::{
    config::Key,
    doctor::DoctorArgs,
    exit,
    pubsub::PubSubCommand,
    remote::{CallArgs, EvalArgs, GenCallArgs, SendArgs},
};

/// What a flag, variable or file says, as text.
pub(crate) type Given = (&'static Key, Option<String>);

/// A Rust node in an Elixir cluster that was formed by libcluster_postgres.
///
/// Every option can also be set by an environment variable (BEAMJOIN_ and the option in capitals: BEAMJOIN_CHANNEL_NAME)
/// and in a TOML file (channel_name = "cluster"); the command line comes before the environment, and that before the file.
/// PGHOST, PGUSER, PGPASSWORD and the like and RELEASE_NODE and RELEASE_COOKIE are honoured too.
#[derive(Parser)]
#[command(name = "beamjoin", version, max_term_width = 100, after_help = exit::HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

// Options are described to clap once their command is asked for: those of all of them took longer than a call.
#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Become a member of the cluster and stay one
    Join(Box<JoinArgs>),
    /// Check what a join needs, step by step, and say what to do where it would not work
    Doctor(Box<DoctorArgs>),
    /// Show who announces on the channel, without joining
    Watch(Box<WatchArgs>),
    /// List the nodes that EPMD knows on a host, as `epmd -names` does
    Names(NamesArgs),
    /// Reach a node once, and say which step failed if it cannot be reached
    Ping(PingArgs),
    /// Call a function of a node and print its result
    Call(CallArgs),
    /// Evaluate an expression on a node and print its value
    Eval(EvalArgs),
    /// Send a message to a registered process of a node
    Send(SendArgs),
    /// Call a GenServer of a node, as GenServer.call does, and print its reply
    GenCall(GenCallArgs),
    /// Take part in a Phoenix.PubSub: print what is broadcast, or broadcast
    Pubsub {
        #[command(subcommand)]
        command: PubSubCommand,
    },
    /// Print what makes a shell complete beamjoin's commands and options
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page of beamjoin, or of one of its commands, in roff
    Man {
        /// The command, such as join, or pubsub tail
        command: Vec<String>,
    },
}

#[derive(Args)]
pub(crate) struct LogArgs {
    /// What to log on stderr: error, warn, info, debug, trace, or RUST_LOG's syntax [default: info, for names and
    /// ping warn, for doctor nothing] [env also: RUST_LOG]
    #[arg(long, value_name = "LEVEL", global = true)]
    log_level: Option<String>,
    /// How: text or json [default: text]
    #[arg(long, value_name = "FORMAT", global = true)]
    log_format: Option<String>,
}

#[derive(Args)]
#[command(after_help = exit::HELP)]
#[command(group = ArgGroup::new("visibility").args(["hidden", "visible"]))]
#[command(group = ArgGroup::new("host-part").args(["short", "long"]))]
pub(crate) struct JoinArgs {
    #[command(flatten)]
    pub(crate) file: FileArgs,
    /// Our name: base@host, or the base alone
    #[arg(long, value_name = "NAME", help_heading = "Node")]
    name: Option<String>,
    /// The host of a name that has none: an address or a name, or auto for our address on the way to Postgres
    /// [default: auto]
    #[arg(long, value_name = "HOST", help_heading = "Node")]
    host: Option<String>,
    /// Short names, as erl -sname: no dot in the host, and auto is the first part of this host's name
    #[arg(long, help_heading = "Node")]
    short: bool,
    /// Long names, as erl -name: a host with a dot, or an address [default: as the name given is]
    #[arg(long, help_heading = "Node")]
    long: bool,
    #[command(flatten)]
    pub(crate) cookie: CookieArgs,
    /// Where to accept nodes: ADDRESS:PORT or ADDRESS:FIRST-LAST; port 0 is any [default: [::]:0, which
    /// is both IPv6 and IPv4, or 0.0.0.0:0 if our host is an IPv4 address]
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Node")]
    listen: Option<String>,
    /// The port that other nodes reach us on, where it is not the one we listen on (NAT)
    #[arg(long, value_name = "PORT", help_heading = "Node")]
    advertise_port: Option<String>,
    /// Who tells others our port: the EPMD of this host (external), ourselves (embedded), the first if it is there and
    /// else ourselves (auto), or nobody (none) [default: auto]
    #[arg(long, value_name = "MODE", help_heading = "Node")]
    epmd: Option<String>,
    /// The port that every other node listens on: EPMD is not asked, as with erl -erl_epmd_port
    #[arg(long, value_name = "PORT", help_heading = "Node")]
    peer_port: Option<String>,
    /// Dial and let in only nodes whose names match, with * for any characters; may be given more than once
    #[arg(long, value_name = "PATTERN", help_heading = "Node")]
    allow: Vec<String>,
    /// Dial and let in only nodes at private, link-local and loopback addresses
    #[arg(long, help_heading = "Node")]
    private_only: bool,
    /// How many announced nodes are dialled a second, 1 to 10000; twice as many at once [default: 50]
    #[arg(long, value_name = "NUMBER", help_heading = "Node")]
    dial_rate: Option<String>,
    /// How many nodes may be on their way in, before they have shown that they know the cookie, 1 to 10000 [default: 64]
    #[arg(long, value_name = "NUMBER", help_heading = "Node")]
    max_handshakes: Option<String>,
    /// Milliseconds that each step of connecting may take, and all steps of a node on its way in, 100 to 120000
    /// [default: 7000]
    #[arg(long, value_name = "MS", help_heading = "Node")]
    setup_time: Option<String>,
    /// Be in nodes(hidden) and nodes(connected) of the others [default]
    #[arg(long, help_heading = "Node")]
    hidden: bool,
    /// Be in nodes() of the others, and a member of global
    #[arg(long, help_heading = "Node")]
    visible: bool,
    /// Whether a visible node takes part in global: true or false. Without it, global:sync/0 hangs on the others
    /// [default: true]
    #[arg(long, value_name = "BOOL", help_heading = "Node")]
    global: Option<String>,
    /// As kernel's prevent_overlapping_partitions, true or false: the same on all nodes [default: true]
    #[arg(long, value_name = "BOOL", help_heading = "Node")]
    prevent_overlapping_partitions: Option<String>,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    postgres: PostgresArgs,
    /// Milliseconds between two announcements, 100 to 3600000 [default: 5000]
    #[arg(long, value_name = "MS", help_heading = "Postgres")]
    heartbeat_interval: Option<String>,
    /// Answer HTTP at ADDRESS:PORT, or at a port of this machine alone: a page at /, and /live, /ready, /metrics and
    /// /members [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Operation")]
    admin: Option<String>,
    /// How many nodes must be connected before /ready, and systemd, are told that we are ready [default: 0]
    #[arg(long, value_name = "N", help_heading = "Operation")]
    ready_peers: Option<String>,
    #[command(flatten)]
    events: EventsArgs,
}

#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    postgres: PostgresArgs,
    #[command(flatten)]
    pub(crate) cookie: CookieArgs,
    #[command(flatten)]
    events: EventsArgs,
}

#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct NamesArgs {
    /// The host whose EPMD is asked (at ERL_EPMD_PORT, or 4369)
    #[arg(default_value = "localhost")]
    pub(crate) host: String,
    /// One JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct PingArgs {
    /// The node, base@host
    pub(crate) node: String,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) cookie: CookieArgs,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    /// One JSON object instead of text, also for a failure
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct FileArgs {
    /// A TOML file with settings [env: BEAMJOIN_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct EventsArgs {
    /// How events are written to stdout: text or json, one a line [default: text]
    #[arg(long, value_name = "FORMAT")]
    events: Option<String>,
}

#[derive(Args)]
pub(crate) struct CookieArgs {
    /// The file with the cookie [default: the variables BEAMJOIN_COOKIE, RELEASE_COOKIE, or ~/.erlang.cookie]
    #[arg(long, value_name = "FILE", help_heading = "Node")]
    cookie_file: Option<String>,
}

#[derive(Args)]
#[command(next_help_heading = "TLS, as erl -proto_dist inet_tls; all three or none")]
pub(crate) struct TlsArgs {
    /// Our certificate, PEM, followed by those between it and the authority's
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// The authorities whose certificates we take from other nodes, PEM
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<String>,
}

#[derive(Args)]
#[command(next_help_heading = "Postgres")]
pub(crate) struct PostgresArgs {
    /// postgres://user@host:port/database?sslmode=verify-full
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Host [default: localhost] [env also: PGHOST]
    #[arg(long, value_name = "HOST")]
    hostname: Option<String>,
    /// Port [default: 5432] [env also: PGPORT]
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// The folder of the server's Unix socket, instead of a host
    #[arg(long, value_name = "DIR")]
    socket_dir: Option<String>,
    /// User [env also: PGUSER]
    #[arg(long, value_name = "USER")]
    username: Option<String>,
    /// Password; others on this host can see it here, not in the environment or a file [env also: PGPASSWORD]
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,
    /// Database [env also: PGDATABASE]
    #[arg(long, value_name = "DATABASE")]
    database: Option<String>,
    /// TLS: disable, prefer, require, verify-ca, verify-full; true is require, and only the verify modes look at the
    /// certificate [env also: PGSSLMODE]
    #[arg(long, value_name = "MODE")]
    ssl: Option<String>,
    /// The certificates that verify-ca and verify-full trust, PEM [env also: PGSSLROOTCERT]
    #[arg(long, value_name = "FILE")]
    ssl_root_cert: Option<String>,
    /// A parameter of the session; may be given more than once
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// The channel to meet on [default: derived from the cookie, as libcluster_postgres does]
    #[arg(long, value_name = "NAME")]
    channel_name: Option<String>,
}

impl LogArgs {
    pub(crate) fn given(&self) -> Vec<Given> {
        vec![(&Key::LOG_LEVEL, self.log_level.clone()), (&Key::LOG_FORMAT, self.log_format.clone())]
    }
}

impl JoinArgs {
    pub(crate) fn given(&self) -> Vec<Given> {
        let one_of = |yes: bool, no: bool, values: [&str; 2]| match (yes, no) {
            (true, _) => Some(values[0].to_owned()),
            (_, true) => Some(values[1].to_owned()),
            _ => None,
        };
        let mut given = vec![
            (&Key::NAME, self.name.clone()),
            (&Key::HOST, self.host.clone()),
            (&Key::NAMES, one_of(self.short, self.long, ["short", "long"])),
            (&Key::LISTEN, self.listen.clone()),
            (&Key::ADVERTISE_PORT, self.advertise_port.clone()),
            (&Key::EPMD, self.epmd.clone()),
            (&Key::PEER_PORT, self.peer_port.clone()),
            (&Key::ALLOW, lines(&self.allow)),
            (&Key::PRIVATE_ONLY, self.private_only.then(|| "true".to_owned())),
            (&Key::DIAL_RATE, self.dial_rate.clone()),
            (&Key::MAX_HANDSHAKES, self.max_handshakes.clone()),
            (&Key::SETUP_TIME, self.setup_time.clone()),
            (&Key::VISIBLE, one_of(self.visible, self.hidden, ["true", "false"])),
            (&Key::GLOBAL, self.global.clone()),
            (&Key::PREVENT_OVERLAPPING_PARTITIONS, self.prevent_overlapping_partitions.clone()),
            (&Key::HEARTBEAT_INTERVAL, self.heartbeat_interval.clone()),
            (&Key::ADMIN, self.admin.clone()),
            (&Key::READY_PEERS, self.ready_peers.clone()),
        ];
        given.extend(self.cookie.given());
        given.extend(self.tls.given());
        given.extend(self.postgres.given());
        given.extend(self.events.given());
        given
    }
}

impl WatchArgs {
    pub(crate) fn given(&self) -> Vec<Given> {
        let mut given = self.postgres.given();
        given.extend(self.cookie.given());
        given.extend(self.events.given());
        given
    }
}

impl EventsArgs {
    fn given(&self) -> [Given; 1] {
        [(&Key::EVENTS, self.events.clone())]
    }
}

impl CookieArgs {
    pub(crate) fn given(&self) -> [Given; 1] {
        [(&Key::COOKIE_FILE, self.cookie_file.clone())]
    }
}

impl TlsArgs {
    pub(crate) fn given(&self) -> [Given; 3] {
        [
            (&Key::TLS_CERT, self.tls_cert.clone()),
            (&Key::TLS_KEY, self.tls_key.clone()),
            (&Key::TLS_CA, self.tls_ca.clone()),
        ]
    }
}

impl PingArgs {
    pub(crate) fn given(&self) -> Vec<Given> {
        self.cookie.given().into_iter().chain(self.tls.given()).collect()
    }
}

impl PostgresArgs {
    pub(crate) fn given(&self) -> Vec<Given> {
        vec![
            (&Key::URL, self.url.clone()),
            (&Key::HOSTNAME, self.hostname.clone()),
            (&Key::PORT, self.port.clone()),
            (&Key::SOCKET_DIR, self.socket_dir.clone()),
            (&Key::USERNAME, self.username.clone()),
            (&Key::PASSWORD, self.password.clone()),
            (&Key::DATABASE, self.database.clone()),
            (&Key::SSL, self.ssl.clone()),
            (&Key::SSL_ROOT_CERT, self.ssl_root_cert.clone()),
            (&Key::PARAMETERS, lines(&self.parameters)),
            (&Key::CHANNEL_NAME, self.channel_name.clone()),
        ]
    }
}

/// An option that may be given more than once, one a line.
fn lines(given: &[String]) -> Option<String> {
    (!given.is_empty()).then(|| given.iter().map(|text| format!("{text}\n")).collect())
}
