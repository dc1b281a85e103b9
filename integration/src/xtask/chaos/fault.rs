//! What can go wrong, and how it is mended.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use integration::lab::Verdict;
use tokio::time::sleep;

use super::cluster::{Cluster, Place};
use super::exhaust::Hogs;

/// How long something lasts that nobody has to notice.
const SHORT: Duration = Duration::from_millis(1500);
/// How long something lasts that is noticed in its own time, or not at all.
const LONG: Duration = Duration::from_secs(7);

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A link is cut both ways, for longer than the tick time.
    Cut(Place, Place),
    /// Nothing gets from one to the other; the other way is open.
    OneWay(Place, Place),
    /// Whatever one sends to the other is answered with a reset.
    Reset(Place, Place),
    /// So many of a hundred packets are lost, both ways.
    Loss(Place, Place, u8),
    /// Everything that one sends is late.
    Slow(Place),
    /// One is cut off from all others.
    Isolate(Place),
    /// One is frozen for longer than the tick time.
    Freeze(Place),
    /// One is frozen for less.
    Hiccup(Place),
    /// One is killed, and started again when the others have noticed.
    Kill(Place),
    /// One is killed and started again at once.
    Restart(Place),
    /// The EPMD of a BEAM node is killed, and another one started.
    Epmd(Place),
    /// Postgres is killed, and is somewhere else when it comes back.
    Move,
    /// Postgres takes no more connections, and ends those that there were.
    Exhaust,
    /// The disk of Postgres is full.
    Full,
}

/// What comes of faults as long as they last.
#[derive(Debug, Default)]
pub(super) struct Effect {
    /// Links that come down.
    pub(super) lost: Vec<(Place, Place)>,
    /// Links that may come down or not.
    pub(super) unsure: Vec<(Place, Place)>,
    /// Who cannot be asked.
    pub(super) silent: Vec<Place>,
    /// Who was not there for some of the time: what they say of times means nothing.
    pub(super) absent: Vec<Place>,
    /// Whether Postgres cannot be heard by anybody.
    pub(super) deaf: bool,
}

impl Fault {
    pub(super) async fn begin(self, cluster: &mut Cluster, effect: &mut Effect) -> Result<()> {
        match self {
            Self::Cut(a, b) => {
                cluster.cut(a, b, Verdict::Drop).await?;
                cluster.cut(b, a, Verdict::Drop).await?;
                effect.lost.push((a, b));
            }
            Self::OneWay(a, b) => {
                cluster.cut(a, b, Verdict::Drop).await?;
                effect.lost.push((a, b));
            }
            Self::Reset(a, b) => {
                cluster.cut(a, b, Verdict::Reset).await?;
                effect.lost.push((a, b));
            }
            Self::Loss(a, b, percent) => {
                cluster.cut(a, b, Verdict::Loss(percent)).await?;
                cluster.cut(b, a, Verdict::Loss(percent)).await?;
                effect.unsure.push((a, b));
                sleep(LONG).await;
            }
            Self::Slow(place) => {
                cluster.container(place)?.slow().await?;
                effect.unsure.extend(others(cluster, place).map(|other| (place, other)));
                sleep(LONG).await;
            }
            Self::Isolate(place) => {
                for other in others(cluster, place).collect::<Vec<_>>() {
                    cluster.cut(place, other, Verdict::Drop).await?;
                    cluster.cut(other, place, Verdict::Drop).await?;
                    effect.lost.push((place, other));
                }
            }
            Self::Freeze(place) => {
                cluster.container(place)?.pause().await?;
                effect.gone(cluster, place);
            }
            Self::Hiccup(place) => {
                let container = cluster.container(place)?;
                container.pause().await?;
                sleep(SHORT).await;
                container.unpause().await?;
                effect.absent.push(place);
            }
            Self::Kill(place) => {
                cluster.container(place)?.kill9().await?;
                effect.gone(cluster, place);
                effect.deaf |= place == Place::Postgres;
            }
            Self::Restart(place) => {
                cluster.container(place)?.kill9().await?;
                cluster.run(place).await?;
                effect.unsure.extend(others(cluster, place).map(|other| (place, other)));
                effect.absent.push(place);
            }
            Self::Epmd(place) => {
                let again = "pkill -9 -x epmd; epmd -daemon";
                let by_name = "for p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" = epmd ] && kill -9 ${p#/proc/}; done; epmd -daemon";
                let script =
                    format!("if command -v pkill >/dev/null; then {again}; else {by_name}; fi");
                cluster.container(place)?.exec(&["sh", "-c", &script]).await?;
            }
            Self::Move => {
                let container = cluster.postgres.container();
                container.kill9().await?;
                container.move_away().await?;
                cluster.postgres.run().await?;
            }
            Self::Exhaust => {
                cluster.hogs = Some(Hogs::start(&cluster.postgres).await?);
                sleep(SHORT).await;
            }
            Self::Full => {
                cluster.postgres.fill_disk().await?;
                sleep(SHORT).await;
            }
        }
        // Whoever hears it may notice, after times of its own.
        let lasting = matches!(self, Self::Cut(..) | Self::Isolate(_) | Self::Freeze(_));
        if lasting && self.places().contains(&Place::Postgres) {
            sleep(LONG).await;
        }
        Ok(())
    }

    pub(super) async fn end(self, cluster: &mut Cluster) -> Result<()> {
        match self {
            Self::Cut(..)
            | Self::OneWay(..)
            | Self::Reset(..)
            | Self::Loss(..)
            | Self::Isolate(_) => cluster.heal().await,
            Self::Slow(place) => cluster.container(place)?.fast().await,
            Self::Freeze(place) => cluster.container(place)?.unpause().await,
            Self::Kill(place) => cluster.run(place).await,
            Self::Exhaust => {
                cluster.hogs = None;
                Ok(())
            }
            Self::Full => cluster.postgres.empty_disk().await,
            Self::Hiccup(_) | Self::Restart(_) | Self::Epmd(_) | Self::Move => Ok(()),
        }
    }

    /// What sort of fault it is.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Cut(..) => "a link cut",
            Self::OneWay(..) => "a link cut one way",
            Self::Reset(..) => "a link reset",
            Self::Loss(..) => "packets lost",
            Self::Slow(_) => "everything late",
            Self::Isolate(_) => "cut off from all",
            Self::Freeze(_) => "frozen for longer than the tick time",
            Self::Hiccup(_) => "frozen for a moment",
            Self::Kill(_) => "killed, started later",
            Self::Restart(_) => "killed, started at once",
            Self::Epmd(_) => "EPMD killed",
            Self::Move => "Postgres at another address",
            Self::Exhaust => "Postgres without connections to spare",
            Self::Full => "Postgres with a full disk",
        }
    }

    /// Whom it concerns.
    pub(super) fn places(self) -> Vec<Place> {
        match self {
            Self::Cut(a, b) | Self::OneWay(a, b) | Self::Reset(a, b) | Self::Loss(a, b, _) => {
                vec![a, b]
            }
            Self::Slow(place)
            | Self::Isolate(place)
            | Self::Freeze(place)
            | Self::Hiccup(place)
            | Self::Kill(place)
            | Self::Restart(place)
            | Self::Epmd(place) => vec![place],
            Self::Move | Self::Exhaust | Self::Full => vec![Place::Postgres],
        }
    }
}

fn others(cluster: &Cluster, place: Place) -> impl Iterator<Item = Place> + use<> {
    cluster.places().into_iter().filter(move |other| *other != place)
}

impl Effect {
    fn gone(&mut self, cluster: &Cluster, place: Place) {
        self.silent.push(place);
        self.absent.push(place);
        self.lost.extend(others(cluster, place).map(|other| (place, other)));
    }

    pub(super) fn is_lost(&self, a: Place, b: Place) -> bool {
        self.lost.contains(&(a, b)) || self.lost.contains(&(b, a))
    }

    pub(super) fn is_unsure(&self, a: Place, b: Place) -> bool {
        self.unsure.contains(&(a, b)) || self.unsure.contains(&(b, a))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(a, b) => write!(f, "{a} and {b} are cut apart"),
            Self::OneWay(a, b) => write!(f, "nothing gets from {a} to {b}"),
            Self::Reset(a, b) => write!(f, "what {a} sends to {b} is answered with resets"),
            Self::Loss(a, b, percent) => write!(f, "{percent} % is lost between {a} and {b}"),
            Self::Slow(place) => write!(f, "what {place} sends is late"),
            Self::Isolate(place) => write!(f, "{place} is cut off from all"),
            Self::Freeze(place) => write!(f, "{place} is frozen"),
            Self::Hiccup(place) => write!(f, "{place} is frozen for a moment"),
            Self::Kill(place) => write!(f, "{place} is killed and comes back later"),
            Self::Restart(place) => write!(f, "{place} is killed and comes back at once"),
            Self::Epmd(place) => write!(f, "the EPMD of {place} is killed"),
            Self::Move => f.write_str("Postgres comes back at another address"),
            Self::Exhaust => f.write_str("Postgres has no connection to spare"),
            Self::Full => f.write_str("the disk of Postgres is full"),
        }
    }
}
