//! From a TCP connection to one that a handshake may be spoken on: TLS where the node has it.
//!
//! A node speaks either TLS or no TLS, with everybody. Who comes the other way is told so as far as it
//! understands.

use std::io;

use tokio::net::TcpStream;
use tokio::time::Instant;
#[cfg(feature = "tls")]
use {
    crate::handshake::Step,
    crate::tls::{self, Tls, TlsFailure},
    bytes::BufMut,
    rustls::pki_types::ServerName,
    tokio::io::{AsyncReadExt, AsyncWriteExt},
    tokio::time::timeout_at,
    tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream},
};

use super::socket::Socket;
use crate::handshake::HandshakeError;

/// What an error of a connection means if it is TLS' own.
#[cfg(feature = "tls")]
pub(super) use tls::failure_of as own_error;

/// Without TLS, none is.
#[cfg(not(feature = "tls"))]
pub(super) fn own_error(_: &io::Error) -> Option<HandshakeError> {
    None
}

/// Whether a node speaks TLS, and with which certificates.
#[derive(Debug, Clone, Default)]
pub(crate) struct Security {
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
}

impl Security {
    /// Whether the node speaks TLS, and nothing else.
    pub(crate) fn is_on(&self) -> bool {
        #[cfg(feature = "tls")]
        let is_on = self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        let is_on = false;
        is_on
    }

    /// Makes ready a connection to a node on `host`.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        host: &str,
        until: Instant,
    ) -> Result<Socket, HandshakeError> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return connect(tls, stream, host, until).await;
        }
        let _ = (host, until);
        Ok(Socket::Plain(stream))
    }

    /// Makes ready a connection that was accepted.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        until: Instant,
    ) -> Result<Socket, HandshakeError> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return accept(tls, stream, until).await;
        }
        let _ = until;
        Ok(Socket::Plain(stream))
    }
}

/// The first byte of a TLS handshake (RFC 8446, section 5.1).
#[cfg(feature = "tls")]
const HANDSHAKE: u8 = 22;

/// A fatal `unexpected_message`: what OTP's TLS answers to a peer that speaks none.
#[cfg(feature = "tls")]
const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 10];

#[cfg(feature = "tls")]
async fn connect(
    tls: &Tls,
    stream: TcpStream,
    host: &str,
    until: Instant,
) -> Result<Socket, HandshakeError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| TlsFailure::HostName { host: host.to_owned() })?;
    let connected = timeout_at(until, async {
        let material = tls.material().await;
        TlsConnector::from(material.client.clone()).connect(name, stream).await
    });
    finish(connected.await.map(|stream| stream.map(Into::into)))
}

#[cfg(feature = "tls")]
async fn accept(
    tls: &Tls,
    mut stream: TcpStream,
    until: Instant,
) -> Result<Socket, HandshakeError> {
    let mut first = [0];
    let peeked = timeout_at(until, stream.peek(&mut first)).await;
    match peeked.map_err(|_| Step::Tls.timed_out())?.map_err(|error| Step::Tls.io(error))? {
        0 => return Err(Step::Tls.closed()),
        _ if first == [HANDSHAKE] => {}
        _ => {
            refuse(&mut stream, until).await;
            return Err(HandshakeError::PeerSpeaksNoTls);
        }
    }
    let accepted = timeout_at(until, async {
        let material = tls.material().await;
        TlsAcceptor::from(material.server.clone()).accept(stream).await
    });
    finish(accepted.await.map(|stream| stream.map(Into::into)))
}

/// Says in TLS that this is TLS. What has come is read first: closing with something unread would
/// reset the connection before the peer has read.
#[cfg(feature = "tls")]
async fn refuse(stream: &mut TcpStream, until: Instant) {
    let said = async {
        let _ = stream.read(&mut [0; 1024]).await?;
        stream.write_all(&ALERT).await?;
        stream.shutdown().await
    };
    let _ = timeout_at(until, said).await;
}

#[cfg(feature = "tls")]
fn finish(
    secured: Result<io::Result<TlsStream<TcpStream>>, tokio::time::error::Elapsed>,
) -> Result<Socket, HandshakeError> {
    match secured.map_err(|_| Step::Tls.timed_out())? {
        Ok(stream) => {
            let (_, session) = stream.get_ref();
            let (version, suite) =
                (session.protocol_version(), session.negotiated_cipher_suite().map(|s| s.suite()));
            tracing::debug!(?version, ?suite, "TLS");
            Ok(Socket::Tls(Box::new(stream)))
        }
        Err(error) => Err(own_error(&error).unwrap_or_else(|| Step::Tls.io(error))),
    }
}

/// The reading half of a TLS stream.
#[cfg(feature = "tls")]
#[derive(Debug)]
pub(super) struct TlsReadHalf {
    half: tokio::io::ReadHalf<Box<TlsStream<TcpStream>>>,
    /// What came while it was waited for, before there was a buffer to read it into.
    head: [u8; HEAD],
    /// How much of it.
    arrived: usize,
}

/// Enough for a tick, or to see that there is more.
#[cfg(feature = "tls")]
const HEAD: usize = 16;

#[cfg(feature = "tls")]
impl TlsReadHalf {
    pub(super) fn new(half: tokio::io::ReadHalf<Box<TlsStream<TcpStream>>>) -> Self {
        Self { half, head: [0; HEAD], arrived: 0 }
    }

    pub(super) async fn readable(&mut self) -> io::Result<()> {
        if self.arrived == 0 {
            self.arrived = read(self.half.read(&mut self.head).await)?;
        }
        Ok(())
    }

    pub(super) async fn read_into(&mut self, mut buffer: impl BufMut) -> io::Result<usize> {
        if self.arrived > 0 {
            let head = self.head.get(..self.arrived).unwrap_or_default();
            let count = head.len().min(buffer.remaining_mut());
            buffer.put_slice(head.get(..count).unwrap_or_default());
            self.head.copy_within(count..self.arrived, 0);
            self.arrived -= count;
            return Ok(count);
        }
        read(self.half.read_buf(&mut buffer).await)
    }
}

/// A peer that dies closes without saying so in TLS. To cut a connection off takes no more than to
/// reset it, so the two are one.
#[cfg(feature = "tls")]
fn read(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        result => result,
    }
}
