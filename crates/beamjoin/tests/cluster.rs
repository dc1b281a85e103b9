//! A cluster of two Rust nodes in one process that find each other without Postgres and EPMD.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that fails must fail its test"
)]

use std::{net::SocketAddr, time::Duration};

use beamjoin::{Cluster, ClusterEvent, ClusterEvents, Discovery, DiscoveryError, DiscoveryEvent};
use dist::{Cookie, Epmd, Listen, Node, NodeBuilder, NodeName};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

/// Says these things once, and then nothing.
struct Script(Vec<DiscoveryEvent>);

impl Discovery for Script {
    fn start(self: Box<Self>, _own: NodeName) -> BoxStream<'static, DiscoveryEvent> {
        stream::iter(self.0).chain(stream::pending()).boxed()
    }
}

fn heard(names: &[&str]) -> Script {
    Script(names.iter().map(|name| DiscoveryEvent::Heard(name.as_bytes().to_vec())).collect())
}

fn builder(name: &str) -> NodeBuilder {
    Node::builder(name.parse().unwrap(), Cookie::new("secret").unwrap()).epmd(Epmd::None)
}

async fn listening(name: &str, port: u16) -> Node {
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    builder(name).listen(Listen::Addr(addr)).start().await.unwrap()
}

async fn next<T>(
    events: &mut ClusterEvents,
    mut wanted: impl FnMut(ClusterEvent) -> Option<T>,
) -> T {
    let found = async {
        loop {
            let event = events.next().await.expect("the cluster has not stopped");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    };
    timeout(SOON, found).await.expect("the event comes")
}

async fn next_up(events: &mut ClusterEvents) -> String {
    next(events, |event| match event {
        ClusterEvent::Up(peer) => Some(peer.name.to_string()),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn what_is_heard_is_dialled_and_dialled_again_when_it_is_lost() {
    let other = listening("other@127.0.0.1", 0).await;
    let port = other.listen_addr().unwrap().port();
    let node = builder("own@127.0.0.1").listen(Listen::Off).peer_port(port).start().await.unwrap();
    let script = heard(&["nonsense", "own@127.0.0.1", "other@127.0.0.1", "other@127.0.0.1"]);
    let cluster = Cluster::builder(node).discovery(script).start();
    let mut events = cluster.events();

    assert!(matches!(events.next().await, Some(ClusterEvent::HeardOurselves)));
    assert!(
        matches!(events.next().await, Some(ClusterEvent::Discovered(name)) if name == "other@127.0.0.1")
    );
    assert_eq!(next_up(&mut events).await, "other@127.0.0.1");

    other.shutdown(SOON).await;
    next(&mut events, |event| matches!(event, ClusterEvent::Down { .. }).then_some(())).await;
    let failed = next(&mut events, |event| match event {
        ClusterEvent::DialFailed { node, failures, .. } => Some((node.to_string(), failures)),
        _ => None,
    })
    .await;
    assert_eq!(failed.0, "other@127.0.0.1");

    // Nothing more is heard of it.
    let again = listening("other@127.0.0.1", port).await;
    assert_eq!(next_up(&mut events).await, "other@127.0.0.1");
    assert!(again.is_connected(cluster.node().name()));

    cluster.stop(SOON).await;
    assert!(events.next().await.is_none(), "the events end with the cluster");
    let gone = async {
        while again.is_connected(&"own@127.0.0.1".parse().unwrap()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, gone).await.expect("the link is closed");
}

#[tokio::test]
async fn links_stay_when_discovery_fails_or_ends() {
    let other = listening("other@127.0.0.1", 0).await;
    let port = other.listen_addr().unwrap().port();
    let node = builder("own@127.0.0.1").listen(Listen::Off).peer_port(port).start().await.unwrap();
    node.connect(other.name()).await.unwrap();
    let failed = DiscoveryEvent::Failed(DiscoveryError::new("no such place"));
    let cluster = Cluster::builder(node).discovery(Script(vec![failed])).start();
    let reason = next(&mut cluster.events(), |event| match event {
        ClusterEvent::DiscoveryFailed(error) => Some(error.to_string()),
        _ => None,
    })
    .await;
    assert_eq!(reason, "no such place");
    let node = cluster.node().clone();
    drop(cluster);
    assert!(node.is_connected(other.name()) && node.ping(other.name()).await.is_ok());
}
