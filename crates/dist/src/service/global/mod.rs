//! `global`: names and locks that all nodes of a cluster share, and a cluster that is fully connected.
//!
//! This is `global_name_server` as a machine: events go in, effects come out, and time and
//! randomness are arguments. Its parts are those of OTP, and act as OTP's do, since the others'
//! part of the protocol depends on it: a locker that does one thing at a time, a registrar, and a
//! session with each node that is being connected.
//!
//! ```text
//!  nodeup: init_connect ──►                         cancel_connect, nodedown, time is over:
//!        ┌─────────┐ init_connect ┌─────────┐        the locker lets go, and from the start
//!        │ Calling ├─────────────►│ Pending │        ◄──────────── (from every state)
//!        └─────────┘  ack ──►     └────┬────┘
//!                                      │ locker: both partitions are locked
//!                                      ▼ exchange ──►
//!                                 ┌─────────┐ exchange ┌───────────┐ resolved ┌────────┐
//!                                 │ Locked  ├─────────►│ Comparing ├─────────►│ Synced │
//!                                 └─────────┘          └───────────┘          └────────┘
//!                                             resolved ──►   new_nodes ──► own partition
//! ```
//!
//! Where it differs from OTP, it is in order not to wait for ever: a peer that stops in the middle
//! of a session, or does not answer a call, is given up after some seconds and tried again later. And
//! in order not to lack names for ever, where OTP would: see the module `doubt`.
//!
//! Source: `global.erl` of OTP 23 to 29.

mod api;
mod connect;
mod doubt;
mod driver;
pub(super) mod fuzz;
mod locker;
mod machine;
mod message;
mod multi;
mod names;
mod partition;
mod peer;
mod registrar;
mod resolver;
mod service;
mod sync;
mod tables;
#[cfg(test)]
mod tests;

pub use api::{Global, GlobalError, GlobalLock};
pub use resolver::ConflictMethod;
pub(crate) use service::{Service, function};
