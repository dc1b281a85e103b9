//! The bounds of the table of names.

use std::time::Duration;

use super::Backoff;

/// What an announcement can cost at most. All settable; the defaults are for clusters of up to a few hundred nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Names in the table (4,096). Connected ones count too, and are never put out.
    pub names: usize,
    /// Dials under way at one time (64). Names that were never reached hold at most three quarters of these, and names
    /// that keep failing at most half, so that they are not in the way of the others.
    pub parallel_dials: usize,
    /// New names taken a second on average (400): a full table then turns over in
    /// ten seconds, long enough for a real node to be heard twice, which puts it in front of names heard once.
    pub new_names_per_second: u32,
    /// New names taken at once (1,024): what a large cluster announces within its first heartbeat.
    pub new_names_burst: u32,
    /// The wait between two dials to one name.
    pub backoff: Backoff,
    /// A link that lasted less than this (10 s) counts as a failed dial.
    pub stable_after: Duration,
    /// A name heard again after a silence of this length (15 s) has come back, and is dialled at once.
    pub revived_after: Duration,
    /// How long after its last announcement a name that was never reached is still dialled (2 min).
    pub forget_unreached_after: Duration,
    /// How long after its last announcement or the loss of its link a name that was once connected is still dialled
    /// (1 h). Long, because an Elixir node may fall silent for good while it lives.
    pub forget_lost_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            names: 4096,
            parallel_dials: 64,
            new_names_per_second: 400,
            new_names_burst: 1024,
            backoff: Backoff::default(),
            stable_after: Duration::from_secs(10),
            revived_after: Duration::from_secs(15),
            forget_unreached_after: Duration::from_secs(120),
            forget_lost_after: Duration::from_secs(3600),
        }
    }
}
