//! `cargo xtask chaos`: a cluster of Rust and BEAM nodes and Postgres in containers, whose network and members are made to fail in
//! every way there is, at random from a seed. After each fault all must be as before.

pub(crate) mod check;
mod cluster;
mod deck;
mod exhaust;
mod fault;
mod random;
mod summary;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

pub(crate) use self::cluster::{Cluster, Place, SETTINGS};
use self::deck::Deck;
use self::random::Random;
use self::summary::Summary;
use crate::host::{self, Tool, say};
use crate::images;
use crate::matrix::build;

/// What changes the network of a container from outside of it.
const TOOLS: &[Tool] = &[
    Tool { program: "nsenter", package: "util-linux" },
    Tool { program: "nft", package: "nftables" },
    Tool { program: "tc", package: "iproute2" },
];

/// How many BEAM nodes there are.
const BEAMS: usize = 3;

/// Makes faults for so many minutes, the faults of `seed` or of a new one.
pub(crate) fn run(minutes: f64, seed: Option<u64>) -> Result<()> {
    let new = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos();
    let seed = seed.unwrap_or_else(|| new.into());
    let time = Duration::try_from_secs_f64(minutes * 60.0).context("--minutes")?;
    images::ensure_docker()?;
    host::provide(TOOLS)?;
    let images = images::choose_servers()?;
    let member = build::example("member")?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        say(format!("seed {seed}: starting the cluster"));
        let beams = [(images.elixir.as_str(), SETTINGS.scopes); BEAMS];
        let cluster = Cluster::start("chaos", &images, &beams, &member, SETTINGS).await?;
        tokio::select! {
            outcome = faults(cluster, seed, time) => outcome,
            _ = tokio::signal::ctrl_c() => bail!("interrupted; the containers are removed"),
        }
    })
}

async fn faults(mut cluster: Cluster, seed: u64, time: Duration) -> Result<()> {
    let mut random = Random::new(seed);
    let mut deck = Deck::new(&cluster);
    let start = Instant::now();
    let before = async {
        check::named(&cluster).await?;
        check::settled(&cluster).await
    };
    let before = match before.await {
        Ok(before) => before,
        Err(error) => return Err(failed(&cluster, seed, "before the first fault", error).await),
    };
    let mut summary = Summary::new(seed, &before);
    cluster.call_all().await?;
    let mut step = 0;
    while start.elapsed() < time {
        step += 1;
        let faults = deck.next(&mut random);
        let what = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        let begun = Instant::now();
        match one(&mut cluster, &faults, &before).await {
            Ok((after, names)) => {
                say(format!(
                    "{step}: {what}: well again after {:.1} s",
                    begun.elapsed().as_secs_f64()
                ));
                summary.add(&faults, &after, &names);
            }
            Err(error) => {
                let step = format!("step {step}, {what}");
                return Err(failed(&cluster, seed, &step, error).await);
            }
        }
    }
    summary.end(start.elapsed());
    println!("{summary}");
    summary.verdict()
}

/// Makes faults, sees what comes of them, mends them, and sees that all is as it was.
async fn one(
    cluster: &mut Cluster,
    faults: &[fault::Fault],
    before: &check::Settled,
) -> Result<(check::Settled, check::Names)> {
    let mut effect = fault::Effect::default();
    for fault in faults {
        fault.begin(cluster, &mut effect).await.context("could not make the fault")?;
    }
    check::noticed(cluster, &effect).await.context("while it lasted")?;
    for fault in faults.iter().rev() {
        fault.end(cluster).await.context("could not mend the fault")?;
    }
    check::whole(cluster).await.context("once it was mended")?;
    let names = check::named_again(cluster).await.context("once it was mended")?;
    let after = check::settled_as(cluster, before, &effect).await.context("once it was mended")?;
    cluster.call_all().await?;
    Ok((after, names))
}

/// Prints what anybody needs who looks for the reason.
async fn failed(cluster: &Cluster, seed: u64, step: &str, error: anyhow::Error) -> anyhow::Error {
    cluster.print_logs().await;
    error.context(format!("{step} (the same faults again: --seed {seed})"))
}
