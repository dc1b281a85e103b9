//! The caller's side: events in, requests out.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use futures::future::poll_fn;
use tokio::sync::{mpsc, oneshot};

use crate::command::Command;
use crate::queue::{self, queue};
use crate::{Channel, Config, Event, ListenError, MAX_PAYLOAD_BYTES, NotifyError, driver};

/// Requests that wait for the driver. It takes them as they come, so this fills only when it is not
/// run.
const COMMAND_QUEUE: usize = 64;

/// A connection that listens, as seen by its owner: a stream of [`Event`]s and a way to notify.
///
/// The stream ends after [`Event::Failed`], after [`close`](Handle::close), or when the driver is
/// dropped. Dropping the listener closes the connection.
///
/// ```no_run
/// use pgnotify::{Channel, Config, Event, Listener};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let channel = Channel::new("jobs")?;
/// let config = Config::from_url("postgres://app@localhost/prod")?;
/// let (mut listener, driver) = Listener::new(config, [channel.clone()]);
/// tokio::spawn(driver);
/// while let Some(event) = listener.next().await {
///     match event {
///         Event::Connected { may_have_missed, .. } => {
///             if may_have_missed {
///                 // Look for jobs that were announced while we were away.
///             }
///             listener.notify(&channel, "hello").await?;
///         }
///         Event::Notification { payload, .. } => println!("{payload}"),
///         Event::Lost { reason, retry_in, .. } => eprintln!("{reason}; next try in {retry_in:?}"),
///         Event::Failed { error, .. } => return Err(error.into()),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Listener {
    events: queue::Receiver,
    handle: Handle,
}

/// Sends requests to the connection from any task. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    close: Arc<tokio::sync::Notify>,
}

/// The connection itself: a future to be spawned. It ends when the listener is closed or dropped,
/// or after [`Event::Failed`].
#[must_use = "nothing happens unless the driver is spawned"]
pub struct Driver(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Listener {
    /// A listener on these channels. Nothing happens until the driver is spawned.
    pub fn new(config: Config, channels: impl IntoIterator<Item = Channel>) -> (Self, Driver) {
        let (events, receiver) = queue(config.get_queue_capacity());
        let (commands, requests) = mpsc::channel(COMMAND_QUEUE);
        let close = Arc::new(tokio::sync::Notify::new());
        let handle = Handle { commands, close: Arc::clone(&close) };
        let channels = channels.into_iter().collect();
        let driver = driver::Driver::new(config, channels, events, requests, close).run();
        (Self { events: receiver, handle }, Driver(Box::pin(driver)))
    }

    /// The next event; `None` when there will be none any more. Safe to cancel.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.events.poll_next(cx)).await
    }

    /// A handle for other tasks.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// See [`Handle::notify`].
    pub async fn notify(&self, channel: &Channel, payload: &str) -> Result<(), NotifyError> {
        self.handle.notify(channel, payload).await
    }

    /// See [`Handle::listen`].
    pub async fn listen(&self, channel: Channel) -> Result<(), ListenError> {
        self.handle.listen(channel).await
    }

    /// See [`Handle::unlisten`].
    pub async fn unlisten(&self, channel: Channel) -> Result<(), ListenError> {
        self.handle.unlisten(channel).await
    }

    /// See [`Handle::close`].
    pub fn close(&self) {
        self.handle.close();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.handle.close();
    }
}

impl Stream for Listener {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.events.poll_next(cx)
    }
}

impl Handle {
    /// Sends a notification and waits until Postgres has committed it.
    ///
    /// The payload has at most [`MAX_PAYLOAD_BYTES`] bytes and no NUL. Without a connection this
    /// fails at once with [`NotifyError::NotConnected`]: nothing is kept for later. A connection
    /// that is silent for [`probe_timeout`](Config::probe_timeout) counts as lost, so this returns
    /// within about that time, with [`NotifyError::Unconfirmed`].
    ///
    /// A future that is dropped before it is done may or may not have sent.
    pub async fn notify(&self, channel: &Channel, payload: &str) -> Result<(), NotifyError> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(NotifyError::TooLong { bytes: payload.len() });
        }
        if payload.contains('\0') {
            return Err(NotifyError::Nul);
        }
        let (done, answer) = oneshot::channel();
        let command =
            Command::Notify { channel: channel.clone(), payload: payload.to_owned(), done };
        self.commands.send(command).await.map_err(|_| NotifyError::Closed)?;
        answer.await.unwrap_or(Err(NotifyError::Unconfirmed))
    }

    /// Listens to one more channel, now and after every reconnect.
    ///
    /// Returns when the server has confirmed it; without a connection at once, and the next
    /// [`Event::Connected`] confirms it.
    pub async fn listen(&self, channel: Channel) -> Result<(), ListenError> {
        self.request(|done| Command::Listen { channel, done }).await
    }

    /// Stops listening to a channel. Notifications that are already queued still come.
    pub async fn unlisten(&self, channel: Channel) -> Result<(), ListenError> {
        self.request(|done| Command::Unlisten { channel, done }).await
    }

    /// Closes the connection and ends the driver. Events that are queued can still be read.
    pub fn close(&self) {
        self.close.notify_one();
    }

    async fn request(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), ListenError>>) -> Command,
    ) -> Result<(), ListenError> {
        let (done, answer) = oneshot::channel();
        self.commands.send(command(done)).await.map_err(|_| ListenError::Closed)?;
        answer.await.unwrap_or(Err(ListenError::Closed))
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}
