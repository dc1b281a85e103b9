//! Which fault comes next: all of them in a random order, and then all again, in another.

use super::cluster::{Cluster, Place};
use super::fault::Fault;
use super::random::Random;

/// So many steps of each deck are two faults at once.
const DOUBLE: usize = 6;

/// Steps that are still to come, the next one last.
pub(super) struct Deck {
    places: Vec<Place>,
    left: Vec<Vec<Fault>>,
}

impl Deck {
    pub(super) fn new(cluster: &Cluster) -> Self {
        Self { places: cluster.places(), left: Vec::new() }
    }

    /// The faults of the next step, which come at once.
    pub(super) fn next(&mut self, random: &mut Random) -> Vec<Fault> {
        if self.left.is_empty() {
            self.left = shuffled(&self.places, random);
        }
        self.left.pop().unwrap_or_default()
    }
}

/// One of each kind, then the second of each kind, and so on: a short run sees every kind.
fn shuffled(places: &[Place], random: &mut Random) -> Vec<Vec<Fault>> {
    let mut kinds = all(places, random);
    random.shuffle(&mut kinds);
    for kind in &mut kinds {
        random.shuffle(kind);
    }
    let mut steps = Vec::new();
    while kinds.iter().any(|kind| !kind.is_empty()) {
        steps.extend(kinds.iter_mut().filter_map(Vec::pop));
    }
    steps.reverse();
    steps
}

/// The steps, by kind.
fn all(places: &[Place], random: &mut Random) -> Vec<Vec<Vec<Fault>>> {
    let nodes: Vec<Place> =
        places.iter().copied().filter(|place| *place != Place::Postgres).collect();
    let mut links = Vec::new();
    for (number, a) in places.iter().enumerate() {
        links.extend(places.iter().skip(number + 1).map(|b| (*a, *b)));
    }
    let between: Vec<(Place, Place)> =
        links.iter().copied().filter(|(_, b)| *b != Place::Postgres).collect();
    let beams: Vec<Place> =
        nodes.iter().copied().filter(|place| matches!(place, Place::Beam(_))).collect();
    let each = |places: &[Place], fault: fn(Place) -> Fault| {
        places.iter().map(|place| vec![fault(*place)]).collect::<Vec<_>>()
    };
    let kinds: Vec<Vec<Vec<Fault>>> = vec![
        links.iter().map(|(a, b)| vec![Fault::Cut(*a, *b)]).collect(),
        between.iter().map(|(a, b)| vec![Fault::OneWay(*a, *b)]).collect(),
        between.iter().map(|(a, b)| vec![Fault::Reset(*b, *a)]).collect(),
        links.iter().map(|(a, b)| vec![Fault::Loss(*a, *b, 20)]).collect(),
        each(places, Fault::Slow),
        each(places, Fault::Isolate),
        each(places, Fault::Freeze),
        each(places, Fault::Hiccup),
        each(places, Fault::Kill),
        each(&nodes, Fault::Restart),
        each(&beams, Fault::Epmd),
        vec![vec![Fault::Move]],
        vec![vec![Fault::Exhaust]],
        vec![vec![Fault::Full]],
    ];
    let single: Vec<Fault> = kinds.iter().flatten().flatten().copied().collect();
    let mut pairs = Vec::new();
    while pairs.len() < DOUBLE {
        let (Some(a), Some(b)) = (random.one_of(&links), random.one_of(&links)) else { break };
        if a != b {
            pairs.push(vec![Fault::Cut(a.0, a.1), Fault::Cut(b.0, b.1)]);
        }
    }
    let mut doubles = Vec::new();
    while doubles.len() < DOUBLE {
        let (Some(a), Some(b)) = (random.one_of(&single), random.one_of(&single)) else { break };
        let shared = a.places().iter().any(|place| b.places().contains(place));
        // What is done to the network of one that ends is gone with it.
        if !shared && a.kind() != b.kind() {
            doubles.push(vec![*a, *b]);
        }
    }
    kinds.into_iter().chain([pairs, doubles]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PLACES: [Place; 6] = [
        Place::Beam(0),
        Place::Beam(1),
        Place::Beam(2),
        Place::Rust(0),
        Place::Rust(1),
        Place::Postgres,
    ];

    #[test]
    fn a_seed_gives_the_same_faults_each_time_and_another_gives_others() {
        let deck = |seed| shuffled(&PLACES, &mut Random::new(seed));
        assert_eq!(deck(1), deck(1));
        assert_ne!(deck(1), deck(2));
    }

    #[test]
    fn every_kind_comes_before_any_comes_twice() {
        let mut deck = shuffled(&PLACES, &mut Random::new(7));
        let first: Vec<Vec<Fault>> = (0..16).filter_map(|_| deck.pop()).collect();
        let single = first.iter().filter(|step| step.len() == 1).flatten();
        let kinds: BTreeSet<&str> = single.map(|fault| fault.kind()).collect();
        assert_eq!(kinds.len(), 14, "{first:?}");
    }

    #[test]
    fn every_link_is_cut() {
        let deck = shuffled(&PLACES, &mut Random::new(7));
        let cuts = deck.iter().filter(|step| matches!(step.as_slice(), [Fault::Cut(..)]));
        assert_eq!(cuts.count(), 15);
    }
}
