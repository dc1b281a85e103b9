//! The side that dials.
//!
//! ```text
//!   start ──send N──► AwaitStatus
//!                         │
//!        ┌────────────────┼───────────────┬───────────────┐
//!  recv ok,          recv alive      recv nok       recv not_allowed
//!  ok_simultaneous,       │               │               │
//!  named:                 ▼               ▼               ▼
//!        │         AliveQuestion         Nok         NotAllowed
//!        │          │           │
//!        │     send true   send false ──► (close)
//!        ▼          ▼
//!     AwaitChallenge ──recv N, send r──► AwaitAck ──recv a──► Established
//!           │                               │
//!   wrong name, flags missing         wrong digest, EOF
//!           ▼                               ▼
//!   NameMismatch, MissingFlags        CookieRefused
//! ```
//!
//! - recv X, send X: message X comes in, goes out.
//! - `Nok`: the peer's own attempt counts; wait until it closes this one.
//! - A name on the last line is the [`HandshakeError`] in which the machine ends. In every state a
//!   message that does not fit ends in `Malformed`.

use super::digest::Digest;
use super::{Established, HandshakeError, Local, Step, message};
use crate::name::{self, NodeNameError};
use crate::{Cookie, Flags, NodeName};

/// The side that dials. Begin here.
#[derive(Debug)]
pub struct Initiator;

impl Initiator {
    /// Begins a handshake with `peer`; the bytes are the first message, `N`.
    #[must_use]
    pub fn start(local: Local<'_>, peer: &NodeName) -> (AwaitStatus, Vec<u8>) {
        let flags = local.flags.without(Flags::NAME_ME);
        let first = message::name(flags, local.creation, local.name.as_str());
        let us = Us::Named(local.name.clone(), local.creation);
        let attempt = Attempt { us, flags, cookie: local.cookie.clone(), peer: peer.clone() };
        (AwaitStatus(attempt), first)
    }

    /// Begins a handshake without a name of our own: the peer gives us one on `host`
    /// ([`Flags::NAME_ME`], OTP 23 and later).
    ///
    /// Such a connection is hidden, as OTP's own are (`publish_flag` in `dist_util.erl`).
    ///
    /// # Errors
    ///
    /// When `host` cannot be the host of a node.
    pub fn start_dynamic(
        host: &str,
        flags: Flags,
        cookie: &Cookie,
        peer: &NodeName,
    ) -> Result<(AwaitStatus, Vec<u8>), NodeNameError> {
        name::check_host(host)?;
        let flags = flags.without(Flags::PUBLISHED).with(Flags::NAME_ME);
        let first = message::name(flags, 0, host);
        let us = Us::Anonymous { host: host.to_owned() };
        let attempt = Attempt { us, flags, cookie: cookie.clone(), peer: peer.clone() };
        Ok((AwaitStatus(attempt), first))
    }
}

/// What stays the same until the name is settled.
#[derive(Debug)]
struct Attempt<U> {
    us: U,
    flags: Flags,
    cookie: Cookie,
    peer: NodeName,
}

#[derive(Debug)]
enum Us {
    Named(NodeName, u32),
    Anonymous { host: String },
}

/// Our name and creation, our own or given.
#[derive(Debug)]
struct Name(NodeName, u32);

impl<U> Attempt<U> {
    fn named(self, name: NodeName, creation: u32) -> Attempt<Name> {
        Attempt {
            us: Name(name, creation),
            flags: self.flags,
            cookie: self.cookie,
            peer: self.peer,
        }
    }
}

/// The name is sent; the status comes next.
#[derive(Debug)]
pub struct AwaitStatus(Attempt<Us>);

/// What the peer's status asks for.
#[derive(Debug)]
#[non_exhaustive]
pub enum StatusOutcome {
    /// `ok` or `ok_simultaneous`: go on. In the second case the peer has dropped its own attempt to
    /// connect to us, and ours is the one that counts.
    Continue(AwaitChallenge),
    /// `alive`: the peer has a live connection with us already.
    Alive(AliveQuestion),
    /// `nok`: the peer prefers its own attempt, which is on its way. Wait to be closed and use that one.
    Nok,
    /// `named:`: the name we asked for.
    Named {
        /// Our name on this connection.
        name: NodeName,
        /// Our creation on this connection.
        creation: u32,
        /// Go on.
        next: AwaitChallenge,
    },
}

impl AwaitStatus {
    /// What this state waits for.
    pub const STEP: Step = Step::Status;

    /// Takes the status.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::NotAllowed`], or [`HandshakeError::Malformed`] for a status that does not
    /// exist or does not fit (a name for a node that has one, or the reverse).
    pub fn on_status(self, message: &[u8]) -> Result<StatusOutcome, HandshakeError> {
        let status = message::parse_status(message, Self::STEP)?;
        if status == b"not_allowed" {
            return Err(HandshakeError::NotAllowed);
        }
        match self.0.us {
            Us::Named(ref name, creation) => {
                let name = name.clone();
                self.0.named(name, creation).on_status(status)
            }
            Us::Anonymous { ref host } => {
                let (name, creation) = given_name(host, status)?;
                let next = AwaitChallenge(self.0.named(name.clone(), creation));
                Ok(StatusOutcome::Named { name, creation, next })
            }
        }
    }
}

impl Attempt<Name> {
    fn on_status(self, status: &[u8]) -> Result<StatusOutcome, HandshakeError> {
        match status {
            b"ok" | b"ok_simultaneous" => Ok(StatusOutcome::Continue(AwaitChallenge(self))),
            b"alive" => Ok(StatusOutcome::Alive(AliveQuestion(self))),
            b"nok" => Ok(StatusOutcome::Nok),
            _ if status.starts_with(b"named:") => {
                Err(Step::Status.malformed("a name for a node that has one"))
            }
            _ => Err(Step::Status.malformed("an unknown status")),
        }
    }
}

/// The name and creation in a `named:` status. The host must be the one that we sent.
fn given_name(host: &str, status: &[u8]) -> Result<(NodeName, u32), HandshakeError> {
    let given = status
        .strip_prefix(b"named:")
        .ok_or_else(|| Step::Status.malformed("no name for a node that asked for one"))?;
    let (name, creation) = message::parse_named(given)?;
    let name = parse_name(name)?;
    if name.host() != host {
        return Err(Step::Status.malformed("a name on another host than ours"));
    }
    Ok((name, creation))
}

/// The peer has a connection under our name that is alive as far as it knows.
#[derive(Debug)]
pub struct AliveQuestion(Attempt<Name>);

impl AliveQuestion {
    /// Answers: `true` to have the peer replace its old connection by this one, when ours to it is
    /// gone; `false` to give up this attempt.
    #[must_use]
    pub fn answer(self, replace: bool) -> (Option<AwaitChallenge>, Vec<u8>) {
        let message = message::status(if replace { "true" } else { "false" });
        (replace.then_some(AwaitChallenge(self.0)), message)
    }
}

/// The peer lets us in; its challenge comes next.
#[derive(Debug)]
pub struct AwaitChallenge(Attempt<Name>);

impl AwaitChallenge {
    /// What this state waits for.
    pub const STEP: Step = Step::Challenge;

    /// Takes the peer's challenge and answers it; `our_challenge` must be unpredictable.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::NameMismatch`] when another node answers than the one dialled, and
    /// [`HandshakeError::MissingFlags`] when it cannot do what we demand.
    pub fn on_challenge(
        self,
        message: &[u8],
        our_challenge: u32,
    ) -> Result<(AwaitAck, Vec<u8>), HandshakeError> {
        let hello = message::parse_challenge(message)?;
        let Attempt { us: Name(local, local_creation), flags, cookie, peer } = self.0;
        if hello.name != peer.as_str().as_bytes() {
            return Err(HandshakeError::NameMismatch { expected: peer, found: shown(hello.name) });
        }
        let peer_flags = hello.flags.expanded();
        let missing = peer_flags.missing_names(Flags::MANDATORY);
        if !missing.is_empty() {
            return Err(HandshakeError::MissingFlags(missing));
        }
        let challenge =
            hello.challenge.ok_or_else(|| Step::Challenge.malformed("no challenge in it"))?;
        let reply = message::reply(our_challenge, &Digest::new(&cookie, challenge));
        let flags = flags & peer_flags;
        let established = Established {
            local,
            local_creation,
            peer,
            flags,
            peer_flags,
            creation: hello.creation.unwrap_or(0),
            visible: flags.contains(Flags::PUBLISHED),
        };
        let expected = Digest::new(&cookie, our_challenge);
        Ok((AwaitAck { established, expected }, reply))
    }
}

/// Our reply is sent; the acknowledgement comes next.
#[derive(Debug)]
pub struct AwaitAck {
    established: Established,
    expected: Digest,
}

impl AwaitAck {
    /// What this state waits for.
    pub const STEP: Step = Step::Ack;

    /// Takes the acknowledgement.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::CookieRefused`] when the peer's digest is wrong.
    pub fn on_ack(self, message: &[u8]) -> Result<Established, HandshakeError> {
        let digest = message::parse_ack(message)?;
        if self.expected.matches(&digest) {
            Ok(self.established)
        } else {
            Err(HandshakeError::CookieRefused)
        }
    }
}

/// A peer's name as a node name.
pub(super) fn parse_name(name: &[u8]) -> Result<NodeName, HandshakeError> {
    let text = latin1(name);
    NodeName::new(&text).map_err(|source| HandshakeError::BadName { name: shown(name), source })
}

/// Names travel as Latin-1.
pub(super) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// A name of any length for an error.
pub(super) fn shown(name: &[u8]) -> String {
    latin1(name.get(..NodeName::MAX_LEN).unwrap_or(name))
}
