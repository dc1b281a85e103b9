//! What is answered to one request.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Instant,
};

use beamjoin::Observer;
use dist::Node;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Bytes,
    header::{self, HeaderMap, HeaderValue},
};
use serde::Serialize;

use super::{
    History,
    metrics::{Format, Metrics},
    snapshot::Snapshot,
};
use crate::cli::ready::Readiness;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// The page and nothing from elsewhere; no other page may frame it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a request meets first.
#[derive(Debug)]
pub(super) struct Door {
    /// Nothing while the node is starting.
    site: Arc<OnceLock<Site>>,
    /// Only this machine reaches it.
    loopback: bool,
}

/// What the node tells of itself.
#[derive(Debug)]
pub(super) struct Site {
    node: Node,
    observer: Observer,
    readiness: Readiness,
    history: History,
    metrics: Metrics,
    started: Instant,
}

/// The body of `/ready`.
#[derive(Debug, Serialize)]
struct Ready {
    ready: bool,
    reasons: Vec<String>,
    connected: usize,
    postgres: bool,
}

type Answer = Response<Full<Bytes>>;

impl Door {
    pub(super) fn new(site: Arc<OnceLock<Site>>, addr: SocketAddr) -> Self {
        Self { site, loopback: addr.ip().is_loopback() }
    }

    /// Answers; whatever the body of the request is, it is not read.
    pub(super) fn respond<B>(&self, request: &Request<B>) -> Answer {
        let mut answer = self.answer(request.method(), request.uri().path(), request.headers());
        let headers = answer.headers_mut();
        for (name, value) in [
            (header::CACHE_CONTROL, "no-store"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        answer
    }

    fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Answer {
        if self.loopback && !names_this_machine(headers) {
            return plain(
                StatusCode::MISDIRECTED_REQUEST,
                "this port is for this machine alone: ask for it as localhost or by its address\n",
            );
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match (path, self.site.get()) {
            ("/", _) => ok("text/html; charset=utf-8", include_str!("page/page.html")),
            ("/page.css", _) => ok("text/css; charset=utf-8", include_str!("page/page.css")),
            ("/page.js", _) => ok("text/javascript; charset=utf-8", include_str!("page/page.js")),
            ("/live", _) => plain(StatusCode::OK, "live\n"),
            ("/ready", Some(site)) => site.ready(),
            ("/members", Some(site)) => site.members(),
            ("/metrics", Some(site)) => site.metrics(headers),
            ("/ready", None) => Ready::starting().answer(),
            ("/members" | "/metrics", None) => {
                plain(StatusCode::SERVICE_UNAVAILABLE, "the node is starting\n")
            }
            _ => {
                plain(StatusCode::NOT_FOUND, "there are /, /live, /ready, /metrics and /members\n")
            }
        }
    }
}

impl Site {
    pub(super) fn new(
        node: Node,
        observer: Observer,
        readiness: Readiness,
        history: History,
    ) -> Self {
        let metrics = Metrics::new(node.clone(), observer.clone(), readiness.clone());
        Self { node, observer, readiness, history, metrics, started: Instant::now() }
    }

    fn ready(&self) -> Answer {
        let verdict = self.readiness.verdict();
        let ready = Ready {
            ready: verdict.is_ready(),
            reasons: verdict.reasons,
            connected: verdict.connected,
            postgres: verdict.postgres,
        };
        ready.answer()
    }

    fn members(&self) -> Answer {
        let snapshot = Snapshot::take(
            &self.node,
            &self.observer,
            self.readiness.verdict(),
            self.history.entries(),
            self.started.elapsed(),
        );
        json(StatusCode::OK, &snapshot)
    }

    fn metrics(&self, headers: &HeaderMap) -> Answer {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let format = Format::accepted(accept);
        match self.metrics.render(format) {
            Ok(text) => with(StatusCode::OK, format.media_type(), text),
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }
}

impl Ready {
    fn starting() -> Self {
        let reasons = vec!["the node is starting".to_owned()];
        Self { ready: false, reasons, connected: 0, postgres: false }
    }

    fn answer(&self) -> Answer {
        let status = if self.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json(status, self)
    }
}

/// Whether the request is for `localhost` or an address. A page of the web can make a browser on this machine ask us under
/// a name of its own that leads here (DNS rebinding), and would read the answer.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

fn ok(media_type: &'static str, body: &'static str) -> Answer {
    with(StatusCode::OK, media_type, body)
}

fn plain(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    with(status, TEXT, body)
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(mut body) => {
            body.push(b'\n');
            with(status, JSON, body)
        }
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn with(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_this_machine_or_another_name() {
        let named = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            names_this_machine(&headers)
        };
        for host in ["localhost", "LOCALHOST:9568", "127.0.0.1:80", "10.0.0.1", "[::1]:9568"] {
            assert!(named(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:9568", "evil.example:80", "", "[x]:1"]
        {
            assert!(!named(host), "{host}");
        }
        assert!(names_this_machine(&HeaderMap::new()), "HTTP/1.0 need not say");
    }
}
