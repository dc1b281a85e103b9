//! One name of the table.

use std::time::{Duration, Instant};

use super::{Limits, backoff::Backoff};

/// After this many failures in a row a name that was once connected has no precedence over others any more.
const PATIENCE: u32 = 8;

/// ```text
///              heard            dialled ok, or it dialled us
///  (unknown) ─────────▶ Waiting ─────────────────────────────▶ Up
///                        │   ▲                                  │
///                due     │   └──────────────────────────────────┤ down: wait, with jitter
///                        ▼   │ failed: wait longer              │
///                  `dialling`┘                                  │
///                                                               │
///  (forgotten) ◀── Waiting, and not heard for long              │
/// ```
/// `dialling` stands beside the state because a link can come up, and go down, while our own dial is on its way; no
/// second dial begins until the first has returned.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) link: Link,
    /// A dial has been handed out and has not returned.
    pub(super) dialling: Option<Class>,
    pub(super) heard: Option<Instant>,
    /// More than once: a flood of invented names is not.
    repeated: bool,
    /// The last announcement, or the loss of the link: the entry's age counts from here.
    pub(super) last_sign: Instant,
    /// In a row.
    pub(super) failures: u32,
    pub(super) was_up: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Waiting { due: Instant },
    Up { since: Instant },
}

/// What names are served by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// It was connected, and not long ago.
    Known,
    /// It was never dialled.
    New,
    /// It was never reached, or not for long.
    Failing,
}

impl Entry {
    pub(super) fn heard(now: Instant) -> Self {
        Self { heard: Some(now), ..Self::unheard(now) }
    }

    pub(super) fn unheard(now: Instant) -> Self {
        Self {
            link: Link::Waiting { due: now },
            dialling: None,
            heard: None,
            repeated: false,
            last_sign: now,
            failures: 0,
            was_up: false,
        }
    }

    pub(super) fn heard_again(&mut self, now: Instant, limits: &Limits) {
        let silence = self.heard.map(|at| now.saturating_duration_since(at));
        self.repeated = self.heard.replace(now).is_some();
        self.last_sign = now;
        if let Link::Waiting { due } = &mut self.link
            && silence.is_none_or(|silence| silence >= limits.revived_after)
        {
            *due = (*due).min(now);
            self.failures = 0;
        }
    }

    pub(super) fn up(&mut self, now: Instant) {
        self.was_up = true;
        if !self.is_up() {
            self.link = Link::Up { since: now };
        }
    }

    /// Nothing to do unless it was up.
    pub(super) fn down(&mut self, now: Instant, limits: &Limits, random: u64) {
        let Link::Up { since } = self.link else { return };
        let lasted = now.saturating_duration_since(since);
        self.failures =
            if lasted < limits.stable_after { self.failures.saturating_add(1) } else { 0 };
        self.last_sign = now;
        self.wait(now, &limits.backoff, random);
    }

    pub(super) fn dial_failed(&mut self, now: Instant, backoff: &Backoff, random: u64) {
        if !self.is_up() {
            self.wait(now, backoff, random);
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// The node's event says that it is up; until that comes, and should it never come, do not dial again at once.
    pub(super) fn dial_succeeded(&mut self, now: Instant) {
        if let Link::Waiting { due } = &mut self.link {
            *due = (*due).max(now + Duration::from_secs(1));
        }
    }

    fn wait(&mut self, now: Instant, backoff: &Backoff, random: u64) {
        self.link = Link::Waiting { due: now + backoff.delay(self.failures, random) };
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// When it may be dialled; `None` while it is up or being dialled.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.link {
            Link::Waiting { due } if self.dialling.is_none() => Some(due),
            _ => None,
        }
    }

    pub(super) fn class(&self) -> Class {
        match (self.was_up, self.failures) {
            (true, 0..PATIENCE) => Class::Known,
            (false, 0) => Class::New,
            _ => Class::Failing,
        }
    }

    /// The least goes first of the names of one class: those heard again and again, and of these the one that has waited
    /// longest, so that each of them is dialled in the end.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        (!self.repeated, self.due())
    }

    /// Whether a new name must not take its place: it announces itself all the time.
    pub(super) fn is_kept(&self, now: Instant, revived_after: Duration) -> bool {
        self.repeated && now.saturating_duration_since(self.last_sign) < revived_after
    }

    /// The least is put out first.
    pub(super) fn worth(&self) -> impl Ord + use<> {
        (self.was_up, self.repeated, self.last_sign)
    }

    pub(super) fn is_forgotten(&self, now: Instant, limits: &Limits) -> bool {
        let keep =
            if self.was_up { limits.forget_lost_after } else { limits.forget_unreached_after };
        self.due().is_some() && now.saturating_duration_since(self.last_sign) >= keep
    }
}
