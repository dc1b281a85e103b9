//! Functions across nodes: those of a BEAM called from here, and ours called from there.
//!
//! On the wire `rpc` and `erpc` are one thing: a process is asked for that runs
//! `erpc:execute_call/4`, and the reason with which it ends is the result (`erpc.erl`).

mod builtin;
mod call;
mod error;
mod exports;
mod serve;
mod spawn;
#[cfg(feature = "serde")]
mod typed;

pub(crate) use call::call_function;
pub use call::{Mfa, RpcOptions};
pub use error::{ErpcError, RpcError};
pub use exports::{Exports, Raise, Returned};
pub(crate) use serve::{Ended, Request, apply, spawn};
pub(crate) use spawn::Spawns;
pub use spawn::{SpawnError, SpawnOptions};
#[cfg(feature = "serde")]
pub use typed::Arguments;
