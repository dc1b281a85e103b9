//! Join an Elixir cluster that was formed by libcluster_postgres.

mod channel;
mod membership;

pub use self::{
    channel::{ChannelError, ChannelName, ChannelWarning, MAX_CHANNEL_BYTES},
    membership::{Backoff, Heard, Ignored, Limits, Membership, parse_announcement},
};
