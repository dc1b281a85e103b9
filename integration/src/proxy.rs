//! A TCP proxy that misbehaves on request.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How much is passed on at once, in bytes.
const PIECE: u32 = 16 * 1024;

/// Passes connections on to a target until told otherwise. Ends with this value, and its
/// connections with it.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    orders: watch::Sender<Orders>,
    to_target: AtomicU64,
    to_client: AtomicU64,
    open: AtomicUsize,
    accepted: AtomicU64,
}

/// What the connections obey.
#[derive(Clone, Copy, Debug)]
struct Orders {
    target: SocketAddr,
    /// After each piece that was passed on there is a pause of this.
    pause: Duration,
    /// Nothing passes, nothing is closed.
    stalled: bool,
    /// Connections older than this are ended.
    cut: u64,
    /// Connections older than this see an end of file from the target, and may go on writing.
    half_closed: u64,
}

impl Proxy {
    /// A proxy on a port of its own.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let orders =
            Orders { target, pause: Duration::ZERO, stalled: false, cut: 0, half_closed: 0 };
        let mut proxy = Self {
            addr: (Ipv4Addr::LOCALHOST, crate::postgres::port()?).into(),
            shared: Arc::new(Shared {
                orders: watch::Sender::new(orders),
                to_target: AtomicU64::new(0),
                to_client: AtomicU64::new(0),
                open: AtomicUsize::new(0),
                accepted: AtomicU64::new(0),
            }),
            accepting: None,
        };
        proxy.accept().await?;
        Ok(proxy)
    }

    /// Where it listens, also while it refuses.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Resets every connection. New ones are accepted.
    pub fn cut(&self) {
        self.shared.orders.send_modify(|orders| orders.cut += 1);
    }

    /// From now on nothing passes either way, and nothing is closed: neither side can tell.
    pub fn stall(&self) {
        self.shared.orders.send_modify(|orders| orders.stalled = true);
    }

    /// Lets bytes pass again. What was held back is passed on first.
    pub fn resume(&self) {
        self.shared.orders.send_modify(|orders| orders.stalled = false);
    }

    /// From now on no more than so many bytes a second pass in each direction of each connection.
    pub fn narrow(&self, bytes: u32) {
        let pause = Duration::from_secs(1) * PIECE / bytes;
        self.shared.orders.send_modify(|orders| orders.pause = pause);
    }

    /// Sends the client of every connection an end of file, as if the target had closed its side;
    /// what the client writes is still passed on.
    pub fn half_close(&self) {
        self.shared.orders.send_modify(|orders| orders.half_closed += 1);
    }

    /// Leads new connections elsewhere.
    pub fn retarget(&self, target: SocketAddr) {
        self.shared.orders.send_modify(|orders| orders.target = target);
    }

    /// Resets every connection and refuses new ones.
    pub async fn refuse(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            // An error here says that it was aborted.
            let _ = accepting.await;
        }
        self.cut();
    }

    /// Accepts again after [`refuse`](Self::refuse), on the same port.
    pub async fn accept(&mut self) -> Result<()> {
        if self.accepting.is_none() {
            let listener =
                TcpListener::bind(self.addr).await.with_context(|| self.addr.to_string())?;
            let shared = Arc::clone(&self.shared);
            self.accepting = Some(tokio::spawn(accept(listener, shared)));
        }
        Ok(())
    }

    /// Bytes passed on so far: to the target, to the clients.
    pub fn bytes(&self) -> (u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.shared.to_target), load(&self.shared.to_client))
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
        self.cut();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            shared.open.fetch_add(1, Ordering::Relaxed);
            // A target that cannot be reached shows as a connection that is reset.
            let _ = pass(client, &shared).await;
            shared.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn pass(client: TcpStream, shared: &Arc<Shared>) -> Result<()> {
    client.set_nodelay(true)?;
    client.set_zero_linger()?;
    let mut orders = shared.orders.subscribe();
    let start = *orders.borrow_and_update();
    // A stalled proxy does not reach the target either.
    let now = *orders.wait_for(|orders| !orders.stalled || orders.cut > start.cut).await?;
    if now.cut > start.cut {
        return Ok(());
    }
    let target = TcpStream::connect(start.target).await?;
    target.set_nodelay(true)?;
    target.set_zero_linger()?;
    let (from_client, to_client) = client.into_split();
    let (from_target, to_target) = target.into_split();
    let mut halves = JoinSet::new();
    let up = Arc::clone(shared);
    halves
        .spawn(async move { copy(from_client, to_target, &up, &up.to_target, start, false).await });
    let down = Arc::clone(shared);
    halves.spawn(
        async move { copy(from_target, to_client, &down, &down.to_client, start, true).await },
    );
    tokio::select! {
        _ = orders.wait_for(|orders| orders.cut > start.cut) => {}
        () = async { while halves.join_next().await.is_some() {} } => {}
    }
    Ok(())
}

/// Copies one direction until its end, as far as the orders allow.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    counter: &AtomicU64,
    start: Orders,
    towards_client: bool,
) -> Result<()> {
    let mut orders = shared.orders.subscribe();
    let mut buffer = [0; PIECE as usize];
    loop {
        let closed = |orders: &Orders| towards_client && orders.half_closed > start.half_closed;
        let now = *orders.wait_for(|orders| !orders.stalled || closed(orders)).await?;
        if closed(&now) {
            to.shutdown().await?;
            // What the target says from now on goes nowhere.
            while from.read(&mut buffer).await? > 0 {}
            return Ok(());
        }
        let count = tokio::select! {
            count = from.read(&mut buffer) => count?,
            changed = orders.changed() => {
                changed?;
                continue;
            }
        };
        if count == 0 {
            to.shutdown().await?;
            return Ok(());
        }
        // A stall that began during the read holds this back too.
        let pause = orders.wait_for(|orders| !orders.stalled).await?.pause;
        to.write_all(buffer.get(..count).unwrap_or_default()).await?;
        counter.fetch_add(u64::try_from(count)?, Ordering::Relaxed);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}
