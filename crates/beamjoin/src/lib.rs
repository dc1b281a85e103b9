//! Join an Elixir cluster that was formed by libcluster_postgres.

mod channel;
mod cluster;
mod discovery;
pub mod exit_code;
mod gate;
mod membership;
mod postgres;

pub use self::{
    channel::{ChannelError, ChannelName, ChannelWarning, MAX_CHANNEL_BYTES},
    cluster::{Cluster, ClusterBuilder, ClusterEvent, ClusterEvents},
    discovery::{Discovery, DiscoveryError, DiscoveryEvent},
    membership::{
        Backoff, Heard, Ignored, Limits, Membership, NamePattern, NamePatternError,
        parse_announcement,
    },
    postgres::Postgres,
};

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}
