//! The handshake over a socket: the pure machines of [`crate::handshake`] with bytes and time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::Link;
use super::secure::own_error;
use super::socket::Socket;
use crate::handshake::{Established, HandshakeError, Packets, Step};
use crate::node::{Attempt, Peer, Shared, Visibility};

/// A handshake under way on a socket.
#[derive(Debug)]
pub(super) struct Conversation {
    socket: Socket,
    packets: Packets,
    /// What one step may take, and when the whole must be over.
    step_time: Duration,
    deadline: Option<Instant>,
}

impl Conversation {
    /// A handshake of which each step may take `step_time` (OTP's `net_setuptime`), and the whole
    /// until `deadline`.
    pub(super) fn new(socket: Socket, step_time: Duration, deadline: Option<Instant>) -> Self {
        let packets = Packets::new(socket.prefix());
        Self { socket, packets, step_time, deadline }
    }

    /// The next message of the peer.
    pub(super) async fn receive(&mut self, step: Step) -> Result<Vec<u8>, HandshakeError> {
        let until = self.until();
        loop {
            match self.packets.next_packet() {
                Ok(Some(message)) => return Ok(message),
                Ok(None) if self.packets.is_tls() => return Err(HandshakeError::PeerSpeaksTls),
                Ok(None) => {}
                Err(error) => return Err(step.too_large(error)),
            }
            let mut bytes = [0; 1024];
            let read = timeout_at(until, self.socket.read(&mut bytes)).await;
            match read.map_err(|_| step.timed_out())?.map_err(|error| failed(step, error))? {
                0 => return Err(step.closed()),
                count => self.packets.feed(bytes.get(..count).unwrap_or_default()),
            }
        }
    }

    /// Sends messages in one write; `next` is what is waited for after them.
    pub(super) async fn send(
        &mut self,
        messages: &[&[u8]],
        next: Step,
    ) -> Result<(), HandshakeError> {
        let bytes: Vec<u8> =
            messages.iter().flat_map(|message| self.packets.frame(message)).collect();
        let until = self.until();
        let write = async {
            self.socket.write_all(&bytes).await?;
            // Over TLS, what was written may still wait for room.
            self.socket.flush().await
        };
        let written = timeout_at(until, write).await;
        written.map_err(|_| next.timed_out())?.map_err(|error| failed(next, error))
    }

    /// Waits until the peer closes, as one does after `nok`.
    pub(super) async fn wait_closed(mut self) {
        let mut bytes = [0; 1024];
        let until = self.until();
        while let Ok(Ok(1..)) = timeout_at(until, self.socket.read(&mut bytes)).await {}
    }

    /// Says a last word, whether or not the peer still listens.
    pub(super) async fn refuse(mut self, message: &[u8]) {
        if self.send(&[message], Step::Status).await.is_ok() {
            // Closing with something unread would reset the connection before the peer has read.
            let _ = timeout_at(self.until(), self.socket.shutdown()).await;
        }
    }

    /// The socket, and the bytes that came behind the handshake.
    pub(super) fn finish(self) -> (Socket, Vec<u8>) {
        (self.socket, self.packets.into_rest())
    }

    fn until(&self) -> Instant {
        let step = Instant::now() + self.step_time;
        self.deadline.map_or(step, |deadline| deadline.min(step))
    }
}

/// What an error in this step means. Over TLS it may say more: a peer that speaks TLS 1.3 refuses our
/// certificate when it is a connection to us already.
fn failed(step: Step, error: io::Error) -> HandshakeError {
    own_error(&error).unwrap_or_else(|| step.io(error))
}

/// A challenge that nobody can guess.
pub(super) fn challenge() -> Result<u32, HandshakeError> {
    random(getrandom::u32())
}

/// What the system's source of random numbers gave.
pub(super) fn random<T>(number: Result<T, getrandom::Error>) -> Result<T, HandshakeError> {
    number.map_err(|error| Step::Challenge.io(io::Error::other(error.to_string())))
}

/// A handshake that is over, and its socket.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) established: Established,
    pub(crate) socket: Socket,
    pub(crate) rest: Vec<u8>,
}

impl Connected {
    /// Puts the link into the table, tells that it is up, and starts it. False when another
    /// attempt took the slot; the connection is closed then.
    pub(crate) fn up(self, attempt: Attempt, shared: &Arc<Shared>) -> bool {
        let Established { peer, flags, peer_flags, creation, visible, .. } = self.established;
        let visibility = if visible { Visibility::Visible } else { Visibility::Hidden };
        let peer = Peer { name: peer, visibility, flags: peer_flags, creation };
        let link = Arc::new(Link::new(peer, flags, shared));
        if !attempt.promote(&link, || shared.announce_up(&link)) {
            tracing::debug!(peer = %link.peer.name, "the connection came too late");
            return false;
        }
        shared.pg.up(&link);
        link.run(self.socket, &self.rest, shared);
        true
    }
}
