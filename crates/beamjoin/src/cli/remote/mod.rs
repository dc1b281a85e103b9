//! The commands that speak to processes of another node: `call`, `eval`, `send` and `gen-call`.
//!
//! Each is a node of its own for a moment: hidden, listening nowhere, known to no EPMD, and under a name that the other node
//! gives it (so that any number can run at once, and no new name stays behind in the other's atom table).

mod args;
mod call;
mod eval;
mod exception;
mod leader;
mod message;

use std::{mem::ManuallyDrop, net::IpAddr, process::ExitCode, time::Duration};

use dist::{
    ConnectError, Cookie, Epmd, ErpcError, Listen, Mfa, Node, NodeName, Probe, RpcError,
    RpcOptions, SendError, epmd,
    etf::{Atom, Term},
    handshake::{HandshakeError, Step},
};

pub(crate) use self::{
    args::{
        CallArgs, EvalArgs, GenCallArgs, InputArgs, NodeArgs, OutputArgs, SendArgs, Time, time,
    },
    call::call,
    eval::eval,
    message::{gen_call, send},
};
use self::{exception::Exception, leader::LineStart};
use super::{
    config::{Key, Layers, Port, Tls, cookie},
    exit::{DATA, Failure, HANDSHAKE, REMOTE, TIMED_OUT, UNAVAILABLE, USAGE},
    ping::{explain, host_like, step},
};

/// How long the node may take to put an exception into words.
const BANNER_TIME: Duration = Duration::from_secs(5);

/// A connection to the node that a command speaks to.
pub(crate) struct Remote {
    pub(crate) node: Node,
    peer: NodeName,
    /// What the functions that we call print comes to our group leader.
    options: RpcOptions,
    at: LineStart,
}

/// Why a command has no result.
enum Problem {
    /// It failed.
    Failed(Failure),
    /// The other side raised an exception.
    Raised(Exception),
}

/// Speaks to a node, for no longer than `time`, and prints what comes of it.
async fn within(
    layers: &Layers,
    peer: &str,
    time: Time,
    speak: impl AsyncFnOnce(&Remote) -> Result<String, Problem>,
) -> Result<ExitCode, Failure> {
    let work = async {
        // The end of the process closes the connection.
        let remote = ManuallyDrop::new(Remote::connect(layers, peer).await?);
        match speak(&remote).await {
            Ok(text) => {
                super::print_result(&format!("{}{text}", remote.at.separator()))?;
                Ok(ExitCode::SUCCESS)
            }
            Err(Problem::Failed(failure)) => Err(failure),
            Err(Problem::Raised(exception)) => {
                exception.report(&remote).await;
                Ok(ExitCode::from(REMOTE))
            }
        }
    };
    match time.0 {
        None => work.await,
        Some(time) => tokio::time::timeout(time, work).await.unwrap_or_else(|_| {
            Err(Failure::new(TIMED_OUT, format!("no answer from {peer} within {time:?}")))
        }),
    }
}

impl Remote {
    pub(crate) async fn connect(layers: &Layers, name: &str) -> Result<Self, Failure> {
        let peer = NodeName::new(name)
            .map_err(|error| Failure::new(USAGE, format!("invalid node {name:?}: {error}")))?;
        let cookie = cookie(layers)?;
        let port: Option<Port> = layers.parse(&Key::PEER_PORT, str::parse)?;
        let tls = Tls::read(layers)?;
        let epmd = epmd::Config::from_env().map_err(Failure::config)?;
        let way = Way {
            cookie,
            epmd_port: epmd.port,
            peer_port: port.map(|Port(port)| port),
            tls,
            private_only: false,
            setup_time: None,
        };
        match visit(&peer, &way).await {
            Ok(node) => Self::new(node, peer),
            Err(error) => Err(unreached(&peer, &error)),
        }
    }

    fn new(node: Node, peer: NodeName) -> Result<Self, Failure> {
        let process = node.process().map_err(|error| Failure::new(UNAVAILABLE, error))?;
        let options = RpcOptions::new().group_leader(process.pid());
        let at = LineStart::new();
        tokio::spawn(leader::lead(process, node.clone(), peer.clone(), at.clone()));
        Ok(Self { node, peer, options, at })
    }

    /// The result of a function of the node.
    async fn rpc(&self, module: Atom, function: Atom, args: Vec<Term>) -> Result<Term, Problem> {
        let mfa = Mfa { module, function, args };
        let result = self.node.rpc_with(&self.peer, mfa, &self.options).await;
        result.map_err(|error| self.problem(error))
    }

    fn problem(&self, error: RpcError) -> Problem {
        let peer = &self.peer;
        let failed = |code, why: String| Problem::Failed(Failure::new(code, why));
        match error {
            RpcError::Error { reason, stack } => Problem::Raised(Exception::error(reason, stack)),
            RpcError::Exit(reason) | RpcError::Signal(reason) => {
                Problem::Raised(Exception::exit(reason))
            }
            RpcError::Throw(value) => Problem::Raised(Exception::throw(value)),
            RpcError::Erpc(error) => match error {
                ErpcError::NoConnection { cause: Some(cause) } => {
                    Problem::Failed(self.unsent(&cause))
                }
                ErpcError::NoConnection { cause: None } => self.lost(),
                ErpcError::NotSupported => {
                    failed(HANDSHAKE, format!("{peer} runs no functions for others"))
                }
                ErpcError::Timeout => failed(TIMED_OUT, format!("no answer from {peer} in time")),
                ErpcError::BadArgument(why) => failed(DATA, why),
                error @ ErpcError::TooLarge => failed(DATA, error.to_string()),
                error => failed(REMOTE, error.to_string()),
            },
            error => failed(REMOTE, error.to_string()),
        }
    }

    fn lost(&self) -> Problem {
        let why = format!("the connection to {} was lost before it answered", self.peer);
        Problem::Failed(Failure::new(UNAVAILABLE, why))
    }

    fn unsent(&self, error: &SendError) -> Failure {
        match error {
            SendError::Connect { source, .. } => unreached(&self.peer, source),
            SendError::Encode(error) => Failure::new(DATA, error),
            error => Failure::new(UNAVAILABLE, error),
        }
    }
}

/// How nodes are reached.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) cookie: Cookie,
    pub(super) epmd_port: u16,
    /// Where every node listens, instead of asking EPMD.
    pub(super) peer_port: Option<u16>,
    /// Whether TLS is spoken with it, and with which certificates.
    pub(super) tls: Tls,
    /// Whether only at private addresses.
    pub(super) private_only: bool,
    /// What one step of connecting may take, if it is said.
    pub(super) setup_time: Option<Duration>,
}

impl Way {
    pub(super) fn allows(&self, address: IpAddr) -> bool {
        !self.private_only || dist::is_private(address)
    }
}

/// A node with a link to `peer` and nothing else, under a name that the peer gives.
pub(super) async fn visit(peer: &NodeName, way: &Way) -> Result<Node, ConnectError> {
    let allows = way.clone();
    let probe = Probe::new(way.cookie.clone(), host_like(peer)).epmd_port(way.epmd_port);
    let mut probe = way.tls.of_probe(probe).allow_address(move |address| allows.allows(address));
    if let Some(port) = way.peer_port {
        probe = probe.peer_port(port);
    }
    if let Some(time) = way.setup_time {
        probe = probe.setup_time(time);
    }
    match probe.connect(peer).await {
        Err(ConnectError::Handshake(HandshakeError::Closed { step: Step::Status })) => {}
        reached => return reached,
    }
    let node = under_a_name(peer, way).await?;
    node.connect(peer).await.map(|()| node)
}

/// For a node that gives no names (OTP 23 closes the connection when it is asked for one): one of a bounded number of names,
/// since each stays in its atom table.
async fn under_a_name(peer: &NodeName, way: &Way) -> Result<Node, ConnectError> {
    let base = format!("beamjoin-{}", rand::random::<u16>());
    let name = NodeName::from_parts(&base, host_like(peer))?;
    let allows = way.clone();
    let builder = Node::builder(name, way.cookie.clone()).listen(Listen::Off).epmd(Epmd::None);
    let mut builder = way.tls.of_node(builder).allow_address(move |address| allows.allows(address));
    if let Some(port) = way.peer_port {
        builder = builder.peer_port(port);
    }
    if let Some(time) = way.setup_time {
        builder = builder.setup_time(time);
    }
    // It fails only where there are no random numbers.
    builder.start().await.map_err(|_| ConnectError::ShuttingDown)
}

/// Why a node was not reached, and with which code the command ends.
pub(crate) fn unreached(peer: &NodeName, error: &ConnectError) -> Failure {
    Failure::new(step(error).1, explain(peer, error))
}
