//! Watching one node.

use std::sync::Arc;

use crate::error::DownReason;
use crate::name::NodeName;
use crate::node::{Node, NodeEvent, NodeEvents};

/// What happens to the link with one node: see [`Node::monitor_node`].
#[derive(Debug)]
pub struct NodeMonitor {
    node: NodeName,
    /// Why there was no connection to begin with, until that is told.
    unreachable: Option<DownReason>,
    events: NodeEvents,
}

impl Node {
    /// Watches a node, `erlang:monitor_node/2`: connects if there is no link, as Erlang does, and
    /// yields each [`NodeEvent::Up`] and [`NodeEvent::Down`] of that node from then on.
    ///
    /// A node that cannot be reached is a `Down` with [`DownReason::Unreachable`]. Unlike Erlang's,
    /// a monitor goes on after that; dropping it ends it.
    ///
    /// ```no_run
    /// # async fn run(node: dist::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut monitor = node.monitor_node(&"iex@127.0.0.1".parse()?).await;
    /// while let Some(event) = monitor.next().await {
    ///     println!("{event:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn monitor_node(&self, node: &NodeName) -> NodeMonitor {
        // First, so that nothing that happens meanwhile is missed.
        let events = self.events();
        let unreachable = self.connect(node).await.err();
        let unreachable = unreachable.map(|error| DownReason::Unreachable(Arc::new(error)));
        NodeMonitor { node: node.clone(), unreachable, events }
    }
}

impl NodeMonitor {
    /// The next event of the node, or [`NodeEvent::Lagged`] when some may have been missed; `None`
    /// once our own node is at its end. Cancelling loses none.
    pub async fn next(&mut self) -> Option<NodeEvent> {
        if let Some(reason) = self.unreachable.take() {
            return Some(NodeEvent::Down { node: self.node.clone(), reason });
        }
        loop {
            let event = self.events.next().await?;
            let concerned = match &event {
                NodeEvent::Up(peer) => peer.name == self.node,
                NodeEvent::Down { node, .. } => *node == self.node,
                NodeEvent::Lagged(_) => true,
                NodeEvent::Epmd(_) => false,
            };
            if concerned {
                return Some(event);
            }
        }
    }
}
