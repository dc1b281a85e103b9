//! What an idle process costs. A test binary of its own, so that nobody else's memory is counted.

use anyhow::{Context, Result, ensure};
use dist::Process;
use integration::{SOON, World};

const COUNT: usize = 100_000;

/// Bytes, with everything that belongs to it.
const MOST: usize = 1024;

fn resident() -> Result<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = statm.split(' ').nth(1).context("no second field in statm")?.parse()?;
    Ok(pages * 4096)
}

#[tokio::test]
async fn a_hundred_thousand_idle_processes_are_small() -> Result<()> {
    let world = World::without_epmd()?;
    let node = world.node("rust")?.start().await?;
    let before = resident()?;
    for _ in 0..COUNT {
        node.spawn(|mut process: Process| async move { while process.recv().await.is_some() {} });
    }
    assert_eq!(node.counts().processes, COUNT);
    // Each has run to where it waits.
    let mut last = node.register("last")?;
    node.send(last.pid().clone(), dist::etf::term!(turn)).await?;
    tokio::time::timeout(SOON, last.recv()).await?.context("ended")?;
    let each = (resident()? - before) / COUNT;
    println!("{each} bytes each");
    ensure!(each < MOST, "{each} bytes each");
    Ok(())
}
