//! Join an Elixir cluster that was formed by libcluster_postgres.

mod channel;

pub use self::channel::{ChannelError, ChannelName, ChannelWarning, MAX_CHANNEL_BYTES};
