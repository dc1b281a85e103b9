//! `/members` beside what the BEAM nodes say themselves.

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use dist::etf::{Atom, Pid, Reference, Term, term};
use dist::{Cookie, Listen, NodeName};
use integration::raw_peer::{PLAIN, frame};
use integration::{RawPeer, SOON, eventually};

use crate::place::Place;

/// The names in a list of atoms, sorted.
fn names(printed: &str) -> Vec<String> {
    let atoms = printed.trim_matches(['[', ']']).split(',').filter(|atom| !atom.is_empty());
    let mut names: Vec<String> = atoms.map(|atom| atom.trim_matches('\'').to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn who_is_up_is_who_the_beam_nodes_say() -> Result<()> {
    let place = Place::new().await?;
    let mut node = place.joined().await?;
    let one = place.beam("one", &mut node).await?;
    let two = place.beam("two", &mut node).await?;
    one.eval(format!("net_adm:ping('{}')", two.name())).await?;
    // What one sees, without us and with itself, is what we see.
    eventually(SOON, "the same members", async || {
        let mut theirs = names(&one.eval("nodes(connected)").await?);
        theirs.retain(|name| *name != node.joined.name);
        theirs.push(one.name().to_owned());
        theirs.sort();
        let members = node.members().await?;
        let rows = members["members"].as_array().cloned().unwrap_or_default();
        let up = rows.iter().filter(|row| row["state"] == "up" && row["link"].is_object());
        let ours: Vec<_> = up.filter_map(|row| Some(row["name"].as_str()?.to_owned())).collect();
        ensure!(ours == theirs, "{ours:?} {theirs:?}");
        Ok(())
    })
    .await?;
    let members = node.members().await?;
    assert_eq!(members["node"]["name"], node.joined.name);
    assert_eq!(members["node"]["visible"], false);
    assert_eq!(members["ready"], true);
    assert_eq!(members["discovery"]["hears_us"], true);
    place.assert_no_secret(&members.to_string());
    Ok(())
}

#[tokio::test]
async fn a_node_that_dies_is_shown_with_the_reason_until_it_is_back() -> Result<()> {
    let place = Place::new().await?;
    let mut node = place.joined().await?;
    let mut beam = place.beam("beam", &mut node).await?;
    let name = beam.name().to_owned();
    let up = node.member(&name).await?;
    assert_eq!(
        (&up["state"], &up["links"], &up["last_down"]),
        (&"up".into(), &1.into(), &().into())
    );

    beam.kill9().await?;
    let down = node.member_that(&name, "the end of the link", |it| it["state"] == "down").await?;
    assert_eq!(down["last_down"]["reason"], "connection_closed", "{down}");
    assert!(down["link"].is_null() && down["last_down"]["detail"].is_string(), "{down}");
    node.member_that(&name, "a dial that failed", |it| {
        it["failures"].as_u64() > Some(0) && it["last_error"].is_string()
    })
    .await?;

    beam.restart().await?;
    let back = node.member_that(&name, "the next link", |it| it["state"] == "up").await?;
    assert_eq!((&back["links"], &back["failures"]), (&2.into(), &0.into()), "{back}");
    assert_eq!(back["last_down"]["reason"], "connection_closed", "{back}");
    let events = node.members().await?["events"].clone();
    let about = |kind: &str| {
        let all = events.as_array().cloned().unwrap_or_default();
        all.iter()
            .filter(|it| {
                it["event"] == kind && it["text"].as_str().is_some_and(|text| text.contains(&name))
            })
            .count()
    };
    assert_eq!((about("up"), about("down")), (2, 1), "{events:#}");
    Ok(())
}

#[tokio::test]
async fn a_name_that_nobody_answers_to_is_shown_with_why() -> Result<()> {
    let place = Place::new().await?;
    let node = place.joined().await?;
    place.announce("nobody@127.0.0.1").await?;
    let row = node
        .member_that("nobody@127.0.0.1", "a failed dial", |it| it["failures"].as_u64() > Some(0))
        .await?;
    assert_eq!((&row["state"], &row["links"]), (&"unreached".into(), &0.into()));
    assert!(
        row["last_error"].as_str().is_some_and(|error| error.contains("knows no node nobody")),
        "{row}"
    );
    // Anybody can announce names: they have no series of their own.
    let metrics = node.get("/metrics").await?.body;
    assert!(
        !metrics.contains("nobody") && metrics.contains("beamjoin_members{state=\"unreached\"} 1"),
        "{metrics}"
    );
    Ok(())
}

#[tokio::test]
async fn what_a_peer_says_is_quoted_and_cut() -> Result<()> {
    let place = Place::new().await?;
    let node = place.joined().await?;
    let addr = (Ipv4Addr::LOCALHOST, node.port).into();
    let name = "\"><img/src=x/onerror=alert(1)>\\'&@127.0.0.1";
    let to: NodeName = node.joined.name.parse()?;
    let mut peer = RawPeer::connect_at(addr, &to, name, &place.world.cookie, PLAIN).await?;
    node.member_that(name, "the link", |it| it["state"] == "up").await?;
    // A request to spawn what is no function: the reason quotes it.
    let bad = "</script><script>alert(1)</script>".repeat(100);
    let node_of_peer = Atom::new(name)?;
    let from = Term::Pid(Pid { node: node_of_peer.clone(), id: 1, serial: 0, creation: 7 });
    let reference = Term::Reference(Reference::new(node_of_peer, 7, &[1, 0, 0])?);
    let request = term!({29, (reference), (from.clone()), (from), (bad.as_str()), []});
    peer.send(&frame(&request, Some(&term!([])))).await?;
    peer.closed().await?;
    let row = node.member_that(name, "the end of the link", |it| it["state"] == "down").await?;
    assert_eq!(row["last_down"]["reason"], "malformed", "{row}");
    let said = row["last_down"]["detail"].as_str().unwrap_or_default();
    assert!(said.contains("<script>alert(1)") && said.len() < 600, "{said}");
    Ok(())
}

#[tokio::test]
async fn a_name_of_markup_is_a_name() -> Result<()> {
    let place = Place::new().await?;
    let node = place.joined().await?;
    let name: NodeName = "<b>\"'\\&amp;@127.0.0.1".parse()?;
    let other = place.world.node_named(name.clone(), Cookie::new(&place.world.cookie)?);
    let other = other.listen(Listen::Off).epmd(dist::Epmd::None).start().await?;
    other.connect(&node.joined.name.parse()?).await?;
    node.member_that(name.as_str(), "the link", |it| it["state"] == "up").await?;
    let metrics = crate::prometheus::parse(&node.get("/metrics").await?.body)?;
    assert_eq!(metrics.value("beamjoin_peer_up", &[("peer", name.as_str())]), Some(1.0));
    Ok(())
}
