//! The last events, as they were printed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

/// How many are kept.
const KEPT: usize = 100;
/// How many bytes of an event's text are: a reason may quote what a peer sent.
const TEXT: usize = 500;

/// The last 100 events. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct History(Arc<Mutex<VecDeque<Entry>>>);

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    /// Microseconds since 1970.
    pub(crate) ts: u64,
    /// Its name, such as `postgres_up`.
    pub(crate) event: &'static str,
    /// What it says to people.
    pub(crate) text: String,
}

impl History {
    pub(crate) fn record(&self, ts: u64, event: &'static str, text: &str) {
        let text = beginning(text);
        let mut entries = self.lock();
        if entries.len() >= KEPT {
            entries.pop_back();
        }
        entries.push_front(Entry { ts, event, text });
    }

    /// The newest first.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn beginning(text: &str) -> String {
    if text.len() <= TEXT {
        return text.to_owned();
    }
    let beginning = (0..=TEXT).rev().find_map(|end| text.get(..end));
    format!("{}…", beginning.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_kept_and_no_more_than_the_beginning_of_each() {
        let history = History::default();
        for ts in 0..1000 {
            history.record(ts, "up", "a@h");
        }
        history.record(1000, "down", &"é".repeat(TEXT));
        let entries = history.entries();
        assert_eq!(entries.len(), KEPT);
        assert_eq!((entries[0].ts, entries[1].ts, entries[KEPT - 1].ts), (1000, 999, 901));
        assert_eq!(entries[0].text, format!("{}…", "é".repeat(TEXT / 2)));
    }
}
