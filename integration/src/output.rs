//! What a child process printed, kept for the message of a failing test.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Lines kept of one child.
const LINES: usize = 400;

/// The last lines of a child's output, shared with the tasks that read them.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    lines: Arc<Mutex<VecDeque<String>>>,
    /// How many streams are being read.
    open: watch::Sender<usize>,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { lines: Arc::default(), open: watch::Sender::new(0) }
    }

    /// Reads `stream` to its end on a task of its own.
    pub(crate) fn follow(&self, stream: impl AsyncRead + Send + Unpin + 'static) {
        self.follow_with(stream, |_| ());
    }

    /// As [`Output::follow`], and hands each line to `each` as well.
    pub(crate) fn follow_with(
        &self,
        stream: impl AsyncRead + Send + Unpin + 'static,
        each: impl Fn(String) + Send + 'static,
    ) {
        self.open.send_modify(|open| *open += 1);
        let kept = self.clone();
        tokio::spawn(async move {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while let Ok(1..) = reader.read_until(b'\n', &mut line).await {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                kept.push(text.clone());
                each(text);
                line.clear();
            }
            kept.open.send_modify(|open| *open -= 1);
        });
    }

    /// Waits until every stream has been read to its end.
    pub(crate) async fn closed(&self, end: Instant) -> Result<()> {
        let mut open = self.open.subscribe();
        let closed = timeout_at(end, open.wait_for(|open| *open == 0));
        closed.await.context("something still holds the output of the ended process open")??;
        Ok(())
    }

    /// Everything kept so far, one line each.
    pub(crate) fn text(&self) -> String {
        self.lines().iter().map(|line| format!("{line}\n")).collect()
    }

    fn push(&self, line: String) {
        let mut lines = self.lines();
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
