//! Keeping our node registered for as long as it lives.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::client::{self, Alive, AliveError, Entry};
use super::config::Config;
use super::registry::Registered;
use super::server::{ServeError, Server};

/// How often a registration is tried at the start.
const START_RETRY: Duration = Duration::from_millis(200);

/// Whom to register with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// With the EPMD on this host, and to serve EPMD when there is none.
    #[default]
    Auto,
    /// With the EPMD on this host; never to serve.
    External,
    /// With our own: there must be no other.
    Embedded,
}

/// Who serves EPMD on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServedBy {
    /// Another process.
    External,
    /// This process.
    Embedded,
}

/// How our registration is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Status {
    /// Other nodes can find us.
    Registered {
        /// Who serves EPMD.
        by: ServedBy,
    },
    /// EPMD went away or cannot be reached; we keep trying. Links are not touched by this.
    Lost {
        /// The latest failure; none yet when EPMD has just closed the connection.
        error: Option<RegisterError>,
    },
    /// EPMD came back and has another node under our name; we keep trying.
    NameTaken {
        /// The EPMD.
        addr: SocketAddr,
    },
}

/// Keeps a node registered with EPMD until it is closed or dropped.
///
/// ```text
///                    EPMD closes
///    Registered{External} ----------> Lost <-----.  every 2 s: register
///         ^  ^                        |  |  |    |
///         |  '---- registered --------'  |  '----'  no answer, refused
///         |                              |
///         '--- freed --- NameTaken <-----'  the name is taken
///                                        |
///    Registered{Embedded} <--------------'  refused for 3 s, mode Auto: served here;
///                                           when the port is taken by then: register there
/// ```
#[derive(Debug)]
pub struct Registrar {
    creation: Option<u32>,
    status: watch::Receiver<Status>,
    /// Never sent anything: its end is the order to leave.
    stop: oneshot::Sender<Infallible>,
    task: JoinHandle<()>,
}

impl Registrar {
    /// Registers the node `base` (its name before the `@`), which listens on `port`, and keeps it so.
    ///
    /// A taken name, and in mode `External` a missing EPMD, is waited out for `config.patience`; in mode
    /// `Auto` a missing EPMD is served at once.
    ///
    /// # Errors
    ///
    /// When the node could not be registered in that time.
    pub async fn start(
        base: &str,
        port: u16,
        mode: Mode,
        config: Config,
    ) -> Result<Self, RegisterError> {
        let work = Work { entry: Entry { base: base.to_owned(), port }, mode, config };
        let hold = work.first().await?;
        let creation = Some(hold.creation()).filter(|creation| *creation > 3);
        let (sender, status) = watch::channel(hold.status());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(work.keep(hold, sender, stopped));
        Ok(Self { creation, status, stop, task })
    }

    /// The creation that EPMD gave at the first registration, if it is one of 4 or more; what it gives
    /// later is ignored, as OTP does, because a new one would kill every pid that others hold.
    #[must_use]
    pub fn creation(&self) -> Option<u32> {
        self.creation
    }

    /// The status, now and later.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Leaves EPMD, and ends the server if it was ours: when this returns, its port is free. Dropping does
    /// the same, a little later.
    pub async fn close(self) {
        let Self { stop, task, .. } = self;
        drop(stop);
        let _left = task.await;
    }
}

/// Why a node is not registered.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Another node has the name.
    #[error("the name {base} is taken in EPMD at {addr}")]
    NameTaken {
        /// The name before the `@`.
        base: String,
        /// The EPMD.
        addr: SocketAddr,
    },
    /// There is no EPMD on this host.
    #[error("failed to reach EPMD at {addr}: {source}")]
    Unreachable {
        /// Where it was looked for.
        addr: SocketAddr,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// No answer in time.
    #[error("EPMD at {addr} did not answer in time")]
    Timeout {
        /// The EPMD.
        addr: SocketAddr,
    },
    /// The answer is not one of EPMD.
    #[error("what answered at {addr} is not EPMD: {problem}")]
    Malformed {
        /// Who answered.
        addr: SocketAddr,
        /// What is wrong with the answer.
        problem: String,
    },
    /// There is no EPMD on this host, and we cannot be it.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// A registration and what it hangs on.
#[derive(Debug)]
enum Hold {
    External(Alive),
    Embedded { server: Server, registered: Registered },
}

impl Hold {
    fn creation(&self) -> u32 {
        match self {
            Self::External(alive) => alive.creation,
            Self::Embedded { registered, .. } => registered.creation,
        }
    }

    fn status(&self) -> Status {
        Status::Registered {
            by: match self {
                Self::External(_) => ServedBy::External,
                Self::Embedded { .. } => ServedBy::Embedded,
            },
        }
    }

    /// Our own server never ends before we do.
    async fn ended(&mut self) {
        match self {
            Self::External(alive) => alive.ended().await,
            Self::Embedded { .. } => std::future::pending().await,
        }
    }

    async fn close(self) {
        match self {
            Self::External(alive) => drop(alive),
            Self::Embedded { server, .. } => server.close().await,
        }
    }
}

#[derive(Debug)]
struct Work {
    entry: Entry,
    mode: Mode,
    config: Config,
}

impl Work {
    async fn first(&self) -> Result<Hold, RegisterError> {
        let start = Instant::now();
        loop {
            let error = match self.attempt(true).await {
                Ok(hold) => return Ok(hold),
                Err(error) => error,
            };
            if start.elapsed() >= self.config.patience {
                return Err(error);
            }
            sleep(START_RETRY.min(self.config.patience)).await;
        }
    }

    async fn keep(
        self,
        mut hold: Hold,
        status: watch::Sender<Status>,
        mut stop: oneshot::Receiver<Infallible>,
    ) {
        loop {
            let since = Instant::now();
            tokio::select! {
                () = hold.ended() => drop(hold),
                _ = &mut stop => return hold.close().await,
            }
            tracing::warn!(name = self.entry.base, "EPMD has closed our registration");
            status.send_replace(Status::Lost { error: None });
            let again = async {
                // One that takes every registration and lets go of it is not asked without a pause.
                sleep(self.config.retry.saturating_sub(since.elapsed())).await;
                self.again(&status).await
            };
            hold = tokio::select! {
                hold = again => hold,
                _ = &mut stop => return,
            };
            tracing::info!(name = self.entry.base, status = ?hold.status(), "registered again");
            status.send_replace(hold.status());
        }
    }

    /// Tries until it is registered.
    async fn again(&self, status: &watch::Sender<Status>) -> Hold {
        let mut missing_since = Instant::now();
        loop {
            let serve = missing_since.elapsed() >= self.config.take_over;
            let error = match self.attempt(serve).await {
                Ok(hold) => return hold,
                Err(error) => error,
            };
            if !error.is_refused() {
                missing_since = Instant::now();
            }
            self.report(error, status);
            // The last wait before a take-over is shorter.
            let rest = self.config.take_over.saturating_sub(missing_since.elapsed());
            let wait = if self.mode == Mode::Auto && !rest.is_zero() {
                self.config.retry.min(rest)
            } else {
                self.config.retry
            };
            sleep(wait).await;
        }
    }

    /// One try to register, and if nobody listens and `serve` is set, to serve.
    async fn attempt(&self, serve: bool) -> Result<Hold, RegisterError> {
        if self.mode != Mode::Embedded {
            match self.register().await {
                Ok(alive) => return Ok(Hold::External(alive)),
                Err(error) if !(error.is_refused() && serve && self.mode == Mode::Auto) => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        match Server::start_with(&self.config, &self.entry) {
            Ok((server, registered)) => {
                tracing::info!(addrs = ?server.addrs(), "serving EPMD");
                Ok(Hold::Embedded { server, registered })
            }
            // Somebody was faster: that one is the host's EPMD now.
            Err(ServeError::PortTaken { .. }) if self.mode == Mode::Auto => {
                self.register().await.map(Hold::External)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Registers at one of the loopback addresses. What the first one says counts, unless nobody
    /// listens there and somebody does at the other.
    async fn register(&self) -> Result<Alive, RegisterError> {
        let [first, second] = self.config.loopbacks();
        match self.register_at(first).await {
            Err(error) if error.is_refused() => match self.register_at(second).await {
                Err(RegisterError::Unreachable { .. }) => Err(error),
                other => other,
            },
            other => other,
        }
    }

    async fn register_at(&self, addr: SocketAddr) -> Result<Alive, RegisterError> {
        client::register(addr, &self.entry, self.config.timeout).await.map_err(
            |error| match error {
                AliveError::Taken => {
                    RegisterError::NameTaken { base: self.entry.base.clone(), addr }
                }
                AliveError::Unreachable(source) => {
                    RegisterError::Unreachable { addr, source: Arc::new(source) }
                }
                AliveError::Timeout => RegisterError::Timeout { addr },
                AliveError::Malformed(problem) => RegisterError::Malformed { addr, problem },
            },
        )
    }

    /// Tells what is wrong, and says it in the log when that is something new.
    fn report(&self, error: RegisterError, status: &watch::Sender<Status>) {
        status.send_if_modified(|status| {
            let new = match &error {
                RegisterError::NameTaken { addr, .. } => Status::NameTaken { addr: *addr },
                _ => Status::Lost { error: Some(error.clone()) },
            };
            let changed = !new.is_like(status);
            if changed {
                let name = &self.entry.base;
                tracing::warn!(name, %error, "not registered with EPMD; trying again");
                *status = new;
            }
            changed
        });
    }
}

impl Status {
    /// Whether the two say the same, up to the words of an error.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Registered { by: a }, Self::Registered { by: b }) => a == b,
            (Self::Lost { error: a }, Self::Lost { error: b }) => a.is_some() == b.is_some(),
            (Self::NameTaken { .. }, Self::NameTaken { .. }) => true,
            _ => false,
        }
    }
}

impl RegisterError {
    /// Whether nobody listens where EPMD should be, or the host has no address of that family.
    fn is_refused(&self) -> bool {
        matches!(self, Self::Unreachable { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::ConnectionRefused
                | io::ErrorKind::AddrNotAvailable
                | io::ErrorKind::NetworkUnreachable
        ))
    }
}
