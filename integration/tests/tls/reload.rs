//! Other certificates while a node runs.

use std::fs;

use anyhow::Result;
use dist::{TlsConfig, TlsConfigError};
use integration::both_ways::{call_both_ways, ping};
use integration::{Authority, Identity, name_of};

use crate::support::{Log, Place};

/// Puts other contents into the files of an identity.
fn replace(files: &Identity, new: &Identity) -> Result<()> {
    for (file, new) in [(&files.cert, &new.cert), (&files.key, &new.key), (&files.ca, &new.ca)] {
        // As is done where others read: whole, or not at all.
        let beside = file.with_extension("new");
        fs::copy(new, &beside)?;
        fs::rename(&beside, file)?;
    }
    Ok(())
}

/// Files that a test may change without touching the authority's.
fn own_files(place: &Place, identity: &Identity) -> Result<Identity> {
    let path = |name: &str| place.authority.folder().join(name);
    let own = Identity { cert: path("own.pem"), key: path("own.key"), ca: path("own-ca.pem") };
    replace(&own, identity)?;
    Ok(own)
}

#[tokio::test]
async fn changed_files_are_for_new_connections() -> Result<()> {
    let place = Place::new().await?;
    let files = own_files(&place, &place.identity()?)?;
    let node = place.node_as(&files).await?;
    let old = place.beam().await?;
    node.connect(&name_of(&old)?).await?;

    let authority = Authority::new()?;
    replace(&files, &authority.sign(&["127.0.0.1"])?)?;
    for we_dial in [true, false] {
        let new = place.beam_as(&authority.sign(&["127.0.0.1"])?).await?;
        if we_dial {
            node.connect(&name_of(&new)?).await?;
        }
        assert_eq!(ping(&new, &node).await?, "pong");
        call_both_ways(&node, &new).await?;
    }
    // The link from before is still there, and would not come about again.
    call_both_ways(&node, &old).await?;
    let again = place.beam().await?;
    assert_eq!(ping(&again, &node).await?, "pang");
    assert!(node.connect(&name_of(&again)?).await.is_err());
    call_both_ways(&node, &old).await
}

#[tokio::test]
async fn files_that_cannot_be_used_change_nothing() -> Result<()> {
    let place = Place::new().await?;
    let files = own_files(&place, &place.identity()?)?;
    let node = place.node_as(&files).await?;
    node.reload_tls().await?;
    let whole = fs::read(&files.cert)?;
    let log = Log::new();
    for (broken, problem) in [
        (&whole[..whole.len() / 2], "the certificate"),
        (&b""[..], "no certificate in PEM format"),
        (&fs::read(place.identity()?.cert)?[..], "does not belong to the certificate"),
    ] {
        fs::write(&files.cert, broken)?;
        let error = node.reload_tls().await.unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
        // Whoever connects meanwhile meets what was there before.
        let beam = place.beam().await?;
        assert_eq!(ping(&beam, &node).await?, "pong");
        call_both_ways(&node, &beam).await?;
    }
    log.says("the certificates have changed: those from before are kept").await?;
    fs::remove_file(&files.cert)?;
    let error = node.reload_tls().await.unwrap_err();
    assert!(matches!(error, TlsConfigError::Read { .. }), "{error}");
    fs::write(&files.cert, whole)?;
    node.reload_tls().await?;
    Ok(())
}

#[tokio::test]
async fn certificates_need_not_be_files() -> Result<()> {
    let place = Place::new().await?;
    let config = |identity: Identity| {
        let read = |path| fs::read(path);
        let (cert, key, ca) = (read(identity.cert)?, read(identity.key)?, read(identity.ca)?);
        anyhow::Ok(TlsConfig::from_pem(&cert, &key, &ca)?)
    };
    let node = place.world.node("rust")?.tls(config(place.identity()?)?).start().await?;
    let beam = place.beam().await?;
    assert_eq!(ping(&beam, &node).await?, "pong");
    let error = node.reload_tls().await.unwrap_err();
    assert!(matches!(error, TlsConfigError::NoFiles), "{error}");
    let authority = Authority::new()?;
    node.set_tls(config(authority.sign(&["127.0.0.1"])?)?)?;
    let other = place.beam_as(&authority.sign(&["127.0.0.1"])?).await?;
    assert_eq!(ping(&other, &node).await?, "pong");
    Ok(())
}
