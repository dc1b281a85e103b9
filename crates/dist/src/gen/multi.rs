//! Calling servers of one name on many nodes, as `gen_server:multi_call/4` does.

use std::time::Duration;

use etf::{Atom, Term};
use futures::future::join_all;

use crate::name::NodeName;
use crate::node::{Destination, Node};

impl Node {
    /// Calls the servers of one name on several nodes at once (`gen_server:multi_call/4`), our own
    /// being one of them where it is in the list.
    ///
    /// Returns the replies, and the nodes that gave none: for want of the server or a connection,
    /// because the server ended, or because the time did. Both in the order of `nodes`.
    pub async fn multi_call(
        &self,
        nodes: &[NodeName],
        name: &Atom,
        request: &Term,
        timeout: Option<Duration>,
    ) -> (Vec<(NodeName, Term)>, Vec<NodeName>) {
        let calls = nodes.iter().map(|node| {
            let to = Destination::Remote { name: name.clone(), node: node.clone() };
            self.call(to, request.clone(), timeout)
        });
        let (mut replies, mut bad) = (Vec::new(), Vec::new());
        for (node, result) in nodes.iter().zip(join_all(calls).await) {
            match result {
                Ok(reply) => replies.push((node.clone(), reply)),
                Err(_) => bad.push(node.clone()),
            }
        }
        (replies, bad)
    }
}
