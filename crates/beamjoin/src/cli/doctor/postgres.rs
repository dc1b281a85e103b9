//! The way to Postgres, and who is heard there.

use std::{collections::BTreeSet, time::Duration};

use beamjoin::{ChannelName, ChannelWarning, Ignored, parse_announcement};
use dist::NodeName;
use pgnotify::{Channel, Config, Error, Event, Listener};
use tokio::time::{Instant, timeout_at};

use super::report::{Finding, Outcome};
use crate::cli::exit::{CONFIG, TIMED_OUT, UNAVAILABLE};

/// Names that are remembered.
const MAX_NAMES: usize = 4096;
/// Notifications that are read when the time is over.
const MAX_LATE: usize = 10_000;
/// Bytes of a payload that are shown.
const SHOWN: usize = 80;

/// A connection that hears the channel, and the channel that Postgres makes of its name without quotes.
#[derive(Debug)]
pub(super) struct Ear {
    listener: Listener,
    pub(super) server: String,
    /// Whether it is certain that LISTEN works.
    pub(super) proved: bool,
    folded: Option<Channel>,
    since: Instant,
}

/// How far we came, as the names of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Postgres,
    Login,
    Listen,
}

/// Who announces on the channel.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Proper names, our own included if somebody announces it.
    pub(super) names: BTreeSet<NodeName>,
    /// Names on the folded channel.
    pub(super) folded: BTreeSet<NodeName>,
    /// What is ignored: why, the first one, how many.
    pub(super) ignored: Vec<(Ignored, String, u64)>,
    /// Why we stopped hearing before the time was over.
    pub(super) lost: Option<String>,
}

impl Ear {
    /// One attempt. Nothing is ever sent to the channel itself.
    pub(super) async fn open(config: Config, channel: &ChannelName) -> Result<Self, Error> {
        let config = config.or(Config::new().application_name("beamjoin doctor"));
        let wanted = Channel::new(channel.as_str());
        let folded = Channel::new(channel.as_str().to_ascii_lowercase()).ok();
        let folded = folded.filter(|folded| folded.as_str() != channel.as_str());
        let channels = wanted.into_iter().chain(folded.clone());
        let (mut listener, driver) = Listener::new(config, channels);
        tokio::spawn(driver);
        loop {
            match listener.next().await {
                Some(Event::Connected { server, proved, .. }) => {
                    return Ok(Self { listener, server, proved, folded, since: Instant::now() });
                }
                Some(Event::Lost { reason: error, .. } | Event::Failed { error, .. }) => {
                    return Err(error);
                }
                Some(_) => {}
                None => return Err(Error::Closed { server: "Postgres".into() }),
            }
        }
    }

    /// Hears until `time` after the connection was made.
    pub(super) async fn listen(mut self, time: Duration) -> Heard {
        let mut heard = Heard::default();
        let deadline = self.since + time;
        // What has come by then is still read, but a flood ends.
        let mut late = 0;
        while late < MAX_LATE
            && let Ok(Some(event)) = timeout_at(deadline, self.listener.next()).await
        {
            late += usize::from(Instant::now() >= deadline);
            match event {
                Event::Notification { channel, payload, .. } => {
                    heard.take(payload.as_bytes(), self.folded.as_ref() == Some(&channel));
                }
                Event::Lost { reason: error, .. } | Event::Failed { error, .. } => {
                    heard.lost = Some(error.to_string());
                    break;
                }
                _ => {}
            }
        }
        heard
    }
}

impl Heard {
    fn take(&mut self, payload: &[u8], folded: bool) {
        let names = if folded { &mut self.folded } else { &mut self.names };
        let why = match parse_announcement(payload) {
            Ok(name) if names.len() < MAX_NAMES || names.contains(&name) => {
                names.insert(name);
                return;
            }
            Ok(_) => Ignored::TableFull,
            Err(why) => why,
        };
        self.ignore(why, payload);
    }

    /// Counts what is ignored for the same reason, and keeps the first of it to be shown.
    pub(super) fn ignore(&mut self, why: Ignored, payload: &[u8]) {
        if let Some((.., count)) = self.ignored.iter_mut().find(|(known, ..)| *known == why) {
            *count += 1;
            return;
        }
        let shown = payload.get(..SHOWN).unwrap_or(payload);
        let more = if shown.len() < payload.len() { "…" } else { "" };
        self.ignored.push((why, format!("\"{}{more}\"", shown.escape_ascii()), 1));
    }
}

impl Stage {
    pub(super) fn check(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Login => "login",
            Self::Listen => "listen",
        }
    }
}

/// What the warnings about a channel come to.
pub(super) fn channel_outcome(channel: &ChannelName) -> Outcome {
    let mut warnings = channel.warnings().peekable();
    if warnings.peek().is_none() {
        return Outcome::ok(format!("it is {channel}"));
    }
    let (mut what, mut advice) = (Vec::new(), Vec::new());
    for warning in warnings {
        what.push(warning.to_string());
        advice.push(match warning {
            ChannelWarning::Truncated => "give all nodes a channel_name of at most 63 bytes",
            ChannelWarning::UpperCase => "give all nodes a channel_name in lower case",
            _ => "give all nodes a channel_name of letters, digits and _",
        });
    }
    Outcome::warning(what.join("; "), advice.join("; "))
}

/// Why there is no connection that hears: how far we came, what to do, and the exit code.
pub(super) fn explain(error: &Error) -> (Stage, Finding, u8) {
    let (stage, code, advice) = advise(error);
    (stage, Finding::new(error, advice), code)
}

fn advise(error: &Error) -> (Stage, u8, &'static str) {
    use Stage::{Listen, Login, Postgres};
    match error {
        Error::Config(_) | Error::File { .. } => (Postgres, CONFIG, "correct the setting"),
        Error::Resolve { .. } => {
            (Postgres, UNAVAILABLE, "is the host's name right, and does this host's DNS know it?")
        }
        Error::Connect { .. } => {
            (Postgres, UNAVAILABLE, "does Postgres run, and are its host and port right?")
        }
        Error::Timeout { .. } => {
            (Postgres, TIMED_OUT, "does a firewall drop the packets, or is the server overloaded?")
        }
        Error::NoTls { .. } => {
            (Postgres, CONFIG, "set ssl = on in postgresql.conf, or give --ssl prefer")
        }
        Error::Certificate { .. } => (
            Postgres,
            CONFIG,
            "give the host's name as it is in the certificate, and its issuer with --ssl-root-cert",
        ),
        Error::Tls { .. } | Error::Closed { .. } | Error::Io { .. } | Error::Protocol { .. } => {
            (Postgres, UNAVAILABLE, "is it Postgres that listens there? its log may say more")
        }
        Error::PasswordMissing { .. } => {
            (Login, CONFIG, "set PGPASSWORD or BEAMJOIN_PASSWORD, or put it in ~/.pgpass")
        }
        Error::Authentication { .. } => {
            (Login, CONFIG, "have Postgres ask for a password (scram-sha-256) in pg_hba.conf")
        }
        Error::Server { sqlstate, .. } => refused(sqlstate),
        Error::WrongSession { .. } => {
            (Listen, UNAVAILABLE, "give the primary's host, or all hosts, separated by commas")
        }
        Error::Silent { .. } => (Listen, TIMED_OUT, "is the server overloaded or suspended?"),
        Error::ListenSwallowed { .. } => {
            (Listen, CONFIG, "give the port of Postgres itself, as the Elixir nodes have to")
        }
        // Where we came furthest says the most.
        Error::Hosts(errors) => {
            let furthest = errors.iter().map(advise).max_by_key(|(stage, ..)| *stage);
            furthest.unwrap_or((Postgres, UNAVAILABLE, "give a host"))
        }
        _ => (Postgres, UNAVAILABLE, "see the server's log"),
    }
}

/// By SQLSTATE (PostgreSQL manual, appendix A).
fn refused(sqlstate: &str) -> (Stage, u8, &'static str) {
    use Stage::{Listen, Login};
    match sqlstate {
        "28P01" => {
            (Login, CONFIG, "correct the password: PGPASSWORD, BEAMJOIN_PASSWORD or ~/.pgpass")
        }
        "28000" => (Login, CONFIG, "create the role, or let it in by a line in pg_hba.conf"),
        "3D000" => (Login, CONFIG, "correct --database, or create it"),
        "42501" => (Login, CONFIG, "grant the role CONNECT on the database"),
        "53300" => (Login, UNAVAILABLE, "end other connections, or raise max_connections"),
        "57P03" => (Login, UNAVAILABLE, "Postgres starts or stops: try again in a moment"),
        "25006" => (Listen, CONFIG, "a standby has no LISTEN: give the primary's host"),
        _ => (Login, UNAVAILABLE, "see the server's log"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_heard_is_sorted() {
        let mut heard = Heard::default();
        for (payload, folded) in
            [("a@h", false), ("a@h", false), ("b@h", true), ("a b", false), ("c", false)]
        {
            heard.take(payload.as_bytes(), folded);
        }
        let names =
            |names: &BTreeSet<NodeName>| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            (names(&heard.names), names(&heard.folded)),
            (vec!["a@h".into()], vec!["b@h".into()])
        );
        assert_eq!(heard.ignored, [(Ignored::NotAName, "\"a b\"".into(), 2)]);
        heard.ignore(Ignored::TooLong, &[b'x'; 300]);
        assert_eq!(heard.ignored[1].1, format!("\"{}…\"", "x".repeat(80)));
    }

    #[test]
    fn of_several_hosts_the_furthest_counts() {
        let closed = Error::Closed { server: "a:1".into() };
        let refused =
            Error::Server { server: "b:1".into(), sqlstate: "28P01".into(), message: "no".into() };
        let (stage, finding, code) = explain(&Error::Hosts(vec![refused, closed]));
        assert_eq!((stage, code), (Stage::Login, CONFIG));
        assert!(finding.what.contains("a:1") && finding.what.contains("b:1"), "{}", finding.what);
    }
}
