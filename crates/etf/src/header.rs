use crate::Atom;

/// How many places the table has: more than most messages have atoms, and few enough to be emptied
/// for each.
const PLACES: usize = 128;

/// The atoms that the terms of one frame refer to by number: the entries of its header.
///
/// An atom has two places in a small table. One that finds both taken is not an entry: it is written
/// in full, which costs a few bytes, where a search would cost time for every atom.
#[derive(Debug)]
pub(crate) struct HeaderAtoms {
    entries: Vec<Atom>,
    /// 0, or one more than the number of an entry.
    places: [u8; PLACES],
}

impl Default for HeaderAtoms {
    fn default() -> Self {
        Self { entries: Vec::new(), places: [0; PLACES] }
    }
}

impl HeaderAtoms {
    /// The number of an atom, which becomes an entry if it is none and there is a place for it.
    pub(crate) fn number(&mut self, atom: &Atom) -> Option<u8> {
        let spread = usize::try_from(atom.spread()).unwrap_or_default();
        for place in [spread % PLACES, (spread + 1) % PLACES] {
            let place = self.places.get_mut(place)?;
            match place.checked_sub(1) {
                Some(number) if self.entries.get(usize::from(number)) == Some(atom) => {
                    return Some(number);
                }
                Some(_) => {}
                None => {
                    let number = u8::try_from(self.entries.len()).ok()?;
                    self.entries.push(atom.clone());
                    *place = number + 1;
                    return Some(number);
                }
            }
        }
        None
    }

    /// The entries, in the order of their numbers.
    pub(crate) fn into_entries(self) -> Vec<Atom> {
        self.entries
    }
}
