//! Messages that come in fragments, put together (`erl_dist_protocol`, "Protocol between Connected
//! Nodes"; `erts_net_message` in OTP's `dist.c`).
//!
//! The fragments of one message come in order, counted down to 1, and those of several messages
//! may alternate with each other and with whole messages.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::header::Part;

/// What a message in progress is charged beside its bytes.
const OVERHEAD: usize = 512;

/// The messages of one connection of which fragments are missing, each with a `T` that its first
/// fragment told.
#[derive(Debug)]
pub(crate) struct Sequences<T> {
    of: HashMap<u64, Sequence<T>>,
    /// What all of them are charged.
    charged: usize,
    limits: FragmentLimits,
    node: Arc<Budget>,
}

/// What one connection may have in progress.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FragmentLimits {
    pub(crate) sequences: usize,
    pub(crate) bytes: usize,
}

#[derive(Debug)]
struct Sequence<T> {
    head: T,
    /// The number that the next fragment must have.
    next: u64,
    /// Each fragment is copied once, to its place in the message: kept as it came, a short one could
    /// keep a whole read buffer alive.
    payload: Vec<u8>,
    charged: usize,
}

/// Why a fragment cannot be taken. The connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FragmentError {
    #[error("a first fragment of sequence {0}, of which fragments are missing")]
    Duplicate(u64),
    #[error("a fragment of sequence {0}, of which there was no first one")]
    NoFirst(u64),
    #[error("fragment {came} of sequence {sequence} where {next} had to come")]
    OutOfOrder { sequence: u64, came: u64, next: u64 },
    #[error("more than {0} fragmented messages at once")]
    TooMany(usize),
    #[error("more than {0} bytes of fragmented messages in progress")]
    TooMuch(usize),
}

impl<T> Sequences<T> {
    /// None in progress. What comes is charged to the `node` as well.
    pub(crate) fn new(limits: FragmentLimits, node: Arc<Budget>) -> Self {
        Self { of: HashMap::new(), charged: 0, limits, node }
    }

    /// Takes the first fragment of a message that has more of them.
    ///
    /// # Errors
    /// When the sequence is in progress already, or there is too much in progress.
    pub(crate) fn first(
        &mut self,
        part: Part,
        head: T,
        head_bytes: usize,
        payload: &[u8],
    ) -> Result<(), FragmentError> {
        let charge = OVERHEAD + head_bytes + payload.len();
        if self.of.len() >= self.limits.sequences && !self.of.contains_key(&part.sequence) {
            return Err(FragmentError::TooMany(self.limits.sequences));
        }
        let Entry::Vacant(place) = self.of.entry(part.sequence) else {
            return Err(FragmentError::Duplicate(part.sequence));
        };
        place.insert(Sequence {
            head,
            next: part.fragment.saturating_sub(1),
            payload: payload.to_vec(),
            charged: 0,
        });
        self.charge(part.sequence, charge)
    }

    /// Takes a later fragment: with the last one, what the first told and the whole payload.
    ///
    /// # Errors
    /// When it is not the one that has to come, or there is too much in progress.
    pub(crate) fn next(
        &mut self,
        part: Part,
        payload: &[u8],
    ) -> Result<Option<(T, Vec<u8>)>, FragmentError> {
        let Part { sequence, fragment } = part;
        let found = self.of.get_mut(&sequence).ok_or(FragmentError::NoFirst(sequence))?;
        if found.next != fragment {
            return Err(FragmentError::OutOfOrder { sequence, came: fragment, next: found.next });
        }
        found.next -= 1;
        found.payload.extend_from_slice(payload);
        if found.next > 0 {
            self.charge(sequence, payload.len())?;
            return Ok(None);
        }
        let Some(mut done) = self.of.remove(&sequence) else { return Ok(None) };
        // A mailbox counts its length; what was allocated for more fragments would come on top.
        done.payload.shrink_to_fit();
        self.charged -= done.charged;
        self.node.give(done.charged);
        if self.of.is_empty() {
            self.of = HashMap::new();
        }
        Ok(Some((done.head, done.payload)))
    }

    fn charge(&mut self, sequence: u64, bytes: usize) -> Result<(), FragmentError> {
        if self.charged.saturating_add(bytes) > self.limits.bytes {
            return Err(FragmentError::TooMuch(self.limits.bytes));
        }
        if !self.node.take(bytes) {
            return Err(FragmentError::TooMuch(self.node.most));
        }
        self.charged += bytes;
        if let Some(found) = self.of.get_mut(&sequence) {
            found.charged += bytes;
        }
        Ok(())
    }
}

impl<T> Drop for Sequences<T> {
    fn drop(&mut self) {
        self.node.give(self.charged);
    }
}

/// Bytes that all connections of a node share.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    most: usize,
}

impl Budget {
    /// A budget of `most` bytes.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), most })
    }

    /// How many bytes are taken.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= self.most)
        });
        taken.is_ok()
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(sequence: u64, fragment: u64) -> Part {
        Part { sequence, fragment }
    }

    fn sequences(sequences: usize, bytes: usize) -> Sequences<&'static str> {
        Sequences::new(FragmentLimits { sequences, bytes }, Budget::new(1 << 20))
    }

    #[test]
    fn what_otp_refuses_is_refused() {
        let mut all = sequences(9, 10_000);
        assert_eq!(all.next(part(1, 1), b"x"), Err(FragmentError::NoFirst(1)));
        all.first(part(1, 3), "one", 0, b"a").unwrap();
        assert_eq!(all.first(part(1, 2), "again", 0, b"a"), Err(FragmentError::Duplicate(1)));
        let skipped = FragmentError::OutOfOrder { sequence: 1, came: 1, next: 2 };
        assert_eq!(all.next(part(1, 1), b"c"), Err(skipped));
        assert_eq!(all.next(part(1, 2), b"b"), Ok(None));
        let twice = FragmentError::OutOfOrder { sequence: 1, came: 2, next: 1 };
        assert_eq!(all.next(part(1, 2), b"b"), Err(twice));
        assert_eq!(all.next(part(1, 1), b"c"), Ok(Some(("one", b"abc".to_vec()))));
        assert_eq!(all.next(part(1, 1), b"c"), Err(FragmentError::NoFirst(1)));
        assert_eq!(all.node.used(), 0);
    }

    #[test]
    fn the_limits_hold_and_everything_is_given_back() {
        let mut all = sequences(2, 3 * OVERHEAD);
        all.first(part(1, 9), "one", 0, b"a").unwrap();
        all.first(part(2, 9), "two", 0, b"a").unwrap();
        assert_eq!(all.first(part(3, 9), "three", 0, b"a"), Err(FragmentError::TooMany(2)));
        assert_eq!(all.node.used(), 2 * (OVERHEAD + 1));
        let much = [0; OVERHEAD];
        assert_eq!(all.next(part(1, 8), &much), Err(FragmentError::TooMuch(3 * OVERHEAD)));
        let node = all.node.clone();
        drop(all);
        assert_eq!(node.used(), 0);
    }

    #[test]
    fn a_message_that_is_complete_holds_no_more_than_its_bytes() {
        let mut all = sequences(1, 1 << 20);
        all.first(part(1, 3), "one", 0, &[0; 1000]).unwrap();
        all.next(part(1, 2), &[0; 1000]).unwrap();
        let (_, payload) = all.next(part(1, 1), &[0; 1]).unwrap().unwrap();
        assert_eq!((payload.len(), payload.capacity()), (2001, 2001));
    }

    #[test]
    fn links_share_what_the_node_has() {
        let node = Budget::new(2 * OVERHEAD);
        let limits = FragmentLimits { sequences: 9, bytes: 1 << 20 };
        let mut a = Sequences::new(limits, node.clone());
        let mut b = Sequences::new(limits, node.clone());
        a.first(part(1, 2), "a", 100, b"").unwrap();
        assert_eq!(
            b.first(part(1, 2), "b", OVERHEAD, b""),
            Err(FragmentError::TooMuch(2 * OVERHEAD))
        );
        drop(a);
        let mut c = Sequences::new(limits, node);
        c.first(part(1, 2), "c", OVERHEAD, b"").unwrap();
    }

    proptest! {
        #[test]
        fn any_alternation_gives_the_messages(
            messages in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 2..6), 1..6),
            turns in prop::collection::vec(any::<prop::sample::Index>(), 30),
        ) {
            let mut all = Sequences::new(FragmentLimits { sequences: 6, bytes: 1 << 20 }, Budget::new(1 << 20));
            let mut left: Vec<(usize, usize)> = (0..messages.len()).map(|message| (message, 0)).collect();
            let mut turns = turns.iter().cycle();
            let mut done = 0;
            while !left.is_empty() {
                let turn = turns.next().unwrap().index(left.len());
                let (message, at) = left[turn];
                let fragments = &messages[message];
                let part = part(message as u64 + 1, (fragments.len() - at) as u64);
                if at == 0 {
                    all.first(part, message, 0, &fragments[0]).unwrap();
                } else if let Some((head, payload)) = all.next(part, &fragments[at]).unwrap() {
                    prop_assert_eq!(head, message);
                    prop_assert_eq!(payload, fragments.concat());
                    done += 1;
                }
                left[turn].1 += 1;
                if at + 1 == fragments.len() {
                    left.swap_remove(turn);
                }
            }
            prop_assert_eq!(done, messages.len());
            prop_assert_eq!(all.node.used(), 0);
        }
    }
}
