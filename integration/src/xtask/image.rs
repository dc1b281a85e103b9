//! `cargo xtask image`: the image of the command alone, and what it must be: small, not run as root, with certificates, and
//! able to find hosts by their names, which a static binary is not without further ado.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::compose::wait;
use crate::host::{self, say};
use crate::images;

const DOCKERFILE: &str = "integration/images/beamjoin/Dockerfile";
/// The most bytes it may have.
const MAX_BYTES: u64 = 30_000_000;
/// How long a container may take to listen.
const DEADLINE: Duration = Duration::from_secs(60);

/// Builds it, checks it, and prints its size.
pub(crate) fn make(image: &str) -> Result<()> {
    images::ensure_docker()?;
    let mut build = Command::new("docker");
    build.current_dir(host::root()?).args(["build", "--tag", image, "--file", DOCKERFILE]);
    if let Some(rust) = images::for_rust()? {
        build.args(["--build-arg", &format!("RUST_IMAGE={rust}")]);
    }
    say(format!("building {image}"));
    host::run(build.arg(".").stdout(std::io::stderr()))?;

    let inspect = |what: &str| docker(&["image", "inspect", "--format", what, image]);
    let size: u64 = inspect("{{.Size}}")?.parse().context("the size of the image")?;
    ensure!(size < MAX_BYTES, "{image} has {size} bytes, and at most {MAX_BYTES} are allowed");
    let user = inspect("{{.Config.User}}")?;
    ensure!(!matches!(user.as_str(), "" | "root" | "0" | "0:0"), "{image} runs as root");
    let version = docker(&["run", "--rm", image, "--version"])?;
    let expected = concat!("beamjoin ", env!("CARGO_PKG_VERSION"));
    ensure!(version == expected, "{version:?} is not {expected:?}");
    certificates(image)?;
    let place = Place::make(image)?;
    let found = place.names_are_found();
    place.remove()?;
    found?;
    println!("{image}: {}.{} MB, {version}", size / 1_000_000, size / 100_000 % 10);
    Ok(())
}

/// What `verify-full` trusts unless told otherwise.
fn certificates(image: &str) -> Result<()> {
    let container = docker(&["create", image])?;
    // As a tar archive.
    let copied = docker(&["cp", &format!("{container}:/etc/ssl/certs/ca-certificates.crt"), "-"]);
    docker(&["rm", &container])?;
    ensure!(copied?.contains("BEGIN CERTIFICATE"), "{image} has no certificates");
    Ok(())
}

/// A network with a node in it, which other containers find by its host's name only.
struct Place<'a> {
    image: &'a str,
    network: String,
    node: String,
}

impl<'a> Place<'a> {
    fn make(image: &'a str) -> Result<Self> {
        let network = format!("beamjoin-image-{}", std::process::id());
        docker(&["network", "create", &network])?;
        let mut place = Self { image, network, node: String::new() };
        // Nobody is at that port: a node is there all the same, and serves EPMD.
        let join =
            ["join", "--name", "there@node.test", "--url", "postgres://nobody@127.0.0.1:1/x"];
        let mut run = vec!["run", "--detach", "--network", &place.network];
        run.extend([
            "--network-alias",
            "node.test",
            "--env",
            "BEAMJOIN_COOKIE=not-a-secret",
            image,
        ]);
        let started = docker(&[&run[..], &join].concat());
        match started {
            Ok(node) => place.node = node,
            Err(error) => {
                place.remove()?;
                return Err(error);
            }
        }
        Ok(place)
    }

    fn names_are_found(&self) -> Result<()> {
        let names = ["run", "--rm", "--network", &self.network, self.image, "names", "node.test"];
        wait(DEADLINE, "a node that is found by its host's name", || {
            let listed = docker(&names)?;
            ensure!(listed.contains("name there at port "), "{listed}");
            Ok(())
        })
    }

    fn remove(self) -> Result<()> {
        if !self.node.is_empty() {
            docker(&["rm", "--force", &self.node])?;
        }
        docker(&["network", "rm", &self.network]).map(drop)
    }
}

/// What `docker ARGS` prints on stdout.
fn docker(args: &[&str]) -> Result<String> {
    Ok(host::read(Command::new("docker").args(args))?.trim().to_owned())
}
