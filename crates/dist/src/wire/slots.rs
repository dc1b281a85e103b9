//! The atom cache of one direction of a connection: which atom is in which slot.

use etf::Atom;

/// How many slots there are: 8 segments of 256 (`erl_ext_dist`, "Distribution Header").
pub(crate) const SLOTS: usize = 2048;

/// Atoms by slot. It takes 4 KiB and what is set, and nothing before the first is set: a node may
/// have a thousand links.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// For each slot 0, or one more than its place in `atoms`.
    places: Vec<u16>,
    atoms: Vec<Atom>,
}

impl Slots {
    /// The atom in a slot, if one was put there.
    pub(crate) fn get(&self, slot: usize) -> Option<&Atom> {
        let place = usize::from(*self.places.get(slot)?);
        self.atoms.get(place.checked_sub(1)?)
    }

    /// Puts an atom into a slot, in the place of what was there. A slot from [`SLOTS`] on does not exist.
    pub(crate) fn set(&mut self, slot: usize, atom: Atom) {
        if self.places.is_empty() {
            self.places.resize(SLOTS, 0);
        }
        let Some(place) = self.places.get_mut(slot) else { return };
        match usize::from(*place).checked_sub(1).and_then(|at| self.atoms.get_mut(at)) {
            Some(old) => *old = atom,
            None => {
                self.atoms.push(atom);
                // At most one for each slot.
                *place = u16::try_from(self.atoms.len()).unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_holds_what_was_last_put_there() {
        let mut slots = Slots::default();
        assert_eq!(slots.get(0), None);
        for round in 0..3 {
            for slot in 0..SLOTS {
                slots.set(slot, Atom::new(format!("{round}.{slot}")).unwrap());
            }
        }
        slots.set(SLOTS, Atom::from_static("nowhere"));
        for slot in 0..SLOTS {
            assert_eq!(slots.get(slot).unwrap().as_str(), format!("2.{slot}"));
        }
        assert_eq!((slots.get(SLOTS), slots.atoms.len()), (None, SLOTS));
    }
}
