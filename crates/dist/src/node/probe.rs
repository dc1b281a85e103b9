//! Asking a node whether it is there.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use etf::{Atom, Term};

use super::{Admission, Begin, Epmd, Listen, Node, NodeBuilder, Peer};
use crate::cookie::Cookie;
use crate::epmd;
use crate::error::{ConnectError, DownReason};
use crate::link;
use crate::name::NodeName;

/// What is asked of a node that is to be dialled without being a node oneself.
///
/// The peer gives a name for the time of the connection (`NAME_ME`), so nothing is registered
/// anywhere, and no new name is left behind in the peer's atom table for every run.
#[derive(Debug, Clone)]
pub struct Probe {
    cookie: Cookie,
    host: String,
    epmd_port: u16,
    peer_port: Option<u16>,
    step_time: Option<Duration>,
    admission: Admission,
    #[cfg(feature = "tls")]
    tls: Option<crate::TlsConfig>,
}

/// A node that answered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pong {
    /// Who answered.
    pub peer: Peer,
    /// From the look-up to the end of the handshake.
    pub connected_in: Duration,
    /// From the question to the answer.
    pub answered_in: Duration,
}

impl Probe {
    /// A probe with this cookie. `host` becomes the host part of the name that the peer gives; its
    /// form must be the peer's (with a dot or an address for a node with a long name).
    #[must_use]
    pub fn new(cookie: Cookie, host: impl Into<String>) -> Self {
        Self {
            cookie,
            host: host.into(),
            epmd_port: epmd::DEFAULT_PORT,
            peer_port: None,
            step_time: None,
            admission: Admission::default(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// The port of EPMD; 4369 unless said otherwise ([`epmd::Config::from_env`] knows better).
    #[must_use]
    pub fn epmd_port(mut self, port: u16) -> Self {
        self.epmd_port = port;
        self
    }

    /// Where the peer listens, instead of asking EPMD.
    #[must_use]
    pub fn peer_port(mut self, port: u16) -> Self {
        self.peer_port = Some(port);
        self
    }

    /// What one step of connecting may take: 7 s unless said otherwise.
    #[must_use]
    pub fn setup_time(mut self, time: Duration) -> Self {
        self.step_time = Some(time);
        self
    }

    /// Connects only to addresses that `allowed` takes; see [`NodeBuilder::allow_address`].
    #[must_use]
    pub fn allow_address(
        mut self,
        allowed: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.admission = Admission::of_addresses(allowed);
        self
    }

    /// Speaks TLS with the peer; see [`NodeBuilder::tls`].
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: crate::TlsConfig) -> Self {
        self.tls = Some(config);
        self
    }

    /// Connects, and gives the node that it is by then: hidden, not listening, with one link.
    ///
    /// # Errors
    /// [`ConnectError`] tells which step failed.
    pub async fn connect(&self, peer: &NodeName) -> Result<Node, ConnectError> {
        // The name is the peer's to give, so the builder starts with the peer's own.
        let mut builder = NodeBuilder::new(peer.clone(), self.cookie.clone())
            .listen(Listen::Off)
            .epmd(Epmd::None);
        if let Some(port) = self.peer_port {
            builder = builder.peer_port(port);
        }
        if let Some(time) = self.step_time {
            builder = builder.setup_time(time);
        }
        #[cfg(feature = "tls")]
        if let Some(config) = &self.tls {
            builder = builder.tls(config.clone());
        }
        let mut route = builder.route(self.epmd_port);
        route.admission = self.admission.clone();
        let flags = builder.flags();
        let connected = link::dial_dynamic(&self.host, flags, &self.cookie, peer, &route).await?;
        let established = &connected.established;
        let creation = established.local_creation;
        let shared = builder.named(established.local.clone()).shared(creation, route, None);
        let node = Node::new(shared.clone());
        let is_up = match shared.links.begin(peer) {
            Begin::Dial(attempt, _) => connected.up(attempt, &shared),
            _ => false,
        };
        if is_up { Ok(node) } else { Err(ConnectError::Superseded(peer.clone())) }
    }

    /// `net_adm:ping/1`: connects and asks `net_kernel`.
    ///
    /// # Errors
    /// [`ConnectError`] tells which step failed; a node that lets us in and then does not answer
    /// within the step's time is [`ConnectError::NoAnswer`].
    pub async fn ping(&self, peer: &NodeName) -> Result<Pong, ConnectError> {
        let start = Instant::now();
        let node = self.connect(peer).await?;
        let connected_in = start.elapsed();
        let asked = Instant::now();
        let answer = node.ping(peer).await;
        let answered_in = asked.elapsed();
        let known = node.nodes().pop();
        node.shutdown(Duration::from_secs(1)).await;
        answer?;
        let peer = known.ok_or_else(|| ConnectError::Lost(peer.clone(), DownReason::Closed))?;
        Ok(Pong { peer, connected_in, answered_in })
    }
}

impl Node {
    /// `net_adm:ping/1`: connects if need be and asks the node's `net_kernel`, which answers as
    /// long as the node is alive.
    ///
    /// # Errors
    /// [`ConnectError`] when there is no connection, it is lost, or no answer comes in 7 s.
    pub async fn ping(&self, peer: &NodeName) -> Result<(), ConnectError> {
        let link = self.shared.connect(peer).await?;
        let mut mailbox = self.process().map_err(|_| ConnectError::ShuttingDown)?;
        let tag = Term::Reference(self.shared.processes.ids.reference());
        let from = Term::Tuple(vec![Term::Pid(mailbox.pid().clone()), tag.clone()]);
        let request = Term::Tuple(vec![Term::atom("is_auth"), self.shared.node_term()]);
        let call = Term::Tuple(vec![Term::atom("$gen_call"), from, request]);
        let control = crate::wire::control::Control::reg_send(
            mailbox.pid().clone(),
            Atom::from_static("net_kernel"),
        );
        link.answer(&control, Some(&call));
        let yes = Term::Tuple(vec![tag, Term::atom("yes")]);
        let answered = async {
            while let Some(message) = mailbox.recv().await {
                if message.term == yes {
                    return Ok(());
                }
            }
            Err(ConnectError::ShuttingDown)
        };
        tokio::select! {
            answered = answered => answered,
            () = link.wait_down() => Err(ConnectError::Lost(peer.clone(), link.down_reason())),
            () = tokio::time::sleep(self.shared.route.step_time) => {
                Err(ConnectError::NoAnswer(peer.clone()))
            }
        }
    }
}
