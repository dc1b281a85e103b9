use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dist::etf::{Term, term};
use dist::handshake::{Initiator, Local, Packets, Prefix, StatusOutcome};
use dist::{Cookie, Flags, Node, NodeName, Process};
use integration::both_ways::doubles;
use integration::{Authority, Beam, Identity, SOON, World, eventually, name_of};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, WantsVerifier};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tracing::subscriber::DefaultGuard;

/// How long 100 MB may take there and back on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A world of nodes with certificates of one authority.
pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) authority: Authority,
}

impl Place {
    pub(crate) async fn new() -> Result<Self> {
        Ok(Self { world: World::new().await?, authority: Authority::new()? })
    }

    /// A certificate for the host of all nodes.
    pub(crate) fn identity(&self) -> Result<Identity> {
        self.authority.sign(&["127.0.0.1"])
    }

    pub(crate) async fn beam_as(&self, identity: &Identity) -> Result<Beam> {
        Beam::start(self.world.beam_options("beam").args(identity.erl()?)).await
    }

    /// A BEAM node with this certificate that speaks this version only.
    pub(crate) async fn beam_speaking(&self, identity: &Identity, version: &str) -> Result<Beam> {
        let args = identity.erl_with("inet_tls", &format!(",{{versions,['{version}']}}"))?;
        Beam::start(self.world.beam_options("beam").args(args)).await
    }

    pub(crate) async fn beam(&self) -> Result<Beam> {
        self.beam_as(&self.identity()?).await
    }

    pub(crate) async fn node_as(&self, identity: &Identity) -> Result<Node> {
        let node = self.world.node("rust")?.tls(identity.config()?).exports(doubles());
        Ok(node.start().await?)
    }

    pub(crate) async fn node(&self) -> Result<Node> {
        self.node_as(&self.identity()?).await
    }
}

/// A process on a BEAM node that sends back what it gets.
pub(crate) async fn echo(process: &mut Process, beam: &Beam, term: Term) -> Result<Term> {
    let echo = "whereis(echo) == undefined andalso
                register(echo, spawn(fun L() -> receive {From, T} -> From ! T, L() end end)), ok";
    beam.eval(echo).await?;
    let own = process.pid().clone();
    let peer = name_of(beam)?;
    let sent = process.send(("echo", &peer), term!({(own), (term)}));
    timeout(PATIENCE, sent).await.context("not sent")??;
    let got = timeout(PATIENCE, process.recv()).await.context("nothing came back")?;
    Ok(got.context("the process was ended")?.term)
}

/// What is logged on this thread, which in a test is all but what blocks.
pub(crate) struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
}

struct Writer(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn new() -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let written = text.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || Writer(written.clone()))
            .finish();
        Self { text, _guard: tracing::subscriber::set_default(subscriber) }
    }

    pub(crate) fn text(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits until something is in it.
    pub(crate) async fn says(&self, what: &str) -> Result<()> {
        eventually(SOON, "a line of the log", async || {
            let text = self.text();
            ensure!(text.contains(what), "{what:?} is not in:\n{text}");
            Ok(())
        })
        .await
    }
}

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The client's side of TLS by hand, with this certificate.
pub(crate) fn client(identity: &Identity) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    client_of(
        identity,
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?,
    )
}

fn client_of(
    identity: &Identity,
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(&identity.ca)? {
        roots.add(root?)?;
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&identity.cert)?.collect();
    let key = PrivateKeyDer::from_pem_file(&identity.key)?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_client_auth_cert(chain?, key)?))
}

/// The same with TLS 1.2 only, and AES in the first place.
pub(crate) fn old_client(identity: &Identity) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    client_of(
        identity,
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])?,
    )
}

/// The first message of such a client.
pub(crate) fn client_hello(identity: &Identity) -> Result<Vec<u8>> {
    let name = ServerName::try_from("127.0.0.1")?;
    let mut connection = ClientConnection::new(client(identity)?, name)?;
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes)?;
    Ok(bytes)
}

/// A TLS connection to a node, on which nothing was said yet.
pub(crate) async fn secured(node: &Node, identity: &Identity) -> Result<TlsStream<TcpStream>> {
    secured_by(node, client(identity)?).await
}

/// The same, with what the client speaks.
pub(crate) async fn secured_by(
    node: &Node,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>> {
    let addr = node.listen_addr().context("the node does not listen")?;
    let stream = TcpStream::connect(addr).await?;
    let name = ServerName::try_from("127.0.0.1")?;
    Ok(TlsConnector::from(config).connect(name, stream).await?)
}

/// One that is past the handshake of distribution.
pub(crate) async fn established(
    node: &Node,
    identity: &Identity,
    name: &str,
    cookie: &str,
) -> Result<TlsStream<TcpStream>> {
    let mut stream = secured(node, identity).await?;
    let (name, cookie): (NodeName, _) = (name.parse()?, Cookie::new(cookie)?);
    let local = Local { name: &name, flags: Flags::OFFERED, creation: 7, cookie: &cookie };
    let mut packets = Packets::new(Prefix::Four);
    let (state, first) = Initiator::start(local, node.name());
    stream.write_all(&packets.frame(&first)).await?;
    let status = packet(&mut stream, &mut packets).await?;
    let StatusOutcome::Continue(state) = state.on_status(&status)? else {
        anyhow::bail!("another status");
    };
    let challenge = packet(&mut stream, &mut packets).await?;
    let (state, reply) = state.on_challenge(&challenge, 1)?;
    stream.write_all(&packets.frame(&reply)).await?;
    let ack = packet(&mut stream, &mut packets).await?;
    state.on_ack(&ack)?;
    Ok(stream)
}

async fn packet(stream: &mut TlsStream<TcpStream>, packets: &mut Packets) -> Result<Vec<u8>> {
    loop {
        if let Some(packet) = packets.next_packet()? {
            return Ok(packet);
        }
        let mut bytes = [0; 1024];
        let count = timeout(SOON, stream.read(&mut bytes)).await.context("no answer")??;
        ensure!(count > 0, "the node closed the connection");
        packets.feed(&bytes[..count]);
    }
}
