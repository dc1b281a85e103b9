//! A node in a cluster.

mod driver;
mod event;
mod observer;
mod roster;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use dist::Node;
use futures::{StreamExt, stream};
use tokio::{
    sync::broadcast::{self, Receiver, Sender},
    task::JoinHandle,
};

use self::{driver::Driver, roster::Roster};
pub use self::{
    event::{ClusterEvent, ClusterEvents},
    observer::{DiscoveryStatus, Member, MemberState, Observer},
};
use crate::{Discovery, Limits, Membership, NamePattern};

/// How many events a stream that nobody reads keeps.
const KEPT: usize = 1024;

/// Keeps a [`Node`] connected with every node that announces itself.
///
/// ```no_run
/// use beamjoin::{ChannelName, Cluster, ClusterEvent, Postgres};
/// use dist::{Cookie, Node};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let node = Node::builder("rust@10.0.0.4".parse()?, Cookie::new("secret")?).start().await?;
/// let config = pgnotify::Config::from_url("postgres://app@db/prod")?;
/// let channel = ChannelName::from_cookie("secret")?;
/// let cluster = Cluster::builder(node).discovery(Postgres::new(config, channel)).start();
/// let mut events = cluster.events();
/// while let Some(event) = events.next().await {
///     if let ClusterEvent::Up(peer) = event {
///         println!("{} is here", peer.name);
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// The node was started before, so it accepts connections by the time that it is announced: who hears us dials us at once.
///
/// Dropping a `Cluster` ends discovery; the node and its links stay.
#[derive(Debug)]
pub struct Cluster {
    node: Node,
    events: broadcast::WeakSender<ClusterEvent>,
    /// From before the first event, for the first who asks.
    first: Mutex<Option<Receiver<ClusterEvent>>>,
    observer: Observer,
    task: JoinHandle<()>,
}

/// What a [`Cluster`] is made of.
#[must_use = "nothing happens until it is started"]
pub struct ClusterBuilder {
    node: Node,
    discovery: Option<Box<dyn Discovery>>,
    limits: Limits,
    allowed: Vec<NamePattern>,
}

impl Cluster {
    /// A cluster of `node`.
    pub fn builder(node: Node) -> ClusterBuilder {
        ClusterBuilder { node, discovery: None, limits: Limits::default(), allowed: Vec::new() }
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Everything that happens: the first stream begins with the start of the cluster, later ones with their own.
    pub fn events(&self) -> ClusterEvents {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let receiver = first.or_else(|| self.events.upgrade().map(|events| events.subscribe()));
        ClusterEvents::new(receiver.unwrap_or_else(|| broadcast::channel(1).1))
    }

    /// Sees who is in the cluster and how discovery is doing, as long as it is kept.
    pub fn observer(&self) -> Observer {
        self.observer.clone()
    }

    /// Stops announcing and dialling, then shuts the node down: links are closed in order and EPMD is left, within
    /// `deadline`.
    pub async fn stop(mut self, deadline: Duration) {
        self.task.abort();
        // The error is the abort itself, or the driver's panic, which was reported where it happened.
        let _ = (&mut self.task).await;
        self.node.shutdown(deadline).await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ClusterBuilder {
    /// Where nodes are found. Without one, only links that others dial are there.
    pub fn discovery(self, discovery: impl Discovery) -> Self {
        Self { discovery: Some(Box::new(discovery)), ..self }
    }

    /// How many names are remembered and dialled, and how often.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Dials of the nodes that announce themselves only those whose names match one of these patterns; any if there are none.
    /// Whom the node itself does not allow, which counts for nodes that dial us too, is never dialled:
    /// [`NodeBuilder::allow`](dist::NodeBuilder::allow).
    pub fn allow(self, patterns: impl IntoIterator<Item = NamePattern>) -> Self {
        Self { allowed: patterns.into_iter().collect(), ..self }
    }

    /// Starts it. Must be called within a tokio runtime.
    pub fn start(self) -> Cluster {
        let (events, first): (Sender<ClusterEvent>, _) = broadcast::channel(KEPT);
        let weak = events.downgrade();
        let heard = match self.discovery {
            Some(discovery) => discovery.start(self.node.name().clone()),
            None => stream::pending().boxed(),
        };
        let observer = Observer::new(Roster::new(self.limits.clone(), driver::now()));
        let (node, announced) = (self.node.clone(), NamePattern::any_of(self.allowed));
        let membership = Membership::new(self.node.name().clone(), self.limits)
            .allow(move |name| node.allows(name) && announced(name));
        let driver = Driver::new(self.node.clone(), membership, heard, events, observer.clone());
        let task = tokio::spawn(driver.run());
        Cluster { node: self.node, events: weak, first: Mutex::new(Some(first)), observer, task }
    }
}

impl std::fmt::Debug for ClusterBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterBuilder").field("limits", &self.limits).finish_non_exhaustive()
    }
}
