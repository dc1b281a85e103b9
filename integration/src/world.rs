//! A cluster of its own for one test: a port for EPMD, a cookie, and names that no other test has.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dist::{Cookie, Epmd, Listen, Node, NodeBuilder, NodeEvent, NodeEvents, NodeName, epmd};
use tokio::time::timeout;

use crate::{Beam, BeamOptions, EpmdProcess, free_port, unique};

/// How long anything that should happen soon may take on a loaded machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Where the nodes of one test find each other.
#[derive(Debug)]
pub struct World {
    /// The real EPMD, where the test has one.
    pub epmd: Option<EpmdProcess>,
    /// The port of EPMD.
    pub port: u16,
    /// The cookie of all nodes.
    pub cookie: String,
}

impl World {
    /// A world with a real EPMD.
    ///
    /// # Errors
    /// When EPMD cannot be started.
    pub async fn new() -> Result<Self> {
        let epmd = EpmdProcess::start_anywhere().await?;
        let port = epmd.port();
        Ok(Self { epmd: Some(epmd), port, cookie: unique("cookie") })
    }

    /// A world in which nobody serves EPMD yet.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn without_epmd() -> Result<Self> {
        Ok(Self { epmd: None, port: free_port()?, cookie: unique("cookie") })
    }

    /// The options of a BEAM node of this world.
    pub fn beam_options(&self, base: &str) -> BeamOptions {
        BeamOptions::new(format!("{}@127.0.0.1", unique(base)), &self.cookie, self.port)
    }

    /// Starts a BEAM node.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn beam(&self, base: &str) -> Result<Beam> {
        Beam::start(self.beam_options(base)).await
    }

    /// A Rust node of this world, listening on loopback, not yet started. It serves EPMD only
    /// where there is no real one.
    ///
    /// # Errors
    /// When `base` makes no name.
    pub fn node(&self, base: &str) -> Result<NodeBuilder> {
        let name = NodeName::from_parts(&unique(base), "127.0.0.1")?;
        Ok(self.node_named(name, Cookie::new(&self.cookie)?))
    }

    /// A Rust node with a name and a cookie of the caller's.
    pub fn node_named(&self, name: NodeName, cookie: Cookie) -> NodeBuilder {
        let mode = if self.epmd.is_some() { Epmd::External } else { Epmd::Auto };
        Node::builder(name, cookie)
            .listen(Listen::Addr(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)))
            .epmd(mode)
            .epmd_config(epmd::Config::with_port(self.port))
    }
}

/// The name of a BEAM node, as the API takes it.
///
/// # Errors
/// When it is no name.
pub fn name_of(beam: &Beam) -> Result<NodeName> {
    beam.name().parse().context("a BEAM node without a proper name")
}

/// Waits for an event that `wanted` takes, reading over the others.
///
/// # Errors
/// When it does not come in time.
pub async fn event<T>(
    events: &mut NodeEvents,
    what: &str,
    mut wanted: impl FnMut(NodeEvent) -> Option<T>,
) -> Result<T> {
    let found = timeout(SOON, async {
        while let Some(event) = events.next().await {
            if let Some(found) = wanted(event) {
                return Some(found);
            }
        }
        None
    });
    match found.await {
        Ok(Some(found)) => Ok(found),
        Ok(None) => bail!("the events ended before {what}"),
        Err(_) => bail!("waited {SOON:?} for {what}"),
    }
}
