//! The side that is dialled.
//!
//! ```text
//!   new ──► Acceptor ──recv N or n──► NameReceived ──flags missing, bad name──► MissingFlags, BadName
//!                                      │        │
//!                             NamedPeer          AnonymousPeer
//!              ┌───────────┬──────┴────┐          │           │
//!          send nok,   send alive   send ok,   send named:  send not_allowed
//!         not_allowed      │        ok_sim.       │           │
//!              │           ▼           │          │        (close)
//!           (close)   AwaitAlive       │          │
//!                      │      │        │          │
//!             recv false  recv true    │          │
//!                      │      ▼        │          │
//!                 (close)  AliveAccepted          │
//!                             └────────┤ send N   │ send N
//!                                      ▼          │
//!            recv c (after n) ┌──► AwaitReply ◄───┘
//!                             └────────┤
//!                                   recv r ──wrong digest──► CookieRefused
//!                                      ▼
//!                            Done: send a, Established
//! ```
//!
//! - recv X, send X: message X comes in, goes out. What to send after the name, [`decide`] says.
//! - A name at the end of a line is the [`HandshakeError`] in which the machine ends. In every state
//!   a message that does not fit ends in `Malformed`.
//!
//! [`decide`]: super::decide()

use super::digest::Digest;
use super::initiator::{latin1, parse_name, shown};
use super::{Established, HandshakeError, Local, Step, message};
use crate::name::{self, NodeNameError};
use crate::{Cookie, Flags, NodeName};

/// The side that is dialled. Begin here.
#[derive(Debug)]
pub struct Acceptor(Us);

/// Who we are, owned.
#[derive(Debug)]
struct Us {
    name: NodeName,
    flags: Flags,
    creation: u32,
    cookie: Cookie,
}

impl Acceptor {
    /// What this state waits for.
    pub const STEP: Step = Step::Name;

    /// Waits for a peer's first message.
    #[must_use]
    pub fn new(local: Local<'_>) -> Self {
        Self(Us {
            name: local.name.clone(),
            flags: local.flags.without(Flags::NAME_ME),
            creation: local.creation,
            cookie: local.cookie.clone(),
        })
    }

    /// Takes the first message: `N`, or the old `n` of OTP 23.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::MissingFlags`] when the peer cannot do what we demand: send it
    /// [`Refusal::NotAllowed`]. [`HandshakeError::BadName`] and [`HandshakeError::Malformed`]: just
    /// close, as OTP does.
    pub fn on_name(self, message: &[u8]) -> Result<NameReceived, HandshakeError> {
        let hello = message::parse_name(message)?;
        let flags = hello.flags.expanded();
        let received = if flags.contains(Flags::NAME_ME) {
            let host = latin1(hello.name);
            check_dynamic_host(&host)
                .map_err(|source| HandshakeError::BadName { name: shown(hello.name), source })?;
            NameReceived::Anonymous(AnonymousPeer { us: self.0, host, flags })
        } else {
            let name = parse_name(hello.name)?;
            NameReceived::Named(NamedPeer { us: self.0, name, flags, creation: hello.creation })
        };
        let missing = flags.missing_names(Flags::MANDATORY);
        if missing.is_empty() { Ok(received) } else { Err(HandshakeError::MissingFlags(missing)) }
    }
}

/// The peer has said who it is. Nothing is proven yet.
#[derive(Debug)]
pub enum NameReceived {
    /// By its name: answer as [`decide`](super::decide()) says.
    Named(NamedPeer),
    /// It has none and asks for one ([`Flags::NAME_ME`]).
    Anonymous(AnonymousPeer),
}

/// A status that turns a peer away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// `nok`: our own attempt to connect counts.
    Nok,
    /// `not_allowed`.
    NotAllowed,
}

impl Refusal {
    /// The message to send before closing.
    #[must_use]
    pub fn message(self) -> Vec<u8> {
        message::status(match self {
            Self::Nok => "nok",
            Self::NotAllowed => "not_allowed",
        })
    }
}

/// A peer that has told its name.
#[derive(Debug)]
pub struct NamedPeer {
    us: Us,
    name: NodeName,
    flags: Flags,
    /// Missing in an old `n`, whose complement brings it.
    creation: Option<u32>,
}

/// A status that lets a peer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// `ok`.
    Ok,
    /// `ok_simultaneous`: this attempt counts, and our own or an earlier one of the peer's is dropped.
    OkSimultaneous,
}

impl NamedPeer {
    /// Who the peer says it is.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// What the peer offers; of an old `n` only the lower 32 flags.
    #[must_use]
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// The peer's creation; `None` for an old `n`, whose complement brings it.
    #[must_use]
    pub fn creation(&self) -> Option<u32> {
        self.creation
    }

    /// Lets the peer in: the status and our challenge, to be sent in one write.
    /// `our_challenge` must be unpredictable.
    #[must_use]
    pub fn accept(self, status: Status, our_challenge: u32) -> (AwaitReply, [Vec<u8>; 2]) {
        let status = message::status(match status {
            Status::Ok => "ok",
            Status::OkSimultaneous => "ok_simultaneous",
        });
        let (next, challenge) = AwaitReply::after(self, our_challenge);
        (next, [status, challenge])
    }

    /// Asks the peer whether to replace the live connection that we have under its name.
    #[must_use]
    pub fn alive(self) -> (AwaitAlive, Vec<u8>) {
        (AwaitAlive(AliveAccepted(self)), message::status("alive"))
    }
}

/// A peer that asks for a name, as `erl -sname undefined` does when it dials.
///
/// We may give it one, as OTP does, or send [`Refusal::NotAllowed`].
#[derive(Debug)]
pub struct AnonymousPeer {
    us: Us,
    host: String,
    flags: Flags,
}

impl AnonymousPeer {
    /// The host that its name must have.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What the peer offers.
    #[must_use]
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// A name made of a random number: 1 to 13 letters and digits before the `@`, as
    /// `generate_node_name` in `net_kernel.erl` makes them. Take one that no peer has.
    #[must_use]
    pub fn candidate(&self, random: u64) -> NodeName {
        NodeName::from_checked(&format!("{}@{}", base36(random), self.host))
    }

    /// Lets the peer in under `name`, a [`candidate`](Self::candidate) that is free, with a
    /// `creation` of 4 or more: the status and our challenge, to be sent in one write.
    #[must_use]
    pub fn accept(
        self,
        name: NodeName,
        creation: u32,
        our_challenge: u32,
    ) -> (AwaitReply, [Vec<u8>; 2]) {
        let status = message::named(name.as_str(), creation);
        // The flag must be set on both sides (`do_setnode` in `dist_util.erl` looks at what was negotiated),
        // and takes the place of PUBLISHED (`publish_flag`).
        let flags = self.us.flags.without(Flags::PUBLISHED).with(Flags::NAME_ME);
        let us = Us { flags, ..self.us };
        let peer = NamedPeer { us, name, flags: self.flags, creation: Some(creation) };
        let (next, challenge) = AwaitReply::after(peer, our_challenge);
        (next, [status, challenge])
    }
}

/// The most bytes of a [`candidate`](AnonymousPeer::candidate) besides its host.
const DYNAMIC_BASE: usize = "3W5E11264SGSF@".len();

fn check_dynamic_host(host: &str) -> Result<(), NodeNameError> {
    name::check_host(host)?;
    let len = host.len() + DYNAMIC_BASE;
    if len > NodeName::MAX_LEN { Err(NodeNameError::TooLong { len }) } else { Ok(()) }
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(number % 36).ok().and_then(|d| char::from_digit(d, 36));
        digits.extend(digit);
        number /= 36;
        if number == 0 {
            break digits.iter().rev().map(char::to_ascii_uppercase).collect();
        }
    }
}

/// `alive` is sent; nothing else may be sent until the answer is there.
#[derive(Debug)]
pub struct AwaitAlive(AliveAccepted);

/// What the peer says to `alive`.
#[derive(Debug)]
pub enum AliveAnswer {
    /// `true`: go on. End the old connection when the handshake is over, before sending the
    /// acknowledgement, so that its end is known before the new one is up.
    Accepted(AliveAccepted),
    /// `false`: the peer gives up this attempt; close.
    GiveUp,
}

impl AwaitAlive {
    /// What this state waits for.
    pub const STEP: Step = Step::AliveAnswer;

    /// Takes the answer.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Malformed`] when it is neither `true` nor `false`.
    pub fn on_answer(self, message: &[u8]) -> Result<AliveAnswer, HandshakeError> {
        match message::parse_status(message, Self::STEP)? {
            b"true" => Ok(AliveAnswer::Accepted(self.0)),
            b"false" => Ok(AliveAnswer::GiveUp),
            _ => Err(Self::STEP.malformed("neither true nor false")),
        }
    }
}

/// The peer wants this connection instead of the old one.
#[derive(Debug)]
pub struct AliveAccepted(NamedPeer);

impl AliveAccepted {
    /// Who the peer says it is.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.0.name
    }

    /// Goes on with our challenge, which must be unpredictable. There is no second status.
    #[must_use]
    pub fn challenge(self, our_challenge: u32) -> (AwaitReply, Vec<u8>) {
        AwaitReply::after(self.0, our_challenge)
    }
}

/// Our challenge is sent; the complement (after an old `n`) and the reply come next.
#[derive(Debug)]
pub struct AwaitReply {
    peer: NamedPeer,
    expected: Digest,
}

/// What follows a message in [`AwaitReply`].
#[derive(Debug)]
pub enum Next {
    /// That was the complement; the reply comes next.
    More(AwaitReply),
    /// The peer knows the cookie: send `ack`, and the connection is up.
    Done {
        /// The acknowledgement, `a`.
        ack: Vec<u8>,
        /// The connection.
        established: Established,
    },
}

impl AwaitReply {
    fn after(peer: NamedPeer, our_challenge: u32) -> (Self, Vec<u8>) {
        let us = &peer.us;
        let message = message::challenge(us.flags, our_challenge, us.creation, us.name.as_str());
        let expected = Digest::new(&us.cookie, our_challenge);
        (Self { peer, expected }, message)
    }

    /// What this state waits for.
    #[must_use]
    pub fn step(&self) -> Step {
        if self.peer.creation.is_none() { Step::Complement } else { Step::Reply }
    }

    /// Takes the complement or the reply.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::CookieRefused`] when the peer's digest is wrong: close without a word, as
    /// OTP does.
    pub fn on_message(mut self, message: &[u8]) -> Result<Next, HandshakeError> {
        let Some(creation) = self.peer.creation else {
            let (high, creation) = message::parse_complement(message)?;
            self.peer.flags = self.peer.flags | high;
            self.peer.creation = Some(creation);
            return Ok(Next::More(self));
        };
        let (challenge, digest) = message::parse_reply(message)?;
        if !self.expected.matches(&digest) {
            return Err(HandshakeError::CookieRefused);
        }
        let NamedPeer { us, name, flags: peer_flags, .. } = self.peer;
        let ack = message::ack(&Digest::new(&us.cookie, challenge));
        let flags = us.flags & peer_flags;
        let established = Established {
            local: us.name,
            local_creation: us.creation,
            peer: name,
            flags,
            peer_flags,
            creation,
            visible: flags.contains(Flags::PUBLISHED),
        };
        Ok(Next::Done { ack, established })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bases() {
        for (random, base) in [(0, "0"), (35, "Z"), (36, "10"), (u64::MAX, "3W5E11264SGSF")] {
            assert_eq!(base36(random), base);
        }
        assert!(check_dynamic_host(&"h".repeat(241)).is_ok());
        let error = check_dynamic_host(&"h".repeat(242));
        assert_eq!(error, Err(NodeNameError::TooLong { len: 256 }));
    }
}
