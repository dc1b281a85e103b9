//! `--admin`: what an operator, a scraper and an orchestrator look at, over HTTP.
//!
//! It only tells. Whoever reaches the port can read who is in the cluster, and nothing that would let anybody in: no
//! cookie, password or channel.

mod history;
mod metrics;
mod respond;
mod server;
mod snapshot;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use beamjoin::Observer;
use dist::Node;
use tokio::{net::TcpListener, task::AbortHandle};

pub(crate) use self::history::History;
use self::respond::{Door, Site};
use super::{
    exit::{Failure, UNAVAILABLE},
    ready::Readiness,
};

/// What answers, until it is dropped.
#[derive(Debug)]
pub(crate) struct Admin {
    addr: SocketAddr,
    site: Arc<OnceLock<Site>>,
    server: AbortHandle,
}

impl Admin {
    /// Takes the port, first of all: one that is taken is an error at the start. Answers at once, since a node may wait
    /// long for its name, and an orchestrator must not take that for death.
    pub(crate) async fn start(addr: SocketAddr) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(UNAVAILABLE, format!("--admin cannot listen on {addr}: {error}"))
        };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let site = Arc::new(OnceLock::new());
        let door = Door::new(site.clone(), addr);
        let server = tokio::spawn(server::run(listener, door)).abort_handle();
        Ok(Self { addr, site, server })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The node has started: tells of it from now on.
    pub(crate) fn open(
        &self,
        node: Node,
        observer: Observer,
        readiness: Readiness,
        history: History,
    ) {
        self.site.get_or_init(|| Site::new(node, observer, readiness, history));
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.server.abort();
    }
}
