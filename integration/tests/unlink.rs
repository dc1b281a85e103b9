//! The link protocol where the signals of both sides cross (`erl_dist_protocol`, "Link Protocol"): a peer
//! that says when each of them arrives.

use anyhow::{Context, Result, ensure};
use dist::etf::{Atom, Pid, Term, term};
use dist::{Flags, Node, Process};
use integration::raw_peer::{PLAIN, frame, read};
use integration::{RawPeer, SOON, World, eventually};

const ME: &str = "raw@127.0.0.1";

/// A process of the peer.
fn me() -> Pid {
    Pid { node: Atom::from_static(ME), id: 1, serial: 0, creation: 7 }
}

/// A process of a Rust node that traps exits, and the peer.
struct Pair {
    node: Node,
    process: Process,
    peer: RawPeer,
}

impl Pair {
    async fn new(world: &World, flags: Flags) -> Result<Self> {
        let node = world.node("rust")?.start().await?;
        let peer = RawPeer::connect(&node, ME, &world.cookie, flags).await?;
        let process = node.process()?;
        process.trap_exit(true);
        Ok(Self { node, process, peer })
    }

    /// The next control message that the peer gets.
    async fn told(&mut self) -> Result<Vec<Term>> {
        let (control, _) = read(&self.peer.receive().await?.context("closed")?)?;
        control.into_tuple().map_err(|control| anyhow::anyhow!("{control}"))
    }

    /// The process unlinks, and the peer is told under which id.
    async fn unlink(&mut self) -> Result<Term> {
        self.process.unlink(&me()).await;
        let told = self.told().await?;
        ensure!(told[0] == Term::Int(35) && told[2..] == self.ours(), "{told:?}");
        Ok(told[1].clone())
    }

    async fn link(&mut self) -> Result<()> {
        self.process.link(&me()).await;
        let told = self.told().await?;
        ensure!(told[0] == Term::Int(1) && told[1..] == self.ours(), "{told:?}");
        Ok(())
    }

    fn ours(&self) -> [Term; 2] {
        [Term::Pid(self.process.pid().clone()), Term::Pid(me())]
    }

    async fn peer_links(&mut self) -> Result<()> {
        let link = term!({1, (me()), (self.process.pid())});
        self.peer.send(&frame(&link, None)).await
    }

    async fn peer_ends(&mut self, reason: Term) -> Result<()> {
        let exit = term!({24, (me()), (self.process.pid())});
        self.peer.send(&frame(&exit, Some(&reason))).await
    }

    async fn peer_acknowledges(&mut self, id: Term) -> Result<()> {
        let acknowledged = term!({36, (id), (me()), (self.process.pid())});
        self.peer.send(&frame(&acknowledged, None)).await
    }

    /// Everything that the peer sent has arrived.
    async fn settled(&mut self) -> Result<()> {
        let nobody = dist::etf::Reference::new(Atom::from_static(ME), 7, &[9])?;
        self.peer.send(&frame(&term!({19, (me()), nobody, (nobody)}), None)).await?;
        let told = self.told().await?;
        ensure!(told[0] == Term::Int(28), "{told:?}");
        Ok(())
    }

    /// The next exit signal that the process gets.
    async fn heard(&mut self) -> Result<Term> {
        let message = self.process.recv().await.context("it ended")?.term;
        let fields = message.as_tuple().context("no tuple")?;
        ensure!(fields[0].is_atom("EXIT") && fields[1] == Term::Pid(me()), "{message}");
        Ok(fields[2].clone())
    }
}

#[tokio::test]
async fn nothing_that_crosses_our_unlink_reaches_the_process() -> Result<()> {
    let world = World::new().await?;
    let mut pair = Pair::new(&world, PLAIN).await?;
    pair.link().await?;
    let id = pair.unlink().await?;
    // Sent before the peer read our unlink.
    pair.peer_links().await?;
    pair.peer_ends(term!(early)).await?;
    pair.peer_acknowledges(term!(123_456)).await?;
    pair.settled().await?;
    assert_eq!(pair.node.counts().held, 1, "the unlink is not acknowledged yet");
    pair.peer_acknowledges(id).await?;
    eventually(SOON, "no link", async || pair.node.counts().held == 0).await?;
    assert_eq!(pair.node.counts().relations, 0);
    // Without a link it is no signal, and with one it is.
    pair.peer_ends(term!(unlinked)).await?;
    pair.peer_links().await?;
    pair.peer_ends(term!(linked)).await?;
    assert_eq!(pair.heard().await?, term!(linked));
    eventually(SOON, "no link", async || pair.node.counts().held == 0).await
}

#[tokio::test]
async fn a_link_made_anew_outlives_the_acknowledgement_of_the_old_unlink() -> Result<()> {
    let world = World::new().await?;
    let mut pair = Pair::new(&world, PLAIN).await?;
    pair.link().await?;
    let first = pair.unlink().await?;
    pair.link().await?;
    let second = pair.unlink().await?;
    assert_ne!(first, second);
    pair.link().await?;
    pair.peer_acknowledges(first).await?;
    pair.peer_acknowledges(second).await?;
    pair.settled().await?;
    assert_eq!(pair.node.counts().held, 1);
    pair.peer_ends(term!(linked)).await?;
    assert_eq!(pair.heard().await?, term!(linked));
    assert_eq!(pair.node.counts().held, 0);
    Ok(())
}

#[tokio::test]
async fn the_end_of_an_unlinking_process_is_no_exit_signal() -> Result<()> {
    let world = World::new().await?;
    let mut pair = Pair::new(&world, PLAIN).await?;
    pair.link().await?;
    pair.unlink().await?;
    let other = pair.node.process()?;
    std::mem::replace(&mut pair.process, other).stop(&dist::Exit(term!(boom)));
    // What comes next is the answer to this.
    pair.settled().await
}

#[tokio::test]
async fn a_peer_of_before_unlink_ids_is_told_as_it_was_then() -> Result<()> {
    let world = World::new().await?;
    let mut pair = Pair::new(&world, PLAIN.without(Flags::UNLINK_ID)).await?;
    pair.link().await?;
    pair.process.unlink(&me()).await;
    let told = pair.told().await?;
    assert!(told[0] == Term::Int(4) && told[1..] == pair.ours(), "{told:?}");
    // There is nothing to wait for.
    assert_eq!(pair.node.counts().held, 0);
    Ok(())
}
