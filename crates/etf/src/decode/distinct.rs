//! Whether the keys of a map that is not decoded are all different.

use std::collections::HashSet;

use super::Decoder;
use crate::map::distinct;
use crate::view::Key;
use crate::{Limits, Term};

impl Decoder<'_> {
    /// Maps of more keys have these compared by their hashes.
    pub(super) const FLAT_KEYS: usize = 32;

    /// Whether no two of the keys at these offsets are the same.
    pub(super) fn are_distinct(&self, keys: &[usize]) -> bool {
        let key = |at: &usize| Key::read(self.input.get(*at..).unwrap_or_default(), self.atoms);
        if keys.len() < 2 {
            return true;
        }
        if keys.len() <= Self::FLAT_KEYS {
            if keys.iter().any(|at| key(at).is_none()) {
                return self.are_distinct_terms(keys);
            }
            let mut later = keys.iter();
            while let Some(first) = later.next() {
                let first = key(first);
                if later.clone().any(|at| key(at) == first) {
                    return false;
                }
            }
            return true;
        }
        let mut seen = HashSet::with_capacity(keys.len());
        for at in keys {
            match key(at) {
                Some(key) if seen.insert(key) => {}
                Some(_) => return false,
                None => return self.are_distinct_terms(keys),
            }
        }
        true
    }

    /// The same of keys of any kind, by decoding them.
    fn are_distinct_terms(&self, keys: &[usize]) -> bool {
        // They have passed the limits.
        let limits = Limits::UNBOUNDED;
        let decode = |at: &usize| {
            let bytes = self.input.slice((*at).min(self.input.len())..);
            Decoder::new(&bytes, self.atoms, &limits).term().ok()
        };
        let terms: Vec<Term> = keys.iter().filter_map(decode).collect();
        distinct(&terms)
    }
}
