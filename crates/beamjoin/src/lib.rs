//! Join an Elixir cluster that was formed by libcluster_postgres.
//!
//! A [`Cluster`] keeps a [`dist::Node`] connected with every node that announces itself somewhere: with [`Postgres`], on the
//! LISTEN/NOTIFY channel where the Elixir nodes meet ([`ChannelName`]); elsewhere with a [`Discovery`] of one's own. What it
//! dials, and when, is decided by [`Membership`], a machine without clock, randomness or I/O.
//!
//! What it does not do: it takes no part in agreeing on who is a member. Nodes that announce themselves are dialled, nodes that
//! know the cookie are let in, and a link that is up is never closed because a node has fallen silent on the channel.
//!
//! The command `beamjoin` is built on this; [`exit_code`] lists how it ends.

mod channel;
mod cluster;
mod discovery;
pub mod exit_code;
mod gate;
mod membership;
mod postgres;

pub use self::{
    channel::{ChannelError, ChannelName, ChannelWarning, MAX_CHANNEL_BYTES},
    cluster::{
        Cluster, ClusterBuilder, ClusterEvent, ClusterEvents, DiscoveryStatus, Member, MemberState,
        Observer,
    },
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
