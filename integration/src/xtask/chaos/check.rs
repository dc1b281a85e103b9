//! What must hold while something is wrong, and what must hold again afterwards.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use integration::eventually;
use integration::lab::Report;

use super::cluster::{Cluster, Place};
use super::fault::Effect;

/// How long the members may take to notice, and to find each other again: a multiple of all their times.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);
/// How much longer than our visible node the BEAM nodes may take to have all global names again before they count as lacking some.
const THEIR_NAMES: Duration = Duration::from_secs(3);
/// How long a call of a Rust node may take at most, whose time-out is 2 s, on a machine that is busy with other things, in ms.
const LONGEST: u64 = 5_000;

/// How the members stand while nobody calls.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    pub(crate) rusts: Vec<Report>,
}

/// Waits until everybody has noticed what is lost, and nobody has lost anything else that must stay.
pub(super) async fn noticed(cluster: &Cluster, effect: &Effect) -> Result<()> {
    eventually(DEADLINE, "everybody to notice", async || {
        let mut seen = Vec::new();
        for place in cluster.nodes() {
            if !effect.silent.contains(&place) {
                seen.push((place, sees(cluster, place).await?));
            }
        }
        for rust in &cluster.rusts {
            let silent =
                effect.silent.iter().any(|place| cluster.name(*place).ok() == Some(rust.name()));
            if effect.deaf && !silent {
                ensure!(!rust.state().await?.hears, "{} hears a Postgres that ended", rust.name());
            }
        }
        for (place, theirs) in &seen {
            for other in cluster.nodes() {
                let connected = theirs.contains(cluster.name(other)?);
                let (lost, unsure) =
                    (effect.is_lost(*place, other), effect.is_unsure(*place, other));
                ensure!(!(connected && lost), "{place} still has its link to {other}");
                // BEAM nodes, and visible Rust nodes with them, give up more links than are lost (`prevent_overlapping_partitions`).
                let must_stay = *place == Place::Rust(0) && other != *place && !lost && !unsure;
                ensure!(
                    connected || !must_stay,
                    "{place} lost its link to {other}, which was not cut"
                );
                let back = seen.iter().find(|(asked, _)| *asked == other);
                if let (Place::Rust(_), Some((_, back)), false) = (place, back, unsure) {
                    let mutual = back.contains(cluster.name(*place)?) == connected;
                    ensure!(mutual, "{place} and {other} do not agree whether they are connected");
                }
            }
        }
        Ok(())
    })
    .await
}

/// Waits until everybody is connected with everybody, and groups are whole.
pub(crate) async fn whole(cluster: &Cluster) -> Result<()> {
    eventually(DEADLINE, "the cluster to be whole", async || {
        let same = |place: Place, what: &str, is: &[String], wanted: &[String]| {
            ensure!(is == wanted, "{place} has {what} {is:?}, not {wanted:?}");
            Ok(())
        };
        for (number, beam) in cluster.beams.iter().enumerate() {
            let place = Place::Beam(number);
            same(place, "nodes", &beam.atoms("nodes(connected)").await?, &cluster.others(place)?)?;
            for scope in beam.scopes() {
                let (group, wanted) = (beam.group(scope).await?, cluster.group(place, scope)?);
                same(place, &format!("members in {scope}"), &group, &wanted)?;
            }
        }
        for (number, rust) in cluster.rusts.iter().enumerate() {
            let (place, report) = (Place::Rust(number), rust.state().await?);
            same(place, "nodes", &report.nodes, &cluster.others(place)?)?;
            ensure!(report.hears, "{place} does not hear Postgres");
            for (scope, group) in &report.groups {
                let wanted = cluster.group(place, scope)?;
                same(place, &format!("members in {scope}"), group, &wanted)?;
            }
        }
        Ok(())
    })
    .await
}

/// Waits until every visible node has the global names of all visible nodes that it connects with.
pub(crate) async fn named(cluster: &Cluster) -> Result<()> {
    eventually(DEADLINE, "global names", async || {
        for place in visible(cluster) {
            let lacking = lacks(cluster, place).await?;
            ensure!(lacking.is_empty(), "{place} lacks {lacking:?}");
        }
        Ok(())
    })
    .await
}

/// How the global names stood after a fault.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// How long our visible node was without some of them, once all was connected.
    pub(super) took: Duration,
    /// How many BEAM nodes lacked some then.
    pub(super) lacking: usize,
}

/// Waits until our visible nodes have all global names.
///
/// The BEAM nodes are only looked at: two of them whose link was cut, and noticed one after the other, may lack a name of each other
/// for good, in OTP 25 with or without a node of ours.
pub(super) async fn named_again(cluster: &Cluster) -> Result<Names> {
    let begun = Instant::now();
    let (ours, theirs): (Vec<Place>, Vec<Place>) =
        visible(cluster).into_iter().partition(|place| matches!(place, Place::Rust(_)));
    eventually(DEADLINE, "global names", async || {
        for place in &ours {
            let lacking = lacks(cluster, *place).await?;
            ensure!(lacking.is_empty(), "{place} lacks {lacking:?}");
        }
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    let mut names = Names { took: begun.elapsed(), lacking: 0 };
    for place in theirs {
        let whole = eventually(THEIR_NAMES, "its names", async || {
            lacks(cluster, place).await.is_ok_and(|lacking| lacking.is_empty())
        });
        names.lacking += usize::from(whole.await.is_err());
    }
    Ok(names)
}

/// All nodes but the hidden one.
fn visible(cluster: &Cluster) -> Vec<Place> {
    cluster.nodes().into_iter().filter(|place| *place != Place::Rust(0)).collect()
}

/// The global names that a visible node lacks: its own, or that of a visible node that it connects with.
async fn lacks(cluster: &Cluster, place: Place) -> Result<Vec<String>> {
    let known = told(cluster, place, "global:registered_names()", |report| report.names).await?;
    let hidden = cluster.name(Place::Rust(0))?;
    let mut wanted = cluster.others(place)?;
    wanted.push(cluster.name(place)?.to_owned());
    wanted.retain(|name| name != hidden && !known.contains(name));
    Ok(wanted)
}

/// Has everybody stop to call, and sees that no call was lost: each was answered, or its caller told.
pub(crate) async fn settled(cluster: &Cluster) -> Result<Settled> {
    whole(cluster).await?;
    let mut rusts = Vec::new();
    for rust in &cluster.rusts {
        rusts.push(rust.rest().await?);
    }
    for (report, rust) in rusts.iter().zip(&cluster.rusts) {
        let calls = &report.calls;
        let ended = calls.answered + calls.wrong + calls.failures();
        ensure!(calls.started == ended, "calls of {} were lost: {calls:?}", rust.name());
        ensure!(calls.wrong == 0, "{} was answered wrongly: {calls:?}", rust.name());
    }
    for beam in &cluster.beams {
        if beam.eval("persistent_term:get(lab_calls, none) =:= none").await? == "true" {
            continue;
        }
        beam.set_calling(false).await?;
        eventually(DEADLINE, "the last calls of a BEAM node", async || {
            let (calls, under_way) = beam.calls().await?;
            ensure!(under_way == 0, "{} has {under_way} under way: {calls:?}", beam.name());
            ensure!(calls.wrong == 0, "{} was answered wrongly: {calls:?}", beam.name());
            Ok(())
        })
        .await?;
    }
    Ok(Settled { rusts })
}

/// As [`settled`], and nothing more is held than before, apart from memory, which is looked at in the end.
pub(super) async fn settled_as(
    cluster: &Cluster,
    before: &Settled,
    effect: &Effect,
) -> Result<Settled> {
    let mut after = settled(cluster).await?;
    for (number, report) in after.rusts.iter_mut().enumerate() {
        let place = Place::Rust(number);
        if effect.absent.contains(&place) {
            report.calls.longest = 0;
        }
        let longest = report.calls.longest;
        ensure!(longest < LONGEST, "a call of {place} took {longest} ms");
    }
    for ((number, rust), was) in cluster.rusts.iter().enumerate().zip(&before.rusts) {
        let held = eventually(DEADLINE, "what was held to be let go", async || {
            let holds = rust.state().await?.holds;
            let differing: BTreeSet<String> = was
                .holds
                .tables
                .iter()
                .filter(|(name, count)| holds.tables.get(*name) > Some(count))
                .map(|(name, count)| format!("{name}: {count}, now {:?}", holds.tables.get(name)))
                .collect();
            let place = Place::Rust(number);
            ensure!(differing.is_empty(), "{place} holds more than before: {differing:?}");
            let (then, now) = (was.holds.descriptors, holds.descriptors);
            ensure!(now <= then, "{place} had {then} open files, now {now}");
            Ok(holds)
        });
        let holds = held.await?;
        if let Some(report) = after.rusts.get_mut(number) {
            report.holds = holds;
        }
    }
    Ok(after)
}

/// The names with which a node answers a question: in Erlang, or as a part of what a Rust node reports.
async fn told(
    cluster: &Cluster,
    place: Place,
    question: &str,
    part: impl FnOnce(Report) -> Vec<String>,
) -> Result<Vec<String>> {
    Ok(match place {
        Place::Beam(number) => match cluster.beams.get(number) {
            Some(beam) => beam.atoms(question).await?,
            None => Vec::new(),
        },
        Place::Rust(number) => match cluster.rusts.get(number) {
            Some(rust) => part(rust.state().await?),
            None => Vec::new(),
        },
        Place::Postgres => Vec::new(),
    })
}

/// The nodes that a node says it is connected with.
async fn sees(cluster: &Cluster, place: Place) -> Result<BTreeSet<String>> {
    let names = told(cluster, place, "nodes(connected)", |report| report.nodes).await?;
    Ok(names.into_iter().collect())
}
