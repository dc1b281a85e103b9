//! A Docker network.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use super::docker::{docker, docker_now};

/// The first address that is given to a container; those below are the gateway's and to spare.
const FIRST: u32 = 10;

/// A bridge of our own. Removed when dropped, after the containers in it.
#[derive(Debug)]
pub struct Network {
    name: String,
    base: Ipv4Addr,
    gateway: Ipv4Addr,
    given: AtomicU32,
}

impl Network {
    /// Makes one.
    ///
    /// # Errors
    /// When Docker cannot.
    pub async fn create(name: &str) -> Result<Self> {
        docker(["network", "create", name]).await?;
        let format = "{{(index .IPAM.Config 0).Subnet}}";
        let subnet = docker(["network", "inspect", "--format", format, name]).await?;
        // Docker chose it, which makes it free; but only in a network that was asked for by its subnet may containers be given
        // addresses.
        docker(["network", "rm", name]).await?;
        docker(["network", "create", "--subnet", &subnet, name]).await?;
        let base: Ipv4Addr = subnet.split('/').next().unwrap_or_default().parse()?;
        let gateway = Ipv4Addr::from_bits(base.to_bits() + 1);
        Ok(Self { name: name.to_owned(), base, gateway, given: AtomicU32::new(FIRST) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// This machine's own address in it.
    pub fn gateway(&self) -> Ipv4Addr {
        self.gateway
    }

    /// An address that nobody has had yet.
    ///
    /// # Errors
    /// When there is none left.
    pub fn address(&self) -> Result<Ipv4Addr> {
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        let address = self.base.to_bits().checked_add(number).context("no address left")?;
        Ok(Ipv4Addr::from_bits(address))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        docker_now(&["network", "rm", &self.name]);
    }
}
