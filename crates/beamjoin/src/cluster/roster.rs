//! Who is in the cluster, who was, and how it went: for whoever looks, never for deciding anything.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use dist::{ConnectError, DownReason, NodeName};

use super::observer::{DiscoveryStatus, Member, MemberState};
use crate::{Ignored, Limits};

/// How long who is gone and never announced itself is remembered: a remote shell that was closed is nobody's loss.
const UNHEARD: Duration = Duration::from_secs(600);

/// What an [`Observer`](super::Observer) sees; bounded as [`Membership`](crate::Membership) is.
#[derive(Debug)]
pub(super) struct Roster {
    limits: Limits,
    records: HashMap<NodeName, Record>,
    discovery: Discovery,
}

#[derive(Debug, Clone)]
struct Record {
    state: MemberState,
    since: Instant,
    heard: Option<Instant>,
    links: u64,
    failures: u32,
    last_error: Option<ConnectError>,
    last_down: Option<(DownReason, Instant)>,
}

#[derive(Debug)]
struct Discovery {
    up: bool,
    since: Instant,
    server: Option<String>,
    connections: u64,
    losses: u64,
    failed_attempts: u64,
    last_loss: Option<String>,
    heard: u64,
    last_heard: Option<Instant>,
    hears_us: bool,
    has_heard_us: bool,
    missed: u64,
    ignored: Vec<(Ignored, u64)>,
}

impl Roster {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        let discovery = Discovery {
            up: false,
            since: now,
            server: None,
            connections: 0,
            losses: 0,
            failed_attempts: 0,
            last_loss: None,
            heard: 0,
            last_heard: None,
            hears_us: false,
            has_heard_us: false,
            missed: 0,
            ignored: Vec::new(),
        };
        Self { limits, records: HashMap::new(), discovery }
    }

    pub(super) fn up(&mut self, name: &NodeName, now: Instant) {
        let record = self.record(name, now);
        if record.state != MemberState::Up {
            record.links += 1;
        }
        record.enter(MemberState::Up, now);
        record.failures = 0;
        record.last_error = None;
    }

    pub(super) fn down(&mut self, name: &NodeName, reason: DownReason, now: Instant) {
        let record = self.record(name, now);
        record.enter(MemberState::Down, now);
        record.last_down = Some((reason, now));
    }

    pub(super) fn dial_failed(&mut self, name: &NodeName, error: ConnectError) {
        // One that is not there was put out to make room; one that is up has dialled us meanwhile.
        let record = self.records.get_mut(name);
        if let Some(record) = record.filter(|record| record.state != MemberState::Up) {
            record.failures = record.failures.saturating_add(1);
            record.last_error = Some(error);
        }
    }

    /// A name that may be dialled has announced itself.
    pub(super) fn heard(&mut self, name: &NodeName, now: Instant) {
        self.discovery.heard(now);
        self.record(name, now).heard = Some(now);
    }

    /// We have heard ourselves; true for the first time on this connection.
    pub(super) fn heard_us(&mut self, now: Instant) -> bool {
        self.discovery.heard(now);
        self.discovery.has_heard_us = true;
        !std::mem::replace(&mut self.discovery.hears_us, true)
    }

    /// An announcement was ignored, as `count` were so far for this reason.
    pub(super) fn ignored(&mut self, why: Ignored, count: u64, now: Instant) {
        self.discovery.heard(now);
        let ignored = &mut self.discovery.ignored;
        match ignored.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, counted)) => *counted = count,
            None => ignored.push((why, count)),
        }
    }

    pub(super) fn missed(&mut self, count: u64) {
        self.discovery.missed = self.discovery.missed.saturating_add(count);
    }

    pub(super) fn failed_attempts(&mut self, count: u64) {
        self.discovery.failed_attempts = count;
    }

    pub(super) fn discovery_up(&mut self, server: String, now: Instant) {
        let discovery = &mut self.discovery;
        discovery.enter(true, now);
        discovery.server = Some(server);
        discovery.connections += 1;
    }

    pub(super) fn discovery_lost(&mut self, reason: String, now: Instant) {
        let discovery = &mut self.discovery;
        if discovery.up {
            discovery.losses += 1;
        }
        discovery.enter(false, now);
        discovery.last_loss = Some(reason);
    }

    /// Events were missed: these are the links that are up.
    pub(super) fn resync(&mut self, up: &[NodeName], now: Instant) {
        let still: HashSet<&NodeName> = up.iter().collect();
        for (name, record) in &mut self.records {
            if record.state == MemberState::Up && !still.contains(name) {
                record.enter(MemberState::Down, now);
            }
        }
        for name in up {
            self.up(name, now);
        }
    }

    pub(super) fn members(&mut self, now: Instant) -> Vec<Member> {
        let limits = &self.limits;
        self.records.retain(|_, record| !record.is_forgotten(now, limits));
        self.records.iter().map(|(name, record)| record.tell(name, now)).collect()
    }

    pub(super) fn discovery(&self, now: Instant) -> DiscoveryStatus {
        let of = &self.discovery;
        DiscoveryStatus {
            up: of.up,
            state_for: now.saturating_duration_since(of.since),
            server: of.server.clone(),
            connections: of.connections,
            losses: of.losses,
            failed_attempts: of.failed_attempts,
            last_loss: of.last_loss.clone(),
            heard: of.heard,
            heard_ago: of.last_heard.map(|at| now.saturating_duration_since(at)),
            hears_us: of.hears_us,
            has_heard_us: of.has_heard_us,
            missed: of.missed,
            ignored: of.ignored.clone(),
        }
    }

    fn record(&mut self, name: &NodeName, now: Instant) -> &mut Record {
        if self.records.len() >= self.limits.names && !self.records.contains_key(name) {
            self.put_one_out();
        }
        self.records.entry(name.clone()).or_insert_with(|| Record::new(now))
    }

    /// Of the names never reached the one silent longest, else of those that are down.
    fn put_one_out(&mut self) {
        let oldest = self
            .records
            .iter()
            .filter(|(_, record)| record.state != MemberState::Up)
            .min_by_key(|(name, record)| (record.links > 0, record.last_sign(), *name))
            .map(|(name, _)| name.clone());
        if let Some(name) = oldest {
            self.records.remove(&name);
        }
    }
}

impl Record {
    fn new(now: Instant) -> Self {
        Self {
            state: MemberState::Unreached,
            since: now,
            heard: None,
            links: 0,
            failures: 0,
            last_error: None,
            last_down: None,
        }
    }

    fn enter(&mut self, state: MemberState, now: Instant) {
        if self.state != state {
            (self.state, self.since) = (state, now);
        }
    }

    fn last_sign(&self) -> Instant {
        self.heard.map_or(self.since, |heard| heard.max(self.since))
    }

    fn is_forgotten(&self, now: Instant, limits: &Limits) -> bool {
        let keep = match self.state {
            MemberState::Up => return false,
            MemberState::Down if self.heard.is_none() => UNHEARD,
            MemberState::Down => limits.forget_lost_after,
            MemberState::Unreached => limits.forget_unreached_after,
        };
        now.saturating_duration_since(self.last_sign()) >= keep
    }

    fn tell(&self, name: &NodeName, now: Instant) -> Member {
        let ago = |at: Instant| now.saturating_duration_since(at);
        Member {
            name: name.clone(),
            state: self.state,
            state_for: ago(self.since),
            heard_ago: self.heard.map(ago),
            links: self.links,
            failures: self.failures,
            last_error: self.last_error.clone(),
            last_down: self.last_down.clone().map(|(reason, at)| (reason, ago(at))),
        }
    }
}

impl Discovery {
    fn heard(&mut self, now: Instant) {
        self.heard += 1;
        self.last_heard = Some(now);
    }

    fn enter(&mut self, up: bool, now: Instant) {
        if self.up != up {
            (self.up, self.since) = (up, now);
        }
        self.hears_us = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    fn roster(names: usize, now: Instant) -> Roster {
        Roster::new(Limits { names, ..Limits::default() }, now)
    }

    fn states(roster: &mut Roster, now: Instant) -> Vec<(String, MemberState)> {
        let mut states: Vec<_> =
            roster.members(now).into_iter().map(|it| (it.name.to_string(), it.state)).collect();
        states.sort();
        states
    }

    #[test]
    fn a_member_comes_goes_and_comes_back() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (mut roster, a) = (roster(10, start), name("a@h"));
        roster.heard(&a, at(0));
        roster.dial_failed(&a, ConnectError::NoAnswer(a.clone()));
        let member = roster.members(at(1)).pop().unwrap();
        assert_eq!((member.state, member.links, member.failures), (MemberState::Unreached, 0, 1));
        assert!(member.last_error.is_some() && member.last_down.is_none());

        roster.up(&a, at(2));
        roster.down(&a, DownReason::TickTimeout, at(5));
        roster.up(&a, at(6));
        roster.up(&a, at(7));
        roster.dial_failed(&a, ConnectError::NoAnswer(a.clone()));
        let member = roster.members(at(9)).pop().unwrap();
        assert_eq!((member.state, member.links, member.failures), (MemberState::Up, 2, 0));
        assert_eq!(member.state_for, Duration::from_secs(3));
        assert_eq!(member.heard_ago, Some(Duration::from_secs(9)));
        let (reason, ago) = member.last_down.unwrap();
        assert_eq!((reason.word(), ago), ("net_tick_timeout", Duration::from_secs(4)));
        assert!(member.last_error.is_none());
    }

    #[test]
    fn who_is_gone_is_forgotten_after_a_while_and_who_is_up_never() {
        let start = Instant::now();
        let mut roster = roster(10, start);
        for who in ["up@h", "down@h", "shell@h"] {
            roster.up(&name(who), start);
        }
        roster.heard(&name("down@h"), start);
        roster.down(&name("down@h"), DownReason::Closed, start);
        roster.down(&name("shell@h"), DownReason::Closed, start);
        roster.heard(&name("new@h"), start);
        assert_eq!(roster.members(start).len(), 4);
        let limits = Limits::default();
        assert_eq!(states(&mut roster, start + limits.forget_unreached_after).len(), 3);
        let left = states(&mut roster, start + UNHEARD);
        assert_eq!(left, [("down@h".into(), MemberState::Down), ("up@h".into(), MemberState::Up)]);
        let left = states(&mut roster, start + limits.forget_lost_after);
        assert_eq!(left, [("up@h".into(), MemberState::Up)]);
    }

    #[test]
    fn invented_names_put_out_each_other_and_nobody_else() {
        let start = Instant::now();
        let mut roster = roster(8, start);
        roster.up(&name("up@h"), start);
        roster.up(&name("down@h"), start);
        roster.down(&name("down@h"), DownReason::Closed, start);
        for number in 0..100_u32 {
            roster.heard(
                &name(&format!("n{number}@h")),
                start + Duration::from_millis(number.into()),
            );
        }
        let states = states(&mut roster, start + Duration::from_secs(1));
        assert_eq!(states.len(), 8);
        assert!(states.contains(&("up@h".into(), MemberState::Up)), "{states:?}");
        assert!(states.contains(&("down@h".into(), MemberState::Down)), "{states:?}");
        assert!(states.contains(&("n99@h".into(), MemberState::Unreached)), "{states:?}");
    }

    #[test]
    fn discovery_counts_connections_and_losses_and_hears_us_once_each() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut roster = roster(8, start);
        roster.discovery_lost("refused".into(), at(1));
        let status = roster.discovery(at(2));
        assert_eq!((status.up, status.losses, status.connections), (false, 0, 0));
        assert_eq!(status.last_loss.as_deref(), Some("refused"));

        roster.discovery_up("db:5432".into(), at(3));
        assert!(roster.heard_us(at(4)));
        assert!(!roster.heard_us(at(5)));
        let status = roster.discovery(at(6));
        assert!(status.up && status.hears_us && status.has_heard_us);
        assert_eq!((status.heard, status.heard_ago), (2, Some(Duration::from_secs(1))));

        roster.discovery_lost("cut".into(), at(7));
        roster.discovery_lost("refused".into(), at(8));
        roster.failed_attempts(2);
        let status = roster.discovery(at(9));
        assert_eq!((status.up, status.losses, status.connections), (false, 1, 1));
        assert_eq!(status.failed_attempts, 2);
        assert!(!status.hears_us && status.has_heard_us);
        assert_eq!(status.state_for, Duration::from_secs(2));
        roster.discovery_up("db:5432".into(), at(10));
        assert!(roster.heard_us(at(10)));
    }

    #[test]
    fn links_missed_while_events_were_are_found() {
        let start = Instant::now();
        let mut roster = roster(8, start);
        roster.up(&name("a@h"), start);
        roster.up(&name("b@h"), start);
        roster.resync(&[name("b@h"), name("c@h")], start);
        let expected =
            [("a@h", MemberState::Down), ("b@h", MemberState::Up), ("c@h", MemberState::Up)];
        assert_eq!(states(&mut roster, start), expected.map(|(name, state)| (name.into(), state)));
    }
}
