//! One attempt with one server: address, socket, TLS, login.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{Client, Connection, NoTls};

use crate::config::Target;
use crate::stream::{Stream, Transport};
use crate::{Config, Error, Host, SslMode, tls};

/// 1234.5679 in place of a protocol version (PostgreSQL manual, 53.7 "SSLRequest").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A connection after login.
pub(crate) struct Login {
    pub(crate) client: Client,
    pub(crate) connection: Connection<Stream, NoTlsStream>,
    pub(crate) local_ip: Option<IpAddr>,
    /// The process id that the server claims.
    pub(crate) claimed_pid: Option<i32>,
}

/// One place to dial.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

/// Who is dialled, and until when.
#[derive(Debug, Clone)]
pub(crate) struct Attempt<'a> {
    pub(crate) config: &'a Config,
    pub(crate) target: &'a Target,
    pub(crate) server: String,
    timeout: Duration,
    deadline: Instant,
}

impl<'a> Attempt<'a> {
    /// An attempt that starts now.
    pub(crate) fn new(config: &'a Config, target: &'a Target) -> Self {
        let timeout = config.get_connect_timeout();
        let deadline = Instant::now() + timeout;
        Self { config, target, server: target.label(), timeout, deadline }
    }

    /// Runs one step of the attempt until the deadline.
    pub(crate) async fn step<T>(
        &self,
        step: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let late = || Error::Timeout { server: self.server.clone(), step, after: self.timeout };
        timeout_at(self.deadline, work).await.map_err(|_| late())?
    }

    /// Every address of the target.
    pub(crate) async fn addresses(&self) -> Result<Vec<Address>, Error> {
        let port = self.target.port;
        let host = match (&self.target.host, self.target.address) {
            (_, Some(ip)) => return Ok(vec![Address::Tcp(SocketAddr::new(ip, port))]),
            (Host::Tcp(host), None) => host,
            #[cfg(unix)]
            (Host::Unix(_), None) => return Ok(vec![Address::Unix(self.target.socket_path())]),
            #[cfg(not(unix))]
            (Host::Unix(_), None) => {
                return Err(self.resolve_error("", io::ErrorKind::Unsupported.into()));
            }
        };
        let looked_up = async {
            tokio::net::lookup_host((host.as_str(), port))
                .await
                .map_err(|source| self.resolve_error(host, source))
        };
        let addresses: Vec<_> =
            self.step("resolving its name", looked_up).await?.map(Address::Tcp).collect();
        if addresses.is_empty() {
            return Err(self.resolve_error(host, io::ErrorKind::NotFound.into()));
        }
        Ok(addresses)
    }

    /// Connects and logs in.
    pub(crate) async fn login(&self, address: &Address) -> Result<Login, Error> {
        match self.config.get_ssl_mode() {
            SslMode::Prefer => match self.login_with(address, SslMode::Prefer).await {
                // What libpq does: whatever stands in the way of TLS, it may work without.
                Err(error) if tls_is_to_blame(&error) => {
                    tracing::debug!(server = self.server, %error, "trying without TLS");
                    self.login_with(address, SslMode::Disable).await
                }
                result => result,
            },
            mode => self.login_with(address, mode).await,
        }
    }

    async fn login_with(&self, address: &Address, mode: SslMode) -> Result<Login, Error> {
        let (transport, local_ip) = self.step("connecting", self.open(address)).await?;
        let transport = match transport {
            Transport::Tcp(socket) if mode != SslMode::Disable => {
                self.step("TLS handshake", self.start_tls(socket, mode)).await?
            }
            transport => transport,
        };
        let (stream, greeting) = Stream::new(transport);
        let session = self.config.session(self.target);
        let login = async {
            session.connect_raw(stream, NoTls).await.map_err(|error| {
                let asked = greeting.get();
                if asked.wants_password && session.get_password().is_none() {
                    return Error::PasswordMissing { server: self.server.clone() };
                }
                match Error::from_postgres(&self.server, error) {
                    Error::Protocol { server, reason } if asked.authenticating => {
                        Error::Authentication { server, reason }
                    }
                    error => error,
                }
            })
        };
        let (client, connection) = self.step("logging in", login).await?;
        let claimed_pid = greeting.get().backend_pid;
        Ok(Login { client, connection, local_ip, claimed_pid })
    }

    async fn open(&self, address: &Address) -> Result<(Transport, Option<IpAddr>), Error> {
        let opened = match address {
            Address::Tcp(address) => self.open_tcp(*address).await,
            #[cfg(unix)]
            Address::Unix(path) => {
                UnixStream::connect(path).await.map(|socket| (Transport::Unix(socket), None))
            }
        };
        opened.map_err(|source| Error::Connect { server: self.server.clone(), source })
    }

    async fn open_tcp(&self, address: SocketAddr) -> io::Result<(Transport, Option<IpAddr>)> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let options = SockRef::from(&socket);
        if let Some(keepalive) = self.config.get_keepalive() {
            let keepalive = TcpKeepalive::new()
                .with_time(keepalive.idle)
                .with_interval(keepalive.interval)
                .with_retries(keepalive.count);
            options.set_tcp_keepalive(&keepalive)?;
        }
        #[cfg(target_os = "linux")]
        options.set_tcp_user_timeout(Some(self.config.get_tcp_user_timeout()))?;
        let local_ip = socket.local_addr()?.ip();
        Ok((Transport::Tcp(socket), Some(local_ip)))
    }

    /// Asks for TLS and, if the server has it, does the handshake.
    async fn start_tls(&self, mut socket: TcpStream, mode: SslMode) -> Result<Transport, Error> {
        let server = || self.server.clone();
        let broken = |source| Error::Io { server: server(), source };
        socket.write_all(&SSL_REQUEST).await.map_err(broken)?;
        // Exactly one byte: what somebody else may have put after it belongs to the handshake,
        // which then fails (CVE-2021-23222).
        match socket.read_u8().await.map_err(broken)? {
            b'S' => {}
            b'N' if mode == SslMode::Prefer => return Ok(Transport::Tcp(socket)),
            b'N' => return Err(Error::NoTls { server: server(), sslmode: mode }),
            _ => {
                let reason = "its answer to an SSLRequest is neither yes nor no".to_owned();
                return Err(Error::Protocol { server: server(), reason });
            }
        }
        let ip = socket.peer_addr().map_err(broken)?.ip();
        let settings = tls::settings(self.config, mode, &self.target.host, ip, &self.server)?;
        let connector = tokio_rustls::TlsConnector::from(settings.client);
        match connector.connect(settings.name, socket).await {
            Ok(stream) => Ok(Transport::Tls(Box::new(stream))),
            Err(source) => Err(tls_error(server(), source)),
        }
    }

    fn resolve_error(&self, host: &str, source: io::Error) -> Error {
        Error::Resolve { host: host.to_owned(), source }
    }
}

/// Whether `prefer` tries again without TLS: the handshake failed, or `pg_hba.conf` has no entry
/// for encrypted connections.
fn tls_is_to_blame(error: &Error) -> bool {
    match error {
        Error::Tls { .. } | Error::Certificate { .. } | Error::File { .. } => true,
        Error::Server { sqlstate, .. } => sqlstate == "28000",
        _ => false,
    }
}

fn tls_error(server: String, source: io::Error) -> Error {
    let certificate = source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match certificate {
        Some(error @ rustls::Error::InvalidCertificate(_)) => {
            Error::Certificate { server, source: error.clone() }
        }
        _ => Error::Tls { server, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_told_from_other_failures() {
        let unknown = rustls::CertificateError::UnknownIssuer;
        let source = io::Error::other(rustls::Error::InvalidCertificate(unknown));
        assert!(matches!(tls_error("s".into(), source), Error::Certificate { .. }));
        let source = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert!(matches!(tls_error("s".into(), source), Error::Tls { .. }));
    }
}
