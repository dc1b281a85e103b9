//! `Phoenix.PubSub` as Elixir nodes speak it between each other (`Phoenix.PubSub.PG2`, 2.0 to 2.2).

pub(super) mod fuzz;
mod head;
mod local;
mod message;
mod pool;
mod socket;
mod subscription;

use std::sync::Arc;

use bytes::Bytes;
use etf::{Atom, AtomError, Term};
use futures::future::join_all;

pub use message::PubSubMessage;
use pool::{LARGEST, Pool, SCOPE};
pub use socket::SocketBroadcast;
pub use subscription::{PubSubEvent, Subscription};

use crate::error::{RegisterError, SendError};
use crate::name::NodeName;
use crate::node::{Destination, Node};
use crate::service::buffer::{Bounds, buffer};
use crate::service::pg::PgError;
use crate::wire::control::Control;

/// What waits for one subscriber.
const BOUNDS: Bounds = Bounds { items: 1024, bytes: 64 << 20 };

/// The module that dispatches a message unless the sender says another.
const DISPATCHER: &str = "Elixir.Phoenix.PubSub";

/// The module that dispatches what is broadcast to Phoenix channels.
const CHANNELS: &str = "Elixir.Phoenix.Channel.Server";

/// A member of a `Phoenix.PubSub`: what any Elixir node of the cluster broadcasts on a topic arrives here, and
/// the other way round.
///
/// It reaches the nodes that this one is connected with; a hidden node takes part like any other. Cheap
/// to clone. It takes part until the last clone and the last [`Subscription`] are dropped.
///
/// ```no_run
/// # async fn run(node: dist::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use dist::etf::term;
/// use dist::{PubSub, PubSubEvent};
///
/// let pubsub = PubSub::new(&node, "MyApp.PubSub")?;
/// let mut room = pubsub.subscribe("room:1");
/// pubsub.broadcast("room:1", term!({hello, "from Rust"})).await?;
/// while let Some(event) = room.next().await {
///     match event {
///         PubSubEvent::Message(message) => println!("{}", message.term()?.elixir()),
///         PubSubEvent::Lagged(count) => println!("{count} messages were missed"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PubSub {
    pool: Arc<Pool>,
    dispatcher: Atom,
}

/// How a [`PubSub`] is started.
#[derive(Debug)]
pub struct PubSubBuilder<'a> {
    node: &'a Node,
    name: String,
    pool_size: usize,
    broadcast_pool_size: usize,
}

/// Why a [`PubSub`] was not started, or a message not broadcast.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PubSubError {
    /// The name of the PubSub makes no name of a process.
    #[error("not a name for a PubSub: {0}")]
    Name(AtomError),
    /// The size of a pool is not between 1 and 256, or broadcasts would go to more groups than
    /// are listened on.
    #[error(
        "a pool of {pool} of which {broadcast} broadcast: it must be 1 to 256, and no more than that"
    )]
    PoolSize {
        /// The size of the pool.
        pool: usize,
        /// The size of the part that broadcasts.
        broadcast: usize,
    },
    /// A name that the PubSub needs is taken: it runs here already, for example.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The scope of all PubSubs has ended.
    #[error("the PubSub has ended")]
    Ended,
    /// The message has no external form, or, of a direct broadcast, its node cannot be reached.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// What a [`PubSub`] holds and has done: for tests, and for whoever wants to see that nothing leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PubSubCounts {
    /// Topics that somebody here listens to.
    pub topics: usize,
    /// Subscriptions, each counted for each of its topics.
    pub subscriptions: usize,
    /// Broadcasts that came.
    pub received: u64,
    /// Those of them that nobody here listens to: of these only the topic was read.
    pub unheard: u64,
    /// Those of them that were decoded.
    pub decoded: u64,
}

impl PubSub {
    /// Takes part in the PubSub of this name, `MyApp.PubSub` for example, with a pool of one.
    ///
    /// # Errors
    /// [`PubSubError`].
    pub fn new(node: &Node, name: &str) -> Result<Self, PubSubError> {
        Self::builder(node, name).start()
    }

    /// As [`PubSub::new`], with pools of other sizes.
    #[must_use]
    pub fn builder<'a>(node: &'a Node, name: &str) -> PubSubBuilder<'a> {
        PubSubBuilder { node, name: name.to_owned(), pool_size: 1, broadcast_pool_size: 1 }
    }

    /// The same PubSub with another module that hands messages to the subscribers of Elixir nodes,
    /// `MyApp.Dispatcher` for example (`Phoenix.PubSub`, "Custom dispatching"). A node that does not
    /// have the module loses the message, and the process that takes it.
    ///
    /// # Errors
    /// When it is no name of a module.
    pub fn with_dispatcher(&self, module: &str) -> Result<Self, PubSubError> {
        let dispatcher = module_name(module).map_err(PubSubError::Name)?;
        Ok(Self { pool: self.pool.clone(), dispatcher })
    }

    /// Listens to a topic from now on.
    #[must_use]
    pub fn subscribe(&self, topic: impl AsRef<[u8]>) -> Subscription {
        self.subscribe_all([topic])
    }

    /// Listens to several topics with one stream.
    #[must_use]
    pub fn subscribe_all(&self, topics: impl IntoIterator<Item: AsRef<[u8]>>) -> Subscription {
        let topics = topics.into_iter().map(|topic| Bytes::copy_from_slice(topic.as_ref()));
        let topics: Vec<Bytes> = topics.collect();
        let (sender, messages) = buffer(BOUNDS);
        let id = self.pool.local.subscribe(topics.iter().cloned(), sender);
        Subscription { messages, pool: self.pool.clone(), topics, id }
    }

    /// Sends a message to all subscribers of a topic, on every connected node and here
    /// (`Phoenix.PubSub.broadcast/4`). Waits for room in the queues to the nodes; cancelling may
    /// have sent it to some of them.
    ///
    /// Two broadcasts on one topic from one task arrive in this order.
    ///
    /// # Errors
    /// [`PubSubError::Send`] when the message has no external form; then nobody gets it.
    pub async fn broadcast(
        &self,
        topic: impl AsRef<[u8]>,
        message: impl Into<Term>,
    ) -> Result<(), PubSubError> {
        self.send(topic.as_ref(), message.into(), None).await
    }

    /// As [`PubSub::broadcast`], to all but this one subscriber
    /// (`Phoenix.PubSub.broadcast_from/5`).
    ///
    /// # Errors
    /// As [`PubSub::broadcast`].
    pub async fn broadcast_from(
        &self,
        from: &Subscription,
        topic: impl AsRef<[u8]>,
        message: impl Into<Term>,
    ) -> Result<(), PubSubError> {
        let own = Arc::ptr_eq(&from.pool, &self.pool).then_some(from.id);
        self.send(topic.as_ref(), message.into(), own).await
    }

    /// Sends a message to the subscribers on one node (`Phoenix.PubSub.direct_broadcast/5`),
    /// dialling it if there is no link.
    ///
    /// # Errors
    /// [`PubSubError::Send`].
    pub async fn direct_broadcast(
        &self,
        node: &NodeName,
        topic: impl AsRef<[u8]>,
        message: impl Into<Term>,
    ) -> Result<(), PubSubError> {
        let pool = &self.pool;
        let message = self.forward(topic.as_ref(), message.into());
        let to = Destination::Remote { name: pool.adapter.clone(), node: node.clone() };
        Ok(pool.shared.send(&pool.sender(), to, message).await?)
    }

    /// Sends a message to the subscribers on this node (`Phoenix.PubSub.local_broadcast/4`).
    pub fn local_broadcast(&self, topic: impl AsRef<[u8]>, message: impl Into<Term>) {
        self.dispatch(topic.as_ref(), message.into(), None);
    }

    /// Pushes an event to the Phoenix channels that joined a topic, and through them to their clients, as
    /// `MyAppWeb.Endpoint.broadcast/3` does; subscribers get it as a [`SocketBroadcast`]. The
    /// payload must be a map. Nodes without Phoenix cannot dispatch it: see
    /// [`PubSub::with_dispatcher`].
    ///
    /// # Errors
    /// As [`PubSub::broadcast`].
    pub async fn broadcast_event(
        &self,
        topic: &str,
        event: &str,
        payload: Term,
    ) -> Result<(), PubSubError> {
        let channels = Self { pool: self.pool.clone(), dispatcher: Atom::from_static(CHANNELS) };
        channels.broadcast(topic, SocketBroadcast::new(topic, event, payload)).await
    }

    /// How many groups we are in: the size of the largest pool that was seen.
    #[must_use]
    pub fn pool_size(&self) -> usize {
        self.pool.size()
    }

    /// The connected nodes that take part.
    #[must_use]
    pub fn nodes(&self) -> Vec<Atom> {
        let members = self.pool.scope.remote_members(&Term::Atom(self.pool.adapter.clone()));
        members.into_iter().map(|pid| pid.node).collect()
    }

    /// What it holds and has done.
    #[must_use]
    pub fn counts(&self) -> PubSubCounts {
        self.pool.local.counts()
    }

    async fn send(&self, topic: &[u8], message: Term, but: Option<u64>) -> Result<(), PubSubError> {
        let pool = &self.pool;
        let group = pool.group(1 + number(topic, pool.broadcast)).map_err(PubSubError::Name)?;
        let members = pool.scope.try_remote_members(&Term::Atom(group))?;
        let own = pool.local.is_heard(topic).then(|| message.clone());
        let (sender, message) = (pool.sender(), self.forward(topic, message));
        let mut frames = Vec::with_capacity(members.len());
        for member in members {
            let Some(link) = pool.shared.links.link(&member.node) else { continue };
            let control = Control::send(sender.clone(), member, link.flags);
            let frame = link.encode(&control, Some(&message)).map_err(SendError::from)?;
            frames.push((link, frame));
        }
        // One that does not read holds up the next broadcast, not the other nodes. A link that
        // goes down meanwhile is no error, as with a send in Erlang.
        let sends =
            frames.into_iter().map(|(link, frame)| async move { link.outbox.send(frame).await });
        join_all(sends).await;
        if let Some(message) = own {
            self.dispatch(topic, message, but);
        }
        Ok(())
    }

    fn dispatch(&self, topic: &[u8], message: Term, but: Option<u64>) {
        let topic = Bytes::copy_from_slice(topic);
        let message = PubSubMessage::made(topic, message, self.dispatcher.clone());
        self.pool.local.dispatch(&message, but);
    }

    fn forward(&self, topic: &[u8], message: Term) -> Term {
        Term::Tuple(vec![
            Term::atom("forward_to_local"),
            Term::from(topic),
            message,
            Term::Atom(self.dispatcher.clone()),
        ])
    }
}

impl PubSubBuilder<'_> {
    /// How many groups to listen on at least: 1 unless said otherwise, at most 256. Larger pools of
    /// other nodes are followed by themselves; messages that come before are lost, so say the
    /// cluster's own size where that matters.
    #[must_use]
    pub fn pool_size(mut self, size: usize) -> Self {
        self.pool_size = size;
        self
    }

    /// How many of the groups to broadcast on (as of `phoenix_pubsub` 2.2): 1 unless said otherwise, since
    /// every node has the first. With more, topics are shared out among the processes of the other
    /// nodes; nodes with a smaller pool then lose messages.
    #[must_use]
    pub fn broadcast_pool_size(mut self, size: usize) -> Self {
        self.broadcast_pool_size = size;
        self
    }

    /// Takes part.
    ///
    /// # Errors
    /// [`PubSubError`].
    pub fn start(self) -> Result<PubSub, PubSubError> {
        let (pool, broadcast) = (self.pool_size, self.broadcast_pool_size);
        if pool > LARGEST || broadcast < 1 || broadcast > pool {
            return Err(PubSubError::PoolSize { pool, broadcast });
        }
        let adapter = module_name(&format!("{}.Adapter", self.name)).map_err(PubSubError::Name)?;
        let scope = self.node.start_pg(SCOPE)?;
        let pool = Pool::start(&self.node.shared, scope, adapter, pool, broadcast)?;
        Ok(PubSub { pool, dispatcher: Atom::from_static(DISPATCHER) })
    }
}

impl From<PgError> for PubSubError {
    fn from(error: PgError) -> Self {
        match error {
            PgError::Ended => Self::Ended,
            PgError::Group(error) => Self::Send(error.into()),
            // A worker that somebody has ended before it had joined.
            PgError::NoProcess(_) => Self::Register(RegisterError::Ended),
        }
    }
}

/// A module of Elixir: `MyApp.PubSub` is the atom `'Elixir.MyApp.PubSub'`.
fn module_name(name: &str) -> Result<Atom, AtomError> {
    let name = name.strip_prefix("Elixir.").unwrap_or(name);
    Atom::new(format!("Elixir.{name}"))
}

/// Which of so many groups a topic goes to, counted from 0: the same one always, so that its
/// messages stay in order (FNV-1a).
fn number(topic: &[u8], groups: usize) -> usize {
    let hash = topic
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    usize::try_from(hash).unwrap_or_default() % groups.max(1)
}
