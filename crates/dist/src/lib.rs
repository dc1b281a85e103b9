//! placeholder

mod cookie;
pub mod epmd;
mod flags;
pub mod handshake;
mod name;

pub use cookie::{Cookie, CookieError, CookieWarning};
pub use flags::{FlagName, Flags};
pub use name::{NodeName, NodeNameError};
