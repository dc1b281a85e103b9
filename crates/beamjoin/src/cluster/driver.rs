//! The task between discovery, membership and the node.

use std::time::Instant;

use dist::{ConnectError, Node, NodeEvent, NodeEvents, NodeName};
use futures::{
    StreamExt,
    future::{BoxFuture, FutureExt},
    stream::{BoxStream, FuturesUnordered},
};
use tokio::sync::broadcast::Sender;
use tracing::{debug, info, warn};

use super::{ClusterEvent, Observer};
use crate::{DiscoveryEvent, Heard, Membership, gate::Gate};

/// How much of a bad payload a log shows, in bytes.
const EXCERPT: usize = 80;

pub(super) struct Driver {
    node: Node,
    membership: Membership,
    heard: BoxStream<'static, DiscoveryEvent>,
    of_node: NodeEvents,
    dials: FuturesUnordered<BoxFuture<'static, (NodeName, Result<(), ConnectError>)>>,
    events: Sender<ClusterEvent>,
    observer: Observer,
    /// For failed dials: anybody who can write to the channel can cause as many as they like.
    loud: Gate,
}

impl Driver {
    pub(super) fn new(
        node: Node,
        mut membership: Membership,
        heard: BoxStream<'static, DiscoveryEvent>,
        events: Sender<ClusterEvent>,
        observer: Observer,
    ) -> Self {
        let now = now();
        let of_node = node.events();
        for peer in node.nodes() {
            membership.up(&peer.name, now);
            observer.lock().up(&peer.name, now);
        }
        let (dials, loud) = (FuturesUnordered::new(), Gate::new(1, 20));
        Self { node, membership, heard, of_node, dials, events, observer, loud }
    }

    pub(super) async fn run(mut self) {
        loop {
            self.dial();
            let wake = self.membership.wake_at();
            tokio::select! {
                event = self.heard.next() => match event {
                    Some(event) => self.on_discovery(event),
                    None => self.heard = futures::stream::pending().boxed(),
                },
                event = self.of_node.next() => match event {
                    Some(event) => self.on_node(event),
                    None => return,
                },
                Some((node, result)) = self.dials.next(), if !self.dials.is_empty() => {
                    self.on_dialled(node, result);
                }
                () = sleep_until(wake) => {}
            }
        }
    }

    fn dial(&mut self) {
        while let Some(name) = self.membership.next_dial(now()) {
            debug!(node = %name, "dialling");
            let node = self.node.clone();
            self.dials.push(
                async move {
                    let result = node.connect(&name).await;
                    (name, result)
                }
                .boxed(),
            );
        }
    }

    fn on_discovery(&mut self, event: DiscoveryEvent) {
        match event {
            DiscoveryEvent::Heard(payload) => self.on_heard(&payload),
            DiscoveryEvent::Up { server } => {
                info!(%server, "listening for announcements");
                self.observer.lock().discovery_up(server.clone(), now());
                self.tell(ClusterEvent::DiscoveryUp { server });
            }
            DiscoveryEvent::Announced => {
                debug!("announced");
                self.tell(ClusterEvent::Announced);
            }
            DiscoveryEvent::Lost { reason, retry_in } => {
                warn!(%reason, ?retry_in, "no announcements are heard for now; links stay");
                self.observer.lock().discovery_lost(reason.clone(), now());
                self.tell(ClusterEvent::DiscoveryLost { reason, retry_in });
            }
            DiscoveryEvent::FailedAttempts(count) => self.observer.lock().failed_attempts(count),
            DiscoveryEvent::Missed(count) => self.observer.lock().missed(count),
            DiscoveryEvent::Failed(error) => self.tell(ClusterEvent::DiscoveryFailed(error)),
        }
    }

    fn on_heard(&mut self, payload: &[u8]) {
        let now = now();
        match self.membership.heard(payload, now) {
            Heard::New(name) => {
                debug!(node = %name, "announced itself for the first time");
                self.observer.lock().heard(&name, now);
                self.tell(ClusterEvent::Discovered(name));
            }
            Heard::Ignored { why, count } => {
                self.observer.lock().ignored(why, count, now);
                if count == 1 {
                    let excerpt = payload.get(..EXCERPT).unwrap_or(payload).escape_ascii();
                    warn!(
                        payload = %excerpt,
                        "an announcement is ignored because {why}; more of this kind are only counted"
                    );
                }
            }
            Heard::Again(name) => self.observer.lock().heard(&name, now),
            Heard::Own => {
                if self.observer.lock().heard_us(now) {
                    debug!("our own announcement has come back");
                    self.tell(ClusterEvent::HeardOurselves);
                }
            }
        }
    }

    fn on_node(&mut self, event: NodeEvent) {
        match event {
            NodeEvent::Up(peer) => {
                self.membership.up(&peer.name, now());
                self.observer.lock().up(&peer.name, now());
                self.tell(ClusterEvent::Up(peer));
            }
            NodeEvent::Down { node, reason } => {
                self.membership.down(&node, now(), rand::random());
                self.observer.lock().down(&node, reason.clone(), now());
                self.tell(ClusterEvent::Down { node, reason });
            }
            NodeEvent::Epmd(status) => self.tell(ClusterEvent::Epmd(status)),
            NodeEvent::Lagged(missed) => {
                let up: Vec<NodeName> =
                    self.node.nodes().into_iter().map(|peer| peer.name).collect();
                self.membership.resync(&up, now(), rand::random);
                self.observer.lock().resync(&up, now());
                self.tell(ClusterEvent::Lagged(missed));
            }
            _ => {}
        }
    }

    fn on_dialled(&mut self, node: NodeName, result: Result<(), ConnectError>) {
        let failures = self.membership.dialled(&node, result.is_ok(), now(), rand::random());
        let Err(error) = result else { return };
        self.observer.lock().dial_failed(&node, error.clone());
        if failures == 1 && self.loud.admit(now()) {
            warn!(%node, %error, "failed to connect; trying again");
        } else {
            debug!(%node, %error, failures, "failed to connect; trying again");
        }
        self.tell(ClusterEvent::DialFailed { node, error, failures });
    }

    fn tell(&self, event: ClusterEvent) {
        // Nobody listens: fine.
        let _ = self.events.send(event);
    }
}

/// Tokio's clock, which tests can stop.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
