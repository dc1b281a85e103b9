//! A peer that shakes hands properly and then sends whatever a test wants: for what no BEAM node
//! would send.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes};
use dist::etf::{Atom, Decoder, Encoder, Limits, Term};
use dist::handshake::{Established, Initiator, Local, Packets, Prefix, StatusOutcome};
use dist::{Cookie, Flags, Node, NodeName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a node offers, but for headers and fragments: [`frame`] and [`read`] know none.
pub const PLAIN: Flags =
    Flags::OFFERED.without(Flags::DIST_HDR_ATOM_CACHE).without(Flags::FRAGMENTS);

/// The creation that a peer says it has.
pub const CREATION: u32 = 7;

/// A connection to a Rust node, past the handshake.
#[derive(Debug)]
pub struct RawPeer {
    stream: TcpStream,
    unread: Vec<u8>,
    /// What the handshake settled.
    pub established: Established,
}

impl RawPeer {
    /// Connects to `node` as `name`, offering `flags`.
    ///
    /// # Errors
    /// When the node does not let the peer in.
    pub async fn connect(node: &Node, name: &str, cookie: &str, flags: Flags) -> Result<Self> {
        let addr = node.listen_addr().context("the node does not listen")?;
        Self::connect_at(addr, node.name(), name, cookie, flags).await
    }

    /// As [`RawPeer::connect`], to a node called `to` that listens at `addr`.
    ///
    /// # Errors
    /// As [`RawPeer::connect`].
    pub async fn connect_at(
        addr: SocketAddr,
        to: &NodeName,
        name: &str,
        cookie: &str,
        flags: Flags,
    ) -> Result<Self> {
        let mut stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let name: NodeName = name.parse()?;
        let cookie = Cookie::new(cookie)?;
        let local = Local { name: &name, flags, creation: CREATION, cookie: &cookie };
        let mut packets = Packets::new(Prefix::Two);
        let (state, first) = Initiator::start(local, to);
        stream.write_all(&packets.frame(&first)).await?;
        let status = packet(&mut stream, &mut packets).await?;
        let state = match state.on_status(&status)? {
            StatusOutcome::Continue(state) => state,
            StatusOutcome::Alive(question) => {
                let (state, answer) = question.answer(true);
                stream.write_all(&packets.frame(&answer)).await?;
                state.context("true is an answer")?
            }
            other => bail!("the status is {other:?}"),
        };
        let challenge = packet(&mut stream, &mut packets).await?;
        let (state, reply) = state.on_challenge(&challenge, 1)?;
        stream.write_all(&packets.frame(&reply)).await?;
        let ack = packet(&mut stream, &mut packets).await?;
        let established = state.on_ack(&ack)?;
        Ok(Self { stream, unread: packets.into_rest(), established })
    }

    /// The socket, with nothing read from it that was not used.
    ///
    /// # Errors
    /// When something was, or the socket cannot be had back.
    pub fn into_std(self) -> Result<std::net::TcpStream> {
        ensure!(self.unread.is_empty(), "frames were read already");
        Ok(self.stream.into_std()?)
    }

    /// Sends a frame: the bytes behind the length.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn send(&mut self, frame: &[u8]) -> Result<()> {
        let length = u32::try_from(frame.len())?;
        self.stream.write_all(&length.to_be_bytes()).await?;
        Ok(self.stream.write_all(frame).await?)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// The next frame that is no tick; `None` when the node closed the connection.
    ///
    /// # Errors
    /// When nothing comes.
    pub async fn receive(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            match self.receive_any().await? {
                Some(frame) if frame.is_empty() => {}
                frame => return Ok(frame),
            }
        }
    }

    /// The next frame, a tick being an empty one; `None` when the node closed the connection.
    ///
    /// # Errors
    /// When nothing comes.
    pub async fn receive_any(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some((length, rest)) = self.unread.split_first_chunk::<4>() {
                let length = usize::try_from(u32::from_be_bytes(*length))?;
                if rest.len() >= length {
                    let frame = rest[..length].to_vec();
                    self.unread.drain(..4 + length);
                    return Ok(Some(frame));
                }
            }
            let mut bytes = [0; 16 * 1024];
            match timeout(PATIENCE, self.stream.read(&mut bytes)).await {
                Err(_) => bail!("the node sent nothing for {PATIENCE:?}"),
                // A reset is a close by somebody who had not read everything.
                Ok(Ok(0) | Err(_)) => return Ok(None),
                Ok(Ok(count)) => self.unread.extend_from_slice(&bytes[..count]),
            }
        }
    }

    /// Waits until the node closes the connection.
    ///
    /// # Errors
    /// When it does not.
    pub async fn closed(&mut self) -> Result<()> {
        while self.receive().await?.is_some() {}
        Ok(())
    }
}

/// A frame of a control tuple and maybe a payload, without a distribution header.
///
/// # Panics
/// When a term has no external form.
pub fn frame(control: &Term, payload: Option<&Term>) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.bytes(&[112]);
    encoder.version();
    encoder.term(control).expect("a control tuple");
    if let Some(payload) = payload {
        encoder.version();
        encoder.term(payload).expect("a payload");
    }
    encoder.finish().into_bytes().to_vec()
}

/// The control tuple and the payload of a frame.
///
/// # Errors
/// When it is not in the form of [`frame`].
pub fn read(frame: &[u8]) -> Result<(Term, Option<Term>)> {
    let (first, rest) = frame.split_first().context("an empty frame")?;
    ensure!(*first == 112, "the frame starts with {first}");
    let bytes = Bytes::copy_from_slice(rest);
    let limits = Limits::default();
    let mut decoder = Decoder::new(&bytes, &[], &limits);
    let control = decoder.term_with_version()?;
    let payload = if decoder.is_empty() { None } else { Some(decoder.term_with_version()?) };
    Ok((control, payload))
}

async fn packet(stream: &mut TcpStream, packets: &mut Packets) -> Result<Vec<u8>> {
    loop {
        if let Some(packet) = packets.next_packet()? {
            return Ok(packet);
        }
        let mut bytes = [0; 1024];
        let count = timeout(PATIENCE, stream.read(&mut bytes)).await.context("no answer")??;
        ensure!(count > 0, "the node closed the connection during the handshake");
        packets.feed(&bytes[..count]);
    }
}

/// What a peer that negotiated headers and fragments has read so far.
#[derive(Debug, Default)]
pub struct Fragments {
    slots: HashMap<(u8, u8), Atom>,
    sequences: HashMap<u64, (u64, Vec<Atom>, Vec<u8>)>,
}

impl Fragments {
    /// How many messages have begun and not ended.
    pub fn in_progress(&self) -> usize {
        self.sequences.len()
    }

    /// Takes a frame: the sequence that it is of, if it is a fragment, and the payload of the message
    /// that is whole with it.
    ///
    /// # Errors
    /// When it is not what may come.
    pub fn take(&mut self, frame: &[u8]) -> Result<(Option<u64>, Option<Term>)> {
        let mut rest = Bytes::copy_from_slice(frame);
        ensure!(rest.remaining() >= 2 && rest.get_u8() == 131, "not a header");
        let kind = rest.get_u8();
        if kind == 68 {
            let atoms = self.atoms(&mut rest)?;
            return Ok((None, payload(rest, &atoms)?));
        }
        let (sequence, number) = (rest.get_u64(), rest.get_u64());
        if kind == 69 {
            let atoms = self.atoms(&mut rest)?;
            let old = self.sequences.insert(sequence, (number, atoms, rest.to_vec()));
            ensure!(old.is_none() && number > 0, "sequence {sequence} begins twice");
        } else {
            let (next, _, bytes) = self.sequences.get_mut(&sequence).context("no first")?;
            *next -= 1;
            ensure!(*next == number, "{number} came for {next}");
            bytes.extend_from_slice(&rest);
        }
        if number > 1 {
            return Ok((Some(sequence), None));
        }
        let (_, atoms, bytes) = self.sequences.remove(&sequence).context("no first")?;
        Ok((Some(sequence), payload(bytes.into(), &atoms)?))
    }

    fn atoms(&mut self, rest: &mut Bytes) -> Result<Vec<Atom>> {
        let count = usize::from(rest.get_u8());
        if count == 0 {
            return Ok(Vec::new());
        }
        let flags = rest.split_to(count / 2 + 1);
        let half = |at: usize| flags[at / 2] >> (at % 2 * 4) & 15;
        let long = half(count) & 1 != 0;
        (0..count)
            .map(|at| {
                let slot = (half(at) & 7, rest.get_u8());
                if half(at) & 8 != 0 {
                    let length = if long { rest.get_u16().into() } else { rest.get_u8().into() };
                    let text = rest.split_to(length);
                    self.slots.insert(slot, Atom::new(std::str::from_utf8(&text)?)?);
                }
                self.slots.get(&slot).cloned().context("an unset slot")
            })
            .collect()
    }
}

/// What stands behind the control tuple.
fn payload(bytes: Bytes, atoms: &[Atom]) -> Result<Option<Term>> {
    let limits = Limits::default();
    let mut decoder = Decoder::new(&bytes, atoms, &limits);
    decoder.term()?;
    Ok(if decoder.is_empty() { None } else { Some(decoder.term()?) })
}
