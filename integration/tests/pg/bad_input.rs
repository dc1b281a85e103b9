//! What no node should send: it is dropped and counted, and everything goes on.

use anyhow::{Context, Result, ensure};
use dist::etf::{Atom, Pid, Term, term};
use dist::{DownReason, LinkCounters, Node, NodeEvent, NodeName, PgScope};
use integration::raw_peer::{PLAIN, RawPeer, frame, read};
use integration::{SOON, World, event, eventually, unique};

/// A peer that runs a scope of its own making.
struct Liar {
    peer: RawPeer,
    name: NodeName,
    node: Node,
    scope: PgScope,
    _world: World,
}

impl Liar {
    async fn new() -> Result<Self> {
        let world = World::new().await?;
        let node = world.node("rust")?.pg("pg").start().await?;
        let scope = node.pg("pg").context("no scope")?;
        let name: NodeName = NodeName::from_parts(&unique("liar"), "127.0.0.1")?;
        let peer = RawPeer::connect(&node, name.as_str(), &world.cookie, PLAIN).await?;
        Ok(Self { peer, name, node, scope, _world: world })
    }

    fn pid(&self, id: u32) -> Result<Pid> {
        let node = Atom::new(self.name.as_str())?;
        Ok(Pid { node, id, serial: 0, creation: self.peer.established.local_creation })
    }

    async fn send_to(&mut self, name: &str, message: &Term) -> Result<()> {
        let control = term!({6, (self.pid(1)?), (Term::Atom(Atom::from_static(""))), (Term::Atom(Atom::new(name)?))});
        self.peer.send(&frame(&control, Some(message))).await
    }

    async fn send(&mut self, message: &Term) -> Result<()> {
        self.send_to("pg", message).await
    }

    /// Waits until the node has read everything that was sent.
    async fn settle(&mut self) -> Result<LinkCounters> {
        self.send_to("nobody", &term!(mark)).await?;
        self.answered().await?;
        self.node.link_counters(&self.name).context("the link is down")
    }

    /// Pings the node, reading over what else it sends.
    async fn answered(&mut self) -> Result<()> {
        let tag = Term::from(unique("tag"));
        let from = Term::Tuple(vec![Term::Pid(self.pid(9)?), tag.clone()]);
        let ping = Term::Tuple(vec![
            Term::atom("$gen_call"),
            from,
            term!({is_auth, (Term::Atom(Atom::new(self.name.as_str())?))}),
        ]);
        self.send_to("net_kernel", &ping).await?;
        loop {
            let frame = self.peer.receive().await?.context("the link was closed")?;
            let (_, payload) = read(&frame)?;
            if payload.is_some_and(|payload| payload == term!({(tag.clone()), yes})) {
                return Ok(());
            }
        }
    }

    fn cast(request: Term) -> Term {
        Term::Tuple(vec![Term::atom("$gen_cast"), request])
    }
}

#[tokio::test]
async fn unknown_forms_and_scopes_are_dropped_and_counted() -> Result<()> {
    let mut liar = Liar::new().await?;
    let before = liar.settle().await?;
    let scope = Term::Pid(liar.pid(1)?);
    let stranger = Term::Pid(Pid { node: Atom::from_static("third@127.0.0.1"), ..liar.pid(1)? });
    let earlier = Term::Pid(Pid { creation: 3, ..liar.pid(1)? });
    let improper = Term::list_with_tail(vec![Term::Pid(liar.pid(2)?)], term!(tail));
    let bad = [
        term!(hello),
        term!({}),
        term!({discover, pg}),
        term!({discover, (stranger.clone())}),
        term!({discover, (earlier.clone())}),
        term!({join, (scope.clone()), g, (improper.clone())}),
        term!({join, (scope.clone()), g, [(scope.clone()), x]}),
        term!({leave, (scope.clone()), (improper.clone()), [g]}),
        term!({leave, (scope.clone()), (scope.clone()), g}),
        term!({update, (scope.clone()), [{g, (scope.clone())}]}),
        term!({future, (scope.clone()), 1}),
        Liar::cast(term!({sync, (scope.clone()), (improper.clone())})),
        Liar::cast(term!({sync, (scope.clone()), [{g, (improper.clone())}]})),
        Liar::cast(term!({sync, (stranger.clone()), []})),
        Liar::cast(term!({local_data, (scope.clone()), 1, [g]})),
        Liar::cast(term!(hello)),
        Term::Tuple(vec![
            Term::atom("DOWN"),
            scope.clone(),
            term!(process),
            scope.clone(),
            term!(x),
        ]),
    ];
    for message in &bad {
        liar.send(message).await?;
    }
    liar.send_to("Elixir.Nobody", &term!({discover, (scope.clone())})).await?;
    let after = liar.settle().await?;
    // The scope that does not run, and the mark of `settle`.
    assert_eq!(after.skipped - before.skipped, u64::try_from(bad.len())? + 2);
    assert_eq!(after.refused, before.refused);
    let counts = liar.scope.counts();
    assert_eq!((counts.peers, counts.groups), (0, 0));
    // A word of one that is not known is passed over.
    liar.send(&term!({join, (scope.clone()), g, (scope.clone())})).await?;
    liar.settle().await?;
    assert_eq!(liar.scope.groups(), []);
    Ok(())
}

#[tokio::test]
async fn a_hundred_thousand_members_come_and_go() -> Result<()> {
    let mut liar = Liar::new().await?;
    let scope = Term::Pid(liar.pid(1)?);
    let one = liar.pid(1)?;
    let pids: Vec<Term> = (0..100_000_u32).map(|id| Term::Pid(Pid { id, ..one.clone() })).collect();
    let group = Term::Tuple(vec![term!(g), Term::List(pids)]);
    let sync = Liar::cast(term!({sync, (scope.clone()), [(group)]}));
    liar.send(&sync).await?;
    liar.settle().await?;
    assert_eq!(liar.scope.members(&term!(g)).len(), 100_000);
    // Again, which changes nothing; and then none at all.
    liar.send(&sync).await?;
    liar.settle().await?;
    assert_eq!(liar.scope.members(&term!(g)).len(), 100_000);
    liar.send(&Liar::cast(term!({sync, (scope), []}))).await?;
    liar.settle().await?;
    assert_eq!(liar.scope.groups(), []);
    liar.send(&sync).await?;
    liar.settle().await?;
    drop(liar.peer);
    let scope = liar.scope.clone();
    eventually(SOON, "the members to go", async || scope.counts().peers == 0).await?;
    assert_eq!(scope.groups(), []);
    assert_eq!(liar.node.counts().relations, 0);
    Ok(())
}

#[tokio::test]
async fn members_of_other_nodes_are_not_taken() -> Result<()> {
    let mut liar = Liar::new().await?;
    let scope = Term::Pid(liar.pid(1)?);
    let third = Pid { node: Atom::from_static("third@127.0.0.1"), ..liar.pid(2)? };
    let ours = liar.node.process()?;
    let groups = term!([{g, [(third.clone()), (liar.pid(2)?)]}, {h, [(ours.pid().clone())]}]);
    liar.send(&Liar::cast(term!({sync, (scope.clone()), (groups)}))).await?;
    liar.send(&term!({join, (scope), g, (third)})).await?;
    let counters = liar.settle().await?;
    assert_eq!(liar.scope.members(&term!(g)), [liar.pid(2)?]);
    assert_eq!(liar.scope.groups(), [term!(g)]);
    assert_eq!(liar.scope.counts().refused, 3);
    ensure!(counters.skipped >= 2, "{counters:?}");
    Ok(())
}

#[tokio::test]
async fn a_peer_that_asks_and_does_not_read_holds_up_nobody() -> Result<()> {
    let mut liar = Liar::new().await?;
    let pids: Vec<_> = (0..20_000).map(|_| liar.node.process()).collect::<Result<_, _>>()?;
    let all: Vec<Pid> = pids.iter().map(|process| process.pid().clone()).collect();
    liar.scope.join_all(&term!(g), &all).await?;
    let discover = term!({discover, (liar.pid(1)?)});
    let mut events = liar.node.events();
    // Each is answered with half a megabyte, until it is enough.
    for _ in 0..200 {
        if liar.send(&discover).await.is_err() {
            break;
        }
    }
    let reason = event(&mut events, "the link to be closed", |event| match event {
        NodeEvent::Down { reason, .. } => Some(reason),
        _ => None,
    });
    let reason = reason.await?;
    assert!(matches!(reason, DownReason::NotReading), "{reason}");
    assert_eq!(liar.scope.counts().peers, 0);
    assert_eq!(liar.scope.local_members(&term!(g)).len(), 20_000);
    Ok(())
}
