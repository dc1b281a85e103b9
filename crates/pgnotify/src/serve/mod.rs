//! A connection while it is up: notifications in, requests out, probes between.

mod changes;
mod probing;

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_postgres::error::Severity;
use tokio_postgres::{AsyncMessage, Notification};

use crate::command::Command;
use crate::driver::{Driver, End};
use crate::error::words;
use crate::probe::{Probe, Swallowed};
use crate::session::{Early, ProbeChannel, Session, notify};
use crate::{Channel, Error, Event, ListenError, NotifyError};

/// Requests under way at once; callers beyond that wait.
const MAX_IN_FLIGHT: usize = 128;

/// Messages taken in a row before requests and answers get their turn.
const BURST: usize = 64;

/// How long a goodbye to the server may take.
const GOODBYE: Duration = Duration::from_secs(1);

type QueryResult = Result<(), tokio_postgres::Error>;

/// One connection, from `LISTEN` confirmed to its end.
pub(crate) struct Running<'a> {
    driver: &'a mut Driver,
    session: Session,
    probe_channel: ProbeChannel,
    probe: Probe,
    /// There is no reason to believe that LISTEN does not work here.
    verified: bool,
    /// The owner has been told.
    connected: bool,
    /// That nothing can be proved behind this pooler has been logged.
    doubted: bool,
    work: FuturesUnordered<BoxFuture<'static, (u64, Done)>>,
    /// Queries on this connection without an answer yet, oldest first.
    unanswered: BTreeMap<u64, Instant>,
    next_id: u64,
    /// A `LISTEN` or `UNLISTEN` is under way. There is never more than one, so the server's state
    /// is known.
    changing: bool,
    /// Callers that wait until a channel is listened to (or is not).
    waiters: Vec<(Channel, oneshot::Sender<Result<(), ListenError>>)>,
    burst: usize,
    sleep: Pin<Box<Sleep>>,
    /// The server's last words, if a query took them.
    last_words: Option<Error>,
}

/// Something to react to.
enum Input {
    Notification(Notification),
    /// A notice, or what tokio-postgres may add.
    Other,
    Ended(Option<tokio_postgres::Error>),
    Done(u64, Done),
    Request(Command),
    Close,
    Timer,
}

/// Work that is finished.
enum Done {
    Notify(oneshot::Sender<Result<(), NotifyError>>, QueryResult),
    Change(Channel, bool, QueryResult),
    Probe(QueryResult),
    Witness(Result<(), Error>),
    Check(QueryResult),
    Alive(QueryResult),
}

impl<'a> Running<'a> {
    pub(crate) fn new(driver: &'a mut Driver, session: Session, probe: ProbeChannel) -> Self {
        let now = Instant::now();
        let (interval, timeout) =
            (driver.config.get_probe_interval(), driver.config.get_probe_timeout());
        // The first probe of a direct connection was heard while it was set up.
        let first = if session.direct { now + interval } else { now };
        Self {
            driver,
            verified: session.direct,
            session,
            probe_channel: probe,
            probe: Probe::new(interval, timeout, first),
            connected: false,
            doubted: false,
            work: FuturesUnordered::new(),
            unanswered: BTreeMap::new(),
            next_id: 0,
            changing: false,
            waiters: Vec::new(),
            burst: 0,
            sleep: Box::pin(sleep_until(first)),
            last_words: None,
        }
    }

    /// Serves until the connection is lost or the listener closed.
    pub(crate) async fn run(mut self) -> End {
        self.change_next();
        let end = loop {
            if self.verified && !self.changing && !self.connected {
                self.tell_connected();
            }
            match self.next().await {
                Input::Notification(notification) => self.notification(notification),
                Input::Other => {}
                Input::Ended(error) => break End::Lost(self.epitaph(error)),
                Input::Done(id, done) => {
                    self.unanswered.remove(&id);
                    if let Err(Swallowed) = self.done(done) {
                        let (server, after) =
                            (self.server(), self.driver.config.get_probe_timeout());
                        break End::Lost(Error::ListenSwallowed { server, after });
                    }
                }
                Input::Request(command) => self.request(command),
                Input::Close => break End::Closed,
                Input::Timer => {
                    let (now, after) = (Instant::now(), self.driver.config.get_probe_timeout());
                    if self.oldest_deadline().is_some_and(|deadline| now >= deadline) {
                        break End::Lost(Error::Silent { server: self.server(), after });
                    }
                    if let Some(action) = self.probe.poll(now) {
                        self.act(action);
                    }
                }
            }
        };
        self.leave(&end).await;
        end
    }

    /// Waits for the next input: what the server sent before everything else, and time-outs only
    /// when there is nothing left to read, so that a process that was suspended does not take its
    /// own sleep for the server's silence.
    async fn next(&mut self) -> Input {
        let deadline = [self.probe.deadline(), self.oldest_deadline()].into_iter().flatten().min();
        if let Some(deadline) = deadline {
            self.sleep.as_mut().reset(deadline);
        }
        let close = Arc::clone(&self.driver.close);
        let mut close = std::pin::pin!(close.notified());
        poll_fn(|cx| {
            let fresh = self.burst < BURST;
            if fresh && let Poll::Ready(input) = self.poll_connection(cx) {
                self.burst += 1;
                return Poll::Ready(input);
            }
            self.burst = 0;
            if let Poll::Ready(Some((id, done))) = self.work.poll_next_unpin(cx) {
                return Poll::Ready(Input::Done(id, done));
            }
            if self.work.len() < MAX_IN_FLIGHT {
                match self.driver.requests.poll_recv(cx) {
                    Poll::Ready(Some(command)) => return Poll::Ready(Input::Request(command)),
                    Poll::Ready(None) => return Poll::Ready(Input::Close),
                    Poll::Pending => {}
                }
            }
            if close.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Input::Close);
            }
            if !fresh && let Poll::Ready(input) = self.poll_connection(cx) {
                return Poll::Ready(input);
            }
            if deadline.is_some() {
                ready!(self.sleep.as_mut().poll(cx));
                return Poll::Ready(Input::Timer);
            }
            Poll::Pending
        })
        .await
    }

    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        self.session.connection.poll_message(cx).map(|message| match message {
            Some(Ok(AsyncMessage::Notification(it))) => Input::Notification(it),
            Some(Ok(_)) => Input::Other,
            Some(Err(error)) => Input::Ended(Some(error)),
            None => Input::Ended(None),
        })
    }

    fn notification(&mut self, notification: Notification) {
        if self.probe_channel.channel == *notification.channel() {
            self.probe_came(notification.payload());
            return;
        }
        if self.session.direct {
            self.probe.heard_others(Instant::now());
        }
        if self.connected {
            self.pass_on(&notification);
        } else {
            self.session.early.push(notification);
        }
    }

    /// Hands a notification to the owner if its channel is still wanted. (A pooler may also hand us
    /// what somebody else listened to.)
    fn pass_on(&self, notification: &Notification) {
        if let Some(channel) = self.driver.wanted.get(notification.channel()) {
            self.driver.events.push(Event::Notification {
                channel: channel.clone(),
                payload: notification.payload().to_owned(),
                pid: notification.process_id(),
            });
        }
    }

    fn tell_connected(&mut self) {
        self.connected = true;
        let backend_pid = self.session.backend_pid.unwrap_or_default();
        self.driver.connected(self.server(), backend_pid, self.session.local_ip, !self.doubted);
        let Early { notifications, dropped, .. } = std::mem::take(&mut self.session.early);
        if dropped > 0 {
            self.driver.events.dropped(dropped);
        }
        for notification in notifications {
            self.pass_on(&notification);
        }
    }

    fn request(&mut self, command: Command) {
        match command {
            Command::Notify { done, .. } if !self.connected => {
                let _ = done.send(Err(NotifyError::NotConnected));
            }
            Command::Notify { channel, payload, done } => {
                let client = Arc::clone(&self.session.client);
                self.query(async move {
                    let result = notify(&client, &channel, &payload).await;
                    Done::Notify(done, result)
                });
            }
            Command::Listen { channel, done } => {
                if let Err(error) = self.driver.want(channel.clone()) {
                    let _ = done.send(Err(error));
                    return;
                }
                self.waiters.push((channel, done));
                self.change_next();
            }
            Command::Unlisten { channel, done } => {
                self.driver.wanted.remove(&channel);
                self.waiters.push((channel, done));
                self.change_next();
            }
        }
    }

    fn done(&mut self, done: Done) -> Result<(), Swallowed> {
        match done {
            Done::Notify(done, result) => {
                let _ = done.send(self.answer(result).map_err(|refused| match refused {
                    Some((sqlstate, message)) => NotifyError::Server { sqlstate, message },
                    None => NotifyError::Unconfirmed,
                }));
            }
            Done::Change(channel, listen, result) => self.changed(channel, listen, result),
            Done::Probe(result) => self.probe_sent(result),
            Done::Witness(result) => self.witness_sent(result),
            Done::Check(result) => match self.answer(result) {
                Ok(()) => return self.probe.checked(),
                Err(_) => self.probe.failed(Instant::now()),
            },
            Done::Alive(result) => {
                let _ = self.answer(result);
            }
        }
        Ok(())
    }

    /// Tells a refusal (SQLSTATE and message) from a connection that is ending (`None`), and keeps
    /// the server's last words.
    fn answer(&mut self, result: QueryResult) -> Result<(), Option<(String, String)>> {
        let Err(error) = result else { return Ok(()) };
        let Some(db) = error.as_db_error() else { return Err(None) };
        if matches!(db.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) {
            self.last_words = Some(Error::from_postgres(&self.session.route.server, error));
            return Err(None);
        }
        Err(Some((db.code().code().to_owned(), words(db))))
    }

    /// Starts a query on this connection.
    fn query(&mut self, query: impl Future<Output = Done> + Send + 'static) {
        let id = self.id();
        self.unanswered.insert(id, Instant::now());
        self.work.push(Box::pin(query.map(move |done| (id, done))));
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn oldest_deadline(&self) -> Option<Instant> {
        let (_, asked) = self.unanswered.first_key_value()?;
        Some(*asked + self.driver.config.get_probe_timeout())
    }

    fn server(&self) -> String {
        self.session.route.server.clone()
    }

    /// Why the connection ended. The server's reason may have been taken as the answer to a query.
    fn epitaph(&mut self, error: Option<tokio_postgres::Error>) -> Error {
        while let Some(Some((_, done))) = self.work.next().now_or_never() {
            // The connection has ended whatever this says.
            let _ = self.done(done);
        }
        match (self.last_words.take(), error) {
            (Some(words), _) => words,
            (None, Some(error)) => Error::from_postgres(&self.session.route.server, error),
            (None, None) => Error::Closed { server: self.server() },
        }
    }

    /// Answers who still waits, and takes leave of the server if it is there.
    async fn leave(self, end: &End) {
        for (_, done) in self.waiters {
            // What is wanted is listened to after the reconnect.
            let _ = done.send(if matches!(end, End::Lost(_)) {
                Ok(())
            } else {
                Err(ListenError::Closed)
            });
        }
        let Session { client, connection, .. } = self.session;
        drop((client, self.work));
        if matches!(end, End::Closed) {
            let _ = timeout(GOODBYE, connection).await;
        }
    }
}
