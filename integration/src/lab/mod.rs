//! A cluster of containers on a Docker network of its own: its links can be cut, its members paused and killed. Everything is
//! removed with the value that made it.

mod beam;
mod container;
mod docker;
mod network;
mod postgres;
pub mod report;
mod rules;
mod rust;

pub use self::beam::LabBeam;
pub use self::container::{Container, Spec};
pub use self::docker::docker;
pub use self::network::Network;
pub use self::postgres::LabPostgres;
pub use self::report::Report;
pub use self::rules::{Rule, Verdict};
pub use self::rust::LabRust;

/// What a node of a lab is told, of either kind.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// `net_ticktime`, in seconds.
    pub tick: u32,
    /// `prevent_overlapping_partitions`, which must be the same on all nodes.
    pub prevent_overlapping_partitions: bool,
    /// The scopes of `pg` that it starts, in each of which it joins the group [`report::GROUP`].
    pub scopes: &'static [&'static str],
}

/// The channel on which the members of a lab announce themselves.
pub const CHANNEL: &str = "lab";
/// The cookie of the members.
pub const COOKIE: &str = "not-a-secret";
/// The name of Postgres in the network.
pub const POSTGRES_HOST: &str = "postgres";
