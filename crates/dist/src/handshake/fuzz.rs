//! Handshakes with a peer that says anything.

use super::digest::Digest;
use super::{
    Acceptor, AliveAnswer, Established, Initiator, Local, NameReceived, Next, Packets, Prefix,
    Status, StatusOutcome,
};
use crate::{Cookie, Flags, NodeName};

/// Our challenge: any number.
const CHALLENGE: u32 = 7;
/// Bits of the first byte. With this one a digest is put in its place that is right, which no fuzzer finds.
const KNOWS_COOKIE: u8 = 0x80;
const ANONYMOUS: u8 = 0x40;

/// A peer that dials us: what it sends behind a first byte that says how we answer.
pub fn acceptor(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else { return };
    let cookie = cookie();
    let us = name("us@h");
    let local = Local { name: &us, flags: Flags::OFFERED, creation: 4, cookie: &cookie };
    let mut messages = messages(data);
    let Some(first) = messages.next() else { return };
    let mut state = match Acceptor::new(local).on_name(&first) {
        Ok(NameReceived::Named(peer)) => match choice & 3 {
            0 => peer.accept(Status::Ok, CHALLENGE).0,
            1 => peer.accept(Status::OkSimultaneous, CHALLENGE).0,
            _ => {
                let (state, _) = peer.alive();
                let Some(answer) = messages.next() else { return };
                let Ok(AliveAnswer::Accepted(state)) = state.on_answer(&answer) else { return };
                state.challenge(CHALLENGE).0
            }
        },
        Ok(NameReceived::Anonymous(peer)) => {
            let given = peer.candidate(u64::MAX >> (choice & 63));
            assert!(NodeName::new(given.as_str()).is_ok(), "{given} is no name");
            peer.accept(given, 4, CHALLENGE).0
        }
        Err(error) => return drop(error.to_string()),
    };
    for mut message in messages {
        sign(&mut message, choice, 5);
        state = match state.on_message(&message) {
            Ok(Next::More(next)) => next,
            Ok(Next::Done { established, .. }) => return check(&established, choice),
            Err(error) => return drop(error.to_string()),
        };
    }
}

/// A peer that we dial, likewise.
pub fn initiator(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else { return };
    let (cookie, peer) = (cookie(), name("peer@h"));
    let state = if choice & ANONYMOUS == 0 {
        let us = name("us@h");
        let local = Local { name: &us, flags: Flags::OFFERED, creation: 4, cookie: &cookie };
        Initiator::start(local, &peer).0
    } else {
        let Ok((state, _)) = Initiator::start_dynamic("h", Flags::OFFERED, &cookie, &peer) else {
            return;
        };
        state
    };
    let mut messages = messages(data);
    let Some(status) = messages.next() else { return };
    let state = match state.on_status(&status) {
        Ok(StatusOutcome::Continue(state) | StatusOutcome::Named { next: state, .. }) => state,
        Ok(StatusOutcome::Alive(question)) => match question.answer(choice & 1 == 0).0 {
            Some(state) => state,
            None => return,
        },
        Ok(StatusOutcome::Nok) => return,
        Err(error) => return drop(error.to_string()),
    };
    let Some(challenge) = messages.next() else { return };
    let state = match state.on_challenge(&challenge, CHALLENGE) {
        Ok((state, _)) => state,
        Err(error) => return drop(error.to_string()),
    };
    let Some(mut ack) = messages.next() else { return };
    sign(&mut ack, choice, 1);
    match state.on_ack(&ack) {
        Ok(established) => {
            assert_eq!(established.peer, peer, "another peer than the one dialled");
            check(&established, choice);
        }
        Err(error) => drop(error.to_string()),
    }
}

fn check(established: &Established, choice: u8) {
    assert!(choice & KNOWS_COOKIE != 0, "a peer that does not know the cookie");
    assert!(established.peer_flags.missing_names(Flags::MANDATORY).is_empty());
    assert!(NodeName::new(established.peer.as_str()).is_ok());
    assert!(NodeName::new(established.local.as_str()).is_ok());
}

/// Puts the right digest into a message that ends with one.
fn sign(message: &mut [u8], choice: u8, at: usize) {
    if choice & KNOWS_COOKIE != 0
        && let Some(digest) = message.get_mut(at..)
        && digest.len() == 16
    {
        digest.copy_from_slice(Digest::new(&cookie(), CHALLENGE).bytes());
    }
}

fn messages(data: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let (mut packets, mut portions) = (Packets::new(Prefix::Two), data.chunks(7));
    std::iter::from_fn(move || {
        loop {
            if let Some(message) = packets.next_packet().ok()? {
                return Some(message);
            }
            packets.feed(portions.next()?);
        }
    })
}

#[expect(clippy::expect_used, reason = "a constant that is a cookie")]
fn cookie() -> Cookie {
    Cookie::new("secret").expect("a cookie")
}

#[expect(clippy::expect_used, reason = "a constant that is a name")]
fn name(name: &str) -> NodeName {
    name.parse().expect("a name")
}
