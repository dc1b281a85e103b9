//! The cluster that a command takes part in: the nodes that are named or heard, and those that they know.

use std::{collections::BTreeSet, time::Duration};

use beamjoin::{DiscoveryEvent, Postgres, parse_announcement};
use dist::{Node, NodeName, etf::Term};
use futures::{
    StreamExt,
    future::join_all,
    stream::{self, BoxStream},
};
use tokio::time::MissedTickBehavior;

use super::args::MemberArgs;
use crate::cli::{
    config::{Layers, channel, cookie, postgres},
    exit::{Failure, UNAVAILABLE, USAGE},
    remote::Remote,
};

/// How often nodes that are not connected are dialled again, and asked whom they know.
const AGAIN: Duration = Duration::from_secs(2);

/// How long a node may take to say whom it knows.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many nodes are remembered: anybody who can connect to the database can announce names.
const MOST: usize = 1024;

/// The nodes of a cluster.
pub(super) struct Seeds {
    known: BTreeSet<NodeName>,
    /// What is heard on the channel in Postgres; nothing where nodes were named.
    heard: BoxStream<'static, DiscoveryEvent>,
}

impl Seeds {
    pub(super) fn new(layers: &Layers, args: &MemberArgs) -> Result<Self, Failure> {
        let parse = |name: &String| {
            NodeName::new(name)
                .map_err(|error| Failure::new(USAGE, format!("invalid node {name:?}: {error}")))
        };
        let known: BTreeSet<NodeName> = args.nodes.iter().map(parse).collect::<Result<_, _>>()?;
        let heard = if known.is_empty() {
            let channel = channel(layers, || cookie(layers))?;
            Postgres::new(postgres(layers)?, channel).watch()
        } else {
            stream::pending().boxed()
        };
        Ok(Self { known, heard })
    }

    /// A node of ours with a link to the first that can be reached, and from there to all that it
    /// knows.
    pub(super) async fn join(&mut self, layers: &Layers) -> Result<Node, Failure> {
        let mut failed = None;
        for name in &self.known {
            match Remote::connect(layers, name.as_str()).await {
                Ok(remote) => {
                    self.meet(&remote.node).await;
                    return Ok(remote.node);
                }
                Err(failure) => failed = Some(failure),
            }
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
        loop {
            let name = self.next().await?;
            match Remote::connect(layers, name.as_str()).await {
                Ok(remote) => {
                    self.meet(&remote.node).await;
                    return Ok(remote.node);
                }
                Err(failure) => tracing::warn!(%name, %failure, "not reached"),
            }
        }
    }

    /// Keeps up the links to all nodes of the cluster, those that come later too.
    pub(super) async fn keep_up(&mut self, node: &Node) -> Failure {
        let mut again = tokio::time::interval(AGAIN);
        // To dial nodes that do not answer takes longer than that.
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = again.tick() => self.meet(node).await,
                name = self.next() => match name {
                    Ok(name) => drop(node.connect(&name).await),
                    Err(failure) => return failure,
                }
            }
        }
    }

    /// Connects with every node that is known, and with those that they are connected with.
    async fn meet(&mut self, node: &Node) {
        join_all(self.known.iter().map(|name| node.connect(name))).await;
        let connected = node.nodes();
        // Hidden ones too: other Rust nodes are among them.
        let asked = connected.iter().map(|peer| {
            let all = vec![Term::atom("connected")];
            node.rpc(&peer.name, "erlang", "nodes", all, Some(PATIENCE))
        });
        let mut found = BTreeSet::new();
        for answer in join_all(asked).await.into_iter().flatten() {
            let names = answer.into_list().unwrap_or_default().into_iter();
            found.extend(names.filter_map(|name| NodeName::new(name.as_atom()?.as_str()).ok()));
        }
        let new = found.into_iter().filter(|name| name != node.name());
        let new: Vec<NodeName> = new.filter(|name| !node.is_connected(name)).take(MOST).collect();
        join_all(new.iter().map(|name| node.connect(name))).await;
    }

    /// The next name that is heard.
    async fn next(&mut self) -> Result<NodeName, Failure> {
        loop {
            match self.heard.next().await {
                Some(DiscoveryEvent::Heard(payload)) => match parse_announcement(&payload) {
                    Ok(name) => {
                        if self.known.len() < MOST {
                            self.known.insert(name.clone());
                        }
                        return Ok(name);
                    }
                    Err(why) => tracing::debug!(%why, "ignored"),
                },
                Some(DiscoveryEvent::Failed(error)) => return Err(Failure::config(error)),
                Some(DiscoveryEvent::Lost { reason, .. }) => {
                    tracing::warn!(%reason, "Postgres is lost");
                }
                Some(_) => {}
                None => return Err(Failure::new(UNAVAILABLE, "nobody can be heard any more")),
            }
        }
    }
}

/// Whether a node runs the scope of all PubSubs.
pub(super) async fn takes_part(node: &Node, peer: &NodeName) -> bool {
    let scope = vec![Term::atom("Elixir.Phoenix.PubSub")];
    let found = node.rpc(peer, "erlang", "whereis", scope, Some(PATIENCE)).await;
    found.is_ok_and(|found| found.as_pid().is_some())
}
