//! What one link has carried.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::wire::outgoing::Place;

/// Running totals of one link. What is counted per message is added up by whoever reads or writes, and
/// put here once for all that one read or write of the socket carried.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    read: Totals,
    written: Totals,
    /// Control messages that were skipped: unknown, or for something that is not there.
    pub(crate) skipped: AtomicU64,
    /// Payloads that could not be read.
    pub(crate) refused: AtomicU64,
}

/// What one link has carried so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LinkCounters {
    /// Bytes read from the socket.
    pub bytes_read: u64,
    /// Bytes written to the socket.
    pub bytes_written: u64,
    /// Frames read, ticks not counted.
    pub frames_read: u64,
    /// Frames written, ticks not counted.
    pub frames_written: u64,
    /// Messages read: control messages of every kind, those in fragments when they are complete.
    pub messages_read: u64,
    /// Messages of which the first frame or the only one was written, control messages of every kind.
    pub messages_written: u64,
    /// Frames read that were fragments of a message over 64 KiB.
    pub fragments_read: u64,
    /// Frames written that were fragments of a message over 64 KiB.
    pub fragments_written: u64,
    /// Control messages skipped: an unknown operation, or one about something that is not there.
    pub skipped: u64,
    /// Messages that could not be decoded, or only over the limits.
    pub refused: u64,
    /// Links and monitors that processes of the peer have with ours.
    pub relations: usize,
}

/// Frames of one direction, ticks not counted.
#[derive(Debug, Default)]
struct Totals {
    frames: AtomicU64,
    messages: AtomicU64,
    fragments: AtomicU64,
}

/// Frames of one read or write of the socket, as [`LinkCounters`] counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) frames: u64,
    pub(super) messages: u64,
    pub(super) fragments: u64,
}

impl Counters {
    pub(super) fn bytes_read(&self, bytes: usize) {
        add(&self.bytes_read, bytes);
    }

    pub(super) fn bytes_written(&self, bytes: usize) {
        add(&self.bytes_written, bytes);
    }

    pub(super) fn read(&self, tally: Tally) {
        self.read.add(tally);
    }

    pub(super) fn written(&self, tally: Tally) {
        self.written.add(tally);
    }

    pub(crate) fn skip(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, relations: usize) -> LinkCounters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LinkCounters {
            bytes_read: get(&self.bytes_read),
            bytes_written: get(&self.bytes_written),
            frames_read: get(&self.read.frames),
            frames_written: get(&self.written.frames),
            messages_read: get(&self.read.messages),
            messages_written: get(&self.written.messages),
            fragments_read: get(&self.read.fragments),
            fragments_written: get(&self.written.fragments),
            skipped: get(&self.skipped),
            refused: get(&self.refused),
            relations,
        }
    }
}

impl Totals {
    fn add(&self, tally: Tally) {
        for (total, count) in [
            (&self.frames, tally.frames),
            (&self.messages, tally.messages),
            (&self.fragments, tally.fragments),
        ] {
            if count > 0 {
                total.fetch_add(count, Ordering::Relaxed);
            }
        }
    }
}

impl Tally {
    /// Counts a frame that is to be written.
    pub(super) fn count(&mut self, place: Place) {
        self.frames += 1;
        self.messages += u64::from(!matches!(place, Place::Next(_)));
        self.fragments += u64::from(!matches!(place, Place::Whole));
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
}
