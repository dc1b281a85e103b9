//! Looking at a cluster without taking part in it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dist::{ConnectError, DownReason, NodeName};

use super::{driver::now, roster::Roster};
use crate::Ignored;

/// Sees who is in a cluster, who was, and how discovery is doing, at any time. Cheap to clone.
///
/// It knows at most as many names as [`Limits::names`](crate::Limits::names) (4,096), and forgets who is gone after
/// [`Limits::forget_lost_after`](crate::Limits::forget_lost_after) (1 h), or after 10 min if it never announced itself, when it is
/// asked for the members.
/// How a link is doing, a [`Node`](dist::Node::peers) tells.
#[derive(Debug, Clone)]
pub struct Observer(Arc<Mutex<Roster>>);

/// A node that announced itself or had a link with us.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Member {
    /// Its name.
    pub name: NodeName,
    /// How we stand with it.
    pub state: MemberState,
    /// For how long.
    pub state_for: Duration,
    /// How long ago it last announced itself, if it did.
    pub heard_ago: Option<Duration>,
    /// How many links there have been with it; every one but the first is a reconnect.
    pub links: u64,
    /// How many dials have failed in a row since the last link.
    pub failures: u32,
    /// Why the last of these failed.
    pub last_error: Option<ConnectError>,
    /// Why the last link that was lost ended, and how long ago.
    pub last_down: Option<(DownReason, Duration)>,
}

/// How we stand with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MemberState {
    /// There is a link.
    Up,
    /// There was a link.
    Down,
    /// It announced itself, and there was no link yet.
    Unreached,
}

/// How discovery is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiscoveryStatus {
    /// Whether others can be heard now.
    pub up: bool,
    /// Since when they can, or cannot: since the start, if they never could.
    pub state_for: Duration,
    /// The server that they are, or were last, heard through.
    pub server: Option<String>,
    /// How many connections there have been to it.
    pub connections: u64,
    /// How many of them were lost.
    pub losses: u64,
    /// Why the last one was lost, or the first attempt failed.
    pub last_loss: Option<String>,
    /// How many attempts to reach it have failed since the start.
    pub failed_attempts: u64,
    /// How many announcements were heard, our own included.
    pub heard: u64,
    /// How long ago the last one was.
    pub heard_ago: Option<Duration>,
    /// Whether our own announcement has come back over the present connection: whoever listens there hears us.
    pub hears_us: bool,
    /// Whether it ever has.
    pub has_heard_us: bool,
    /// How many announcements were dropped unread, because they came too fast.
    pub missed: u64,
    /// How many announcements were ignored, by reason; only reasons that there were.
    pub ignored: Vec<(Ignored, u64)>,
}

impl Observer {
    pub(super) fn new(roster: Roster) -> Self {
        Self(Arc::new(Mutex::new(roster)))
    }

    /// Everybody who is known, in no particular order.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        self.lock().members(now())
    }

    /// How discovery is doing.
    #[must_use]
    pub fn discovery(&self) -> DiscoveryStatus {
        self.lock().discovery(now())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Roster> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemberState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Up, Self::Down, Self::Unreached];

    /// One word for it, such as `up`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Unreached => "unreached",
        }
    }
}
