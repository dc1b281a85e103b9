#![doc = include_str!("../README.md")]

mod backoff;
mod channel;
mod command;
mod config;
mod dial;
mod driver;
mod error;
mod event;
mod filter;
mod listener;
mod probe;
mod queue;
mod serve;
mod session;
mod sqlstate;
mod stream;
mod tls;

pub use backoff::Backoff;
pub use channel::{Channel, ChannelError};
pub use config::{Config, ConfigError, Host, SslMode, TargetSessionAttrs};
pub use error::{Error, ListenError, NotifyError};
pub use event::Event;
pub use listener::{Driver, Handle, Listener};

/// Longest payload of a notification in bytes (`NOTIFY_PAYLOAD_MAX_LENGTH - 1` in Postgres).
pub const MAX_PAYLOAD_BYTES: usize = 7999;

/// A listener that wants this many channels takes no more.
pub const MAX_CHANNELS: usize = 1024;
