//! What anybody could reach with `erpc`: a thread that does nothing but call, for many callers at once, on a socket of
//! its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use dist::etf::{Pid, Reference, Term, term};
use integration::raw_peer::{self, frame, read};
use integration::{Beam, World, unique};
use tokio::task::spawn_blocking;

use super::bound::{PAUSE, Wait, dial, pid};

/// A connection on which a thread calls.
pub(super) struct Asker {
    socket: TcpStream,
    me: Pid,
    wait: Wait,
}

impl Asker {
    /// Connects to a BEAM node.
    pub(super) async fn connect(world: &World, beam: &Beam, wait: Wait) -> Result<Self> {
        let name = format!("{}@127.0.0.1", unique("asker"));
        let socket = dial(world, beam, &name, raw_peer::PLAIN).await?;
        Ok(Self { socket, me: pid(&name)?, wait })
    }

    /// What each call took, in µs: as many callers at once, each with its share of the calls.
    pub(super) async fn calls(self, callers: usize, calls: usize) -> Result<(Self, Vec<f64>)> {
        spawn_blocking(move || self.calls_here(callers, calls)).await?
    }

    fn calls_here(mut self, callers: usize, calls: usize) -> Result<(Self, Vec<f64>)> {
        let share = (calls / callers).max(1);
        let mut waiting: Vec<Caller> = Vec::new();
        let mut requests = Vec::new();
        for number in 0..callers {
            let request = request(&self.me, number)?;
            requests.extend_from_slice(&request);
            waiting.push(Caller { request, since: Instant::now(), left: share });
        }
        self.socket.write_all(&requests)?;
        let (mut times, mut unread) = (Vec::new(), Vec::new());
        let mut room = vec![0; 64 * 1024];
        while times.len() < share * callers {
            let count = self.socket.read(&mut room)?;
            ensure!(count > 0, "the connection was closed");
            unread.extend_from_slice(&room[..count]);
            let mut used = 0;
            requests.clear();
            while let Some((length, rest)) = unread[used..].split_first_chunk::<4>() {
                let length = usize::try_from(u32::from_be_bytes(*length))?;
                let Some(bytes) = rest.get(..length) else { break };
                used += 4 + length;
                if length == 0 {
                    requests.extend_from_slice(&[0; 4]);
                    continue;
                }
                let Some(number) = returned(bytes)? else { continue };
                let caller = waiting.get_mut(number).context("no such caller")?;
                times.push(caller.since.elapsed().as_secs_f64() * 1e6);
                caller.left -= 1;
                if caller.left > 0 {
                    caller.since = Instant::now();
                    requests.extend_from_slice(&caller.request);
                }
            }
            unread.drain(..used);
            self.socket.write_all(&requests)?;
            if self.wait == Wait::Pausing {
                std::thread::sleep(PAUSE);
            }
        }
        Ok((self, times))
    }
}

/// One of those who call.
struct Caller {
    /// The frame that asks.
    request: Vec<u8>,
    since: Instant,
    left: usize,
}

/// The frame that asks for a process which calls `erlang:abs(-1)`, and for its end.
fn request(me: &Pid, number: usize) -> Result<Vec<u8>> {
    let tag = Reference::new(me.node.clone(), me.creation, &[u32::try_from(number)?, 1, 1])?;
    let tag = Term::Reference(tag);
    let me = Term::Pid(me.clone());
    let spawn = term!({erpc, execute_call, 4});
    let options = term!([monitor]);
    let control = Term::Tuple(vec![Term::Int(29), tag.clone(), me.clone(), me, spawn, options]);
    let arguments = Term::List(vec![tag, term!(erlang), term!(abs), term!([-1])]);
    let frame = frame(&control, Some(&arguments));
    Ok([&u32::try_from(frame.len())?.to_be_bytes()[..], &frame].concat())
}

/// Whose process has ended; nobody's where the message says something else.
fn returned(frame: &[u8]) -> Result<Option<usize>> {
    let (control, payload) = read(frame)?;
    let Some([Term::Int(28), _, _, Term::Reference(tag)]) = control.as_tuple() else {
        return Ok(None);
    };
    let reason = payload.context("an end without a reason")?;
    let returned = reason.as_tuple().and_then(|reason| reason.get(2));
    ensure!(returned == Some(&Term::Int(1)), "{reason}");
    let number = tag.words().first().context("a reference of no words")?;
    Ok(Some(usize::try_from(*number)?))
}
