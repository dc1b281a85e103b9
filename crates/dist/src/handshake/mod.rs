//! The distribution handshake, version 6, as two pure state machines.
//!
//! Nothing here reads a socket, a clock or a random source: a step takes one message (without its
//! length prefix) and yields the next state and the messages to send; challenges are arguments.
//! Each step consumes its state, so no step can be taken twice. [`Packets`] turns a byte stream
//! into messages and back. The caller keeps the time (OTP gives each step 7 s,
//! `net_setuptime`) and tells what the end of the stream means with [`Step::closed`].
//!
//! ```text
//!  initiator                                        acceptor
//!  [Initiator]  'N' flags creation name  ---------> [Acceptor]
//!  [AwaitStatus]                                    [NameReceived], decide()
//!               <--------------------- 's' status
//!  [AliveQuestion] 's' true | false  (after alive)  [AwaitAlive]
//!  [AwaitChallenge]
//!               <--------- 'N' flags challenge creation name
//!               'r' challenge digest  ------------> [AwaitReply]
//!  [AwaitAck]   <---------------------- 'a' digest
//!  [Established]                                    [Established]
//! ```
//!
//! ```
//! use dist::handshake::{Acceptor, Initiator, Local, NameReceived, Next, Status, StatusOutcome};
//! use dist::{Cookie, Flags, NodeName};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cookie = Cookie::new("secret")?;
//! let (a, b) = (NodeName::new("a@host")?, NodeName::new("b@host")?);
//! let node = |name| Local { name, flags: Flags::OFFERED, creation: 4, cookie: &cookie };
//!
//! let (dialling, name) = Initiator::start(node(&a), &b);
//! let NameReceived::Named(peer) = Acceptor::new(node(&b)).on_name(&name)? else { unreachable!() };
//! let (accepting, [status, challenge]) = peer.accept(Status::Ok, 0x1234);
//! let StatusOutcome::Continue(dialling) = dialling.on_status(&status)? else { unreachable!() };
//! let (dialling, reply) = dialling.on_challenge(&challenge, 0x5678)?;
//! let Next::Done { ack, established } = accepting.on_message(&reply)? else { unreachable!() };
//! assert_eq!(established.peer, a);
//! assert_eq!(dialling.on_ack(&ack)?.peer, b);
//! # Ok(())
//! # }
//! ```
//!
//! Source: `dist_util.erl` and the chapter "Distribution Handshake" of `erl_dist_protocol`.

mod acceptor;
mod decide;
mod digest;
mod error;
pub(crate) mod fuzz;
mod initiator;
mod message;
mod packets;
#[cfg(test)]
mod tests;

pub use acceptor::{
    Acceptor, AliveAccepted, AliveAnswer, AnonymousPeer, AwaitAlive, AwaitReply, NameReceived,
    NamedPeer, Next, Refusal, Status,
};
pub use decide::{Decision, Slot, decide};
pub use error::{HandshakeError, Step};
pub use initiator::{
    AliveQuestion, AwaitAck, AwaitChallenge, AwaitStatus, Initiator, StatusOutcome,
};
pub use packets::{Packets, Prefix, TooLarge};

use crate::{Cookie, Flags, NodeName};

/// Who we are to a peer.
#[derive(Debug, Clone, Copy)]
pub struct Local<'a> {
    /// Our name.
    pub name: &'a NodeName,
    /// What we offer: [`Flags::OFFERED`], with [`Flags::PUBLISHED`] when visible.
    pub flags: Flags,
    /// Which incarnation of our name we are.
    pub creation: u32,
    /// The secret we share with the peer.
    pub cookie: &'a Cookie,
}

/// A handshake that has come to its end: both sides have shown that they know the cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Established {
    /// The name we have on this connection: our own, or the one that the peer gave us.
    pub local: NodeName,
    /// The creation we have on this connection: our own, or the one that the peer gave us.
    pub local_creation: u32,
    /// The peer's name.
    pub peer: NodeName,
    /// What both can do: this decides how the two talk.
    pub flags: Flags,
    /// What the peer offered.
    pub peer_flags: Flags,
    /// The peer's creation; 0 when it did not tell.
    pub creation: u32,
    /// Whether the two see each other: both have set [`Flags::PUBLISHED`].
    pub visible: bool,
}
