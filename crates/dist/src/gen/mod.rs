//! Generic servers, as OTP's `gen_server`: calling those of other nodes, being one, and starting
//! them again when they fail.

mod caller;
mod client;
pub(crate) mod message;
mod multi;
mod server;
mod start;
mod supervisor;
mod sys;
#[cfg(feature = "serde")]
mod typed;

pub use caller::Caller;
pub use client::{CallError, PendingCall};
pub use server::{GenServer, Reply};
pub use start::ServerStartError;
pub use supervisor::{ChildSpec, Intensity, Restart, Shutdown, Supervisor};
