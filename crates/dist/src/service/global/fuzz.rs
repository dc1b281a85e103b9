//! Words of other nodes' `global`, and of what else happens to ours.

use std::collections::VecDeque;
use std::time::Duration;

use etf::{Atom, Pid, Term};

use super::machine::{Command, Effect, Event, Machine, Now, Settings};
use crate::fuzz::{parts, term};

/// What happens to `global` with two other nodes, one thing after the other: a byte that says what and
/// of which node, and a term.
pub fn global(data: &[u8]) {
    let own = Atom::from_static("us@h");
    let pid = |id| Pid { node: own.clone(), id, serial: 0, creation: 4 };
    let settings =
        Settings { own: own.clone(), pid: pid(1), node_pid: pid(2), prevent: true, seed: 1 };
    let mut machine = Machine::new(settings);
    let mut now = Now::ZERO;
    // What waits for an answer, and whose end is waited for.
    let (mut waiting, mut watched) = (VecDeque::new(), Vec::new());
    let mut command = 0;
    for part in parts(data) {
        let Some((&what, rest)) = part.split_first() else { continue };
        let node = Atom::from_static(if what & 0x80 == 0 { "a@h" } else { "b@h" });
        let said = term(rest);
        let event = match (what & 0x7f, said) {
            (0, _) => Event::Up(node),
            (1, _) => Event::Down(node),
            (2, Some(message)) => Event::Message { peer: node, message },
            (3, _) => {
                now = machine.deadline().unwrap_or(now).max(now);
                Event::Tick
            }
            (4, reply) => match waiting.pop_front() {
                Some(Effect::Call { id, .. }) => Event::Called { id, reply },
                Some(Effect::Join { node }) => Event::Joined { node, connected: reply.is_some() },
                Some(Effect::Resolve { ticket, .. }) => Event::Settled { ticket, result: reply },
                _ => continue,
            },
            (5, Some(name)) => {
                command += 1;
                let (pid, method) = (pid(3), super::ConflictMethod::default().to_term());
                let command_ = Command::Register { name, pid, method, again: false };
                Event::Command { id: command, command: command_ }
            }
            (6, Some(name)) => {
                command += 1;
                Event::Command { id: command, command: Command::Unregister { name } }
            }
            (7, _) => {
                command += 1;
                Event::Command { id: command, command: Command::Sync }
            }
            (8, _) => match watched.pop() {
                Some(id) => Event::Ended(id),
                None => continue,
            },
            (_, Some(message)) => Event::Message { peer: own.clone(), message },
            _ => continue,
        };
        now += Duration::from_millis(1);
        for effect in machine.handle(now, event) {
            if let Some(message) = sent(&effect) {
                assert!(etf::encode(message).is_ok(), "{message} has no external form");
            }
            match effect {
                Effect::Watch { id, .. } => watched.push(id),
                Effect::Call { .. } | Effect::Join { .. } | Effect::Resolve { .. } => {
                    waiting.push_back(effect);
                }
                _ => {}
            }
        }
    }
}

fn sent(effect: &Effect) -> Option<&Term> {
    match effect {
        Effect::Send { message, .. } | Effect::SendPid { message, .. } => Some(message),
        Effect::Reply { reply, .. } => Some(reply),
        Effect::Call { request, .. } => Some(request),
        _ => None,
    }
}
