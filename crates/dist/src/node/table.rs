//! The table of links: one slot for each peer's name, under one lock.
//!
//! ```text
//!            begin / offer                     promote
//!   (none) ------------------> Pending --------------------------> Up
//!      ^                        |  ^ |  offer: the older attempt    |
//!      |  attempt dropped       |  | |  is superseded               | offer: alive
//!      +------------------------+  +-+                              v
//!      ^                           ^      link down          Up + replacement
//!      |  link down                +--------------------------------+
//!      +------------------------------------------------ (from Up)
//! ```
//!
//! `begin` is our own dial, `offer` a peer's handshake that named itself. A replacement is the
//! handshake of a peer that says our link to it is stale (`alive`): the link is given up only when
//! that peer has shown that it knows the cookie.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use etf::Atom;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::ConnectError;
use crate::handshake::{self, Decision};
use crate::key::{Key, QuickMap};
use crate::link::Link;
use crate::name::NodeName;

/// How a dial ended; nothing as long as it has not, and for ever when another attempt took over.
pub(crate) type Outcome = Option<Result<(), ConnectError>>;

/// All links and attempts of one node.
#[derive(Debug)]
pub(crate) struct LinkTable {
    slots: RwLock<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    of: QuickMap<Key, Slot>,
    last_attempt: u64,
    /// Set at shutdown: no new attempts.
    closed: bool,
}

#[derive(Debug)]
enum Slot {
    Pending(Pending),
    Up { link: Arc<Link>, replacement: Option<Pending> },
}

/// The table's side of an attempt.
#[derive(Debug)]
struct Pending {
    id: u64,
    inbound: bool,
    superseded: CancellationToken,
    outcome: watch::Sender<Outcome>,
}

/// An attempt to connect, by us or by a peer: the slot is its own as long as it is held.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) peer: NodeName,
    id: u64,
    superseded: CancellationToken,
    table: Arc<LinkTable>,
}

/// What a wish to be connected finds.
#[derive(Debug)]
pub(crate) enum Begin {
    /// A link that is up.
    Up(Arc<Link>),
    /// An attempt under way.
    Pending(watch::Receiver<Outcome>),
    /// Nothing: the caller is to dial.
    Dial(Attempt, watch::Receiver<Outcome>),
    /// The node is shutting down.
    Closed,
}

/// What a peer's handshake is to be answered.
#[derive(Debug)]
pub(crate) enum Offer {
    /// `ok`.
    Ok(Attempt),
    /// `ok_simultaneous`; the older attempt was told to end.
    OkSimultaneous(Attempt),
    /// `alive`, and if the peer insists the link is to be replaced.
    Alive(Attempt, Arc<Link>),
    /// `nok`.
    Nok,
    /// `not_allowed`.
    NotAllowed,
    /// Closed without a word.
    Close,
}

impl LinkTable {
    /// An empty table.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { slots: RwLock::default() })
    }

    /// The link to a peer, if it is up.
    pub(crate) fn link(&self, peer: &Atom) -> Option<Arc<Link>> {
        match self.read().of.get(peer.as_bytes())? {
            Slot::Up { link, .. } => Some(link.clone()),
            Slot::Pending(_) => None,
        }
    }

    /// Does something with the link to a peer, if it is up. Nobody connects meanwhile: it has to be quick, and must
    /// not come back to the table.
    pub(crate) fn with<T>(&self, peer: &Atom, on: impl FnOnce(&Arc<Link>) -> T) -> Option<T> {
        match self.read().of.get(peer.as_bytes())? {
            Slot::Up { link, .. } => Some(on(link)),
            Slot::Pending(_) => None,
        }
    }

    /// All links that are up.
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        let slots = self.read();
        let up = slots.of.values().filter_map(|slot| match slot {
            Slot::Up { link, .. } => Some(link.clone()),
            Slot::Pending(_) => None,
        });
        up.collect()
    }

    /// How many names have a slot.
    pub(crate) fn len(&self) -> usize {
        self.read().of.len()
    }

    /// Finds the link or the attempt there is, or makes the caller's the attempt.
    pub(crate) fn begin(self: &Arc<Self>, peer: &NodeName) -> Begin {
        let mut slots = self.lock();
        if slots.closed {
            return Begin::Closed;
        }
        match slots.of.get(bytes(peer)) {
            Some(Slot::Up { link, .. }) => Begin::Up(link.clone()),
            Some(Slot::Pending(pending)) => Begin::Pending(pending.outcome.subscribe()),
            None => {
                let (pending, attempt) = self.attempt(&mut slots, peer, false);
                let outcome = pending.outcome.subscribe();
                slots.of.insert(key(peer), Slot::Pending(pending));
                Begin::Dial(attempt, outcome)
            }
        }
    }

    /// Decides what a peer's handshake is answered, and gives it the slot if it may have it.
    pub(crate) fn offer(self: &Arc<Self>, own: &NodeName, peer: &NodeName) -> Offer {
        let mut slots = self.lock();
        if slots.closed {
            return Offer::Close;
        }
        let state = match slots.of.get(bytes(peer)) {
            None => handshake::Slot::None,
            Some(Slot::Pending(pending)) if pending.inbound => handshake::Slot::PendingIn,
            Some(Slot::Pending(_)) => handshake::Slot::PendingOut,
            Some(Slot::Up { replacement: None, .. }) => handshake::Slot::Up,
            Some(Slot::Up { replacement: Some(_), .. }) => handshake::Slot::UpPending,
        };
        match handshake::decide(own, peer, state) {
            Decision::Ok | Decision::OkSimultaneous => {
                let (pending, attempt) = self.attempt(&mut slots, peer, true);
                match slots.of.insert(key(peer), Slot::Pending(pending)) {
                    Some(Slot::Pending(older)) => {
                        older.superseded.cancel();
                        Offer::OkSimultaneous(attempt)
                    }
                    _ => Offer::Ok(attempt),
                }
            }
            Decision::Alive => {
                let (pending, attempt) = self.attempt(&mut slots, peer, true);
                match slots.of.get_mut(bytes(peer)) {
                    Some(Slot::Up { link, replacement }) => {
                        *replacement = Some(pending);
                        Offer::Alive(attempt, link.clone())
                    }
                    _ => Offer::Close,
                }
            }
            Decision::Nok => Offer::Nok,
            Decision::NotAllowed => Offer::NotAllowed,
            Decision::Close => Offer::Close,
        }
    }

    /// Takes a link that ended out of the table; a handshake that replaces it goes on.
    pub(crate) fn remove(&self, link: &Arc<Link>) {
        let mut slots = self.lock();
        let Some(slot) = slots.of.get_mut(bytes(&link.peer.name)) else { return };
        let Slot::Up { link: current, replacement } = slot else { return };
        if !Arc::ptr_eq(current, link) {
            return;
        }
        match replacement.take() {
            Some(pending) => *slot = Slot::Pending(pending),
            None => {
                slots.of.remove(bytes(&link.peer.name));
            }
        }
    }

    /// Takes no more attempts and ends those under way.
    pub(crate) fn close(&self) {
        let mut slots = self.lock();
        slots.closed = true;
        for slot in slots.of.values() {
            match slot {
                Slot::Pending(pending) | Slot::Up { replacement: Some(pending), .. } => {
                    pending.superseded.cancel();
                }
                Slot::Up { replacement: None, .. } => {}
            }
        }
    }

    fn attempt(
        self: &Arc<Self>,
        slots: &mut Slots,
        peer: &NodeName,
        inbound: bool,
    ) -> (Pending, Attempt) {
        slots.last_attempt += 1;
        let id = slots.last_attempt;
        let superseded = CancellationToken::new();
        let attempt =
            Attempt { peer: peer.clone(), id, superseded: superseded.clone(), table: self.clone() };
        let outcome = watch::Sender::new(None);
        (Pending { id, inbound, superseded, outcome }, attempt)
    }

    /// For those who send: they are many, and change nothing.
    fn read(&self) -> RwLockReadGuard<'_, Slots> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> RwLockWriteGuard<'_, Slots> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(peer: &NodeName) -> Key {
    Key(peer.as_atom().clone())
}

fn bytes(peer: &NodeName) -> &[u8] {
    peer.as_atom().as_bytes()
}

impl Attempt {
    /// Waits until another attempt with the same peer took this one's place.
    pub(crate) async fn superseded(&self) {
        self.superseded.cancelled().await;
    }

    /// Makes the link the peer's, calling `announce` before anybody can use it. False when the
    /// attempt lost its place: the connection has to be dropped then.
    pub(crate) fn promote(self, link: &Arc<Link>, announce: impl FnOnce()) -> bool {
        let mut slots = self.table.lock();
        if slots.closed {
            return false;
        }
        let Some(slot) = slots.of.get_mut(bytes(&self.peer)) else { return false };
        let Slot::Pending(pending) = slot else { return false };
        if pending.id != self.id {
            return false;
        }
        let outcome = pending.outcome.clone();
        *slot = Slot::Up { link: link.clone(), replacement: None };
        announce();
        drop(slots);
        outcome.send_replace(Some(Ok(())));
        true
    }

    /// Gives the slot back and tells those who wait for the attempt why it failed.
    pub(crate) fn fail(self, error: ConnectError) {
        if let Some(pending) = self.take() {
            pending.outcome.send_replace(Some(Err(error)));
        }
    }

    /// Takes this attempt's entry out of the table, if it is still there.
    fn take(&self) -> Option<Pending> {
        let mut slots = self.table.lock();
        let slot = slots.of.get_mut(bytes(&self.peer))?;
        match slot {
            Slot::Pending(pending) if pending.id == self.id => {
                match slots.of.remove(bytes(&self.peer)) {
                    Some(Slot::Pending(pending)) => Some(pending),
                    _ => None,
                }
            }
            Slot::Up { replacement, .. } => replacement.take_if(|pending| pending.id == self.id),
            Slot::Pending(_) => None,
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        drop(self.take());
    }
}
