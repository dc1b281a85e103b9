//! Connecting to a host that has several addresses.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How long an address has before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// How many addresses of a host are tried.
const MOST: usize = 32;

/// A connection to the first of these addresses that takes one: in their order, but the two families in
/// turn. Each has `within` from when it is tried.
///
/// # Errors
/// The last failure; `None` when there was no address.
pub(crate) async fn connect(
    addrs: impl IntoIterator<Item = SocketAddr>,
    within: Duration,
) -> Result<(SocketAddr, TcpStream), Option<(SocketAddr, io::Error)>> {
    let mut waiting = in_turn(addrs.into_iter().take(MOST));
    let mut attempts = FuturesUnordered::new();
    let mut last = None;
    loop {
        match waiting.pop_front() {
            Some(addr) => attempts.push(attempt(addr, within)),
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        let head_start = async {
            // Nothing waits for this when there is nobody to let go.
            if waiting.is_empty() { std::future::pending().await } else { sleep(HEAD_START).await }
        };
        tokio::select! {
            biased;
            Some((addr, result)) = attempts.next() => match result {
                Ok(stream) => return Ok((addr, stream)),
                Err(error) => last = Some((addr, error)),
            },
            () = head_start => {}
        }
    }
}

async fn attempt(addr: SocketAddr, within: Duration) -> (SocketAddr, io::Result<TcpStream>) {
    let connected = timeout(within, TcpStream::connect(addr)).await;
    (addr, connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())))
}

/// The first of the one family, the first of the other, and so on (RFC 8305, section 4).
fn in_turn(addrs: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let mut addrs = addrs.peekable();
    let Some(first) = addrs.peek().map(SocketAddr::is_ipv6) else { return VecDeque::new() };
    let (ones, others): (Vec<_>, Vec<_>) = addrs.partition(|addr| addr.is_ipv6() == first);
    let (mut ones, mut others) = (ones.into_iter(), others.into_iter());
    let mut turns = VecDeque::new();
    loop {
        match (ones.next(), others.next()) {
            (None, None) => return turns,
            (one, other) => turns.extend(one.into_iter().chain(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn all_addresses_are_tried() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let good = listener.local_addr().unwrap();
        // Nobody listens at the same port of these.
        let bad =
            ["127.0.0.2", "127.0.0.3"].map(|ip| SocketAddr::new(ip.parse().unwrap(), good.port()));
        let within = Duration::from_secs(2);
        let (addr, _) = connect([bad[0], good, bad[1]], within).await.unwrap();
        assert_eq!(addr, good);
        let (addr, error) = connect(bad, within).await.unwrap_err().unwrap();
        assert_eq!((addr, error.kind()), (bad[1], io::ErrorKind::ConnectionRefused));
        assert!(connect([], within).await.unwrap_err().is_none());
    }

    #[test]
    fn families_take_turns() {
        let addrs = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"];
        let turns = in_turn(addrs.iter().map(|addr| addr.parse().unwrap()));
        let turns: Vec<_> = turns.iter().map(ToString::to_string).collect();
        assert_eq!(turns, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
    }
}
