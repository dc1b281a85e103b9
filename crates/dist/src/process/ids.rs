//! Pids and references of our own node.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use etf::{Atom, Pid, Reference};

/// Bits of a pid's id and serial that every peer takes: OTP 23 has no `V4_NC` and disconnects on
/// more (OTP's `erl_term.h`, `_PID_NUM_SIZE`, `_PID_SER_SIZE`).
const ID_BITS: u32 = 15;
const SERIAL_BITS: u32 = 13;

/// Bits of a reference's first word that every peer takes (`MAX_REFERENCE`).
const FIRST_WORD_BITS: u32 = 18;

/// A process within this node: id and serial of its pid in one number below 2^28.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ProcessId(u32);

/// Gives out pids and references.
#[derive(Debug)]
pub(crate) struct Ids {
    node: Atom,
    creation: u32,
    next_process: AtomicU32,
    next_reference: AtomicU64,
    next_unlink: AtomicU64,
}

impl Ids {
    /// Ids of the node with this name and creation.
    pub(crate) fn new(node: Atom, creation: u32) -> Self {
        Self {
            node,
            creation,
            next_process: AtomicU32::new(1),
            next_reference: AtomicU64::new(1),
            next_unlink: AtomicU64::new(1),
        }
    }

    /// The next process id, wrapping after 2^28. The caller skips those that live.
    pub(crate) fn process(&self) -> ProcessId {
        let mask = (1 << (ID_BITS + SERIAL_BITS)) - 1;
        loop {
            let id = self.next_process.fetch_add(1, Ordering::Relaxed) & mask;
            if id != 0 {
                return ProcessId(id);
            }
        }
    }

    /// The pid of a process of ours.
    pub(crate) fn pid(&self, process: ProcessId) -> Pid {
        let (id, serial) = (process.0 & ((1 << ID_BITS) - 1), process.0 >> ID_BITS);
        Pid { node: self.node.clone(), id, serial, creation: self.creation }
    }

    /// The process a pid names, if it is one of ours and of this incarnation.
    pub(crate) fn own(&self, pid: &Pid) -> Option<ProcessId> {
        let ours = pid.node == self.node
            && pid.creation == self.creation
            && pid.id < 1 << ID_BITS
            && pid.serial < 1 << SERIAL_BITS;
        ours.then_some(ProcessId(pid.serial << ID_BITS | pid.id))
    }

    /// True for a pid of a node with our name, of whatever incarnation.
    pub(crate) fn names_us(&self, pid: &Pid) -> bool {
        pid.node == self.node
    }

    /// An id for an unlink: never 0.
    pub(crate) fn unlink(&self) -> u64 {
        self.next_unlink.fetch_add(1, Ordering::Relaxed).max(1)
    }

    /// A reference that this node never gave out before: three words, as OTP 23 takes them.
    pub(crate) fn reference(&self) -> Reference {
        let n = self.next_reference.fetch_add(1, Ordering::Relaxed);
        let word = |shift: u32, bits: u32| {
            u32::try_from((n >> shift) & ((1 << bits) - 1)).unwrap_or_default()
        };
        let words =
            [word(0, FIRST_WORD_BITS), word(FIRST_WORD_BITS, 23), word(FIRST_WORD_BITS + 23, 23)];
        let reference = Reference::new(self.node.clone(), self.creation, &words);
        #[expect(clippy::expect_used, reason = "three words are within the five that there may be")]
        reference.expect("a reference of three words")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn ids() -> Ids {
        Ids::new(Atom::from_static("rust@h"), 9)
    }

    #[test]
    fn a_pid_names_its_process_until_the_next_incarnation() {
        let ids = ids();
        let process = ids.process();
        let pid = ids.pid(process);
        assert_eq!(ids.own(&pid), Some(process));
        let older = Pid { creation: 8, ..pid.clone() };
        assert_eq!(ids.own(&older), None);
        assert!(ids.names_us(&older));
        let stranger = Pid { node: Atom::from_static("other@h"), ..pid };
        assert_eq!(ids.own(&stranger), None);
    }

    #[test]
    fn ids_wrap_within_what_every_peer_takes_and_skip_zero() {
        let ids = ids();
        ids.next_process.store((1 << 28) - 1, Ordering::Relaxed);
        let last = ids.pid(ids.process());
        assert_eq!((last.id, last.serial), (32767, 8191));
        let first = ids.pid(ids.process());
        assert_eq!((first.id, first.serial), (1, 0));
        ids.next_process.store(u32::MAX, Ordering::Relaxed);
        ids.process();
        let wrapped = ids.pid(ids.process());
        assert!(wrapped.id <= 32767 && wrapped.serial <= 8191);
    }

    #[test]
    fn references_differ_and_keep_their_first_word_small() {
        let ids = ids();
        let mut seen = HashSet::new();
        for start in [1, (1 << 18) - 2, (1 << 41) - 2] {
            ids.next_reference.store(start, Ordering::Relaxed);
            for _ in 0..4 {
                let reference = ids.reference();
                assert_eq!(reference.words().len(), 3);
                assert!(reference.words()[0] < 1 << 18);
                assert!(seen.insert(reference.words().to_vec()));
            }
        }
    }
}
