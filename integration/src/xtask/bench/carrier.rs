//! What anybody could reach with calls and a large binary on the same connection: threads that carry the binary each
//! way, a fragment at a time, answer calls in between, and do nothing else.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use dist::Flags;
use dist::etf::{Atom, Pid, Term, encode, term};
use integration::raw_peer::Fragments;
use integration::{Beam, World, unique};

use super::bound::{dial, fragments, pid, reply, start, write};
use super::large::make;

/// How much is read at once.
const ROOM: usize = 64 * 1024;

/// Connects to `beam` as another end of `large.erl`. The end's name.
pub(super) async fn carry(world: &World, beam: &Beam) -> Result<String> {
    let name = format!("{}@127.0.0.1", unique("carrier"));
    let socket = dial(world, beam, &name, Flags::OFFERED).await?;
    let me = pid(&name)?;
    let lane = Arc::new(Lane { socket: socket.try_clone()?, state: Mutex::default() });
    std::thread::spawn(move || serve(socket, &me, &lane));
    Ok(name)
}

/// The way to the BEAM node.
struct Lane {
    socket: TcpStream,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// A term is on its way: its thread writes.
    busy: bool,
    /// What it has to write before its next fragment.
    waiting: Vec<u8>,
}

impl Lane {
    /// Sends a short message: at once, or before the next fragment.
    fn send(&self, message: &[u8]) -> Result<()> {
        let mut state = self.state();
        if state.busy {
            state.waiting.extend_from_slice(message);
            return Ok(());
        }
        Ok((&self.socket).write_all(message)?)
    }

    /// Sends a term, and what is to be sent meanwhile.
    fn carry(&self, from: Term, tag: &Term, term: &[u8]) -> Result<()> {
        let mut socket = self.socket.try_clone()?;
        self.state().busy = true;
        for (head, part) in fragments(&start(from, tag)?, term)? {
            let before = std::mem::take(&mut self.state().waiting);
            write(&mut socket, &[&before, &head, part])?;
        }
        let mut state = self.state();
        state.busy = false;
        Ok(socket.write_all(&std::mem::take(&mut state.waiting))?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(socket: TcpStream, me: &Pid, lane: &Arc<Lane>) -> Result<()> {
    let mut socket = BufReader::with_capacity(ROOM, socket);
    let (mut all, mut frame) = (Fragments::default(), Vec::new());
    // What was made to be sent, encoded, and what came and is kept.
    let (mut ready, mut _kept) = (Vec::new(), None);
    loop {
        let mut length = [0; 4];
        socket.read_exact(&mut length)?;
        frame.resize(usize::try_from(u32::from_be_bytes(length))?, 0);
        socket.read_exact(&mut frame)?;
        if frame.is_empty() {
            lane.send(&[0; 4])?;
            continue;
        }
        let Some(payload) = all.take(&frame)?.1 else { continue };
        if let Some((control, reply)) = reply(payload.clone(), me) {
            lane.send(&message(&control, &reply)?)?;
            continue;
        }
        let Some([from, tag, request, rest @ ..]) = payload.as_tuple() else { continue };
        let (from, tag) = (from.clone(), tag.clone());
        match (request.as_atom().map(Atom::as_str), rest) {
            (Some("send"), _) => {
                let (lane, term) = (lane.clone(), std::mem::take(&mut ready));
                std::thread::spawn(move || lane.carry(from, &tag, &term));
                continue;
            }
            (Some("prepare"), [what]) => {
                ready = encode(&make(what))?.into_bytes().split_off(1).to_vec()
            }
            (Some("take"), [term]) => _kept = Some(term.clone()),
            (Some("drop"), _) => _kept = None,
            // Of others than `large.erl`.
            _ => continue,
        }
        let control = Term::Tuple(vec![Term::Int(2), Term::atom(""), from]);
        lane.send(&message(&control, &Term::Tuple(vec![tag, term!(ok)]))?)?;
    }
}

/// A frame with a header that has no atoms.
fn message(control: &Term, payload: &Term) -> Result<Vec<u8>> {
    let parts = [encode(control)?.into_bytes(), encode(payload)?.into_bytes()];
    let [control, payload] = parts.each_ref().map(|part| part.get(1..));
    let (control, payload) = (control.context("a term")?, payload.context("a term")?);
    let length = u32::try_from(3 + control.len() + payload.len())?;
    Ok([&length.to_be_bytes()[..], &[131, 68, 0], control, payload].concat())
}
