//! `/metrics`, in the text format of Prometheus or of OpenMetrics.
//!
//! Everything is read when it is scraped, so a node that is forgotten takes its series along. Only nodes that had a link
//! have any: they know the cookie, while anybody can announce names.

use std::{fmt, time::Duration};

use beamjoin::{DiscoveryStatus, Member, MemberState, Observer};
use dist::{Node, NodeStats, PeerStats};
use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet, prometheus_text, text,
    },
    metrics::{MetricType, exemplar::Exemplar},
    registry::{Registry, Unit},
};

use crate::cli::ready::Readiness;

/// The media type that asks for [`Format::OpenMetrics`], and begins that of an answer.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text";

/// The labels of what there is one of.
const ALONE: [(&str, &str); 0] = [];

/// All metrics of one node.
#[derive(Debug)]
pub(super) struct Metrics(Registry);

/// Which of the two text formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Prometheus,
    OpenMetrics,
}

#[derive(Debug)]
struct Figures {
    node: Node,
    observer: Observer,
    readiness: Readiness,
}

impl Metrics {
    pub(super) fn new(node: Node, observer: Observer, readiness: Readiness) -> Self {
        let mut registry = Registry::with_prefix("beamjoin");
        registry.register_collector(Box::new(Figures { node, observer, readiness }));
        Self(registry)
    }

    /// # Errors
    /// None that is known: text is written to memory.
    pub(super) fn render(&self, format: Format) -> Result<String, fmt::Error> {
        let mut text = String::new();
        match format {
            Format::Prometheus => prometheus_text::encode(&mut text, &self.0)?,
            Format::OpenMetrics => text::encode(&mut text, &self.0)?,
        }
        Ok(text)
    }
}

impl Format {
    /// As the client accepts it: OpenMetrics only if it says so.
    pub(super) fn accepted(accept: Option<&str>) -> Self {
        let wanted = accept.is_some_and(|accept| accept.contains(OPEN_METRICS));
        if wanted { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Writer(encoder);
        out.info("build", "What runs", &[("version", env!("CARGO_PKG_VERSION"))])?;
        let ready = u32::from(self.readiness.verdict().is_ready());
        out.gauge("ready", "Whether /ready says so", None, [(ALONE, ready)])?;
        let members = self.observer.members();
        peers(&mut out, &self.node.peers(), &members)?;
        totals(&mut out, &members)?;
        postgres(&mut out, &self.observer.discovery())?;
        node(&mut out, &self.node.stats())
    }
}

/// Per node that has or had a link.
fn peers(out: &mut Writer<'_>, links: &[PeerStats], members: &[Member]) -> fmt::Result {
    let was_up = || members.iter().filter(|member| member.links > 0);
    let of = |member: &Member| [("peer", member.name.to_string())];
    out.gauge(
        "peer_up",
        "Whether there is a link",
        None,
        was_up().map(|member| (of(member), u32::from(member.state == MemberState::Up))),
    )?;
    out.counter(
        "peer_reconnects",
        "Links after the first",
        None,
        was_up().map(|member| (of(member), member.links - 1)),
    )?;
    out.gauge(
        "peer_last_down",
        "How the last link that was lost ended, in the words of OTP's nodedown_reason; always 1",
        None,
        was_up().filter_map(|member| {
            let (reason, _) = member.last_down.as_ref()?;
            let labels = [("peer", member.name.to_string()), ("reason", reason.word().to_owned())];
            Some((labels, 1_u32))
        }),
    )?;
    out.gauge(
        "peer_last_down_age",
        "Since the last link was lost",
        Some(Unit::Seconds),
        was_up().filter_map(|member| {
            let (_, ago) = member.last_down.as_ref()?;
            Some((of(member), ago.as_secs_f64()))
        }),
    )?;
    links_that_are_up(out, links)
}

fn links_that_are_up(out: &mut Writer<'_>, links: &[PeerStats]) -> fmt::Result {
    let mut counter = |name, help, unit, value: fn(&PeerStats) -> u64| {
        out.counter(name, help, unit, links.iter().map(|link| (peer(link), value(link))))
    };
    let bytes = Some(Unit::Bytes);
    counter("peer_received", "Read from the link", bytes.clone(), |it| it.counters.bytes_read)?;
    counter("peer_sent", "Written to the link", bytes.clone(), |it| it.counters.bytes_written)?;
    counter("peer_received_messages", "Messages read", None, |it| it.counters.messages_read)?;
    counter("peer_sent_messages", "Messages written", None, |it| it.counters.messages_written)?;
    counter("peer_received_fragments", "Fragments of messages read", None, |it| {
        it.counters.fragments_read
    })?;
    counter("peer_sent_fragments", "Fragments of messages written", None, |it| {
        it.counters.fragments_written
    })?;
    counter("peer_refused_messages", "Messages that could not be decoded", None, |it| {
        it.counters.refused
    })?;
    counter("peer_skipped_messages", "Messages about nothing that is here", None, |it| {
        it.counters.skipped
    })?;
    let seconds = Some(Unit::Seconds);
    out.counter(
        "peer_busy",
        "Time that senders have waited for room in the queue, added up over them",
        seconds.clone(),
        links.iter().map(|link| (peer(link), link.waited.as_secs_f64())),
    )?;
    let mut gauge = |name, help, unit, value: fn(&PeerStats) -> usize| {
        out.gauge(name, help, unit, links.iter().map(|link| (peer(link), value(link))))
    };
    gauge("peer_queue", "Waiting to be written", bytes, |it| it.queued_bytes)?;
    gauge("peer_waiting_senders", "Senders that wait for room", None, |it| it.waiting)?;
    gauge("peer_relations", "Links and monitors of processes across it", None, |it| {
        it.counters.relations
    })?;
    let mut age = |name, help, value: fn(&PeerStats) -> Duration| {
        let samples = links.iter().map(|link| (peer(link), value(link).as_secs_f64()));
        out.gauge(name, help, seconds.clone(), samples)
    };
    age("peer_link_age", "Since the link is up", |it| it.up_for)?;
    age("peer_tick_age", "Since anything was read, ticks included", |it| it.read_ago)
}

fn peer(link: &PeerStats) -> [(&'static str, String); 1] {
    [("peer", link.peer.name.to_string())]
}

fn totals(out: &mut Writer<'_>, members: &[Member]) -> fmt::Result {
    let count = |state| members.iter().filter(|member| member.state == state).count();
    out.gauge(
        "members",
        "Nodes that are known",
        None,
        MemberState::ALL.map(|state| ([("state", state.word())], count(state))),
    )
}

fn postgres(out: &mut Writer<'_>, of: &DiscoveryStatus) -> fmt::Result {
    out.gauge("postgres_up", "Whether announcements are heard", None, [(ALONE, u32::from(of.up))])?;
    out.gauge(
        "postgres_joined",
        "Whether our own announcement has come back over this connection",
        None,
        [(ALONE, u32::from(of.hears_us))],
    )?;
    out.gauge(
        "postgres_generation",
        "Which connection since the start this is",
        None,
        [(ALONE, of.connections)],
    )?;
    out.counter("postgres_lost", "Connections that were lost", None, [(ALONE, of.losses)])?;
    out.counter(
        "postgres_failed_attempts",
        "Attempts to connect that failed",
        None,
        [(ALONE, of.failed_attempts)],
    )?;
    out.counter("postgres_announcements", "Announcements heard", None, [(ALONE, of.heard)])?;
    out.counter(
        "postgres_missed_announcements",
        "Announcements that came too fast and were dropped",
        None,
        [(ALONE, of.missed)],
    )?;
    out.counter(
        "postgres_ignored_announcements",
        "Announcements of no use",
        None,
        of.ignored.iter().map(|(why, count)| ([("reason", why.word())], *count)),
    )?;
    out.gauge(
        "postgres_heard_age",
        "Since the last announcement",
        Some(Unit::Seconds),
        of.heard_ago.map(|ago| (ALONE, ago.as_secs_f64())),
    )
}

fn node(out: &mut Writer<'_>, stats: &NodeStats) -> fmt::Result {
    out.counter(
        "refused_terms",
        "Terms of other nodes that could not be read",
        None,
        stats.refused.iter().map(|(reason, count)| ([("reason", *reason)], *count)),
    )?;
    let mailboxes = &stats.mailboxes;
    let kinds = |value: fn(&dist::MailboxStats) -> usize| {
        mailboxes.iter().map(move |of| ([("kind", of.kind.word())], value(of)))
    };
    out.gauge("processes", "Processes that live", None, kinds(|of| of.processes))?;
    out.gauge("mailbox_messages", "Messages in mailboxes", None, kinds(|of| of.messages))?;
    out.gauge("mailbox", "What they hold", Some(Unit::Bytes), kinds(|of| of.bytes))?;
    out.gauge(
        "mailbox_longest_messages",
        "Messages in the fullest mailbox",
        None,
        kinds(|of| of.longest),
    )?;
    let counts = &stats.counts;
    let whole = [
        ("calls", "Calls that wait for an answer", counts.calls),
        ("relations", "Links and monitors across links", counts.relations),
        ("aliases", "Aliases of processes", counts.aliases),
        ("tasks", "Tasks of the node", counts.tasks),
    ];
    for (name, help, value) in whole {
        out.gauge(name, help, None, [(ALONE, value)])?;
    }
    out.gauge(
        "fragments",
        "Messages of which fragments are missing hold this",
        Some(Unit::Bytes),
        [(ALONE, counts.fragment_bytes)],
    )
}

/// Writes families of samples with the same labels.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn gauge<const N: usize, L: AsRef<str>, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        samples: impl IntoIterator<Item = ([(&'static str, L); N], V)>,
    ) -> fmt::Result {
        let kind = MetricType::Gauge;
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, value) in samples {
            let labels = labels.each_ref().map(text_of);
            match N {
                0 => family.encode_gauge(&value)?,
                _ => family.encode_family(&labels)?.encode_gauge(&value)?,
            }
        }
        Ok(())
    }

    fn counter<const N: usize, L: AsRef<str>, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        samples: impl IntoIterator<Item = ([(&'static str, L); N], V)>,
    ) -> fmt::Result {
        let kind = MetricType::Counter;
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        let exemplar: Option<&Exemplar<NoLabelSet, u64>> = None;
        for (labels, value) in samples {
            let labels = labels.each_ref().map(text_of);
            match N {
                0 => family.encode_counter(&value, exemplar)?,
                _ => family.encode_family(&labels)?.encode_counter(&value, exemplar)?,
            }
        }
        Ok(())
    }

    fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&labels)
    }
}

fn text_of<'a, L: AsRef<str>>((name, value): &'a (&'static str, L)) -> (&'static str, &'a str) {
    (*name, value.as_ref())
}
