//! Which servers there are to try.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::{Config, ConfigError};

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Host {
    /// A host name or an IP address.
    Tcp(String),
    /// The directory of a Unix socket; the socket in it is named `.s.PGSQL.<port>`.
    Unix(PathBuf),
}

/// One server to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: Host,
    /// Connect to this address, and use the host's name only to verify its certificate.
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
}

impl Host {
    /// As libpq: what starts with a slash is a directory.
    pub(crate) fn parse(host: String) -> Self {
        if host.starts_with('/') { Self::Unix(host.into()) } else { Self::Tcp(host) }
    }
}

impl Target {
    /// How the server is called in events and errors.
    pub(crate) fn label(&self) -> String {
        match &self.host {
            Host::Tcp(host) if host.contains(':') => format!("[{host}]:{}", self.port),
            Host::Tcp(host) => format!("{host}:{}", self.port),
            Host::Unix(_) => self.socket_path().display().to_string(),
        }
    }

    /// The path of the Unix socket (meaningless for TCP).
    pub(crate) fn socket_path(&self) -> PathBuf {
        let directory = match &self.host {
            Host::Unix(directory) => directory.as_path(),
            Host::Tcp(_) => Path::new(""),
        };
        directory.join(format!(".s.PGSQL.{}", self.port))
    }
}

impl Config {
    /// The servers to try, one by one.
    pub(crate) fn targets(&self) -> Result<Vec<Target>, ConfigError> {
        let count = self.hosts.len().max(self.addresses.len());
        if !self.hosts.is_empty()
            && !self.addresses.is_empty()
            && self.addresses.len() != self.hosts.len()
        {
            return Err(ConfigError::Count { what: "hostaddr" });
        }
        if self.ports.len() > 1 && self.ports.len() != count.max(1) {
            return Err(ConfigError::Count { what: "port" });
        }
        let targets: Vec<_> = (0..count)
            .filter_map(|index| {
                let address = self.addresses.get(index).copied();
                let named = self.hosts.get(index).cloned();
                let host = named.or(address.map(|ip| Host::Tcp(ip.to_string())))?;
                Some(Target { host, address, port: self.port_of(index) })
            })
            .collect();
        if targets.is_empty() {
            let host = Host::Tcp("localhost".to_owned());
            return Ok(vec![Target { host, address: None, port: self.port_of(0) }]);
        }
        Ok(targets)
    }

    fn port_of(&self, index: usize) -> u16 {
        self.ports.get(index).or(self.ports.first()).copied().unwrap_or(Self::DEFAULT_PORT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_one_for_all_or_one_for_each() {
        let two = Config::new().host("a").host("b");
        let one = two.clone().port(1).targets().unwrap();
        assert_eq!(one.iter().map(|t| t.port).collect::<Vec<_>>(), [1, 1]);
        let each = two.clone().port(1).port(2).targets().unwrap();
        assert_eq!(each.iter().map(|t| t.port).collect::<Vec<_>>(), [1, 2]);
        assert!(two.port(1).port(2).port(3).targets().is_err());
    }

    #[test]
    fn without_a_host_it_is_localhost() {
        let targets = Config::new().port(7).targets().unwrap();
        assert_eq!(targets[0].label(), "localhost:7");
    }

    #[test]
    fn sockets_are_named_as_postgres_names_them() {
        let targets = Config::new().socket_dir("/run/pg").port(6).targets().unwrap();
        assert_eq!(targets[0].label(), "/run/pg/.s.PGSQL.6");
    }
}
