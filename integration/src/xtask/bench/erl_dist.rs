//! erl_dist as a peer: its own channel, on a stream that spares it what it would do worst.

use std::io::{Error, ErrorKind, Result as IoResult};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use anyhow::{Context as _, Result, ensure};
use eetf::{Atom, Binary, FixInteger, Pid, Term, Tuple};
use erl_dist::epmd::EpmdClient;
use erl_dist::handshake::{ClientSideHandshake, HandshakeStatus};
use erl_dist::message::{Message, Receiver, Sender, channel};
use erl_dist::node::{Creation, LocalNode};
use futures::io::{AsyncRead, AsyncWrite};
use integration::{Beam, World, unique};
use tokio::net::{TcpListener, TcpStream};

/// What is read at once.
const CHUNK: usize = 64 * 1024;

/// A socket that can be cloned, as erl_dist's channel wants it.
///
/// Bare, the channel would read and write each message in three pieces. So what arrives is
/// buffered, and a message is written when the channel flushes it.
#[derive(Debug)]
pub(super) struct Stream {
    socket: Arc<TcpStream>,
    read: Vec<u8>,
    /// How much of `read` was taken.
    taken: usize,
    written: Vec<u8>,
}

pub(super) type Channel = (Sender<Stream>, Receiver<Stream>);

impl Stream {
    fn new(socket: TcpStream) -> IoResult<Self> {
        socket.set_nodelay(true)?;
        let socket = Arc::new(socket);
        Ok(Self { socket, read: Vec::new(), taken: 0, written: Vec::new() })
    }
}

/// The other half: what is buffered stays with the one that was there.
impl Clone for Stream {
    fn clone(&self) -> Self {
        Self { socket: self.socket.clone(), read: Vec::new(), taken: 0, written: Vec::new() }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<IoResult<usize>> {
        let this = self.get_mut();
        while this.taken == this.read.len() {
            ready!(this.socket.poll_read_ready(context))?;
            this.read.resize(CHUNK, 0);
            this.taken = 0;
            match this.socket.try_read(&mut this.read) {
                Ok(0) => {
                    this.read.clear();
                    return Poll::Ready(Ok(0));
                }
                Ok(count) => this.read.truncate(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => this.read.clear(),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let rest = &this.read[this.taken..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        this.taken += count;
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<IoResult<usize>> {
        self.get_mut().written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<IoResult<()>> {
        let this = self.get_mut();
        while !this.written.is_empty() {
            match this.socket.try_write(&this.written) {
                Ok(0) => return Poll::Ready(Err(Error::from(ErrorKind::WriteZero))),
                Ok(count) => drop(this.written.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(this.socket.poll_write_ready(context))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<IoResult<()>> {
        self.poll_flush(context)
    }
}

/// A connection to a BEAM node, and the name it was made under.
pub(super) async fn dial(world: &World, beam: &Beam) -> Result<(Channel, String)> {
    let (base, _) = beam.name().split_once('@').context("a name without a host")?;
    let epmd = Stream::new(TcpStream::connect(("127.0.0.1", world.port)).await?)?;
    let entry = EpmdClient::new(epmd).get_node(base).await?.context("not in EPMD")?;
    let local =
        LocalNode::new(format!("{}@127.0.0.1", unique("erl_dist")).parse()?, Creation::random());
    let name = local.name.to_string();
    let stream = Stream::new(TcpStream::connect(("127.0.0.1", entry.port)).await?)?;
    let flags = local.flags;
    let mut handshake = ClientSideHandshake::new(stream, local, &world.cookie);
    let status =
        handshake.execute_send_name(erl_dist::LOWEST_DISTRIBUTION_PROTOCOL_VERSION).await?;
    ensure!(status == HandshakeStatus::Ok, "{status:?}");
    let (stream, peer) = handshake.execute_rest(true).await?;
    Ok((channel(stream, flags & peer.flags), name))
}

/// Two ends of a connection over loopback.
pub(super) async fn pair() -> Result<(Channel, Channel)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (dialled, accepted) =
        tokio::try_join!(TcpStream::connect(listener.local_addr()?), listener.accept())?;
    let flags = LocalNode::new("a@b".parse()?, Creation::random()).flags;
    Ok((channel(Stream::new(dialled)?, flags), channel(Stream::new(accepted.0)?, flags)))
}

/// Sends small messages.
pub(super) async fn send(sender: &mut Sender<Stream>, count: usize) -> Result<()> {
    let atom = |name: &str| Term::from(Atom::from(name));
    let event = vec![
        atom("event"),
        Term::from(FixInteger::from(42)),
        Term::from(Binary::from(b"hello".to_vec())),
    ];
    let message = Term::from(Tuple::from(vec![atom("$gen_cast"), Term::from(Tuple::from(event))]));
    let (from, to) = (Pid::new("a@127.0.0.1", 1, 0, 1), Pid::new("b@127.0.0.1", 1, 0, 1));
    for _ in 0..count {
        sender.send(Message::send_sender(from.clone(), to.clone(), message.clone())).await?;
    }
    Ok(())
}

/// Receives messages.
pub(super) async fn receive(receiver: &mut Receiver<Stream>, count: usize) -> Result<()> {
    let mut left = count;
    while left > 0 {
        match receiver.recv().await? {
            Message::SendSender(_) | Message::Send(_) | Message::RegSend(_) => left -= 1,
            // Ticks, and what a BEAM node tells a new neighbour.
            _ => {}
        }
    }
    Ok(())
}
