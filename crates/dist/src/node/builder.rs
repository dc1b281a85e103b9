//! Starting a node.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use etf::Atom;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{
    Admission, Calls, Limits, LinkTable, Node, NodeEvent, Route, Shared, Visibility, events,
};
use crate::cookie::Cookie;
use crate::epmd::{self, Registrar};
use crate::error::StartError;
use crate::flags::Flags;
use crate::link::{self, Security};
use crate::name::NodeName;
use crate::process::{Ids, Processes, registered_name};
use crate::rpc::{Exports, Spawns};
use crate::service::GlobalService;
use crate::service::pg::Scopes;
use crate::wire::fragment::Budget;

/// OTP's `net_ticktime`.
const TICK_TIME: Duration = Duration::from_secs(60);

/// OTP's `net_setuptime`.
const STEP_TIME: Duration = Duration::from_secs(7);

/// The smallest creation that OTP gives out: 0 to 3 have meant other things.
pub(crate) const FIRST_CREATION: u32 = 4;

/// Where a node accepts connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// At this address; port 0 takes any free one. `[::]` is every address of both families, or of
    /// IPv4 alone where there is no IPv6.
    Addr(SocketAddr),
    /// At the first free port of a range, as OTP's `inet_dist_listen_min` and `_max`.
    Ports {
        /// The address.
        ip: IpAddr,
        /// The ports.
        range: RangeInclusive<u16>,
    },
    /// Nowhere: others cannot connect to us, and EPMD does not know us.
    Off,
}

impl Listen {
    /// Any free port of every address that peers may find under our name: of IPv4 alone where its host is an
    /// IPv4 address, and of both families otherwise.
    #[must_use]
    pub fn any_port(name: &NodeName) -> Self {
        let is_ipv4 = name.host().parse::<Ipv4Addr>().is_ok();
        let ip = if is_ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        Self::Addr(SocketAddr::new(ip, 0))
    }

    /// Listens as a node would, and stops at once: the port is free again. In a Tokio runtime.
    ///
    /// # Errors
    /// What the system said of the address, or of the last port of a range.
    pub fn try_out(&self) -> std::io::Result<()> {
        if matches!(self, Self::Off) { Ok(()) } else { bind(self).map(drop) }
    }
}

impl Epmd {
    fn mode(self) -> Option<epmd::Mode> {
        match self {
            Self::Auto => Some(epmd::Mode::Auto),
            Self::External => Some(epmd::Mode::External),
            Self::Embedded => Some(epmd::Mode::Embedded),
            Self::None => None,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addr(addr) => addr.fmt(f),
            Self::Ports { ip: IpAddr::V6(ip), range } => {
                write!(f, "[{ip}]:{}-{}", range.start(), range.end())
            }
            Self::Ports { ip, range } => write!(f, "{ip}:{}-{}", range.start(), range.end()),
            Self::Off => f.write_str("nowhere"),
        }
    }
}

/// How other nodes find our port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Epmd {
    /// By the EPMD on this host, which we serve ourselves whenever there is none.
    #[default]
    Auto,
    /// By the EPMD on this host; starting fails when there is none.
    External,
    /// By an EPMD that we serve; starting fails when there is another.
    Embedded,
    /// They know it (see [`NodeBuilder::peer_port`]), or never dial us.
    None,
}

/// A node that is to be started.
#[derive(Debug)]
pub struct NodeBuilder {
    name: NodeName,
    cookie: Cookie,
    visibility: Visibility,
    listen: Option<Listen>,
    epmd: Epmd,
    epmd_config: Option<epmd::Config>,
    advertise_port: Option<u16>,
    peer_port: Option<u16>,
    tick_time: Duration,
    step_time: Duration,
    security: Security,
    limits: Limits,
    exports: Exports,
    withheld: Flags,
    pg: Vec<String>,
    global: bool,
    prevent_overlapping_partitions: bool,
    admission: Admission,
}

impl NodeBuilder {
    pub(super) fn new(name: NodeName, cookie: Cookie) -> Self {
        Self {
            name,
            cookie,
            visibility: Visibility::Hidden,
            listen: None,
            epmd: Epmd::Auto,
            epmd_config: None,
            advertise_port: None,
            peer_port: None,
            tick_time: TICK_TIME,
            step_time: STEP_TIME,
            security: Security::default(),
            limits: Limits::default(),
            exports: Exports::new(),
            withheld: Flags::EMPTY,
            pg: Vec::new(),
            global: true,
            prevent_overlapping_partitions: true,
            admission: Admission::default(),
        }
    }

    /// Hidden unless said otherwise.
    #[must_use]
    pub fn visibility(mut self, visibility: Visibility) -> Self {
        self.visibility = visibility;
        self
    }

    /// Where to accept connections; as [`Listen::any_port`] has it unless said otherwise.
    #[must_use]
    pub fn listen(mut self, listen: Listen) -> Self {
        self.listen = Some(listen);
        self
    }

    /// How others find our port: see [`Epmd`].
    #[must_use]
    pub fn epmd(mut self, epmd: Epmd) -> Self {
        self.epmd = epmd;
        self
    }

    /// Where EPMD is and how patient we are with it; as `ERL_EPMD_PORT` and `ERL_EPMD_ADDRESS` say
    /// unless said otherwise here.
    #[must_use]
    pub fn epmd_config(mut self, config: epmd::Config) -> Self {
        self.epmd_config = Some(config);
        self
    }

    /// The port that EPMD tells others, where it differs from the one we listen on (behind NAT).
    #[must_use]
    pub fn advertise_port(mut self, port: u16) -> Self {
        self.advertise_port = Some(port);
        self
    }

    /// Where every peer listens: EPMD is not asked, as with OTP's `-erl_epmd_port`.
    #[must_use]
    pub fn peer_port(mut self, port: u16) -> Self {
        self.peer_port = Some(port);
        self
    }

    /// After how much silence a peer is asked for a sign of life; given up a quarter later. 60 s
    /// unless said otherwise. A peer's own tick time does not matter: it is served whatever it is.
    #[must_use]
    pub fn tick_time(mut self, time: Duration) -> Self {
        self.tick_time = time.max(Duration::from_secs(1));
        self
    }

    /// Which nodes may be connected with, by name, whoever dials: any that knows the cookie unless said
    /// otherwise. Others are not dialled ([`ConnectError::NotAllowed`](crate::ConnectError)), and told
    /// `not_allowed` when they dial us, before anything is said that depends on the cookie; as with
    /// `net_kernel:allow/1`. A peer that has no name is asked about under the name that we would give it.
    ///
    /// `allowed` is called where others wait for it: it must neither block nor panic.
    #[must_use]
    pub fn allow(mut self, allowed: impl Fn(&NodeName) -> bool + Send + Sync + 'static) -> Self {
        self.admission.names(allowed);
        self
    }

    /// Which addresses may be connected with, whoever dials: any unless said otherwise.
    /// [`is_private`](crate::is_private) is one answer. It is the address that a host's name stands for
    /// that is asked about, and then dialled, both for EPMD and for the node. IPv4 addresses come as such.
    /// `allowed` must neither block nor panic.
    #[must_use]
    pub fn allow_address(
        mut self,
        allowed: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.admission.addresses(allowed);
        self
    }

    /// What one step of connecting may take, and a whole handshake of a peer: 7 s unless said
    /// otherwise, and at most a day.
    #[must_use]
    pub fn setup_time(mut self, time: Duration) -> Self {
        self.step_time = time.min(LONGEST);
        self
    }

    /// Speaks TLS with every peer, as OTP's `-proto_dist inet_tls`, and with none that does not. Both
    /// sides show a certificate of an authority that the other trusts. Who dials checks that the
    /// peer's is for the host in the peer's name; who accepts checks no name, as OTP.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: crate::TlsConfig) -> Self {
        self.security.tls = Some(crate::tls::Tls::new(config));
        self
    }

    /// The bounds on what peers can make us hold.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The functions that other nodes may call: none unless said otherwise, here or by
    /// [`Node::exports`].
    #[must_use]
    pub fn exports(mut self, exports: Exports) -> Self {
        self.exports = exports;
        self
    }

    /// Does not offer these, so that tests see how each side does without.
    #[doc(hidden)]
    #[must_use]
    pub fn withhold(mut self, flags: Flags) -> Self {
        self.withheld = flags;
        self
    }

    /// Starts a scope of process groups with the node, before anybody can connect to it; may be
    /// called several times. [`Node::start_pg`] starts one later.
    #[must_use]
    pub fn pg(mut self, scope: impl Into<String>) -> Self {
        self.pg.push(scope.into());
        self
    }

    /// Whether a visible node takes part in `global`: yes unless said otherwise. One that does not is
    /// wholly silent towards it, which others tolerate, but `global:sync/0` hangs on them. A hidden
    /// node never takes part.
    #[must_use]
    pub fn global(mut self, takes_part: bool) -> Self {
        self.global = takes_part;
        self
    }

    /// Whether `global` keeps what is left of a cluster fully connected when one of its links is
    /// lost, by leaving the nodes at its ends: OTP's `prevent_overlapping_partitions`, on unless
    /// said otherwise. It must be the same on all nodes.
    #[must_use]
    pub fn prevent_overlapping_partitions(mut self, prevent: bool) -> Self {
        self.prevent_overlapping_partitions = prevent;
        self
    }

    /// Listens, registers with EPMD, and accepts connections from then on.
    ///
    /// # Errors
    /// [`StartError`] when there is no port to listen on, or when EPMD does not take the name; one
    /// that is taken is tried for 3 s, since the node before us may just have died.
    pub async fn start(self) -> Result<Node, StartError> {
        let listen = self.listen.clone().unwrap_or_else(|| Listen::any_port(&self.name));
        let listener = match &listen {
            Listen::Off => None,
            listen => Some(
                bind(listen)
                    .map_err(|source| StartError::Listen { what: listen.to_string(), source })?,
            ),
        };
        let listen_addr = match &listener {
            None => None,
            Some(listener) => Some(
                listener
                    .local_addr()
                    .map_err(|source| StartError::Listen { what: listen.to_string(), source })?,
            ),
        };
        let config = match self.epmd_config.clone() {
            Some(config) => config,
            None => epmd::Config::from_env()?,
        };
        let route = self.route(config.port);
        let registrar = match (listen_addr, self.epmd.mode()) {
            (Some(addr), Some(mode)) => {
                let port = self.advertise_port.unwrap_or(addr.port());
                Some(Registrar::start(self.name.base(), port, mode, config).await?)
            }
            _ => None,
        };
        let creation = match registrar.as_ref().and_then(Registrar::creation) {
            Some(creation) => creation,
            None => random_creation()?,
        };
        let scopes = self.pg.clone();
        let takes_part = self.global && self.visibility == Visibility::Visible;
        let prevent = self.prevent_overlapping_partitions;
        let shared = self.shared(creation, route, listen_addr);
        for name in scopes {
            let scope = registered_name(&name).and_then(|scope| shared.pg.start(&shared, scope));
            scope.map_err(|source| StartError::Scope { name, source })?;
        }
        if takes_part {
            // Before there is anybody who could ask.
            GlobalService::start(&shared, prevent);
        }
        if let Some(registrar) = registrar {
            shared.tasks.spawn(tell_status(registrar.status(), shared.clone()));
            shared.keep_registrar(registrar);
        }
        if let Some(listener) = listener {
            shared.tasks.spawn(link::accept(listener, shared.clone()));
        }
        let tls = shared.route.security.is_on();
        tracing::info!(name = %shared.name, creation, listen = ?listen_addr, tls, "node started");
        Ok(Node::new(shared))
    }

    pub(super) fn route(&self, epmd_port: u16) -> Route {
        Route {
            epmd_port,
            fixed_port: self.peer_port,
            step_time: self.step_time,
            security: self.security.clone(),
            admission: self.admission.clone(),
        }
    }

    /// The flags that this node offers.
    pub(super) fn flags(&self) -> Flags {
        let flags = Flags::OFFERED.without(self.withheld);
        match self.visibility {
            Visibility::Hidden => flags,
            Visibility::Visible => flags | Flags::PUBLISHED,
        }
    }

    /// The same under another name.
    pub(super) fn named(mut self, name: NodeName) -> Self {
        self.name = name;
        self
    }

    pub(super) fn shared(
        self,
        creation: u32,
        route: Route,
        listen_addr: Option<SocketAddr>,
    ) -> Arc<Shared> {
        let flags = self.flags();
        let ids = Ids::new(Atom::from(&self.name), creation);
        let self_id = ids.process();
        let self_pid = ids.pid(self_id);
        let long_bytes = self.limits.long_bytes_of_node;
        let fragments = Budget::new(self.limits.fragment_bytes_of_node);
        Arc::new(Shared {
            name: self.name,
            creation,
            cookie: self.cookie,
            flags,
            visibility: self.visibility,
            route,
            tick_time: self.tick_time,
            limits: self.limits,
            links: LinkTable::new(),
            processes: Processes::new(ids),
            calls: Calls::default(),
            exports: self.exports,
            spawns: Spawns::default(),
            pg: Scopes::default(),
            global: OnceLock::new(),
            block_calls: tokio::sync::Mutex::default(),
            self_id,
            self_pid,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            listen_addr,
            events: events::Events::new(),
            registrar: Mutex::new(None),
            long_messages: link::Share::new(long_bytes),
            fragments,
            refusals: Arc::default(),
        })
    }
}

/// A creation for a node that no EPMD gives one to.
fn random_creation() -> Result<u32, StartError> {
    let random = getrandom::u32().map_err(|error| StartError::Random(error.to_string()))?;
    Ok(random.max(FIRST_CREATION))
}

/// The longest that anything may be waited for: more cannot be added to every time.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

fn bind(listen: &Listen) -> std::io::Result<tokio::net::TcpListener> {
    match listen {
        Listen::Addr(addr) => link::bind(addr.ip(), addr.port()..=addr.port()),
        Listen::Ports { ip, range } => link::bind(*ip, range.clone()),
        Listen::Off => Err(std::io::ErrorKind::InvalidInput.into()),
    }
}

/// Passes EPMD's status on as events.
async fn tell_status(mut status: tokio::sync::watch::Receiver<epmd::Status>, shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            changed = status.changed() => if changed.is_err() { return },
        }
        let now = status.borrow_and_update().clone();
        shared.tell(NodeEvent::Epmd(now));
    }
}
