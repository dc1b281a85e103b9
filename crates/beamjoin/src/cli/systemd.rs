//! Telling systemd (`Type=notify`) how the node is doing.

use sd_notify::NotifyState;
use tracing::warn;

use super::ready::Verdict;

/// What the service manager was told; it is told nothing twice. Without `NOTIFY_SOCKET` nothing is sent.
#[derive(Debug, Default)]
pub(crate) struct Systemd {
    ready: bool,
    status: String,
    failed: bool,
}

impl Systemd {
    /// `READY=1` once the node is ready for the first time (systemd has no way back), and `STATUS` whenever it changes.
    pub(crate) fn update(&mut self, verdict: &Verdict) {
        let status = one_line(&verdict.summary());
        let ready = !self.ready && verdict.is_ready();
        if !ready && status == self.status {
            return;
        }
        let mut states = Vec::new();
        if ready {
            self.ready = true;
            states.push(NotifyState::Ready);
        }
        states.push(NotifyState::Status(&status));
        self.failed = !notify(&states, self.failed);
        self.status = status;
    }

    /// `STOPPING=1`.
    pub(crate) fn stopping(&mut self) {
        let states = [NotifyState::Stopping, NotifyState::Status("leaving the cluster")];
        self.failed = !notify(&states, self.failed);
    }
}

/// Each line of a notification is one of its own, and a reason may be as a server wrote it.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// True if it was sent, or nobody wants to know. The first of several failures is logged.
fn notify(states: &[NotifyState<'_>], failed_before: bool) -> bool {
    let sent = sd_notify::notify(states);
    if let Err(error) = &sent
        && !failed_before
    {
        warn!(%error, "the service manager could not be told at NOTIFY_SOCKET");
    }
    sent.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_status_holds_another_line() {
        assert_eq!(one_line("lost\r\nREADY=1\0"), "lost  READY=1 ");
    }
}
