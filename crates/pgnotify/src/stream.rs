//! The bytes to and from one server: a socket, with or without TLS, behind the [`Filter`].

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio_rustls::client::TlsStream;

use crate::filter::{Filter, Greeting};

/// How much is read at once. Notifications are small.
const READ_SIZE: usize = 4096;

/// What carries the protocol.
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A transport whose input runs through the filter.
#[derive(Debug)]
pub(crate) struct Stream {
    transport: Transport,
    filter: Filter,
    ready: BytesMut,
    greeting: SharedGreeting,
}

/// The filter's findings, for who has given the stream away.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedGreeting(Arc<Mutex<Greeting>>);

impl Stream {
    pub(crate) fn new(transport: Transport) -> (Self, SharedGreeting) {
        let greeting = SharedGreeting::default();
        let stream = Self {
            transport,
            filter: Filter::default(),
            ready: BytesMut::new(),
            greeting: greeting.clone(),
        };
        (stream, greeting)
    }
}

impl SharedGreeting {
    pub(crate) fn get(&self) -> Greeting {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, greeting: Greeting) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = greeting;
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.ready.is_empty() {
            let mut chunk = [0; READ_SIZE];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.transport).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.filter
                .feed(chunk.filled(), &mut this.ready)
                .map_err(|malformed| io::Error::new(io::ErrorKind::InvalidData, malformed))?;
            this.greeting.set(this.filter.greeting());
        }
        let count = this.ready.len().min(buf.remaining());
        buf.put_slice(&this.ready.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}

/// Calls the same method on whichever stream it is.
macro_rules! forward {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Transport::Tcp($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            #[cfg(unix)]
            Transport::Unix($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Transport::Tls($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        forward!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_shutdown(cx))
    }
}
