//! Who is in the cluster.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use integration::lab::{
    Container, LabBeam, LabPostgres, LabRust, Network, Rule, Settings, Verdict,
};

use super::exhaust::Hogs;
use crate::host::say;
use crate::images::Images;

/// A node that says nothing for four seconds is given up.
pub(crate) const SETTINGS: Settings =
    Settings { tick: 4, prevent_overlapping_partitions: true, scopes: &["pg"] };

/// One member, or Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    Beam(usize),
    Rust(usize),
    Postgres,
}

/// BEAM nodes, a hidden and a visible Rust node, and Postgres.
pub(crate) struct Cluster {
    pub(crate) beams: Vec<LabBeam>,
    /// The first one is hidden.
    pub(crate) rusts: Vec<LabRust>,
    pub(crate) postgres: LabPostgres,
    /// Those that never connect with each other.
    pub(crate) apart: Vec<[Place; 2]>,
    /// What does not get through, as long as it does not.
    cuts: Vec<(Place, Rule)>,
    /// Those who take up the connections of Postgres.
    pub(super) hogs: Option<Hogs>,
}

impl Cluster {
    /// A BEAM node for each of the images `beams`, with scopes of its own; the Rust nodes run `member`.
    pub(crate) async fn start(
        what: &str,
        images: &Images,
        beams: &[(&str, &'static [&'static str])],
        member: &Path,
        settings: Settings,
    ) -> Result<Self> {
        let network = format!("beamjoin-{what}-{}", std::process::id());
        let network = Arc::new(Network::create(&network).await?);
        let postgres = LabPostgres::start(&network, &images.postgres).await?;
        let mut nodes = Vec::new();
        for (number, (image, scopes)) in beams.iter().enumerate() {
            let settings = Settings { scopes, ..settings };
            let base = Place::Beam(number).to_string();
            nodes.push(LabBeam::start(&network, &base, image, settings).await?);
        }
        let mut rusts = Vec::new();
        for (number, visible) in [false, true].into_iter().enumerate() {
            let base = Place::Rust(number).to_string();
            let rust =
                LabRust::start(&network, &base, &images.elixir, member, visible, settings).await?;
            rusts.push(rust);
        }
        let (apart, cuts) = (Vec::new(), Vec::new());
        let cluster = Self { beams: nodes, rusts, postgres, apart, cuts, hogs: None };
        for place in cluster.places() {
            say(format!("{place} is {}", cluster.container(place)?.address()));
        }
        Ok(cluster)
    }

    /// Everybody.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.nodes().into_iter().chain([Place::Postgres]).collect()
    }

    /// Everybody but Postgres.
    pub(crate) fn nodes(&self) -> Vec<Place> {
        let beams = (0..self.beams.len()).map(Place::Beam);
        beams.chain((0..self.rusts.len()).map(Place::Rust)).collect()
    }

    pub(crate) fn container(&self, place: Place) -> Result<&Container> {
        let container = match place {
            Place::Beam(number) => self.beams.get(number).map(LabBeam::container),
            Place::Rust(number) => self.rusts.get(number).map(LabRust::container),
            Place::Postgres => Some(self.postgres.container()),
        };
        container.with_context(|| format!("there is no {place}"))
    }

    /// What all of them have printed last, on stderr.
    pub(crate) async fn print_logs(&self) {
        for place in self.places() {
            if let Ok(container) = self.container(place) {
                eprintln!("--- {}\n{}", container.name(), container.logs().await);
            }
        }
    }

    /// The name of a node.
    pub(crate) fn name(&self, place: Place) -> Result<&str> {
        let name = match place {
            Place::Beam(number) => self.beams.get(number).map(LabBeam::name),
            Place::Rust(number) => self.rusts.get(number).map(LabRust::name),
            Place::Postgres => None,
        };
        name.with_context(|| format!("{place} is no node"))
    }

    /// The names of all nodes that one connects with, sorted.
    pub(crate) fn others(&self, place: Place) -> Result<Vec<String>> {
        let apart =
            |other| self.apart.iter().any(|pair| pair.contains(&place) && pair.contains(&other));
        let others = self.nodes().into_iter().filter(|other| *other != place && !apart(*other));
        let mut names: Vec<String> =
            others.map(|other| self.name(other).map(ToOwned::to_owned)).collect::<Result<_>>()?;
        names.sort();
        Ok(names)
    }

    /// The names of the nodes whose members of the group in a scope of `place` it knows, itself among them, sorted.
    pub(crate) fn group(&self, place: Place, scope: &str) -> Result<Vec<String>> {
        let mut names = self.others(place)?;
        names.push(self.name(place)?.to_owned());
        for beam in self.beams.iter().filter(|beam| !beam.scopes().contains(&scope)) {
            names.retain(|name| name != beam.name());
        }
        names.sort();
        Ok(names)
    }

    /// Everybody calls: the Rust nodes all others, the BEAM nodes the Rust nodes.
    pub(crate) async fn call_all(&self) -> Result<()> {
        for (number, rust) in self.rusts.iter().enumerate() {
            rust.call_all(&self.others(Place::Rust(number))?).await?;
        }
        let rusts: Vec<String> = self.rusts.iter().map(|rust| rust.name().to_owned()).collect();
        for beam in &self.beams {
            let begun = "persistent_term:get(lab_calls, none) =/= none";
            if beam.eval(begun).await? == "true" {
                beam.set_calling(true).await?;
            } else {
                beam.call_all(&rusts).await?;
            }
        }
        Ok(())
    }

    /// Starts a member again that was killed.
    pub(crate) async fn run(&mut self, place: Place) -> Result<()> {
        match place {
            Place::Beam(number) => self.beams.get_mut(number).context("no such node")?.run().await,
            Place::Rust(number) => self.rusts.get(number).context("no such node")?.run().await,
            Place::Postgres => self.postgres.run().await,
        }
    }

    /// What `from` sends to `to` is no longer delivered, or not as usual.
    pub(crate) async fn cut(&mut self, from: Place, to: Place, verdict: Verdict) -> Result<()> {
        let rule = Rule { from: self.container(from)?.address(), verdict };
        self.cuts.push((to, rule));
        self.filter(to).await
    }

    /// Everything is delivered again.
    pub(crate) async fn heal(&mut self) -> Result<()> {
        for (place, _) in std::mem::take(&mut self.cuts) {
            self.filter(place).await?;
        }
        Ok(())
    }

    async fn filter(&self, place: Place) -> Result<()> {
        // To one that is killed nothing is delivered anyway, and its network has gone with it.
        if !self.container(place)?.is_running().await? {
            return Ok(());
        }
        let rules: Vec<Rule> =
            self.cuts.iter().filter(|(to, _)| *to == place).map(|(_, rule)| *rule).collect();
        self.container(place)?.filter(&rules).await
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beam(number) => write!(f, "beam{}", number + 1),
            Self::Rust(0) => f.write_str("rust-hidden"),
            Self::Rust(_) => f.write_str("rust-visible"),
            Self::Postgres => f.write_str("postgres"),
        }
    }
}
