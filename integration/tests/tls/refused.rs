//! Certificates that are not taken, by us and by the BEAM.

use anyhow::{Context, Result, bail};
use dist::handshake::HandshakeError;
use dist::{ConnectError, Node, TlsFailure};
use integration::both_ways::{call_both_ways, ping};
use integration::{Authority, Beam, Identity, SOON, eventually, name_of};

use crate::support::{Log, Place};

/// Why dialling failed.
async fn refusal(node: &Node, beam: &Beam) -> Result<TlsFailure> {
    match node.connect(&name_of(beam)?).await {
        Err(ConnectError::Handshake(HandshakeError::Tls(failure))) => Ok(failure),
        Err(error) => bail!("{error:?}"),
        Ok(()) => bail!("connected"),
    }
}

/// Whether it is the failure that should be.
type Check = fn(&TlsFailure) -> bool;

/// Each case with each version: in 1.3 a server looks at the client's certificate when the client has finished.
fn both<T>(cases: &[T]) -> impl Iterator<Item = (&T, &'static str)> {
    cases.iter().flat_map(|case| ["tlsv1.2", "tlsv1.3"].map(|version| (case, version)))
}

/// Neither side has a link.
async fn apart(node: &Node, beam: &Beam) -> Result<()> {
    beam.sees(node.name().as_str(), false, SOON).await?;
    eventually(SOON, "no links", async || node.counts().links == 0).await
}

#[tokio::test]
async fn what_we_do_not_take_from_others() -> Result<()> {
    let place = Place::new().await?;
    let node = place.node().await?;
    let foreign = Authority::new()?;
    let stranger = foreign.sign(&["127.0.0.1"])?.trusting(&place.authority);
    let others: [(Identity, Check, Option<&str>); 3] = [
        (
            stranger,
            |failure| *failure == TlsFailure::UnknownAuthority,
            Some("not signed by an authority that this node trusts"),
        ),
        (
            place.authority.sign_expired("127.0.0.1")?,
            |failure| *failure == TlsFailure::Expired,
            Some("the peer's certificate has expired"),
        ),
        (
            place.authority.sign(&["other.example"])?,
            |failure| {
                matches!(failure, TlsFailure::WrongHost { host, found }
                if host == "127.0.0.1" && found == "other.example")
            },
            // As in OTP, who accepts looks at no name.
            None,
        ),
    ];
    for ((identity, expected, logged), version) in both(&others) {
        let beam = place.beam_speaking(identity, version).await?;
        let failure = refusal(&node, &beam).await?;
        assert!(expected(&failure), "{version}: {failure:?}");
        apart(&node, &beam).await?;
        let log = Log::new();
        match logged {
            Some(logged) => {
                assert_eq!(ping(&beam, &node).await?, "pang");
                log.says(logged).await?;
                apart(&node, &beam).await?;
            }
            None => {
                assert_eq!(ping(&beam, &node).await?, "pong");
                call_both_ways(&node, &beam).await?;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_others_do_not_take_from_us() -> Result<()> {
    let place = Place::new().await?;
    let foreign = Authority::new()?;
    let ours = [
        (foreign.sign(&["127.0.0.1"])?.trusting(&place.authority), false),
        (place.authority.sign_expired("127.0.0.1")?, false),
        (place.authority.sign(&["other.example"])?, true),
    ];
    for ((identity, taken_when_we_dial), version) in both(&ours) {
        let beam = place.beam_speaking(&place.identity()?, version).await?;
        let log = Log::new();
        let node = place.node_as(identity).await?;
        assert_eq!(ping(&beam, &node).await?, "pang");
        log.says("a peer was not let in").await?;
        log.says("TLS: the peer refused this node").await?;
        apart(&node, &beam).await?;
        if *taken_when_we_dial {
            node.connect(&name_of(&beam)?).await?;
            call_both_ways(&node, &beam).await?;
        } else {
            let failure = refusal(&node, &beam).await?;
            assert!(matches!(failure, TlsFailure::Refused(_)), "{version}: {failure:?}");
            apart(&node, &beam).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_peer_without_a_certificate_is_not_let_in() -> Result<()> {
    let place = Place::new().await?;
    let node = place.node().await?;
    let args = place.identity()?.erl_without_client_certificate()?;
    let beam = Beam::start(place.world.beam_options("beam").args(args)).await?;
    let log = Log::new();
    assert_eq!(ping(&beam, &node).await?, "pang");
    log.says("the peer has no certificate to show").await?;
    apart(&node, &beam).await?;
    // It shows one to those who dial it.
    node.connect(&name_of(&beam)?).await?;
    call_both_ways(&node, &beam).await
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() -> Result<()> {
    let place = Place::new().await?;
    let (one, two) = (place.identity()?, place.identity()?);
    let error = |identity: Identity| {
        identity.config().err().context("they were taken").map(|error| error.to_string())
    };
    let missing = error(Identity { cert: "/nowhere/node.pem".into(), ..one.clone() })?;
    assert!(missing.starts_with("failed to read the certificate /nowhere/node.pem: "), "{missing}");
    let mismatch = error(Identity { key: two.key.clone(), ..one.clone() })?;
    assert_eq!(
        mismatch,
        format!(
            "the key {} does not belong to the certificate {}",
            two.key.display(),
            one.cert.display()
        )
    );
    let no_key = error(Identity { key: one.cert.clone(), ..one.clone() })?;
    assert!(no_key.starts_with("there is no key in PEM format"), "{no_key}");
    let no_ca = error(Identity { ca: one.key.clone(), ..one.clone() })?;
    assert!(
        no_ca.starts_with("there is no certificate in PEM format in the authority's"),
        "{no_ca}"
    );
    Ok(())
}
