//! Nodes with TLS and nodes without do not meet, and are told why.

use std::time::Duration;

use anyhow::Result;
use dist::ConnectError;
use dist::handshake::{HandshakeError, Step};
use integration::both_ways::ping;
use integration::{World, name_of};

use crate::support::{Log, Place};

fn handshake(result: Result<(), ConnectError>) -> HandshakeError {
    match result {
        Err(ConnectError::Handshake(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_plain_node_and_a_beam_with_tls() -> Result<()> {
    let place = Place::new().await?;
    let beam = place.beam().await?;
    let node = place.world.node("rust")?.start().await?;
    let error = handshake(node.connect(&name_of(&beam)?).await);
    assert!(matches!(error, HandshakeError::PeerSpeaksTls), "{error:?}");
    let log = Log::new();
    assert_eq!(ping(&beam, &node).await?, "pang");
    log.says("the peer speaks TLS, and this node does not").await?;
    assert!(node.nodes().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_node_with_tls_and_a_plain_beam() -> Result<()> {
    let place = Place::new().await?;
    let beam = place.world.beam("plain").await?;
    let node = place.world.node("rust")?.tls(place.identity()?.config()?);
    let node = node.setup_time(Duration::from_secs(2)).start().await?;
    // A BEAM node takes the beginning of TLS for the length of a message, and waits for it.
    let error = handshake(node.connect(&name_of(&beam)?).await);
    assert!(
        matches!(
            error,
            HandshakeError::Timeout { step: Step::Tls }
                | HandshakeError::Closed { step: Step::Tls }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("a peer without TLS does not answer it"), "{error}");
    let log = Log::new();
    assert_eq!(ping(&beam, &node).await?, "pang");
    log.says("the peer does not speak TLS, and this node speaks nothing else").await?;
    assert!(node.nodes().is_empty());
    Ok(())
}

#[tokio::test]
async fn two_rust_nodes_say_it_at_once() -> Result<()> {
    let place = Place::new().await?;
    let plain = place.world.node("plain")?.start().await?;
    let secure = place.node().await?;
    let error = handshake(plain.connect(secure.name()).await);
    assert!(matches!(error, HandshakeError::PeerSpeaksTls), "{error:?}");
    let error = handshake(secure.connect(plain.name()).await);
    assert!(matches!(error, HandshakeError::PeerSpeaksNoTls), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn tls_is_for_the_whole_life_of_a_node() -> Result<()> {
    let place = Place::new().await?;
    let plain = World::without_epmd()?.node("plain")?.start().await?;
    let error = plain.reload_tls().await.unwrap_err();
    assert_eq!(error.to_string(), "this node was started without TLS");
    assert!(plain.set_tls(place.identity()?.config()?).is_err());
    Ok(())
}
