//! What others need to find this node: its name, its host, its port, EPMD.

use std::{
    io,
    net::{IpAddr, UdpSocket},
    time::Duration,
};

use dist::{
    Epmd, Listen, NodeName,
    epmd::{self, LookupError},
};
use tokio::{net::lookup_host, time::timeout};

use super::report::Outcome;
use crate::cli::exit::{CONFIG, TIMED_OUT, UNAVAILABLE};

/// How long a name may take to be resolved.
const RESOLVE: Duration = Duration::from_secs(5);

/// The host of our name, as others look for it.
pub(super) async fn host(name: &NodeName) -> (Outcome, Vec<IpAddr>) {
    let host = name.host();
    let addresses = match resolve(host).await {
        Ok(addresses) => addresses,
        Err(error) => {
            let what = format!(
                "the host {host} of our name does not resolve, so no node can dial us: {error}"
            );
            let advice =
                "give a host or an address that all nodes know (--host), or add it to the DNS";
            return (Outcome::failed(UNAVAILABLE, what, advice), Vec::new());
        }
    };
    let shown = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    // An address that a socket can be bound to is one of this host's.
    let outcome = if addresses.iter().any(|address| UdpSocket::bind((*address, 0)).is_ok()) {
        Outcome::ok(format!("{host} is this host ({shown})"))
    } else {
        Outcome::warning(
            format!("{host} is {shown}, and no address of this host"),
            "give one of this host's with --host, unless connections to it are forwarded here",
        )
    };
    (outcome, addresses)
}

pub(super) async fn resolve(host: &str) -> io::Result<Vec<IpAddr>> {
    let found = timeout(RESOLVE, lookup_host((host, 0))).await;
    let mut addresses: Vec<_> = found
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?
        .map(|addr| addr.ip())
        .collect();
    addresses.dedup();
    if addresses.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(addresses) }
}

/// Whether the port can be listened on. It is free again at once.
pub(super) fn port(listen: &Listen) -> Outcome {
    match listen.try_out() {
        Ok(()) => Outcome::ok(match listen {
            Listen::Addr(addr) if addr.port() == 0 => format!("any free port of {}", addr.ip()),
            listen => format!("{listen} can be listened on"),
        }),
        Err(error) => Outcome::failed(
            UNAVAILABLE,
            format!("{listen} cannot be listened on: {error}"),
            "give another address or port with --listen, or end what uses it",
        ),
    }
}

/// EPMD on this host, and whether our name is free there.
pub(super) struct Here {
    pub(super) epmd: Outcome,
    pub(super) name: Outcome,
}

/// Asks the EPMD of this host, without registering anything.
pub(super) async fn here(name: &NodeName, mode: Epmd, port: u16, local: &[IpAddr]) -> Here {
    let free = || Outcome::ok(format!("{name} is free"));
    if mode == Epmd::None {
        let unused = "not used (--epmd none): who dials us must know our port";
        return Here { epmd: Outcome::ok(unused), name: free() };
    }
    let names = match at_home(port).await {
        Ok(names) => names,
        Err(error) => {
            let epmd = without(mode, port, &error);
            let unknown = matches!(epmd, Outcome::Failed(..));
            let name = if unknown { Outcome::NotChecked { because: "epmd" } } else { free() };
            return Here { epmd, name };
        }
    };
    let name = if names.iter().any(|(base, _)| base == name.base()) {
        Outcome::failed(
            UNAVAILABLE,
            format!("{name} is taken: the EPMD of this host has a node {} already", name.base()),
            "give another --name, or end that node; it may be this one, running already",
        )
    } else {
        free()
    };
    Here { epmd: with(mode, port, local).await, name }
}

/// Asks where a node registers: over IPv4, and only where nobody listens there over IPv6.
async fn at_home(port: u16) -> Result<Vec<(String, u16)>, LookupError> {
    match epmd::names("127.0.0.1", port).await {
        Err(error) if is_refused(&error) => epmd::names("::1", port).await.map_err(|_| error),
        answer => answer,
    }
}

fn is_refused(error: &LookupError) -> bool {
    matches!(error, LookupError::Unreachable { source, .. } if matches!(
        source.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::NetworkUnreachable
    ))
}

/// There is no EPMD on this host.
fn without(mode: Epmd, port: u16, error: &LookupError) -> Outcome {
    match (mode, is_refused(error)) {
        (Epmd::External, true) => Outcome::failed(
            UNAVAILABLE,
            error,
            "start one (epmd -daemon), or let this node serve it with --epmd auto",
        ),
        (_, true) => {
            Outcome::ok(format!("none at port {port} of this host: this node would serve it"))
        }
        _ => {
            let code =
                if matches!(error, LookupError::Timeout { .. }) { TIMED_OUT } else { UNAVAILABLE };
            let advice = "end what listens there, or set another ERL_EPMD_PORT on all nodes";
            Outcome::failed(code, error, advice)
        }
    }
}

/// There is one; do others reach it, who look for it at the address of our name?
async fn with(mode: Epmd, port: u16, local: &[IpAddr]) -> Outcome {
    if mode == Epmd::Embedded {
        return Outcome::failed(
            CONFIG,
            format!(
                "an EPMD listens at port {port} of this host, and --epmd embedded wants to serve one there"
            ),
            "give --epmd auto",
        );
    }
    let mut unreached = None;
    for address in local {
        match epmd::names(&address.to_string(), port).await {
            Ok(_) => {
                unreached = None;
                break;
            }
            Err(error) => unreached = Some(error),
        }
    }
    if let Some(error) = unreached {
        return Outcome::failed(
            UNAVAILABLE,
            format!(
                "the EPMD of this host answers on loopback, and not where others ask it: {error}"
            ),
            "start it without ERL_EPMD_ADDRESS, or with this address in it",
        );
    }
    Outcome::ok(format!("the EPMD of this host answers at port {port}"))
}
