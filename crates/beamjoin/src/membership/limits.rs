//! The bounds of the table of names.

use std::time::Duration;

use super::Backoff;

/// What an announcement can cost at most. All settable; the defaults are for clusters of up to a few hundred nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Names in the table (4,096). Connected ones count too, and are never put out.
    pub names: usize,
    /// Dials under way at one time (64). Names never dialled hold at most five eighths of these, names that fail at most
    /// half, and both together three quarters, so that nobody is in the way of all others.
    pub parallel_dials: usize,
    /// Dials a second on average (50), and so many at once (100). A quarter of these at once is left to
    /// names that were connected not long ago.
    pub dials_per_second: u32,
    /// See there.
    pub dials_burst: u32,
    /// New names taken a second on average (400): a full table then turns over in
    /// ten seconds, long enough for a real node to be heard twice, which puts it in front of names heard once.
    pub new_names_per_second: u32,
    /// New names taken at once (1,000): what a large cluster announces within its first heartbeat.
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

impl Limits {
    /// So many dials a second, twice as many at once, and new names taken in the same proportion as the
    /// defaults have.
    ///
    /// ```
    /// use beamjoin::Limits;
    ///
    /// assert_eq!(Limits::default().dial_rate(50), Limits::default());
    /// ```
    #[must_use]
    pub fn dial_rate(self, per_second: u32) -> Self {
        Self {
            dials_per_second: per_second,
            dials_burst: per_second.saturating_mul(2),
            new_names_per_second: per_second.saturating_mul(8),
            new_names_burst: per_second.saturating_mul(20),
            ..self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            names: 4096,
            parallel_dials: 64,
            dials_per_second: 50,
            dials_burst: 100,
            new_names_per_second: 400,
            new_names_burst: 1000,
            backoff: Backoff::default(),
            stable_after: Duration::from_secs(10),
            revived_after: Duration::from_secs(15),
            forget_unreached_after: Duration::from_secs(120),
            forget_lost_after: Duration::from_secs(3600),
        }
    }
}
