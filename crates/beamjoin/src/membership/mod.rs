//! Who is in the cluster, and whom to dial next.

mod backoff;
mod entry;
mod hearing;
mod limits;
mod pattern;
mod slots;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    time::{Duration, Instant},
};

use dist::NodeName;

use crate::gate::Gate;

pub use self::{
    backoff::Backoff,
    hearing::{Heard, Ignored, parse_announcement},
    limits::Limits,
    pattern::{NamePattern, NamePatternError},
};
use self::{entry::Entry, slots::Slots};

/// Which names may be dialled.
struct Allowed(Box<dyn Fn(&NodeName) -> bool + Send + Sync>);

/// How often names that are neither connected nor heard are looked for.
const SWEEP: Duration = Duration::from_secs(10);

/// The pure machine between discovery and the node: told what is heard and which links come and go, it says whom to
/// dial and when to ask again. It never looks at a clock and never draws a random number; both are arguments.
///
/// After every input, call [`next_dial`](Self::next_dial) until it says `None`, then sleep until
/// [`wake_at`](Self::wake_at). Each name handed out is answered with [`dialled`](Self::dialled).
///
/// Silence on the channel is no sign that a node is gone: a link that is up is left alone for ever.
#[derive(Debug)]
pub struct Membership {
    own: NodeName,
    limits: Limits,
    allowed: Allowed,
    table: HashMap<NodeName, Entry>,
    new_names: Gate,
    ignored: [u64; Ignored::COUNT],
    next_sweep: Option<Instant>,
    slots: Slots,
}

impl Membership {
    /// A table with nobody in it, of the node `own`.
    pub fn new(own: NodeName, limits: Limits) -> Self {
        Self {
            own,
            new_names: Gate::new(limits.new_names_per_second, limits.new_names_burst),
            slots: Slots::new(&limits),
            limits,
            allowed: Allowed(Box::new(|_| true)),
            table: HashMap::new(),
            ignored: [0; Ignored::COUNT],
            next_sweep: None,
        }
    }

    /// Dials only names that are allowed; any name unless said so.
    #[must_use]
    pub fn allow(self, allowed: impl Fn(&NodeName) -> bool + Send + Sync + 'static) -> Self {
        Self { allowed: Allowed(Box::new(allowed)), ..self }
    }

    /// A payload was heard on the channel.
    pub fn heard(&mut self, payload: &[u8], now: Instant) -> Heard {
        let name = match parse_announcement(payload) {
            Ok(name) => name,
            Err(why) => return self.ignore(why),
        };
        if name == self.own {
            return Heard::Own;
        }
        if self.is_own_in_other_case(&name) {
            return self.ignore(Ignored::OwnNameInOtherCase);
        }
        if !(self.allowed.0)(&name) {
            return self.ignore(Ignored::NotAllowed);
        }
        if let Some(entry) = self.table.get_mut(&name) {
            entry.heard_again(now, &self.limits);
            return Heard::Again(name);
        }
        if !self.new_names.admit(now) {
            return self.ignore(Ignored::TooManyNew);
        }
        if !self.make_room(now) {
            return self.ignore(Ignored::TableFull);
        }
        self.table.insert(name.clone(), Entry::heard(now));
        Heard::New(name)
    }

    /// A link is up, whoever dialled.
    pub fn up(&mut self, name: &NodeName, now: Instant) {
        if !self.table.contains_key(name) && self.table.len() >= self.limits.names {
            self.put_one_out(|_| true);
        }
        self.table.entry(name.clone()).or_insert_with(|| Entry::unheard(now)).up(now);
    }

    /// A link is down. A name that was heard is dialled again after a wait; one that only ever dialled us is forgotten.
    pub fn down(&mut self, name: &NodeName, now: Instant, random: u64) {
        if let Some(entry) = self.table.get_mut(name) {
            entry.down(now, &self.limits, random);
        }
        self.tidy(name);
    }

    /// A dial that was handed out has returned. Success here is only a hint, as [`up`](Self::up) decides. Returns how
    /// many failures in a row there are now.
    pub fn dialled(&mut self, name: &NodeName, connected: bool, now: Instant, random: u64) -> u32 {
        let Some(entry) = self.table.get_mut(name) else { return 0 };
        if let Some(class) = entry.dialling.take() {
            self.slots.give_back(class);
        }
        if connected {
            entry.dial_succeeded(now);
        } else {
            entry.dial_failed(now, &self.limits.backoff, random);
        }
        let failures = entry.failures;
        self.tidy(name);
        failures
    }

    /// The links that are up, all of them: for when events of the node were missed. `random` is called once for each
    /// link found lost.
    pub fn resync(&mut self, up: &[NodeName], now: Instant, mut random: impl FnMut() -> u64) {
        let still: HashSet<&NodeName> = up.iter().collect();
        let lost: Vec<NodeName> = self
            .table
            .iter()
            .filter(|(name, entry)| entry.is_up() && !still.contains(name))
            .map(|(name, _)| name.clone())
            .collect();
        for name in lost {
            self.down(&name, now, random());
        }
        for name in up {
            self.up(name, now);
        }
    }

    /// A name to dial now. It will not be handed out again before [`dialled`](Self::dialled) was called for it.
    pub fn next_dial(&mut self, now: Instant) -> Option<NodeName> {
        self.forget(now);
        if !self.slots.are_open(now) {
            return None;
        }
        let (name, entry) = self
            .table
            .iter_mut()
            .filter(|(_, entry)| entry.due().is_some_and(|due| due <= now))
            .filter(|(_, entry)| self.slots.may_dial(entry.class(), now))
            .min_by_key(|(name, entry)| (self.slots.turn(entry.class()), entry.rank(), *name))?;
        entry.dialling = Some(entry.class());
        self.slots.take(entry.class(), now);
        Some(name.clone())
    }

    /// When to call [`next_dial`](Self::next_dial) again if nothing else happens before.
    pub fn wake_at(&self) -> Option<Instant> {
        let dials = self
            .table
            .values()
            .filter_map(|entry| self.slots.dials_at(entry.class(), entry.due()?));
        dials.chain(self.next_sweep).min()
    }

    /// How many payloads were ignored for this reason.
    pub fn ignored(&self, why: Ignored) -> u64 {
        self.ignored.get(why as usize).copied().unwrap_or(0)
    }

    /// How many names are in the table, connected or not.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn ignore(&mut self, why: Ignored) -> Heard {
        let mut count = 0;
        if let Some(counter) = self.ignored.get_mut(why as usize) {
            *counter = counter.saturating_add(1);
            count = *counter;
        }
        Heard::Ignored { why, count }
    }

    fn is_own_in_other_case(&self, name: &NodeName) -> bool {
        name.as_str().eq_ignore_ascii_case(self.own.as_str())
    }

    /// After a link or a dial has ended: a name that was never heard is not kept, nor one too many.
    fn tidy(&mut self, name: &NodeName) {
        let unheard = |entry: &Entry| entry.heard.is_none() && entry.due().is_some();
        if self.table.get(name).is_some_and(unheard) {
            self.table.remove(name);
        }
        if self.table.len() > self.limits.names {
            self.put_one_out(|_| true);
        }
    }

    /// Makes room for a name that was heard for the first time. False if all others have more of a claim.
    fn make_room(&mut self, now: Instant) -> bool {
        let revived_after = self.limits.revived_after;
        self.table.len() < self.limits.names
            || self.put_one_out(|entry| !entry.is_kept(now, revived_after))
    }

    /// Of the names never connected, the one whose last sign of life is oldest, those heard once before the others; else
    /// of those that were connected. False if all are connected or being dialled, or if that one is not `free`.
    fn put_one_out(&mut self, free: impl Fn(&Entry) -> bool) -> bool {
        let least = self
            .table
            .iter()
            .filter(|(_, entry)| entry.due().is_some())
            .min_by_key(|(name, entry)| (entry.worth(), *name))
            .filter(|(_, entry)| free(entry))
            .map(|(name, _)| name.clone());
        least.is_some_and(|name| self.table.remove(&name).is_some())
    }

    fn forget(&mut self, now: Instant) {
        if self.next_sweep.is_some_and(|at| at <= now) {
            self.table.retain(|_, entry| !entry.is_forgotten(now, &self.limits));
            self.next_sweep = None;
        }
        if self.next_sweep.is_none() && !self.table.is_empty() {
            self.next_sweep = Some(now + SWEEP);
        }
    }
}

impl fmt::Debug for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allowed").finish_non_exhaustive()
    }
}
