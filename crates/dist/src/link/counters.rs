//! What one link has carried.

use std::sync::atomic::{AtomicU64, Ordering};

/// Running totals of one link.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    frames_read: AtomicU64,
    frames_written: AtomicU64,
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
    /// Control messages skipped: an unknown operation, or one about something that is not there.
    pub skipped: u64,
    /// Messages that could not be decoded, or only over the limits.
    pub refused: u64,
    /// Links and monitors that processes of the peer have with ours.
    pub relations: usize,
}

impl Counters {
    pub(crate) fn read(&self, frames: u64, bytes: usize) {
        self.frames_read.fetch_add(frames, Ordering::Relaxed);
        add(&self.bytes_read, bytes);
    }

    pub(crate) fn wrote(&self, frames: usize, bytes: usize) {
        add(&self.frames_written, frames);
        add(&self.bytes_written, bytes);
    }

    pub(crate) fn skip(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, relations: usize) -> LinkCounters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LinkCounters {
            bytes_read: get(&self.bytes_read),
            bytes_written: get(&self.bytes_written),
            frames_read: get(&self.frames_read),
            frames_written: get(&self.frames_written),
            skipped: get(&self.skipped),
            refused: get(&self.refused),
            relations,
        }
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
}
