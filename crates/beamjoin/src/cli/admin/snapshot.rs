//! Everything about the cluster at one moment, as `/members` shows it.

use std::{collections::HashMap, time::Duration};

use beamjoin::{DiscoveryStatus, Member, MemberState, Observer};
use dist::{Node, NodeName, PeerStats, Visibility};
use serde::{Serialize, Serializer};

use super::history::Entry;
use crate::cli::ready::Verdict;

/// The body of `/members`. Times are durations in milliseconds, so that clocks need not agree.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    pub(super) node: Own,
    pub(super) ready: bool,
    /// Why it is not ready.
    pub(super) reasons: Vec<String>,
    pub(super) discovery: Discovery,
    /// Those connected first, then those lost, then those never reached, each by name.
    pub(super) members: Vec<Row>,
    /// The newest first.
    pub(super) events: Vec<Entry>,
}

/// This node.
#[derive(Debug, Serialize)]
pub(super) struct Own {
    pub(super) name: String,
    pub(super) creation: u32,
    pub(super) visible: bool,
    pub(super) version: &'static str,
    pub(super) up_ms: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Discovery {
    pub(super) up: bool,
    pub(super) for_ms: u64,
    pub(super) server: Option<String>,
    pub(super) generation: u64,
    pub(super) losses: u64,
    pub(super) failed_attempts: u64,
    pub(super) last_loss: Option<String>,
    pub(super) hears_us: bool,
    pub(super) heard: u64,
    pub(super) heard_ago_ms: Option<u64>,
    pub(super) missed: u64,
}

/// One node.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    #[serde(serialize_with = "word")]
    pub(super) state: MemberState,
    pub(super) for_ms: u64,
    pub(super) heard_ago_ms: Option<u64>,
    /// Links so far.
    pub(super) links: u64,
    /// Dials that failed in a row.
    pub(super) failures: u32,
    pub(super) last_error: Option<String>,
    pub(super) last_down: Option<Down>,
    /// The link, if it is up.
    pub(super) link: Option<Link>,
}

/// How the last link that was lost ended.
#[derive(Debug, Serialize)]
pub(super) struct Down {
    pub(super) ago_ms: u64,
    /// One word of a few.
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

/// A link that is up.
#[derive(Debug, Serialize)]
pub(super) struct Link {
    pub(super) visible: bool,
    pub(super) creation: u32,
    pub(super) up_ms: u64,
    pub(super) read_ago_ms: u64,
    pub(super) written_ago_ms: u64,
    pub(super) bytes_read: u64,
    pub(super) bytes_written: u64,
    pub(super) messages_read: u64,
    pub(super) messages_written: u64,
    pub(super) fragments_read: u64,
    pub(super) fragments_written: u64,
    pub(super) queued_bytes: usize,
    pub(super) waiting_senders: usize,
    pub(super) waited_ms: u64,
    pub(super) relations: usize,
    pub(super) skipped: u64,
    pub(super) refused: u64,
}

impl Snapshot {
    pub(super) fn take(
        node: &Node,
        observer: &Observer,
        verdict: Verdict,
        events: Vec<Entry>,
        up_for: Duration,
    ) -> Self {
        Self {
            node: Own {
                name: node.name().to_string(),
                creation: node.creation(),
                visible: node.visibility() == Visibility::Visible,
                version: env!("CARGO_PKG_VERSION"),
                up_ms: ms(up_for),
            },
            ready: verdict.is_ready(),
            reasons: verdict.reasons,
            discovery: Discovery::of(observer.discovery()),
            members: rows(observer.members(), node.peers()),
            events,
        }
    }
}

/// Who is known and the links that are up, together.
pub(super) fn rows(members: Vec<Member>, peers: Vec<PeerStats>) -> Vec<Row> {
    let mut links: HashMap<NodeName, PeerStats> =
        peers.into_iter().map(|stats| (stats.peer.name.clone(), stats)).collect();
    let mut rows: Vec<Row> = members
        .into_iter()
        .map(|member| {
            let link = links.remove(&member.name);
            Row::of(member, link)
        })
        .collect();
    // Up since a moment ago.
    rows.extend(links.into_values().map(Row::of_link));
    rows.sort_by(|a, b| (a.state, &a.name).cmp(&(b.state, &b.name)));
    rows
}

impl Discovery {
    fn of(status: DiscoveryStatus) -> Self {
        Self {
            up: status.up,
            for_ms: ms(status.state_for),
            server: status.server,
            generation: status.connections,
            losses: status.losses,
            failed_attempts: status.failed_attempts,
            last_loss: status.last_loss,
            hears_us: status.hears_us,
            heard: status.heard,
            heard_ago_ms: status.heard_ago.map(ms),
            missed: status.missed,
        }
    }
}

impl Row {
    fn of(member: Member, link: Option<PeerStats>) -> Self {
        Self {
            name: member.name.to_string(),
            state: member.state,
            for_ms: ms(member.state_for),
            heard_ago_ms: member.heard_ago.map(ms),
            links: member.links,
            failures: member.failures,
            last_error: member.last_error.map(|error| error.to_string()),
            last_down: member.last_down.map(|(reason, ago)| Down {
                ago_ms: ms(ago),
                reason: reason.word(),
                detail: reason.to_string(),
            }),
            link: link.map(Link::of),
        }
    }

    fn of_link(link: PeerStats) -> Self {
        Self {
            name: link.peer.name.to_string(),
            state: MemberState::Up,
            for_ms: ms(link.up_for),
            heard_ago_ms: None,
            links: 1,
            failures: 0,
            last_error: None,
            last_down: None,
            link: Some(Link::of(link)),
        }
    }
}

impl Link {
    fn of(stats: PeerStats) -> Self {
        let counters = stats.counters;
        Self {
            visible: stats.peer.visibility == Visibility::Visible,
            creation: stats.peer.creation,
            up_ms: ms(stats.up_for),
            read_ago_ms: ms(stats.read_ago),
            written_ago_ms: ms(stats.written_ago),
            bytes_read: counters.bytes_read,
            bytes_written: counters.bytes_written,
            messages_read: counters.messages_read,
            messages_written: counters.messages_written,
            fragments_read: counters.fragments_read,
            fragments_written: counters.fragments_written,
            queued_bytes: stats.queued_bytes,
            waiting_senders: stats.waiting,
            waited_ms: ms(stats.waited),
            relations: counters.relations,
            skipped: counters.skipped,
            refused: counters.refused,
        }
    }
}

fn word<S: Serializer>(state: &MemberState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.word())
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
