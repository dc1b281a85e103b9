//! The Rust node of the labs (`integration::lab`): joins a cluster through Postgres, calls other nodes all the time, and says on
//! request how it stands. Started by `cargo xtask chaos` and `cargo xtask matrix`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use beamjoin::{ChannelName, Cluster, ClusterEvent, Postgres};
use dist::etf::{Term, term};
use dist::{ConflictMethod, Cookie, Exports, Node, NodeName, PgScope, Raise, Visibility};
use integration::lab::CHANNEL;
use integration::lab::report::{self, Calls, GROUP, Holds, PORT, Report};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Between two calls.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a step of a handshake may take: short, so that a cut link is tried again soon.
const SETUP: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter("info")
        .with_ansi(false)
        .init();
    let exports = Exports::new();
    exports.add("erlang", "abs", |[number]: [Term; 1]| async move {
        let number = number.as_int().ok_or_else(Raise::badarg)?;
        Ok::<_, Raise>(term!((number.abs())))
    });
    let visible = variable("MEMBER_VISIBLE")? == "true";
    let prevent = variable("MEMBER_PREVENT")? == "true";
    let tick = Duration::from_secs(variable("MEMBER_TICK")?.parse()?);
    let cookie = Cookie::new(variable("MEMBER_COOKIE")?)?;
    let scopes = variable("MEMBER_SCOPES")?;
    let mut node = Node::builder(variable("MEMBER_NAME")?.parse()?, cookie)
        .visibility(if visible { Visibility::Visible } else { Visibility::Hidden })
        .exports(exports)
        .tick_time(tick)
        .prevent_overlapping_partitions(prevent)
        .setup_time(SETUP);
    for scope in scopes.split(' ') {
        node = node.pg(scope);
    }
    let node = node.start().await?;
    let anchor = node.process()?;
    let mut pg = BTreeMap::new();
    for name in scopes.split(' ') {
        let scope = node.pg(name).context("no scope")?;
        scope.join(&term!((dist::etf::Atom::new(GROUP)?)), anchor.pid()).await?;
        pg.insert(name.to_owned(), scope);
    }
    if let Some(global) = node.global() {
        let name = term!((node.name().as_atom().clone()));
        let registered =
            global.register_name(name, anchor.pid(), ConflictMethod::default()).await?;
        println!("registered globally: {registered}");
    }
    let config = pgnotify::Config::from_url(&variable("MEMBER_URL")?)?;
    let discovery = Postgres::new(config, ChannelName::explicit(CHANNEL)?)
        .heartbeat_interval(Duration::from_millis(500));
    let cluster = Cluster::builder(node.clone()).discovery(discovery).start();
    let born = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros().try_into()?;
    let member = Arc::new(Member {
        born,
        node,
        pg,
        hears: AtomicBool::new(false),
        counters: Counters::default(),
        load: Mutex::default(),
    });
    tokio::spawn(follow(cluster, Arc::clone(&member)));
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        let member = Arc::clone(&member);
        // Who asks may have gone away meanwhile.
        tokio::spawn(async move { member.answer(socket).await.ok() });
    }
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}

async fn follow(cluster: Cluster, member: Arc<Member>) {
    let mut events = cluster.events();
    while let Some(event) = events.next().await {
        println!("{event:?}");
        match event {
            ClusterEvent::DiscoveryUp { .. } => member.hears.store(true, Ordering::Relaxed),
            ClusterEvent::DiscoveryLost { .. } => member.hears.store(false, Ordering::Relaxed),
            _ => {}
        }
    }
}

struct Member {
    born: u64,
    node: Node,
    pg: BTreeMap<String, PgScope>,
    hears: AtomicBool,
    counters: Counters,
    /// Told `false`, the calls of the present load stop.
    load: Mutex<Option<watch::Sender<bool>>>,
}

#[derive(Default)]
struct Counters {
    started: AtomicU64,
    answered: AtomicU64,
    wrong: AtomicU64,
    longest: AtomicU64,
    failed: Mutex<BTreeMap<String, u64>>,
}

impl Member {
    async fn answer(self: Arc<Self>, socket: TcpStream) -> Result<()> {
        let mut socket = BufReader::new(socket);
        let mut question = String::new();
        socket.read_line(&mut question).await?;
        let mut words = question.split_whitespace();
        match words.next() {
            Some("call") => {
                self.rest().await;
                self.call_all(words.map(str::parse).collect::<Result<_, _>>()?);
            }
            Some("rest") => self.rest().await,
            _ => {}
        }
        let answer = serde_json::to_string(&self.report()?)?;
        socket.write_all(answer.as_bytes()).await?;
        Ok(())
    }

    fn call_all(self: &Arc<Self>, peers: Vec<NodeName>) {
        let (going, _) = watch::channel(true);
        self.counters.longest.store(0, Ordering::Relaxed);
        for peer in peers {
            tokio::spawn(Arc::clone(self).call(peer, going.subscribe()));
        }
        *self.load.lock().unwrap_or_else(PoisonError::into_inner) = Some(going);
    }

    /// Stops the calls and waits for the last of them.
    async fn rest(&self) {
        let load = self.load.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(going) = load {
            going.send_replace(false);
            going.closed().await;
        }
    }

    async fn call(self: Arc<Self>, peer: NodeName, going: watch::Receiver<bool>) {
        let mut number = 0_i64;
        while *going.borrow() {
            number += 1;
            self.counters.started.fetch_add(1, Ordering::Relaxed);
            let start = Instant::now();
            let outcome = self.call_once(&peer, number).await;
            let took = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.counters.longest.fetch_max(took, Ordering::Relaxed);
            match outcome {
                Ok(true) => drop(self.counters.answered.fetch_add(1, Ordering::Relaxed)),
                Ok(false) => drop(self.counters.wrong.fetch_add(1, Ordering::Relaxed)),
                Err(error) => {
                    let mut failed =
                        self.counters.failed.lock().unwrap_or_else(PoisonError::into_inner);
                    *failed.entry(error).or_default() += 1;
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Whether the answer is the right one: of a function, and of a `gen_server`, in turn.
    async fn call_once(&self, peer: &NodeName, number: i64) -> Result<bool, String> {
        if number % 2 == 0 {
            let argument = vec![term!((-number))];
            let answer = self.node.rpc(peer, "erlang", "abs", argument, TIMEOUT).await;
            return answer.map(|answer| answer.as_int() == Some(number)).map_err(words);
        }
        let kernel = (dist::etf::Atom::new("net_kernel").map_err(words)?, peer.clone());
        let question = term!({is_auth, (self.node.name().as_atom().clone())});
        let answer = self.node.call(kernel, question, Some(TIMEOUT)).await;
        answer.map(|answer| answer.is_atom("yes")).map_err(words)
    }

    fn report(&self) -> Result<Report> {
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        let group = term!((dist::etf::Atom::new(GROUP)?));
        let groups = self.pg.iter().map(|(name, scope)| {
            let members = scope.members(&group);
            let nodes = members.iter().map(|pid| pid.node.as_str().to_owned()).collect();
            (name.clone(), sorted(nodes))
        });
        let names = self.node.global().map(|global| global.registered_names()).unwrap_or_default();
        let counters = &self.counters;
        let calls = Calls {
            started: counters.started.load(Ordering::Relaxed),
            answered: counters.answered.load(Ordering::Relaxed),
            wrong: counters.wrong.load(Ordering::Relaxed),
            failed: counters.failed.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            longest: counters.longest.load(Ordering::Relaxed),
        };
        let pages = std::fs::read_to_string("/proc/self/statm")?;
        let pages: u64 = pages.split(' ').nth(1).context("no second field in statm")?.parse()?;
        let holds = Holds {
            tables: report::tables(&self.node.counts()),
            // But for the one of this folder.
            descriptors: std::fs::read_dir("/proc/self/fd")?.count() - 1,
            resident: pages * 4,
        };
        Ok(Report {
            born: self.born,
            nodes: sorted(self.node.nodes().iter().map(|peer| peer.name.to_string()).collect()),
            hears: self.hears.load(Ordering::Relaxed),
            groups: groups.collect(),
            names: sorted(names.iter().map(plain).collect()),
            calls,
            holds,
        })
    }
}

/// A name as it is written in a list of nodes: an atom without quotes.
fn plain(name: &Term) -> String {
    name.as_atom().map_or_else(|| name.to_string(), |atom| atom.as_str().to_owned())
}

/// What kind of error it was: without what differs from one to the next.
fn words(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    text.chars().filter(|character| !character.is_ascii_digit()).take(120).collect()
}
