//! Our own name.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use dist::NodeName;
use pgnotify::{Config, Host};
use tokio::net::{UdpSocket, lookup_host};
use tracing::warn;

use super::{Key, Layers};
use crate::cli::exit::{Failure, USAGE};

/// The longest wait between two attempts to find the way to Postgres.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// OTP's two kinds of clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `-sname`
    Short,
    /// `-name`
    Long,
}

/// `name`, with the host from `host` if it has none. While `auto` cannot be found out because Postgres' host does not
/// resolve, this waits and says so, as the node would wait for Postgres anyway.
pub(crate) async fn node_name(layers: &Layers, postgres: &Config) -> Result<NodeName, Failure> {
    let kind = layers.parse(&Key::NAMES, kind)?;
    let Some(name) = layers.get(&Key::NAME)? else {
        return Err(Failure::config(
            "no name: give --name BASE@HOST, or --name BASE with --host, or set BEAMJOIN_NAME or RELEASE_NODE, or name \
             in the configuration file",
        ));
    };
    let host = layers.get(&Key::HOST)?;
    if name.text.contains('@') {
        if let Some(host) = host.filter(|host| host.source.is_flag()) {
            return Err(host.invalid(format!("the name {:?} has a host already", name.text)));
        }
        let whole = NodeName::new(&name.text).map_err(|error| name.invalid(error))?;
        return check(whole, kind);
    }
    // Before anything is looked up.
    NodeName::from_parts(&name.text, "host").map_err(|error| name.invalid(error))?;
    let found = match host.as_ref().map(|host| host.text.as_str()).filter(|host| *host != "auto") {
        Some(host) => host.to_owned(),
        None if kind == Some(Kind::Short) => short_host()?,
        None => address_towards(postgres).await?.to_string(),
    };
    let whole = NodeName::from_parts(&name.text, &found).map_err(|error| match &host {
        Some(host) => host.invalid(error),
        None => Failure::config(error),
    })?;
    check(whole, kind)
}

fn kind(text: &str) -> Result<Kind, &'static str> {
    match text {
        "short" => Ok(Kind::Short),
        "long" => Ok(Kind::Long),
        _ => Err("it must be short or long"),
    }
}

/// What `net_kernel` demands of a node started with `-name` and with `-sname`.
fn check(name: NodeName, kind: Option<Kind>) -> Result<NodeName, Failure> {
    let why = match kind {
        Some(Kind::Short) if name.is_long_host() => {
            "short names have no dot in the host; leave --short out"
        }
        Some(Kind::Long) if !name.is_long_host() => {
            "long names have a host with a dot, or an address; give one, or leave --long out"
        }
        _ => return Ok(name),
    };
    Err(Failure::new(USAGE, format!("the name {name} does not fit: {why}")))
}

fn short_host() -> Result<String, Failure> {
    let system = rustix::system::uname();
    let host = system.nodename().to_str().ok().and_then(|host| host.split('.').next());
    match host {
        Some(host) if !host.is_empty() => Ok(host.to_owned()),
        _ => Err(Failure::config("this host has no name: give --host")),
    }
}

/// Our address on the way to Postgres: what the others, who reach Postgres too, most likely reach us by.
async fn address_towards(postgres: &Config) -> Result<IpAddr, Failure> {
    let hosts: Vec<&str> = match postgres.hosts() {
        [] => vec!["localhost"],
        hosts => hosts
            .iter()
            .filter_map(|host| match host {
                Host::Tcp(name) => Some(name.as_str()),
                _ => None,
            })
            .collect(),
    };
    if hosts.is_empty() {
        return Err(Failure::config(
            "--host auto looks at the way to Postgres, and that is a Unix socket here: give --host or --name BASE@HOST",
        ));
    }
    let mut wait = Duration::from_secs(1);
    loop {
        let mut failed = None;
        for host in &hosts {
            match source_address(host).await {
                Ok(address) => return Ok(address),
                Err(error) => failed = Some((host, error)),
            }
        }
        if let Some((host, error)) = failed {
            warn!(%host, %error, "no way to Postgres yet, and so no host for our name; trying again in {wait:?}");
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// The address that packets to `host` leave from. IPv4 first, as BEAM nodes speak it unless told otherwise.
async fn source_address(host: &str) -> io::Result<IpAddr> {
    let mut addresses: Vec<SocketAddr> = lookup_host((host, 5432)).await?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        let any: IpAddr = if address.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        // Connecting a UDP socket sends nothing; it only asks the routing table.
        let socket = UdpSocket::bind((any, 0)).await?;
        match socket.connect(address).await {
            Ok(()) => return Ok(socket.local_addr()?.ip()),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::CONFIG;

    async fn name(
        flags: &[(&'static Key, &str)],
        environment: &[(&str, &str)],
    ) -> Result<String, Failure> {
        let flags = flags.iter().map(|(key, text)| (*key, Some((*text).to_owned())));
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        let postgres = Config::new().host("127.0.0.1");
        node_name(&Layers::new(flags, environment), &postgres).await.map(|name| name.to_string())
    }

    #[tokio::test]
    async fn a_whole_name_is_taken() {
        assert_eq!(name(&[(&Key::NAME, "rust@h")], &[]).await.unwrap(), "rust@h");
        assert_eq!(name(&[], &[("RELEASE_NODE", "app@10.0.0.4")]).await.unwrap(), "app@10.0.0.4");
        let both = [("RELEASE_NODE", "app@h"), ("BEAMJOIN_NAME", "rust@h")];
        assert_eq!(name(&[], &both).await.unwrap(), "rust@h");
    }

    #[tokio::test]
    async fn a_base_gets_a_host() {
        assert_eq!(
            name(&[(&Key::NAME, "rust"), (&Key::HOST, "db.example")], &[]).await.unwrap(),
            "rust@db.example"
        );
        assert_eq!(name(&[(&Key::NAME, "rust")], &[]).await.unwrap(), "rust@127.0.0.1");
        assert_eq!(
            name(&[(&Key::NAME, "rust"), (&Key::HOST, "auto")], &[]).await.unwrap(),
            "rust@127.0.0.1"
        );
        let short = name(&[(&Key::NAME, "rust"), (&Key::NAMES, "short")], &[]).await.unwrap();
        assert!(short.starts_with("rust@") && !short.contains('.'), "{short}");
    }

    #[tokio::test]
    async fn what_otp_would_not_start_with_is_refused() {
        let error = name(&[(&Key::NAME, "rust@h"), (&Key::NAMES, "long")], &[]).await.unwrap_err();
        assert!(error.to_string().contains("long names have a host with a dot"), "{error}");
        let error =
            name(&[(&Key::NAME, "rust@h.x"), (&Key::NAMES, "short")], &[]).await.unwrap_err();
        assert!(error.to_string().contains("short names have no dot"), "{error}");
    }

    #[tokio::test]
    async fn errors_say_where_the_name_came_from() {
        let error = name(&[], &[("RELEASE_NODE", "a@b@c")]).await.unwrap_err();
        assert!(error.to_string().starts_with("invalid RELEASE_NODE \"a@b@c\": "), "{error}");
        assert_eq!(error.code, CONFIG);
        let error = name(&[(&Key::NAME, "a b")], &[]).await.unwrap_err();
        assert_eq!(error.code, USAGE);
        let error = name(&[(&Key::NAME, "a@b"), (&Key::HOST, "c")], &[]).await.unwrap_err();
        assert_eq!(error.to_string(), "invalid --host \"c\": the name \"a@b\" has a host already");
        let error = name(&[], &[]).await.unwrap_err();
        assert!(error.to_string().starts_with("no name: give --name"), "{error}");
    }

    #[tokio::test]
    async fn a_socket_shows_no_way() {
        let layers = Layers::new([(&Key::NAME, Some("rust".to_owned()))], []);
        let error = node_name(&layers, &Config::new().socket_dir("/run")).await.unwrap_err();
        assert!(error.to_string().contains("Unix socket"), "{error}");
    }
}
