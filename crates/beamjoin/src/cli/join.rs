//! `beamjoin join`

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use beamjoin::{Cluster, ClusterEvent, DiscoveryEvent, Limits, NamePattern, Postgres};
use dist::{
    Listen, Node, StartError, Visibility,
    epmd::{ServedBy, Status},
};

#[cfg(feature = "tls")]
use tracing::{info, warn};

use super::{
    admin::{Admin, History},
    config::{self, Format, Key, Layers, Port, Tls},
    exit::{CONFIG, Failure, UNAVAILABLE},
    output::{self, Line, Printer},
    ready::Readiness,
    signals::{Hangups, Signals},
    systemd::Systemd,
};

/// How long links may take to be closed in order. With what comes before and after, the process ends within 5 s.
const SHUTDOWN: Duration = Duration::from_secs(3);
/// How long what was printed may take to be written at the end.
const FLUSH: Duration = Duration::from_secs(1);

/// Everything that is set, read before anything is done.
pub(super) struct Settings {
    postgres: pgnotify::Config,
    discovery: Postgres,
    cookie: dist::Cookie,
    pub(super) tls: Tls,
    visibility: Visibility,
    global: bool,
    prevent_overlapping_partitions: bool,
    pub(super) listen: Option<Listen>,
    advertise_port: Option<Port>,
    pub(super) epmd: dist::Epmd,
    pub(super) peer_port: Option<Port>,
    pub(super) allowed: Vec<NamePattern>,
    pub(super) private_only: bool,
    dial_rate: Option<u32>,
    max_handshakes: Option<u32>,
    pub(super) setup_time: Option<Duration>,
    admin: Option<SocketAddr>,
    ready_peers: usize,
    format: Format,
}

/// What runs, and who looks after it.
struct Running {
    cluster: Cluster,
    readiness: Readiness,
    history: History,
    systemd: Systemd,
    /// Answers until the end.
    _admin: Option<Admin>,
}

pub(crate) async fn join(layers: Layers) -> Result<ExitCode, Failure> {
    let mut signals = Signals::watch()?;
    let settings = Settings::read(&layers)?;
    let mut hangups = Hangups::watch(settings.tls.is_on())?;
    let mut printer = Printer::start(settings.format);
    let started = tokio::select! {
        started = start(&layers, settings, &printer) => Some(started),
        () = signals.stop() => None,
    };
    let result = match started {
        Some(Ok(running)) => running.run(&mut printer, &mut signals, &mut hangups).await,
        Some(Err(failure)) => Err(failure),
        None => Ok(ExitCode::SUCCESS),
    };
    let written = printer.finish(FLUSH).await;
    result.and_then(|code| written.map(|()| code))
}

async fn start(layers: &Layers, settings: Settings, printer: &Printer) -> Result<Running, Failure> {
    let admin = match settings.admin {
        Some(addr) => Some(Admin::start(addr).await?),
        None => None,
    };
    let name = config::node_name(layers, &settings.postgres).await?;
    let mut builder = Node::builder(name, settings.cookie)
        .visibility(settings.visibility)
        .global(settings.global)
        .prevent_overlapping_partitions(settings.prevent_overlapping_partitions)
        .epmd(settings.epmd)
        .allow(NamePattern::any_of(settings.allowed));
    builder = settings.tls.of_node(builder);
    if let Some(listen) = settings.listen {
        builder = builder.listen(listen);
    }
    if settings.private_only {
        builder = builder.allow_address(dist::is_private);
    }
    if let Some(number) = settings.max_handshakes {
        let mut limits = dist::Limits::default();
        limits.unauthenticated = usize::try_from(number).unwrap_or(usize::MAX);
        builder = builder.limits(limits);
    }
    if let Some(time) = settings.setup_time {
        builder = builder.setup_time(time);
    }
    if let Some(Port(port)) = settings.advertise_port {
        builder = builder.advertise_port(port);
    }
    if let Some(Port(port)) = settings.peer_port {
        builder = builder.peer_port(port);
    }
    let node = builder.start().await.map_err(not_started)?;
    let history = History::default();
    tell(printer, &history, &listening(&node, admin.as_ref().map(Admin::addr)));
    let mut limits = Limits::default();
    if let Some(rate) = settings.dial_rate {
        limits = limits.dial_rate(rate);
    }
    let cluster = Cluster::builder(node.clone()).discovery(settings.discovery);
    let cluster = cluster.limits(limits).start();
    let readiness = Readiness::new(node.clone(), cluster.observer(), settings.ready_peers);
    if let Some(admin) = &admin {
        admin.open(node, cluster.observer(), readiness.clone(), history.clone());
    }
    Ok(Running { cluster, readiness, history, systemd: Systemd::default(), _admin: admin })
}

impl Running {
    async fn run(
        mut self,
        printer: &mut Printer,
        signals: &mut Signals,
        hangups: &mut Hangups,
    ) -> Result<ExitCode, Failure> {
        let mut events = self.cluster.events();
        let result = loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(ClusterEvent::DiscoveryFailed(error)) => break Err(Failure::config(error)),
                    Some(event) => self.on_event(event, printer),
                    None => break Err(Failure::new(UNAVAILABLE, "the node has stopped")),
                },
                () = printer.closed() => break Ok(ExitCode::SUCCESS),
                () = signals.stop() => break Ok(ExitCode::SUCCESS),
                () = hangups.next() => {
                    // Beside everything else: reading files may take long.
                    tokio::spawn(reload(self.cluster.node().clone()));
                }
            }
        };
        self.readiness.stop();
        self.systemd.stopping();
        self.cluster.stop(SHUTDOWN).await;
        result
    }

    fn on_event(&mut self, event: ClusterEvent, printer: &Printer) {
        // There can be as many of these as the channel's writers like, and they change nothing.
        let matters =
            !matches!(event, ClusterEvent::Discovered(_) | ClusterEvent::DialFailed { .. });
        if let Some(line) = line(event) {
            tell(printer, &self.history, &line);
        }
        if matters {
            self.systemd.update(&self.readiness.verdict());
        }
    }
}

fn tell(printer: &Printer, history: &History, line: &Line) {
    printer.print(line);
    history.record(output::now(), line.event(), line.text());
}

/// SIGHUP: the certificates are read again.
async fn reload(node: Node) {
    #[cfg(feature = "tls")]
    match node.reload_tls().await {
        Ok(()) => info!("SIGHUP: the certificates were read again, for new connections"),
        Err(error) => warn!(%error, "SIGHUP: the certificates from before are kept"),
    }
    #[cfg(not(feature = "tls"))]
    let _ = node;
}

impl Settings {
    pub(super) fn read(layers: &Layers) -> Result<Self, Failure> {
        let format: Option<Format> = layers.parse(&Key::EVENTS, str::parse)?;
        let visible = layers.parse(&Key::VISIBLE, config::boolean)?.unwrap_or(false);
        let global = layers.parse(&Key::GLOBAL, config::boolean)?.unwrap_or(true);
        let prevent_overlapping_partitions =
            layers.parse(&Key::PREVENT_OVERLAPPING_PARTITIONS, config::boolean)?.unwrap_or(true);
        let heartbeat = layers.parse(&Key::HEARTBEAT_INTERVAL, config::heartbeat_interval)?;
        let listen = layers.parse(&Key::LISTEN, config::listen)?;
        let advertise_port = layers.parse(&Key::ADVERTISE_PORT, str::parse)?;
        let epmd = layers.parse(&Key::EPMD, config::epmd)?.unwrap_or_default();
        let peer_port = layers.parse(&Key::PEER_PORT, str::parse)?;
        let allowed = layers.parse(&Key::ALLOW, config::patterns)?.unwrap_or_default();
        let private_only = layers.parse(&Key::PRIVATE_ONLY, config::boolean)?.unwrap_or(false);
        let dial_rate = layers.parse(&Key::DIAL_RATE, config::number)?;
        let max_handshakes = layers.parse(&Key::MAX_HANDSHAKES, config::number)?;
        let setup_time = layers.parse(&Key::SETUP_TIME, config::setup_time)?;
        let admin = layers.parse(&Key::ADMIN, config::admin)?;
        let ready_peers = layers.parse(&Key::READY_PEERS, |text| {
            text.parse().map_err(|_| "it must be a number of nodes")
        })?;
        let postgres = config::postgres(layers)?;
        let cookie = config::cookie(layers)?;
        let tls = Tls::read(layers)?;
        let channel = config::channel(layers, || Ok(cookie.clone()))?;
        let discovery = Postgres::new(postgres.clone(), channel)
            .heartbeat_interval(heartbeat.unwrap_or(Postgres::HEARTBEAT_INTERVAL));
        Ok(Self {
            postgres,
            discovery,
            cookie,
            tls,
            visibility: if visible { Visibility::Visible } else { Visibility::Hidden },
            global,
            prevent_overlapping_partitions,
            listen,
            advertise_port,
            epmd,
            peer_port,
            allowed,
            private_only,
            dial_rate,
            max_handshakes,
            setup_time,
            admin,
            ready_peers: ready_peers.unwrap_or(0),
            format: format.unwrap_or_default(),
        })
    }
}

fn not_started(error: StartError) -> Failure {
    let code = match error {
        StartError::EpmdConfig(_) => CONFIG,
        _ => UNAVAILABLE,
    };
    Failure::new(code, format!("failed to start the node: {error}"))
}

fn listening(node: &Node, admin: Option<SocketAddr>) -> Line {
    let addr = node.listen_addr().map(|addr| addr.to_string()).unwrap_or_default();
    let port = node.listen_addr().map(|addr| addr.port());
    let page = admin.map(|admin| format!(", admin page at http://{admin}/")).unwrap_or_default();
    let line = Line::new("listening", format!("{addr} as {}{page}", node.name()))
        .with("node", node.name().as_str())
        .with("addr", addr)
        .with("port", port)
        .with("creation", node.creation())
        .with("visible", node.visibility() == Visibility::Visible);
    match admin {
        Some(admin) => line.with("admin", admin.to_string()),
        None => line,
    }
}

/// How an event is written; `None` for what only logs tell.
fn line(event: ClusterEvent) -> Option<Line> {
    match event {
        ClusterEvent::Up(peer) => {
            let visible = peer.visibility == Visibility::Visible;
            let kind = if visible { "visible" } else { "hidden" };
            Some(
                Line::new("up", format!("{} ({kind})", peer.name))
                    .with("node", peer.name.as_str())
                    .with("visible", visible)
                    .with("creation", peer.creation),
            )
        }
        ClusterEvent::Down { node, reason } => Some(
            Line::new("down", format!("{node}: {reason}"))
                .with("node", node.as_str())
                .with("reason", reason.word())
                .with("detail", reason.to_string()),
        ),
        ClusterEvent::DiscoveryUp { server } => discovery_line(&DiscoveryEvent::Up { server }),
        ClusterEvent::Announced => discovery_line(&DiscoveryEvent::Announced),
        ClusterEvent::DiscoveryLost { reason, retry_in } => {
            discovery_line(&DiscoveryEvent::Lost { reason, retry_in })
        }
        ClusterEvent::Epmd(status) => Some(epmd_line(&status)),
        ClusterEvent::Lagged(missed) => {
            Some(Line::new("lagged", format!("{missed} events were missed")).with("missed", missed))
        }
        // Logged where they happen; there can be as many as the channel's writers like.
        _ => None,
    }
}

/// The same for `join` and `watch`.
pub(crate) fn discovery_line(event: &DiscoveryEvent) -> Option<Line> {
    match event {
        DiscoveryEvent::Up { server } => {
            Some(Line::new("postgres_up", server).with("server", server.as_str()))
        }
        DiscoveryEvent::Announced => Some(Line::new("announced", "")),
        DiscoveryEvent::Lost { reason, retry_in } => {
            let ms = u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX);
            Some(
                Line::new("postgres_lost", format!("{reason}; trying again in {ms} ms"))
                    .with("reason", reason.as_str())
                    .with("retry_in_ms", ms),
            )
        }
        _ => None,
    }
}

fn epmd_line(status: &Status) -> Line {
    let (status, detail) = match status {
        Status::Registered { by: ServedBy::External } => {
            ("registered", "with the EPMD of this host".to_owned())
        }
        Status::Registered { by: ServedBy::Embedded } => {
            ("registered", "EPMD is served by this node".to_owned())
        }
        Status::NameTaken { addr } => {
            ("name_taken", format!("another node has our name in EPMD at {addr}"))
        }
        Status::Lost { error: Some(error) } => ("lost", error.to_string()),
        _ => ("lost", "EPMD closed the connection".to_owned()),
    };
    Line::new("epmd", format!("{status}: {detail}")).with("status", status).with("detail", detail)
}
