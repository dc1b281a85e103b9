//! A connected stream to a peer, in the clear or over TLS.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BufMut;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
#[cfg(feature = "tls")]
use {super::secure::TlsReadHalf, tokio_rustls::TlsStream};

use super::pace::Pace;
use crate::handshake::Prefix;
use crate::wire::frame::{FrameBuffer, READ_CHUNK};

/// How much is taken at once where the socket itself is asked.
const PIECE: usize = 8 * 1024;

/// How much of what was written may wait in the system until it is sent. A short message that is written next
/// waits behind all of that, and the system would hold megabytes; the fragments that wait in lanes it goes before.
#[cfg(any(target_os = "android", target_os = "linux"))]
const UNSENT: u32 = 128 * 1024;

/// Sets a new connection as links need it.
///
/// # Errors
/// When the system refuses it.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Small writes are sent at once: with Nagle's algorithm a call would wait 40 ms for an
    // acknowledgement.
    stream.set_nodelay(true)?;
    #[cfg(any(target_os = "android", target_os = "linux"))]
    if let Err(error) = SockRef::from(stream).set_tcp_notsent_lowat(UNSENT) {
        tracing::debug!(%error, "the system holds as much as it likes of what is not sent");
    }
    Ok(())
}

/// A connected stream to a peer.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<TcpStream>>),
}

/// Its reading half.
#[derive(Debug)]
pub(super) enum ReadHalf {
    Plain(OwnedReadHalf, Pace),
    #[cfg(feature = "tls")]
    Tls(TlsReadHalf),
}

/// Its writing half. Over TLS, shutting it down says so to the peer first (`close_notify`).
#[derive(Debug)]
pub(super) enum WriteHalf {
    Plain(OwnedWriteHalf),
    #[cfg(feature = "tls")]
    Tls(tokio::io::WriteHalf<Box<TlsStream<TcpStream>>>),
}

impl Socket {
    /// How the lengths of handshake messages are written here.
    pub(super) fn prefix(&self) -> Prefix {
        match self {
            Self::Plain(_) => Prefix::Two,
            #[cfg(feature = "tls")]
            Self::Tls(_) => Prefix::Four,
        }
    }

    pub(super) fn split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Plain(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Plain(read, Pace::default()), WriteHalf::Plain(write))
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                let (read, write) = tokio::io::split(stream);
                (ReadHalf::Tls(TlsReadHalf::new(read)), WriteHalf::Tls(write))
            }
        }
    }
}

impl ReadHalf {
    /// Waits until there is something to read, or the end.
    pub(super) async fn readable(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(half, _) => half.readable().await,
            #[cfg(feature = "tls")]
            Self::Tls(half) => half.readable().await,
        }
    }

    /// Leaves the socket alone for `time`, and then takes what has come, if that is anything.
    ///
    /// The socket itself is asked: the runtime was told of nothing meanwhile.
    pub(super) async fn after(
        &mut self,
        time: Duration,
        buffer: &mut FrameBuffer,
    ) -> Option<io::Result<usize>> {
        match self {
            Self::Plain(half, pace) => {
                let socket = half.as_ref();
                if !pace.pause(socket, time).await {
                    return None;
                }
                take(socket, buffer).transpose()
            }
            #[cfg(feature = "tls")]
            Self::Tls(_) => None,
        }
    }

    /// Lets the runtime be told again of what comes, and takes what has come until then, see
    /// [`ReadHalf::after`].
    pub(super) fn listen(&mut self, buffer: &mut FrameBuffer) -> Option<io::Result<usize>> {
        match self {
            Self::Plain(half, pace) => match pace.end(half.as_ref()) {
                Ok(false) => None,
                Ok(true) => take(half.as_ref(), buffer).transpose(),
                Err(error) => Some(Err(error)),
            },
            #[cfg(feature = "tls")]
            Self::Tls(_) => None,
        }
    }

    /// Reads once; 0 is the end.
    pub(super) async fn read_into(&mut self, mut buffer: impl BufMut) -> io::Result<usize> {
        match self {
            Self::Plain(half, _) => half.read_buf(&mut buffer).await,
            #[cfg(feature = "tls")]
            Self::Tls(half) => half.read_into(buffer).await,
        }
    }
}

/// Reads what is there, piece by piece, without waiting.
fn take(socket: &TcpStream, buffer: &mut FrameBuffer) -> io::Result<Option<usize>> {
    let mut room = [0; PIECE];
    let mut taken = 0;
    loop {
        match (&*SockRef::from(socket)).read(&mut room) {
            Ok(count) => {
                buffer.extend(room.get(..count).unwrap_or_default());
                taken += count;
                if count < PIECE || taken >= READ_CHUNK {
                    return Ok(Some(taken));
                }
            }
            // Should it be worse than that there is no more, the next read says so.
            Err(_) if taken > 0 => return Ok(Some(taken)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// `$on` of whichever stream it is.
macro_rules! poll {
    ($self:ident, $half:ident => $on:expr) => {
        match $self.get_mut() {
            Self::Plain(half) => {
                let $half = Pin::new(half);
                $on
            }
            #[cfg(feature = "tls")]
            Self::Tls(half) => {
                let $half = Pin::new(half);
                $on
            }
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        poll!(self, half => half.poll_read(cx, buffer))
    }
}

macro_rules! async_write {
    ($type:ty) => {
        impl AsyncWrite for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                poll!(self, half => half.poll_write(cx, bytes))
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                poll!(self, half => half.poll_write_vectored(cx, slices))
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    Self::Plain(half) => half.is_write_vectored(),
                    #[cfg(feature = "tls")]
                    Self::Tls(half) => half.is_write_vectored(),
                }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                poll!(self, half => half.poll_flush(cx))
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                poll!(self, half => half.poll_shutdown(cx))
            }
        }
    };
}

async_write!(Socket);
async_write!(WriteHalf);

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn little_waits_in_the_system_for_a_peer_that_reads_nothing() {
        /// What the peer takes without reading, doubled by the system.
        const TAKEN: usize = 64 * 1024;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        SockRef::from(&listener).set_recv_buffer_size(TAKEN).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_peer, _) = listener.accept().await.unwrap();
        prepare(&stream).unwrap();
        stream.writable().await.unwrap();
        let mut written = 0;
        while let Ok(count) = stream.try_write(&[0; 1000]) {
            written += count;
        }
        // One segment may be let in beyond; on loopback it is of 64 KiB.
        let most = 2 * TAKEN + 2 * usize::try_from(UNSENT).unwrap();
        assert!((1000..=most).contains(&written), "{written} bytes were taken");
    }
}
