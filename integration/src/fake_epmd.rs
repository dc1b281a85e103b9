//! An EPMD that answers as a test wants, and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a look-up is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The node listens at this port.
    Port(u16),
    /// There is no such node.
    NoSuchNode,
    /// Nothing, until who asks has enough.
    Silence,
}

/// A server on a loopback port. Ends with this value.
pub struct FakeEpmd {
    addr: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// How often a name was looked up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// All together.
    pub times: usize,
    /// At one time, at most.
    pub at_once: usize,
    open: usize,
}

struct Shared {
    answer: Box<dyn Fn(&str) -> Answer + Send + Sync>,
    asked: Mutex<HashMap<String, Asked>>,
    open: Mutex<(usize, usize)>,
    /// The results of the next registrations; when there are none, they succeed.
    results: Mutex<VecDeque<u8>>,
    /// Registrations older than this are over.
    era: watch::Sender<u64>,
}

impl FakeEpmd {
    /// Starts one that answers look-ups of a name (before the `@`) with `answer`, and takes every registration.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            asked: Mutex::default(),
            open: Mutex::default(),
            results: Mutex::default(),
            era: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self { addr, shared, task })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// How often this name was looked up.
    pub fn asked(&self, name: &str) -> Asked {
        lock(&self.shared.asked).get(name).copied().unwrap_or_default()
    }

    /// How many look-ups there were at one time, at most.
    pub fn most_at_once(&self) -> usize {
        lock(&self.shared.open).1
    }

    /// Every name that was looked up.
    pub fn names(&self) -> Vec<String> {
        lock(&self.shared.asked).keys().cloned().collect()
    }

    /// Closes the connection of every registration, and answers the next ones with `results` (0 is success, 1 a name that
    /// is taken).
    pub fn drop_registrations(&self, results: impl IntoIterator<Item = u8>) {
        lock(&self.shared.results).extend(results);
        self.shared.era.send_modify(|era| *era += 1);
    }
}

impl Drop for FakeEpmd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for FakeEpmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeEpmd").field("addr", &self.addr).finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, and its connections with it.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        // Who hangs up early is no concern of the server's.
        connections.spawn(async move { serve(stream, &shared).await.ok() });
        while connections.try_join_next().is_some() {}
    }
}

/// One request, as chapter "EPMD Protocol" of `erl_dist_protocol` has it.
async fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let length = stream.read_u16().await?;
    let mut request = vec![0; length.into()];
    stream.read_exact(&mut request).await?;
    match request.split_first() {
        Some((122, name)) => {
            let name = String::from_utf8_lossy(name).into_owned();
            let _open = Open::new(shared, &name);
            look_up(&mut stream, &name, (shared.answer)(&name)).await
        }
        Some((120, _)) => register(&mut stream, shared).await,
        _ => Ok(()),
    }
}

async fn look_up(stream: &mut TcpStream, name: &str, answer: Answer) -> std::io::Result<()> {
    match answer {
        Answer::Port(port) => {
            let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
            let mut reply = vec![119, 0];
            reply.extend(port.to_be_bytes());
            reply.extend([77, 0, 0, 6, 0, 5]);
            reply.extend(length.to_be_bytes());
            reply.extend(name.bytes());
            reply.extend([0, 0]);
            stream.write_all(&reply).await
        }
        Answer::NoSuchNode => stream.write_all(&[119, 1]).await,
        Answer::Silence => stream.read_u8().await.map(drop),
    }
}

async fn register(stream: &mut TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut era = shared.era.subscribe();
    let result = lock(&shared.results).pop_front().unwrap_or(0);
    stream.write_all(&[118, result, 0, 0, 0, 77]).await?;
    if result == 0 {
        tokio::select! {
            changed = era.changed() => drop(changed),
            closed = stream.read_u8() => drop(closed),
        }
    }
    Ok(())
}

/// Counts a look-up while it lasts.
struct Open<'a> {
    shared: &'a Shared,
    name: &'a str,
}

impl<'a> Open<'a> {
    fn new(shared: &'a Shared, name: &'a str) -> Self {
        let mut asked = lock(&shared.asked);
        let asked = asked.entry(name.to_owned()).or_default();
        asked.times += 1;
        asked.open += 1;
        asked.at_once = asked.at_once.max(asked.open);
        let mut open = lock(&shared.open);
        open.0 += 1;
        open.1 = open.1.max(open.0);
        Self { shared, name }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(asked) = lock(&self.shared.asked).get_mut(self.name) {
            asked.open -= 1;
        }
        lock(&self.shared.open).0 -= 1;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
