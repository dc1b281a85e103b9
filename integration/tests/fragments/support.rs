use anyhow::{Context, Result};
use dist::etf::{Term, term};
use dist::{Flags, NodeName, Process};
use integration::Beam;
use std::time::Duration;
use tokio::time::timeout;

/// How long the largest term may take there and back on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What to withhold so that there are headers and fragments, only fragments, only headers, neither.
pub(crate) const MIXES: [Flags; 4] = [
    Flags::EMPTY,
    Flags::DIST_HDR_ATOM_CACHE,
    Flags::FRAGMENTS,
    Flags::DIST_HDR_ATOM_CACHE.with(Flags::FRAGMENTS),
];

/// A process on a BEAM node that sends back what it gets.
pub(crate) async fn start_echo(beam: &Beam) -> Result<()> {
    let echo = "register(echo, spawn(fun L() -> receive {From, T} -> From ! T, L() end end)), ok";
    beam.eval(echo).await.map(drop)
}

/// Sends a term to that process and takes what comes back.
pub(crate) async fn echo(process: &mut Process, beam: &NodeName, term: Term) -> Result<Term> {
    let own = process.pid().clone();
    let sent = process.send(("echo", beam), term!({(own), (term)}));
    timeout(PATIENCE, sent).await.context("not sent")??;
    let got = timeout(PATIENCE, process.recv()).await.context("nothing came back")?;
    Ok(got.context("the process was ended")?.term)
}
