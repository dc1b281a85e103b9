//! What anybody could reach: threads that do nothing but answer calls, read or write, each on a socket of
//! its own.

use std::io::{IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use dist::etf::{Atom, Pid, Term, encode, term};
use dist::{Flags, NodeName};
use integration::raw_peer::{self, Fragments, frame, read};
use integration::{Beam, RawPeer, World, unique};
use socket2::SockRef;
use tokio::task::{JoinHandle, spawn_blocking};

use super::sample;

/// Whether the thread sleeps until something comes, or first leaves the socket alone for a moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Asleep,
    Pausing,
}

/// What a pause takes at least; with the slack of the kernel it is about twice as long.
pub(super) const PAUSE: Duration = Duration::from_micros(50);

/// Lets a thread answer the calls of `beam` to the node `name`, until the connection ends.
pub(super) async fn answer(world: &World, beam: &Beam, name: &str, wait: Wait) -> Result<()> {
    let socket = dial(world, beam, name, raw_peer::PLAIN).await?;
    let me = pid(name)?;
    std::thread::spawn(move || serve(socket, &me, wait));
    Ok(())
}

/// A process of the node `name`.
pub(super) fn pid(name: &str) -> Result<Pid> {
    Ok(Pid { node: Atom::new(name)?, id: 1, serial: 0, creation: raw_peer::CREATION })
}

/// A connection as `name`, whose reads and writes block.
pub(super) async fn dial(
    world: &World,
    beam: &Beam,
    name: &str,
    flags: Flags,
) -> Result<TcpStream> {
    let node: NodeName = beam.name().parse()?;
    let port: u16 = beam
        .eval("[N, _] = string:tokens(atom_to_list(node()), \"@\"), {port, P, _} = erl_epmd:port_please(N, {127,0,0,1}), P")
        .await?
        .parse()?;
    let addr = ([127, 0, 0, 1], port).into();
    let peer = RawPeer::connect_at(addr, &node, name, &world.cookie, flags).await?;
    let socket = peer.into_std()?;
    socket.set_nonblocking(false)?;
    // As our links do: what answers is not to wait behind megabytes.
    SockRef::from(&socket).set_tcp_notsent_lowat(128 * 1024)?;
    Ok(socket)
}

/// A connection from which a thread reads.
pub(super) struct Reader {
    pub(super) name: String,
    socket: TcpStream,
}

/// What a [`Reader`] does with what it reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    /// Copies it into memory that it has not used before.
    Keep,
}

/// How much a [`Reader`] reads.
#[derive(Clone, Copy)]
pub(super) enum Much {
    Frames(usize),
    Bytes(usize),
}

/// What a [`Reader`] has done.
pub(super) struct Done {
    pub(super) reader: Reader,
    pub(super) at: SystemTime,
    /// The CPU time that its thread took, in ns.
    pub(super) cpu: f64,
}

impl Reader {
    /// Connects to a BEAM node, which sends it frames as it sends them to ours.
    pub(super) async fn connect(world: &World, beam: &Beam) -> Result<Self> {
        let name = format!("{}@127.0.0.1", unique("reader"));
        Ok(Self { socket: dial(world, beam, &name, Flags::OFFERED).await?, name })
    }

    /// Reads on a thread, until so much has come.
    pub(super) fn read(self, much: Much, then: Then) -> JoinHandle<Result<Done>> {
        spawn_blocking(move || self.read_here(much, then))
    }

    fn read_here(mut self, much: Much, then: Then) -> Result<Done> {
        // A tick: a node that hears nothing for a minute gives the connection up.
        self.socket.write_all(&[0; 4])?;
        let before = sample::cpu_of_thread()?;
        let (mut room, mut kept) = (vec![0; 64 * 1024], Vec::new());
        let (mut bytes, mut frames) = (0, 0);
        // How much of the frame that is being read is missing, and what there is of the next length.
        let (mut missing, mut length) = (0, Vec::new());
        while match much {
            // To the end of the last one, so that the next round begins with a length.
            Much::Frames(wanted) => frames < wanted || missing > 0,
            Much::Bytes(wanted) => bytes < wanted,
        } {
            let count = self.socket.read(&mut room)?;
            ensure!(count > 0, "the connection was closed");
            bytes += count;
            let mut rest = &room[..count];
            if then == Then::Keep {
                kept.extend_from_slice(rest);
            }
            while !rest.is_empty() {
                let taken = missing.min(rest.len());
                (missing, rest) = (missing - taken, &rest[taken..]);
                while missing == 0 && !rest.is_empty() {
                    length.push(rest[0]);
                    rest = &rest[1..];
                    if let Ok(whole) = <[u8; 4]>::try_from(&length[..]) {
                        length.clear();
                        missing = usize::try_from(u32::from_be_bytes(whole))?;
                        frames += usize::from(missing > 0);
                    }
                }
            }
        }
        let cpu = sample::cpu_of_thread()? - before;
        Ok(Done { reader: self, at: SystemTime::now(), cpu })
    }
}

/// A connection on which a thread answers the request for a large term (see `large.erl`).
pub(super) struct Writer {
    pub(super) name: String,
    socket: TcpStream,
}

/// How much of a message a fragment has.
const FRAGMENT: usize = 64 * 1024;

impl Writer {
    /// Connects to a BEAM node, which takes messages in fragments.
    pub(super) async fn connect(world: &World, beam: &Beam) -> Result<Self> {
        let name = format!("{}@127.0.0.1", unique("writer"));
        Ok(Self { socket: dial(world, beam, &name, Flags::OFFERED).await?, name })
    }

    /// Answers one request, on a thread, with a term that is encoded already, but for the 131.
    pub(super) fn answer(self, term: Vec<u8>) -> JoinHandle<Result<()>> {
        spawn_blocking(move || self.answer_here(&term))
    }

    fn answer_here(mut self, term: &[u8]) -> Result<()> {
        let [from, tag, _] = self.request()?;
        let start = start(from, &tag)?;
        for (head, part) in fragments(&start, term)? {
            write(&mut self.socket, &[&head, part])?;
        }
        Ok(())
    }

    /// Reads up to the first message that is a tuple of three.
    fn request(&mut self) -> Result<[Term; 3]> {
        let mut fragments = Fragments::default();
        loop {
            let mut length = [0; 4];
            self.socket.read_exact(&mut length)?;
            let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length))?];
            self.socket.read_exact(&mut frame)?;
            if frame.is_empty() {
                continue;
            }
            let (_, payload) = fragments.take(&frame)?;
            let fields = payload.and_then(|term| term.into_tuple().ok());
            if let Some(Ok(request)) = fields.map(<[Term; 3]>::try_from) {
                return Ok(request);
            }
        }
    }
}

/// The control tuple that sends to `from`, and the start of a pair of the tag and a term.
pub(super) fn start(from: Term, tag: &Term) -> Result<Vec<u8>> {
    let control = encode(&Term::Tuple(vec![Term::Int(2), Term::atom(""), from]))?.into_bytes();
    let tag = encode(tag)?.into_bytes();
    Ok([&control[1..], &[104, 2], &tag[1..]].concat())
}

/// The fragments of a message with this start and a long rest: what comes before its part of the rest, and that part.
pub(super) fn fragments<'a>(start: &[u8], rest: &'a [u8]) -> Result<Vec<(Vec<u8>, &'a [u8])>> {
    let count = rest.len().div_ceil(FRAGMENT);
    let each = rest.chunks(FRAGMENT).enumerate().map(|(at, part)| {
        let mut head = vec![0; 4];
        head.extend_from_slice(&[131, if at == 0 { 69 } else { 70 }]);
        head.extend_from_slice(&1_u64.to_be_bytes());
        head.extend_from_slice(&u64::try_from(count - at)?.to_be_bytes());
        if at == 0 {
            // No atom stands in the header.
            head.push(0);
            head.extend_from_slice(start);
        }
        let length = u32::try_from(head.len() - 4 + part.len())?.to_be_bytes();
        head[..4].copy_from_slice(&length);
        Ok((head, part))
    });
    each.collect()
}

/// Writes all of these, with one call where that takes them.
pub(super) fn write(socket: &mut TcpStream, parts: &[&[u8]]) -> Result<()> {
    let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut written = socket.write_vectored(&slices)?;
    for part in parts {
        let skipped = written.min(part.len());
        written -= skipped;
        socket.write_all(&part[skipped..])?;
    }
    Ok(())
}

fn serve(mut socket: TcpStream, me: &Pid, wait: Wait) -> Result<()> {
    let mut unread = Vec::new();
    let mut room = vec![0; 64 * 1024];
    loop {
        let count = socket.read(&mut room)?;
        if count == 0 {
            return Ok(());
        }
        unread.extend_from_slice(&room[..count]);
        let (mut used, mut answers) = (0, Vec::new());
        while let Some((length, rest)) = unread[used..].split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(*length))?;
            let Some(bytes) = rest.get(..length) else { break };
            used += 4 + length;
            if length == 0 {
                answers.extend_from_slice(&[0; 4]);
            } else if let (_, Some(payload)) = read(bytes)?
                && let Some((control, reply)) = reply(payload, me)
            {
                let answer = frame(&control, Some(&reply));
                answers.extend_from_slice(&u32::try_from(answer.len())?.to_be_bytes());
                answers.extend_from_slice(&answer);
            }
        }
        unread.drain(..used);
        socket.write_all(&answers)?;
        if wait == Wait::Pausing {
            std::thread::sleep(PAUSE);
        }
    }
}

/// What answers a call; nothing for any other message.
pub(super) fn reply(message: Term, me: &Pid) -> Option<(Term, Term)> {
    let [call, from, _] = <[Term; 3]>::try_from(message.into_tuple().ok()?).ok()?;
    if !call.is_atom("$gen_call") {
        return None;
    }
    let [_, tag] = <[Term; 2]>::try_from(from.into_tuple().ok()?).ok()?;
    let alias = match &tag {
        Term::ImproperList(list) => list.tail().clone(),
        _ => return None,
    };
    let control = Term::Tuple(vec![Term::Int(33), Term::Pid(me.clone()), alias]);
    Some((control, Term::Tuple(vec![tag, term!(pong)])))
}
