//! Where EPMD is and how patient we are with it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The port of EPMD unless `ERL_EPMD_PORT` says otherwise.
pub const DEFAULT_PORT: u16 = 4369;

/// Where EPMD is on this host, and the limits and times of registrar and server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The port, of this host's EPMD and of every other's. Default: 4369.
    pub port: u16,
    /// On which addresses to serve, if we do; the loopback addresses are always added. Default: none,
    /// which means all addresses of the host.
    pub addresses: Vec<IpAddr>,
    /// How long to wait before trying to register again. Default: 2 s, as OTP.
    pub retry: Duration,
    /// How long there must be no EPMD before we serve in its place. Default: 3 s.
    pub take_over: Duration,
    /// How long a taken name or a missing EPMD is waited out at the start. Default: 3 s.
    pub patience: Duration,
    /// How long EPMD may take to register us. Default: 5 s.
    pub timeout: Duration,
    /// How many connections the server has at most, registered nodes included. Default: 256.
    pub max_connections: usize,
    /// How long a connection of the server may take to send its request and read the
    /// answer. Default: 5 s.
    pub idle: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: DEFAULT_PORT,
            addresses: Vec::new(),
            retry: Duration::from_secs(2),
            take_over: Duration::from_secs(3),
            patience: Duration::from_secs(3),
            timeout: Duration::from_secs(5),
            max_connections: 256,
            idle: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// The defaults, with another port.
    #[must_use]
    pub fn with_port(port: u16) -> Self {
        Self { port, ..Self::default() }
    }

    /// The defaults, with `ERL_EPMD_PORT` and `ERL_EPMD_ADDRESS` as OTP's programs take them.
    ///
    /// # Errors
    ///
    /// When a variable is set to something that is no port or no list of IP addresses.
    pub fn from_env() -> Result<Self, ConfigError> {
        let var = |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Self::from_values(var("ERL_EPMD_PORT").as_deref(), var("ERL_EPMD_ADDRESS").as_deref())
    }

    fn from_values(port: Option<&str>, addresses: Option<&str>) -> Result<Self, ConfigError> {
        let port = match port.map(str::trim).filter(|port| !port.is_empty()) {
            None => DEFAULT_PORT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| ConfigError::Port(text.to_owned()))?,
        };
        let addresses = addresses
            .unwrap_or_default()
            .split([',', ' '])
            .filter(|text| !text.is_empty())
            .map(|text| text.parse().map_err(|_| ConfigError::Address(text.to_owned())))
            .collect::<Result<_, _>>()?;
        Ok(Self { addresses, ..Self::with_port(port) })
    }

    /// Where a node on this host finds EPMD, in the order to try.
    pub(super) fn loopbacks(&self) -> [SocketAddr; 2] {
        [
            SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, self.port)),
        ]
    }

    /// Where to serve: first the IPv4 address that loopback connections come to, whose port decides
    /// between two who want to serve.
    pub(super) fn serve_at(&self) -> Vec<SocketAddr> {
        let all = self.addresses.is_empty();
        let mut ips = Vec::new();
        for (any, loopback) in [
            (IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv4Addr::LOCALHOST)),
            (IpAddr::from(Ipv6Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::LOCALHOST)),
        ] {
            ips.push(if all || self.addresses.contains(&any) { any } else { loopback });
        }
        for ip in &self.addresses {
            let covered = ips
                .iter()
                .any(|have| have == ip || have.is_unspecified() && have.is_ipv4() == ip.is_ipv4());
            if !covered {
                ips.push(*ip);
            }
        }
        ips.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect()
    }
}

/// What is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// `ERL_EPMD_PORT`
    #[error("ERL_EPMD_PORT is {0:?}, which is not a port")]
    Port(String),
    /// `ERL_EPMD_ADDRESS`
    #[error("ERL_EPMD_ADDRESS contains {0:?}, which is not an IP address")]
    Address(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve_at(addresses: &str) -> Vec<String> {
        let config = Config::from_values(Some("4000"), Some(addresses)).unwrap();
        config.serve_at().iter().map(|addr| addr.ip().to_string()).collect()
    }

    #[test]
    fn the_environment() {
        assert_eq!(Config::from_values(None, None), Ok(Config::default()));
        assert_eq!(Config::from_values(Some(" 4370 "), None), Ok(Config::with_port(4370)));
        for port in ["0", "65536", "x", "-1"] {
            let error = Config::from_values(Some(port), None).unwrap_err();
            assert_eq!(error, ConfigError::Port(port.into()));
        }
        let error = Config::from_values(None, Some("::1, localhost")).unwrap_err();
        assert_eq!(error, ConfigError::Address("localhost".into()));
    }

    #[test]
    fn loopback_is_always_served() {
        assert_eq!(serve_at(""), ["0.0.0.0", "::"]);
        assert_eq!(serve_at(" , "), ["0.0.0.0", "::"]);
        assert_eq!(serve_at("10.0.0.1"), ["127.0.0.1", "::1", "10.0.0.1"]);
        assert_eq!(serve_at("::1,10.0.0.1 127.0.0.1"), ["127.0.0.1", "::1", "10.0.0.1"]);
        assert_eq!(serve_at("0.0.0.0 10.0.0.1 fd00::1"), ["0.0.0.0", "::1", "fd00::1"]);
    }
}
