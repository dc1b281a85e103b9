//! The life of a listener: connect, run, lose, wait, again.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::command::Command;
use crate::queue::Sender;
use crate::{Channel, Config, NotifyError};

pub(crate) async fn run(
    _config: Config,
    _channels: BTreeSet<Channel>,
    _events: Sender,
    mut requests: mpsc::Receiver<Command>,
    close: Arc<tokio::sync::Notify>,
) {
    loop {
        tokio::select! {
            () = close.notified() => return,
            request = requests.recv() => match request {
                None => return,
                Some(Command::Notify { done, .. }) => {
                    let _ = done.send(Err(NotifyError::NotConnected));
                }
                Some(Command::Listen { done, .. } | Command::Unlisten { done, .. }) => {
                    let _ = done.send(Ok(()));
                }
            },
        }
    }
}
