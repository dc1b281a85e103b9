//! Many links into one node: this process is the node, and another one is all its peers.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use dist::{Cookie, Epmd, Listen, Node, NodeName};
use futures::stream::{self, StreamExt, TryStreamExt};
use integration::World;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, stdin};
use tokio::process::Command;

use super::row::{Goal, Row};
use super::sample::{Usage, cpu};

const LINKS: usize = 1000;

/// Connects at once: fewer than the half-open connections that a node keeps.
const AT_ONCE: usize = 32;

/// At the usual tick time every link carries a tick in each direction every 15 s.
const WATCHED: Duration = Duration::from_secs(30);

/// Set for the process that is the peers: the node they connect to, and its port.
const PEERS: &str = "XTASK_BENCH_PEERS";

/// The peers' cookie.
const COOKIE: &str = "BEAMJOIN_COOKIE";

pub(super) async fn rows() -> Result<Vec<Row>> {
    let world = World::without_epmd()?;
    let node = world.node("hub")?.epmd(Epmd::None).start().await?;
    let port = node.listen_addr().context("not listening")?.port();
    let own = std::process::id();
    let before = Usage::of(own)?.resident;
    let mut peers = Command::new(std::env::current_exe()?)
        .arg("bench")
        .env(PEERS, format!("{} {port}", node.name()))
        .env(COOKIE, &world.cookie)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(peers.stdout.take().context("no stdout")?).lines();
    let seconds = lines.next_line().await?.context("the peers did not connect")?;
    let connect = seconds.parse::<f64>()? * 1e3;
    ensure!(node.counts().slots == LINKS, "{:?}", node.counts());
    let memory = (Usage::of(own)?.resident - before) * 1e6 / 1024.0;
    let (start, before) = (Instant::now(), cpu(own)?);
    tokio::time::sleep(WATCHED).await;
    let ticks = (cpu(own)? - before) / 1e9 / start.elapsed().as_secs_f64() * 100.0;
    // The peers end with their stdin.
    drop(peers.stdin.take());
    peers.wait().await?;
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let each = memory / LINKS as f64;
    Ok(vec![
        Row::new("1,000 links: memory of an idle one, KiB", each, None, Goal::Below(24.0)),
        Row::new("1,000 idle links: all ticks, % of a core", ticks, None, Goal::None),
        Row::new("1,000 links: time to connect them all, ms", connect, None, Goal::None),
    ])
}

/// Is the peers, where this process was started for that; tells whether it was.
pub(super) fn be_peers() -> Result<bool> {
    let Ok(hub) = std::env::var(PEERS) else { return Ok(false) };
    let (name, port) = hub.split_once(' ').context("no port")?;
    tokio::runtime::Runtime::new()?.block_on(peers(&name.parse()?, port.parse()?))?;
    Ok(true)
}

async fn peers(hub: &NodeName, port: u16) -> Result<()> {
    let cookie = Cookie::new(std::env::var(COOKIE)?)?;
    let mut nodes = Vec::new();
    for number in 0..LINKS {
        let name = NodeName::from_parts(&format!("peer{number}"), "127.0.0.1")?;
        let builder = Node::builder(name, cookie.clone()).listen(Listen::Off).epmd(Epmd::None);
        nodes.push(builder.peer_port(port).start().await?);
    }
    let start = Instant::now();
    let connects = nodes.iter().map(|node| node.connect(hub));
    stream::iter(connects).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
    println!("{}", start.elapsed().as_secs_f64());
    // Until whoever wanted the peers has enough of them.
    stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}
