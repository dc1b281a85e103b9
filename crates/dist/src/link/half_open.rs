//! Connections of peers that have not shown that they know the cookie.
//!
//! They are bounded in number. When there are too many, the oldest of the address that has the most is
//! dropped: an honest handshake takes milliseconds, one that is held open to keep others out takes
//! long, and a host that floods us is in nobody's way but its own.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

use tokio::task::AbortHandle;

/// The oldest first.
#[derive(Debug, Default)]
pub(super) struct HalfOpen(VecDeque<(IpAddr, AbortHandle)>);

impl HalfOpen {
    pub(super) fn push(&mut self, from: IpAddr, handshake: AbortHandle) {
        self.0.push_back((host(from), handshake));
    }

    /// Makes room for one more of `most`, whoever has to go.
    pub(super) fn make_room(&mut self, most: usize) {
        self.0.retain(|(_, handshake)| !handshake.is_finished());
        while self.0.len() >= most.max(1)
            && let Some((from, handshake)) = self.first_to_go().and_then(|at| self.0.remove(at))
        {
            tracing::debug!(%from, "too many handshakes at once: one is dropped");
            handshake.abort();
        }
    }

    fn first_to_go(&self) -> Option<usize> {
        let mut of: HashMap<IpAddr, usize> = HashMap::new();
        for (from, _) in &self.0 {
            *of.entry(*from).or_default() += 1;
        }
        let most = of.values().max()?;
        self.0.iter().position(|(from, _)| of.get(from) == Some(most))
    }
}

/// Who has one IPv6 address has 2^64 of them.
fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_that_floods_is_in_its_own_way() {
        let [honest, other, flood] =
            ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let mut half_open = HalfOpen::default();
        let mut tasks = tokio::task::JoinSet::new();
        for from in [honest, other].into_iter().chain([flood; 100]) {
            half_open.make_room(8);
            half_open.push(from, tasks.spawn(std::future::pending::<()>()));
        }
        let left: Vec<IpAddr> = half_open.0.iter().map(|(from, _)| *from).collect();
        assert_eq!(left, [honest, other, flood, flood, flood, flood, flood, flood]);
        assert!(half_open.0.iter().all(|(_, handshake)| !handshake.is_finished()));
    }

    #[test]
    fn a_network_of_ipv6_is_one_host() {
        let hosts = ["2001:db8::1", "2001:db8::2:3:4:5", "2001:db8:0:1::1", "::ffff:10.0.0.1"];
        let hosts = hosts.map(|ip| host(ip.parse().unwrap()).to_string());
        assert_eq!(hosts, ["2001:db8::", "2001:db8::", "2001:db8:0:1::", "10.0.0.1"]);
    }

    #[tokio::test]
    async fn those_of_different_hosts_go_by_age() {
        let mut half_open = HalfOpen::default();
        let mut tasks = tokio::task::JoinSet::new();
        for last in 0..5 {
            half_open.make_room(3);
            let from = IpAddr::from([10, 0, 0, last]);
            half_open.push(from, tasks.spawn(std::future::pending::<()>()));
        }
        let left: Vec<IpAddr> = half_open.0.iter().map(|(from, _)| *from).collect();
        assert_eq!(left, [2, 3, 4].map(|last| IpAddr::from([10, 0, 0, last])));
    }
}
