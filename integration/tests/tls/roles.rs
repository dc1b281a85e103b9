//! What TLS is for: both roles, calls, large messages, both versions, and the end of a link.

use anyhow::{Context, Result, ensure};
use dist::etf::Term;
use dist::{DownReason, NodeEvent, Probe, Visibility};
use integration::both_ways::{call_both_ways, doubles, ping};
use integration::{Beam, Proxy, SOON, event, eventually, name_of};
use rustls::{CipherSuite, ProtocolVersion};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::support::{Place, echo, established, old_client, secured_by};

#[tokio::test]
async fn both_roles_hidden_and_visible() -> Result<()> {
    let place = Place::new().await?;
    for hidden in [false, true] {
        let options = place.world.beam_options("beam").args(place.identity()?.erl()?);
        let beam = Beam::start(if hidden { options.hidden() } else { options }).await?;
        for visibility in [Visibility::Visible, Visibility::Hidden] {
            let start = async || {
                let node = place.world.node("rust")?.tls(place.identity()?.config()?);
                anyhow::Ok(node.visibility(visibility).exports(doubles()).start().await?)
            };
            let dialling = start().await?;
            dialling.connect(&name_of(&beam)?).await?;
            call_both_ways(&dialling, &beam).await?;
            let dialled = start().await?;
            assert_eq!(ping(&beam, &dialled).await?, "pong");
            call_both_ways(&dialled, &beam).await?;
            let listed =
                if hidden || visibility == Visibility::Hidden { "hidden" } else { "visible" };
            for node in [&dialling, &dialled] {
                let seen = format!("lists:member('{}', nodes({listed}))", node.name());
                assert_eq!(beam.eval(seen).await?, "true", "{hidden} {visibility:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn two_rust_nodes() -> Result<()> {
    let place = Place::new().await?;
    let (one, two) = (place.node().await?, place.node().await?);
    let doubled = one.rpc(two.name(), "rust", "double", vec![Term::from(4)], Some(SOON)).await?;
    assert_eq!(doubled, Term::from(8));
    Ok(())
}

#[tokio::test]
async fn a_hundred_megabytes_go_both_ways() -> Result<()> {
    let place = Place::new().await?;
    let beam = place.beam().await?;
    for we_dial in [true, false] {
        let node = place.node().await?;
        if we_dial {
            node.connect(&name_of(&beam)?).await?;
        } else {
            assert_eq!(ping(&beam, &node).await?, "pong");
        }
        let mut process = node.process()?;
        let bytes: Vec<u8> = (0..100_usize << 20).map(|at| (at % 251) as u8).collect();
        let term = Term::from(&bytes[..]);
        ensure!(echo(&mut process, &beam, term.clone()).await? == term, "another term");
        assert_eq!(node.counts().fragment_bytes, 0);
        // Many of every length around that of a record, in order.
        for size in [0, 1, 15, 16, 17, 4095, 4096, 16_383, 16_384, 16_385, 65_536, 1 << 20] {
            let term = Term::from(&bytes[..size]);
            ensure!(echo(&mut process, &beam, term.clone()).await? == term, "{size} bytes");
        }
        node.shutdown(SOON).await;
    }
    Ok(())
}

#[tokio::test]
async fn each_version_alone() -> Result<()> {
    let place = Place::new().await?;
    for version in ["tlsv1.2", "tlsv1.3"] {
        let beam = place.beam_speaking(&place.identity()?, version).await?;
        let dialling = place.node().await?;
        dialling.connect(&name_of(&beam)?).await?;
        call_both_ways(&dialling, &beam).await?;
        let dialled = place.node().await?;
        assert_eq!(ping(&beam, &dialled).await?, "pong", "{version}");
        call_both_ways(&dialled, &beam).await?;
    }
    Ok(())
}

#[tokio::test]
async fn keys_are_changed_on_the_way() -> Result<()> {
    let place = Place::new().await?;
    let more = ",{versions,['tlsv1.3']},{key_update_at,1000000}";
    let args = place.identity()?.erl_with("inet_tls", more)?;
    let beam = Beam::start(place.world.beam_options("beam").args(args)).await?;
    for we_dial in [true, false] {
        let node = place.node().await?;
        if we_dial {
            node.connect(&name_of(&beam)?).await?;
        }
        assert_eq!(ping(&beam, &node).await?, "pong");
        let mut process = node.process()?;
        let term = Term::from(&vec![7_u8; 10 << 20][..]);
        for _ in 0..3 {
            ensure!(echo(&mut process, &beam, term.clone()).await? == term, "another term");
        }
        call_both_ways(&node, &beam).await?;
    }
    Ok(())
}

/// With AES, rustls would end a connection of TLS 1.2 after 2^24 records.
#[tokio::test]
async fn tls_1_2_has_a_cipher_without_a_limit_whatever_the_client_prefers() -> Result<()> {
    let place = Place::new().await?;
    let node = place.node().await?;
    let identity = place.identity()?;
    let stream = secured_by(&node, old_client(&identity)?).await?;
    let (_, session) = stream.get_ref();
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    let suite = session.negotiated_cipher_suite().context("no suite")?.suite();
    assert_eq!(suite, CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256);
    Ok(())
}

#[tokio::test]
async fn a_certificate_may_have_a_common_name_only() -> Result<()> {
    let place = Place::new().await?;
    let beam = place.beam_as(&place.authority.sign_common_name("127.0.0.1")?).await?;
    let node = place.node().await?;
    node.connect(&name_of(&beam)?).await?;
    call_both_ways(&node, &beam).await
}

#[tokio::test]
async fn a_probe_speaks_tls() -> Result<()> {
    let place = Place::new().await?;
    let node = place.node().await?;
    let cookie = dist::Cookie::new(&place.world.cookie)?;
    let probe = Probe::new(cookie, "127.0.0.1")
        .epmd_port(place.world.port)
        .tls(place.identity()?.config()?);
    assert_eq!(probe.ping(node.name()).await?.peer.name, *node.name());
    Ok(())
}

#[tokio::test]
async fn the_end_of_a_link_is_seen_by_both() -> Result<()> {
    let place = Place::new().await?;
    let mut beam = place.beam().await?;
    let node = place.node().await?;
    let peer = name_of(&beam)?;
    let mut events = node.events();
    let mut down = async || {
        event(&mut events, "down", |event| match event {
            NodeEvent::Down { reason, .. } => Some(reason),
            _ => None,
        })
        .await
    };
    node.connect(&peer).await?;
    beam.eval(format!("erlang:disconnect_node('{}')", node.name())).await?;
    let reason = down().await?;
    assert!(matches!(reason, DownReason::Closed), "{reason}");

    node.connect(&peer).await?;
    assert!(node.disconnect(&peer));
    down().await?;
    beam.sees(node.name().as_str(), false, SOON).await?;

    node.connect(&peer).await?;
    beam.kill9().await?;
    let reason = down().await?;
    assert!(matches!(reason, DownReason::Closed | DownReason::Io(_)), "{reason}");
    eventually(SOON, "no links", async || node.counts().links == 0).await
}

#[tokio::test]
async fn a_node_says_in_tls_that_it_closes() -> Result<()> {
    let place = Place::new().await?;
    let node = place.node().await?;
    let identity = place.identity()?;
    for orderly in [false, true] {
        let name = integration::unique("raw");
        let name = format!("{name}@127.0.0.1");
        let mut peer = established(&node, &identity, &name, &place.world.cookie).await?;
        eventually(SOON, "a link", async || node.counts().links == 1).await?;
        if orderly {
            node.shutdown(SOON).await;
        } else {
            node.disconnect(&name.parse()?);
        }
        // Without close_notify this would be an unexpected end of file.
        let mut rest = Vec::new();
        timeout(SOON, peer.read_to_end(&mut rest)).await??;
    }
    Ok(())
}

#[tokio::test]
async fn a_connection_that_is_cut_off_ends_its_link() -> Result<()> {
    let place = Place::new().await?;
    let beam = place.beam().await?;
    let port: u16 = beam
        .eval(format!(
            "{{port, P, _}} = erl_epmd:port_please(\"{}\", {{127,0,0,1}}), P",
            name_of(&beam)?.base()
        ))
        .await?
        .parse()?;
    let proxy = Proxy::start(([127, 0, 0, 1], port).into()).await?;
    let node = place.world.node("rust")?.tls(place.identity()?.config()?);
    let node = node.peer_port(proxy.addr().port()).start().await?;
    let mut events = node.events();
    for half in [true, false] {
        node.connect(&name_of(&beam)?).await?;
        if half {
            proxy.half_close()
        } else {
            proxy.cut()
        }
        event(&mut events, "down", |event| match event {
            NodeEvent::Down { .. } => Some(()),
            _ => None,
        })
        .await?;
        beam.sees(node.name().as_str(), false, SOON).await?;
    }
    Ok(())
}
