//! Waiting by polling, with a deadline.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep, timeout_at};

/// The pause between two polls.
const INTERVAL: Duration = Duration::from_millis(20);

/// What a poll can answer: `bool`, `Option<T>` or `Result<T, E>`. `false`, `None` and `Err` mean "not yet".
pub trait Outcome {
    /// What waiting yields in the end.
    type Value;
    /// The value, or why it is not there yet.
    fn settle(self) -> Result<Self::Value, String>;
}

impl Outcome for bool {
    type Value = ();
    fn settle(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("still false".to_owned()) }
    }
}

impl<T> Outcome for Option<T> {
    type Value = T;
    fn settle(self) -> Result<T, String> {
        self.ok_or_else(|| "still nothing".to_owned())
    }
}

impl<T, E: Display> Outcome for Result<T, E> {
    type Value = T;
    fn settle(self) -> Result<T, String> {
        self.map_err(|error| format!("{error:#}"))
    }
}

/// Polls until `probe` succeeds; after `deadline` fails with `what` was awaited and the last answer.
///
/// A poll that hangs is cut off at the deadline too.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let mut left = 3;
/// integration::eventually(std::time::Duration::from_secs(5), "the countdown", async || {
///     left -= 1;
///     left == 0
/// })
/// .await
/// .unwrap();
/// # });
/// ```
pub async fn eventually<O: Outcome>(
    deadline: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> O,
) -> Result<O::Value> {
    let end = Instant::now() + deadline;
    let mut last = "the first poll did not return".to_owned();
    loop {
        match timeout_at(end, probe()).await {
            Ok(outcome) => match outcome.settle() {
                Ok(value) => return Ok(value),
                Err(reason) => last = reason,
            },
            Err(_) => return Err(anyhow!("waited {deadline:?} for {what}: {last}")),
        }
        if Instant::now() >= end {
            return Err(anyhow!("waited {deadline:?} for {what}: {last}"));
        }
        sleep(INTERVAL).await;
    }
}
