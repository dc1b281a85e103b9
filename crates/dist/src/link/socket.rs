//! A connected stream to a peer, in the clear or over TLS.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BufMut;
#[cfg(feature = "tls")]
use futures::FutureExt;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
#[cfg(feature = "tls")]
use {super::secure::TlsReadHalf, tokio_rustls::TlsStream};

use crate::handshake::Prefix;
use crate::wire::frame::FrameBuffer;

/// How much is looked for without waiting: calls and answers are short.
const LOOK: usize = 2 * 1024;

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
    Plain(OwnedReadHalf),
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
                (ReadHalf::Plain(read), WriteHalf::Plain(write))
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
            Self::Plain(half) => half.readable().await,
            #[cfg(feature = "tls")]
            Self::Tls(half) => half.readable().await,
        }
    }

    /// Reads a little if it is there, without waiting.
    ///
    /// The socket itself is asked. What the runtime knows of it comes from whichever of its threads
    /// waits for all sockets, and that one would have to be woken by the kernel first.
    pub(super) fn look(&mut self, buffer: &mut FrameBuffer) -> Option<io::Result<usize>> {
        match self {
            Self::Plain(half) => {
                let stream: &TcpStream = half.as_ref();
                let mut room = [0; LOOK];
                let read = (&*SockRef::from(stream)).read(&mut room);
                if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                    return None;
                }
                if let Ok(count) = read {
                    buffer.extend(room.get(..count).unwrap_or_default());
                }
                Some(read)
            }
            #[cfg(feature = "tls")]
            Self::Tls(half) => match half.readable().now_or_never()? {
                Ok(()) => half.read_into(buffer.room()).now_or_never(),
                Err(error) => Some(Err(error)),
            },
        }
    }

    /// Reads once; 0 is the end.
    pub(super) async fn read_into(&mut self, mut buffer: impl BufMut) -> io::Result<usize> {
        match self {
            Self::Plain(half) => half.read_buf(&mut buffer).await,
            #[cfg(feature = "tls")]
            Self::Tls(half) => half.read_into(buffer).await,
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
