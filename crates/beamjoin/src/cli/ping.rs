//! `beamjoin ping`

use std::{net::IpAddr, process::ExitCode, time::Duration};

use dist::{
    ConnectError, NodeName, Probe, Visibility,
    epmd::{self, LookupError},
    handshake::{HandshakeError, Step},
};
use serde_json::json;

use super::{
    args::PingArgs,
    config::{Layers, Tls, cookie},
    exit::{self, Failure},
    print_result,
};

pub(crate) async fn ping(layers: Layers, args: PingArgs) -> Result<ExitCode, Failure> {
    let failed = |step, code, why: String| failure(&args, step, code, &why);
    let node = match NodeName::new(&args.node) {
        Ok(node) => node,
        Err(error) => return failed("name", exit::USAGE, error.to_string()),
    };
    let cookie = cookie(&layers)?;
    let epmd = epmd::Config::from_env().map_err(Failure::config)?;
    let probe = Probe::new(cookie, host_like(&node)).epmd_port(epmd.port);
    let probe = Tls::read(&layers)?.of_probe(probe);
    match probe.ping(&node).await {
        Ok(pong) => {
            let visible = pong.peer.visibility == Visibility::Visible;
            let took = pong.connected_in + pong.answered_in;
            let text = if args.json {
                let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
                let pong = json!({
                    "node": node.as_str(), "ok": true, "visible": visible,
                    "connect_us": micros(pong.connected_in), "answer_us": micros(pong.answered_in),
                });
                format!("{pong}\n")
            } else {
                format!("pong from {node} in {:.1} ms\n", took.as_secs_f64() * 1000.0)
            };
            print_result(&text)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let (step, code) = step(&error);
            failed(step, code, explain(&node, &error))
        }
    }
}

/// The host under which the peer gives us a name: of the same form as its own, or it would not answer.
pub(super) fn host_like(node: &NodeName) -> &'static str {
    match node.host().parse() {
        Ok(IpAddr::V6(_)) => "::1",
        _ if node.is_long_host() => "127.0.0.1",
        _ => "localhost",
    }
}

fn failure(args: &PingArgs, step: &str, code: u8, why: &str) -> Result<ExitCode, Failure> {
    if args.json {
        let pang =
            json!({"node": args.node, "ok": false, "step": step, "error": why, "exit": code});
        print_result(&format!("{pang}\n"))?;
        return Ok(ExitCode::from(code));
    }
    Err(Failure::new(
        code,
        format!("ping {} failed at step {step}: {why}", args.node.escape_debug()),
    ))
}

/// Which step failed, and the exit code for it.
pub(super) fn step(error: &ConnectError) -> (&'static str, u8) {
    match error {
        ConnectError::Lookup(error) => match error {
            LookupError::Resolve { .. } => ("name", exit::UNAVAILABLE),
            LookupError::Timeout { .. } => ("epmd", exit::TIMED_OUT),
            _ => ("epmd", exit::UNAVAILABLE),
        },
        ConnectError::Tcp { .. } => ("tcp", exit::UNAVAILABLE),
        ConnectError::TcpTimeout { .. } => ("tcp", exit::TIMED_OUT),
        ConnectError::Handshake(error) => match error {
            HandshakeError::CookieRefused => ("cookie", exit::COOKIE),
            HandshakeError::MissingFlags(_) => ("flags", exit::HANDSHAKE),
            HandshakeError::PeerSpeaksTls | HandshakeError::PeerSpeaksNoTls => {
                ("tls", exit::HANDSHAKE)
            }
            #[cfg(feature = "tls")]
            HandshakeError::Tls(_) => ("tls", exit::HANDSHAKE),
            HandshakeError::Closed { step: Step::Tls } => ("tls", exit::HANDSHAKE),
            HandshakeError::Timeout { step: Step::Tls } => ("tls", exit::TIMED_OUT),
            HandshakeError::Timeout { .. } => ("handshake", exit::TIMED_OUT),
            _ => ("handshake", exit::HANDSHAKE),
        },
        ConnectError::NoAnswer(_) => ("answer", exit::TIMED_OUT),
        ConnectError::Lost(..) => ("answer", exit::UNAVAILABLE),
        _ => ("handshake", exit::UNAVAILABLE),
    }
}

/// The error, and what to do where that is clear.
pub(super) fn explain(node: &NodeName, error: &ConnectError) -> String {
    match error {
        ConnectError::Lookup(LookupError::Unreachable { .. }) => {
            format!(
                "{error}; is a node running on {}, and ERL_EPMD_PORT the same as there?",
                node.host()
            )
        }
        ConnectError::Lookup(LookupError::NotFound { .. }) => {
            format!("{error}; `beamjoin names {}` lists those it knows", node.host())
        }
        ConnectError::Handshake(HandshakeError::CookieRefused) => {
            format!("{error}; compare with erlang:get_cookie() on {node}")
        }
        ConnectError::Handshake(HandshakeError::PeerSpeaksTls) => {
            format!("{error}; give --tls-cert, --tls-key and --tls-ca")
        }
        ConnectError::Handshake(HandshakeError::PeerSpeaksNoTls) => {
            format!("{error}; leave --tls-cert, --tls-key and --tls-ca out")
        }
        _ => error.to_string(),
    }
}
