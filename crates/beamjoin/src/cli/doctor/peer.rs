//! Each node that was heard: reached as a join would reach it, and left again.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use dist::{
    ConnectError, Flags, Node, NodeName,
    epmd::{self, LookupError},
    handshake::{HandshakeError, Step},
};
use etf::Term;

use super::own;
use super::report::{Check, Outcome};
use crate::cli::{
    exit::{COOKIE, HANDSHAKE, TIMED_OUT, UNAVAILABLE},
    remote::{self, Way},
};

/// How long a node may take to answer and to be left.
const PATIENCE: Duration = Duration::from_secs(5);

/// The checks of a node, in the order of a connection.
const STEPS: [&str; 8] = ["host", "epmd", "tcp", TLS, "handshake", "flags", "cookie", "ticks"];

/// The one that is made only where TLS is spoken.
const TLS: &str = "tls";

/// What came of one node.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) checks: Vec<Check>,
    /// Where it is, if that was found out.
    pub(super) address: Option<IpAddr>,
    /// Its `net_ticktime` in seconds, if it told.
    pub(super) tick_time: Option<i64>,
}

/// Connects as a hidden node, under a name that the node gives where it can, asks for its tick time, and leaves.
pub(super) async fn visit(peer: NodeName, way: Way) -> Visit {
    let mut steps = Steps { peer, tls: way.tls.is_on(), checks: Vec::new() };
    let (mut address, mut tick_time) = (None, None);
    // An error has been noted by then; the checks after it are not made.
    let reached = async {
        let port = find(&mut steps, &way, &mut address).await?;
        let node = connect(&mut steps, &way, port).await?;
        tick_time = ticks(&mut steps, &node).await;
        node.shutdown(PATIENCE).await;
        Some(())
    };
    reached.await;
    Visit { checks: steps.finish(), address, tick_time }
}

/// The checks of one node so far.
struct Steps {
    peer: NodeName,
    tls: bool,
    checks: Vec<Check>,
}

impl Steps {
    fn all(&self) -> impl Iterator<Item = &'static str> + use<> {
        let tls = self.tls;
        STEPS.into_iter().filter(move |name| tls || *name != TLS)
    }

    fn add(&mut self, name: &'static str, outcome: Outcome) {
        self.checks.push(Check { name, node: Some(self.peer.clone()), outcome });
    }

    /// Those after the last one are not checked because of it.
    fn finish(mut self) -> Vec<Check> {
        let because = self.checks.last().map_or("heard", |check| check.name);
        for name in self.all().skip(self.checks.len()) {
            self.add(name, Outcome::NotChecked { because });
        }
        self.checks
    }
}

/// Where the node listens.
async fn find(steps: &mut Steps, way: &Way, address: &mut Option<IpAddr>) -> Option<u16> {
    let host = steps.peer.host().to_owned();
    if let Some(port) = way.peer_port {
        match own::resolve(&host).await.map(|found| found.into_iter().find(|ip| way.allows(*ip))) {
            Ok(Some(found)) => {
                *address = Some(found);
                steps.add("host", Outcome::ok(format!("{host} is {found}")));
                steps.add(
                    "epmd",
                    Outcome::ok(format!("not asked: its port is {port} (--peer-port)")),
                );
                return Some(port);
            }
            Ok(None) => steps.add("host", not_private(format!("{host} has no private address"))),
            Err(error) => steps.add("host", unresolved(&host, &error.to_string())),
        }
        return None;
    }
    let allows = way.clone();
    let allowed = move |address| allows.allows(address);
    match epmd::lookup_allowed(&host, way.epmd_port, steps.peer.base(), allowed).await {
        Ok(info) => {
            *address = Some(info.addr);
            steps.add("host", Outcome::ok(format!("{host} is {}", info.addr)));
            let at = SocketAddr::new(info.addr, way.epmd_port);
            let detail =
                format!("the one at {at} says that the node listens at port {}", info.port);
            steps.add("epmd", Outcome::ok(detail));
            Some(info.port)
        }
        Err(LookupError::Resolve { source, .. }) => {
            steps.add("host", unresolved(&host, &source.to_string()));
            None
        }
        Err(error @ LookupError::NotAllowed { .. }) => {
            steps.add("host", not_private(error));
            None
        }
        Err(error) => {
            steps.add("host", Outcome::ok(format!("{host} resolves")));
            steps.add("epmd", unknown(&host, &error));
            None
        }
    }
}

/// Not so much as a connection is made there.
fn not_private(what: impl ToString) -> Outcome {
    Outcome::failed(UNAVAILABLE, what, "leave out --private-only, or announce a private address")
}

fn unresolved(host: &str, error: &str) -> Outcome {
    Outcome::failed(
        UNAVAILABLE,
        format!("failed to resolve {host}: {error}"),
        "name the node by an address or a host that this one knows, or add it to the DNS",
    )
}

fn unknown(host: &str, error: &LookupError) -> Outcome {
    let (code, advice) = match error {
        LookupError::NotFound { .. } => (
            UNAVAILABLE,
            format!("has the node ended, or lost its EPMD? `beamjoin names {host}` lists those that are there"),
        ),
        LookupError::Timeout { .. } => {
            (TIMED_OUT, "does a firewall drop the packets to that port?".to_owned())
        }
        LookupError::Malformed { .. } => {
            (UNAVAILABLE, "is ERL_EPMD_PORT the same here as there?".to_owned())
        }
        _ => (
            UNAVAILABLE,
            "is ERL_EPMD_PORT the same here as there, and does a firewall let it through? a node without EPMD is \
             reached with --peer-port"
                .to_owned(),
        ),
    };
    Outcome::failed(code, error, advice)
}

/// From the TCP connection to the cookie.
async fn connect(steps: &mut Steps, way: &Way, port: u16) -> Option<Node> {
    let peer = steps.peer.clone();
    let error = match remote::visit(&peer, &Way { peer_port: Some(port), ..way.clone() }).await {
        Ok(node) => {
            let flags = node.nodes().pop().map(|peer| peer.flags).unwrap_or_default();
            passed(steps, port, "flags");
            steps.add("flags", Outcome::ok(flags_detail(flags)));
            steps.add("cookie", Outcome::ok("it is the same as ours"));
            return Some(node);
        }
        Err(error) => error,
    };
    let (step, code, advice) = blame(&peer, &error);
    passed(steps, port, step);
    steps.add(step, Outcome::failed(code, error, advice));
    None
}

/// Notes the steps of a connection that came before `step`.
fn passed(steps: &mut Steps, port: u16, step: &str) {
    let details = [
        ("tcp", format!("port {port} takes connections")),
        (TLS, "each takes the other's certificate".to_owned()),
        ("handshake", "it speaks the distribution protocol".to_owned()),
        ("flags", "all that must be is there".to_owned()),
    ];
    for (name, detail) in details.into_iter().take_while(|(name, _)| *name != step) {
        if name != TLS || steps.tls {
            steps.add(name, Outcome::ok(detail));
        }
    }
}

fn flags_detail(flags: Flags) -> String {
    let lacks = flags.expanded().missing_names(Flags::OFFERED);
    if lacks.is_empty() {
        return "it can do all that we can".to_owned();
    }
    let lacks: Vec<String> = lacks.iter().map(ToString::to_string).collect();
    format!("all that must be is there; without {}", lacks.join(", "))
}

/// The step that failed, the exit code, and what to do.
fn blame(peer: &NodeName, error: &ConnectError) -> (&'static str, u8, String) {
    let stale = "the node has ended or hangs, or a firewall is between; does EPMD keep an old registration?";
    match error {
        ConnectError::Lookup(_) => ("tcp", UNAVAILABLE, "try again".to_owned()),
        ConnectError::Tcp { .. } => ("tcp", UNAVAILABLE, stale.to_owned()),
        ConnectError::TcpTimeout { .. } => ("tcp", TIMED_OUT, stale.to_owned()),
        ConnectError::Handshake(error) => handshake(peer, error),
        _ => ("handshake", UNAVAILABLE, "try again".to_owned()),
    }
}

fn handshake(peer: &NodeName, error: &HandshakeError) -> (&'static str, u8, String) {
    match error {
        HandshakeError::CookieRefused => {
            ("cookie", COOKIE, format!("give the one that erlang:get_cookie() returns on {peer}"))
        }
        HandshakeError::MissingFlags(_) => {
            ("flags", HANDSHAKE, "update that node: OTP 23 and later have them all".to_owned())
        }
        #[cfg(feature = "tls")]
        HandshakeError::Tls(_) => (
            TLS,
            HANDSHAKE,
            format!(
                "--tls-ca must have signed the certificate of {peer}, for its host, and that node must trust who signed ours"
            ),
        ),
        HandshakeError::PeerSpeaksNoTls => (
            TLS,
            HANDSHAKE,
            "start it with -proto_dist inet_tls, or leave out --tls-cert, --tls-key and --tls-ca"
                .to_owned(),
        ),
        HandshakeError::PeerSpeaksTls => {
            ("handshake", HANDSHAKE, "give --tls-cert, --tls-key and --tls-ca".to_owned())
        }
        HandshakeError::Timeout { step: Step::Tls, .. }
        | HandshakeError::Closed { step: Step::Tls, .. }
        | HandshakeError::Io { step: Step::Tls, .. } => {
            (TLS, HANDSHAKE, "does it speak TLS (-proto_dist inet_tls)?".to_owned())
        }
        HandshakeError::Timeout { .. } => {
            ("handshake", TIMED_OUT, "does the node hang, or is it another program?".to_owned())
        }
        HandshakeError::NotAllowed => {
            ("handshake", HANDSHAKE, format!("see net_kernel:allow/1 on {peer}"))
        }
        HandshakeError::NameMismatch { .. } => (
            "handshake",
            HANDSHAKE,
            "the port belongs to another node now: restart the one that was dialled, or its EPMD"
                .to_owned(),
        ),
        _ => ("handshake", HANDSHAKE, "is it a node?".to_owned()),
    }
}

/// Asks for `net_ticktime`. No tick time keeps two nodes apart, for we tick as often as any of them needs.
async fn ticks(steps: &mut Steps, node: &Node) -> Option<i64> {
    let asked = node.rpc(&steps.peer, "net_kernel", "get_net_ticktime", vec![], PATIENCE).await;
    let seconds = match &asked {
        // {ongoing_change_to, Seconds}
        Ok(Term::Tuple(change)) => change.last().and_then(Term::as_int),
        Ok(term) => term.as_int(),
        Err(_) => None,
    };
    steps.add(
        "ticks",
        Outcome::ok(match seconds {
            Some(seconds) => format!("its net_ticktime is {seconds} s"),
            None => "it does not tell its net_ticktime; any will do".to_owned(),
        }),
    );
    seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_failure_is_not_checked() {
        let mut steps = Steps { peer: "a@b".parse().unwrap(), tls: false, checks: Vec::new() };
        steps.add("host", Outcome::ok("it resolves"));
        steps.add("epmd", Outcome::failed(UNAVAILABLE, "no", "do"));
        let checks = steps.finish();
        let names: Vec<_> = checks.iter().map(|check| check.name).collect();
        assert_eq!(names, STEPS.into_iter().filter(|name| *name != TLS).collect::<Vec<_>>());
        let skipped =
            |check: &Check| matches!(check.outcome, Outcome::NotChecked { because: "epmd" });
        assert_eq!(checks.iter().filter(|check| skipped(check)).count(), 5);
    }

    #[test]
    fn of_flags_what_is_missing_is_said() {
        assert_eq!(
            flags_detail(Flags::OFFERED.with(Flags::PUBLISHED)),
            "it can do all that we can"
        );
        let old = Flags::OFFERED.without(Flags::ALIAS).without(Flags::V4_NC);
        assert_eq!(flags_detail(old), "all that must be is there; without V4_NC, ALIAS");
    }
}
