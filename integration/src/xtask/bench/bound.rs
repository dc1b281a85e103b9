//! How fast any answer can be: a thread that does nothing but answer calls, on a socket of its own.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use anyhow::Result;
use dist::NodeName;
use dist::etf::{Atom, Pid, Term, term};
use integration::raw_peer::{self, frame, read};
use integration::{Beam, RawPeer, World};

/// Whether the thread sleeps until something comes, or looks without end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Asleep,
    Looking,
}

/// Lets a thread answer the calls of `beam` to the node `name`, until the connection ends.
pub(super) async fn answer(world: &World, beam: &Beam, name: &str, wait: Wait) -> Result<()> {
    let node: NodeName = beam.name().parse()?;
    let port: u16 = beam
        .eval("[N, _] = string:tokens(atom_to_list(node()), \"@\"), {port, P, _} = erl_epmd:port_please(N, {127,0,0,1}), P")
        .await?
        .parse()?;
    let addr = ([127, 0, 0, 1], port).into();
    let peer = RawPeer::connect_at(addr, &node, name, &world.cookie, raw_peer::PLAIN).await?;
    let socket = peer.into_std()?;
    socket.set_nonblocking(wait == Wait::Looking)?;
    let me = Pid { node: Atom::new(name)?, id: 1, serial: 0, creation: 7 };
    std::thread::spawn(move || serve(socket, &me));
    Ok(())
}

fn serve(mut socket: TcpStream, me: &Pid) -> Result<()> {
    let mut unread = Vec::new();
    let mut room = vec![0; 64 * 1024];
    loop {
        let count = match socket.read(&mut room) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        };
        unread.extend_from_slice(&room[..count]);
        let (mut used, mut answers) = (0, Vec::new());
        while let Some((length, rest)) = unread[used..].split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(*length))?;
            let Some(bytes) = rest.get(..length) else { break };
            used += 4 + length;
            if length == 0 {
                answers.extend_from_slice(&[0; 4]);
            } else if let (_, Some(payload)) = read(bytes)?
                && let Some(answer) = reply(payload, me)
            {
                answers.extend_from_slice(&u32::try_from(answer.len())?.to_be_bytes());
                answers.extend_from_slice(&answer);
            }
        }
        unread.drain(..used);
        socket.write_all(&answers)?;
    }
}

/// The frame that answers a call; nothing for any other message.
fn reply(message: Term, me: &Pid) -> Option<Vec<u8>> {
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
    Some(frame(&control, Some(&Term::Tuple(vec![tag, term!(pong)]))))
}
