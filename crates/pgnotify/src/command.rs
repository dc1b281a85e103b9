//! What callers ask of the driver.

use tokio::sync::oneshot;

use crate::{Channel, ListenError, NotifyError};

/// A request with the place for its answer.
#[derive(Debug)]
pub(crate) enum Command {
    /// Send a notification. The payload has been checked.
    Notify { channel: Channel, payload: String, done: oneshot::Sender<Result<(), NotifyError>> },
    /// Want one more channel.
    Listen { channel: Channel, done: oneshot::Sender<Result<(), ListenError>> },
    /// Want one channel less.
    Unlisten { channel: Channel, done: oneshot::Sender<Result<(), ListenError>> },
}
