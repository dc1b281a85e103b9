//! Who may be connected with.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::name::NodeName;

type Names = dyn Fn(&NodeName) -> bool + Send + Sync;
type Addresses = dyn Fn(IpAddr) -> bool + Send + Sync;

/// Which nodes are connected with, by name and by address, whoever dials: all, unless said otherwise.
#[derive(Clone, Default)]
pub(crate) struct Admission {
    names: Option<Arc<Names>>,
    addresses: Option<Arc<Addresses>>,
}

impl Admission {
    /// Any name, at addresses that `allowed` takes.
    pub(crate) fn of_addresses(allowed: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self { names: None, addresses: Some(Arc::new(allowed)) }
    }

    pub(super) fn names(&mut self, allowed: impl Fn(&NodeName) -> bool + Send + Sync + 'static) {
        self.names = Some(Arc::new(allowed));
    }

    pub(super) fn addresses(&mut self, allowed: impl Fn(IpAddr) -> bool + Send + Sync + 'static) {
        self.addresses = Some(Arc::new(allowed));
    }

    pub(crate) fn allows(&self, name: &NodeName) -> bool {
        self.names.as_ref().is_none_or(|allowed| allowed(name))
    }

    /// An IPv4 address is one, also where it is written as an IPv6 address.
    pub(crate) fn allows_address(&self, address: IpAddr) -> bool {
        self.addresses.as_ref().is_none_or(|allowed| allowed(address.to_canonical()))
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("names", &self.names.is_some())
            .field("addresses", &self.addresses.is_some())
            .finish()
    }
}

/// Whether an address is of this host or of a private network: loopback, link-local, `10.0.0.0/8`,
/// `172.16.0.0/12`, `192.168.0.0/16` and `fc00::/7` (RFC 1918, 3927, 4193, 4291). For
/// [`NodeBuilder::allow_address`](crate::NodeBuilder::allow_address).
///
/// ```
/// assert!(dist::is_private("10.0.3.4".parse()?));
/// assert!(!dist::is_private("192.0.2.1".parse()?));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    let v4 = |ip: Ipv4Addr| ip.is_loopback() || ip.is_private() || ip.is_link_local();
    let v6 = |ip: Ipv6Addr| ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local();
    match address.to_canonical() {
        IpAddr::V4(ip) => v4(ip),
        IpAddr::V6(ip) => v6(ip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_private() {
        for (address, private) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("10.255.0.1", true),
            ("172.16.0.1", true),
            ("172.31.255.255", true),
            ("172.32.0.0", false),
            ("192.168.7.7", true),
            ("169.254.1.1", true),
            ("0.0.0.0", false),
            ("100.64.0.1", false),
            ("8.8.8.8", false),
            ("255.255.255.255", false),
            ("::1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("::", false),
            ("2001:db8::1", false),
            ("::ffff:10.0.0.1", true),
            ("::ffff:8.8.8.8", false),
        ] {
            assert_eq!(is_private(address.parse().unwrap()), private, "{address}");
        }
    }

    #[test]
    fn everybody_unless_said_otherwise() {
        let (name, address) = ("a@h".parse().unwrap(), "8.8.8.8".parse().unwrap());
        let mut admission = Admission::default();
        assert!(admission.allows(&name) && admission.allows_address(address));
        admission.names(|name| name.host() == "x");
        admission.addresses(|address| address.is_ipv4() && is_private(address));
        assert!(!admission.allows(&name) && !admission.allows_address(address));
        assert!(admission.allows(&"a@x".parse().unwrap()));
        assert!(admission.allows_address("::ffff:10.0.0.1".parse().unwrap()));
    }
}
