//! Names and ports that two tests at the same time do not share.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};

/// `prefix` with something behind it that no other test process or test has: fit for a node's base name, a database or a
/// channel.
pub fn unique(prefix: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}_{}_{count}", std::process::id())
}

/// Below those that Linux gives to outgoing connections: one of these could have a port that was free before a
/// server takes it.
const PORTS: Range<u16> = 10_000..32_768;

/// How many of them are tried.
const TRIES: usize = 100;

/// A TCP port on the loopback interface that was free a moment ago.
pub fn free_port() -> Result<u16> {
    for _ in 0..TRIES {
        let random = RandomState::new().build_hasher().finish();
        let port = PORTS.start + u16::try_from(random % u64::from(PORTS.end - PORTS.start))?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free loopback port")
}
