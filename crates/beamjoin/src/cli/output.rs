//! Events on stdout, one a line.

use std::{
    io::{self, Write},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use tokio::sync::watch;

use super::{config::Format, exit::Failure, unwritten};

/// Lines that wait for a reader that is slow.
const WAITING: usize = 1024;

/// One event, for people and for programs.
#[derive(Debug)]
pub(crate) struct Line {
    event: &'static str,
    text: String,
    fields: Vec<(&'static str, Value)>,
}

impl Line {
    /// `text` is what follows the event's name for people.
    pub(crate) fn new(event: &'static str, text: impl Into<String>) -> Self {
        Self { event, text: text.into(), fields: Vec::new() }
    }

    pub(crate) fn with(mut self, field: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((field, value.into()));
        self
    }

    pub(crate) fn event(&self) -> &'static str {
        self.event
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn render(&self, format: Format, ts: u64) -> String {
        match format {
            Format::Text => {
                format!("{} {}\n", self.event.replace('_', " "), self.text).replace(" \n", "\n")
            }
            Format::Json => {
                // By hand, for the order: what people look at first comes first.
                let mut object = format!("{{\"event\":\"{}\",\"ts\":{ts}", self.event);
                for (field, value) in &self.fields {
                    object.push_str(&format!(",\"{field}\":{value}"));
                }
                object + "}\n"
            }
        }
    }
}

/// Writes lines from a thread of its own, so that a reader that stalls holds up nothing else.
#[derive(Debug)]
pub(crate) struct Printer {
    format: Format,
    lines: SyncSender<String>,
    dropped: Arc<AtomicU64>,
    /// Its sender is dropped when the thread ends.
    closed: watch::Receiver<()>,
    /// Why the thread ended before it was told to.
    error: Arc<OnceLock<io::Error>>,
}

impl Printer {
    pub(crate) fn start(format: Format) -> Self {
        let (lines, receiver) = sync_channel(WAITING);
        let (end, closed) = watch::channel(());
        let dropped = Arc::new(AtomicU64::new(0));
        let error = Arc::new(OnceLock::new());
        let thread = Writer { format, lines: receiver, dropped: dropped.clone() };
        let failed = error.clone();
        std::thread::spawn(move || {
            if let Err(error) = thread.run() {
                failed.get_or_init(|| error);
            }
            drop(end);
        });
        Self { format, lines, dropped, closed, error }
    }

    /// Writes a line with the time of now. One that finds 1,024 waiting is dropped and counted.
    pub(crate) fn print(&self, line: &Line) {
        if self.lines.try_send(line.render(self.format, now())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns once stdout cannot be written any more.
    pub(crate) async fn closed(&mut self) {
        while self.closed.changed().await.is_ok() {}
    }

    /// Waits until what was printed is written, or nobody reads it, or `patience` is over.
    ///
    /// # Errors
    /// When it could not be written, for another reason than that nobody reads it.
    pub(crate) async fn finish(mut self, patience: Duration) -> Result<(), Failure> {
        // The thread ends when it has written what waits and nobody can add to it.
        self.lines = sync_channel(1).0;
        // Written, nobody reads, or too slow: the process ends in each case.
        let _ = tokio::time::timeout(patience, self.closed()).await;
        self.error.get().map_or(Ok(()), unwritten)
    }
}

struct Writer {
    format: Format,
    lines: Receiver<String>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    fn run(self) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        while let Ok(mut text) = self.lines.recv() {
            let missed = self.dropped.swap(0, Ordering::Relaxed);
            if missed > 0 {
                let line = Line::new("lagged", format!("{missed} events were not written"))
                    .with("missed", missed);
                text.push_str(&line.render(self.format, now()));
            }
            stdout.write_all(text.as_bytes())?;
            stdout.flush()?;
        }
        Ok(())
    }
}

/// Microseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_for_people_and_for_programs() {
        let line = Line::new("postgres_up", "db:5432").with("server", "db:5432");
        assert_eq!(line.render(Format::Text, 1), "postgres up db:5432\n");
        assert_eq!(
            line.render(Format::Json, 1_700_000_000_000_001),
            "{\"event\":\"postgres_up\",\"ts\":1700000000000001,\"server\":\"db:5432\"}\n"
        );
        assert_eq!(Line::new("announced", "").render(Format::Text, 1), "announced\n");
    }

    #[test]
    fn no_line_can_hold_another() {
        let line = Line::new("heard", "x").with("payload", "a\n{\"event\":\"up\"}");
        assert_eq!(line.render(Format::Json, 1).matches('\n').count(), 1);
    }
}
