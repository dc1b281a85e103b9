//! What a node tells of its links, mailboxes and refused terms, while real nodes talk with it.

use anyhow::{Context, Result, ensure};
use dist::etf::{Term, term};
use dist::{Exports, MailboxStats, Node, NodeName, PeerStats, Process, ProcessKind, Raise};
use integration::{Beam, SOON, World, eventually, name_of};

/// The link to the only peer.
fn link(node: &Node) -> Result<PeerStats> {
    node.peers().pop().context("there is no link")
}

fn mailboxes(node: &Node, kind: ProcessKind) -> Result<MailboxStats> {
    node.stats().mailboxes.into_iter().find(|of| of.kind == kind).context("no such kind")
}

async fn echo(beam: &Beam) -> Result<()> {
    let echo = "register(echo, spawn(fun F() -> receive {From, M} -> From ! M, F() end end))";
    beam.eval(echo).await.map(drop)
}

/// Sends terms to the echo one after the other and waits for each.
async fn back_and_forth(
    process: &mut Process,
    to: &NodeName,
    term: &Term,
    times: usize,
) -> Result<()> {
    for _ in 0..times {
        let own = Term::Pid(process.pid().clone());
        process.send(("echo", to), Term::Tuple(vec![own, term.clone()])).await?;
        process.recv().await.context("the mailbox is closed")?;
    }
    Ok(())
}

#[tokio::test]
async fn messages_bytes_and_fragments_are_those_that_went() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("echo").await?;
    echo(&beam).await?;
    let (node, to) = (world.node("rust")?.start().await?, name_of(&beam)?);
    let mut process = node.process()?;
    back_and_forth(&mut process, &to, &term!(first), 1).await?;
    let before = link(&node)?.counters;
    let payload = Term::from(&[0_u8; 1000][..]);
    back_and_forth(&mut process, &to, &payload, 500).await?;
    let counters = eventually(SOON, "500 messages", async || {
        let now = link(&node)?.counters;
        let messages = (
            now.messages_read - before.messages_read,
            now.messages_written - before.messages_written,
        );
        ensure!(messages == (500, 500), "{now:?}");
        Ok::<_, anyhow::Error>(now)
    })
    .await?;
    for bytes in
        [counters.bytes_read - before.bytes_read, counters.bytes_written - before.bytes_written]
    {
        assert!((500_000..600_000).contains(&bytes), "{bytes}");
    }
    assert_eq!((counters.fragments_read, counters.fragments_written), (0, 0));

    let megabyte = Term::from(vec![0_u8; 1 << 20].as_slice());
    back_and_forth(&mut process, &to, &megabyte, 1).await?;
    eventually(SOON, "a megabyte in fragments", async || {
        let now = link(&node)?.counters;
        ensure!(
            (now.messages_read, now.messages_written)
                == (counters.messages_read + 1, counters.messages_written + 1),
            "{now:?}"
        );
        ensure!((now.fragments_read, now.fragments_written) == (17, 17), "{now:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    let stats = link(&node)?;
    assert_eq!((stats.queued_bytes, stats.waiting), (0, 0), "{stats:?}");
    assert!(stats.read_ago <= stats.up_for && stats.written_ago <= stats.up_for, "{stats:?}");
    Ok(())
}

#[tokio::test]
async fn a_peer_that_does_not_read_shows_in_the_queue_and_in_what_senders_wait() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("frozen").await?;
    echo(&beam).await?;
    let (node, to) = (world.node("rust")?.start().await?, name_of(&beam)?);
    node.connect(&to).await?;
    beam.freeze().await?;
    let sender = node.process()?;
    let sending = tokio::spawn(async move {
        let to = to;
        // As much as sockets and queue hold, and more.
        for _ in 0..1000 {
            sender.send(("nobody", &to), Term::from(vec![0_u8; 50_000].as_slice())).await?;
        }
        Ok::<_, anyhow::Error>(())
    });
    let stuck = eventually(SOON, "a sender that waits", async || {
        let stats = link(&node)?;
        ensure!(stats.waiting == 1 && stats.queued_bytes > 900_000, "{stats:?}");
        Ok::<_, anyhow::Error>(stats)
    })
    .await?;
    // It grows while the sender still waits.
    eventually(SOON, "more of its waiting", async || {
        let now = link(&node)?;
        ensure!(now.waited > stuck.waited && now.read_ago > stuck.read_ago, "{now:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    beam.thaw()?;
    sending.await??;
    let done = eventually(SOON, "an empty queue", async || {
        let stats = link(&node)?;
        ensure!(stats.waiting == 0 && stats.queued_bytes == 0, "{stats:?}");
        Ok::<_, anyhow::Error>(stats)
    })
    .await?;
    assert!(done.waited > stuck.waited, "{done:?}");
    assert_eq!(link(&node)?.waited, done.waited, "nobody waits any more");
    Ok(())
}

#[tokio::test]
async fn mailboxes_are_counted_by_kind() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let exports = Exports::new();
    exports.add("slow", "wait", |[]: [Term; 0]| async {
        std::future::pending::<()>().await;
        Ok::<_, Raise>(term!(done))
    });
    let node = world.node("rust")?.exports(exports).start().await?;
    node.connect(&name_of(&beam)?).await?;
    let mut slow = node.register("slow")?;
    let send = format!("[{{slow, '{}'}} ! {{N, <<0:8000>>}} || N <- [1, 2, 3]], ok", node.name());
    beam.eval(send).await?;
    eventually(SOON, "three messages", async || {
        let of = mailboxes(&node, ProcessKind::Process)?;
        ensure!((of.processes, of.messages, of.longest) == (1, 3, 3), "{of:?}");
        ensure!((3000..6000).contains(&of.bytes), "{of:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    slow.recv().await.context("closed")?;
    assert_eq!(mailboxes(&node, ProcessKind::Process)?.messages, 2);

    assert_eq!(mailboxes(&node, ProcessKind::Rpc)?.processes, 0);
    let call = format!("spawn(fun() -> erpc:call('{}', slow, wait, []) end), ok", node.name());
    beam.eval(call).await?;
    eventually(SOON, "a process for the call", async || {
        let of = mailboxes(&node, ProcessKind::Rpc)?;
        ensure!(of.processes == 1, "{of:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    node.start_pg("groups")?;
    assert_eq!(mailboxes(&node, ProcessKind::Service)?.processes, 1);
    Ok(())
}

#[tokio::test]
async fn refused_terms_are_counted_by_reason() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    node.connect(&name_of(&beam)?).await?;
    let mut sink = node.register("sink")?;
    // Deeper than our limit of 512, then one that is not.
    let send = format!(
        "To = {{sink, '{}'}}, To ! lists:foldl(fun(_, Deep) -> [Deep] end, [], lists:seq(1, 600)), To ! fine, ok",
        node.name()
    );
    beam.eval(send).await?;
    let message = sink.recv().await.context("closed")?;
    assert_eq!(message.term, term!(fine));
    assert_eq!(node.stats().refused, [("depth", 1)]);
    assert_eq!(link(&node)?.counters.refused, 1);
    Ok(())
}
