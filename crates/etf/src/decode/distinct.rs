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
        if let Some(answer) = self.are_quickly_distinct(keys) {
            return answer;
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

    /// The same in a table of places that are easily computed; `None` where that takes many steps, since a peer may have chosen
    /// keys that all belong in the same place, or keys are of other than the usual kinds.
    fn are_quickly_distinct(&self, keys: &[usize]) -> Option<bool> {
        let bits = (2 * keys.len()).next_power_of_two().trailing_zeros();
        // Of each key the higher half of its number, and where it stands; zeros where there is none.
        let mut places = vec![(0, 0); 1 << bits];
        let mut steps = 4 * keys.len();
        for at in keys {
            let key = Key::read(self.input.get(*at..)?, self.atoms)?;
            let number = key.spread();
            let mut place = usize::try_from(number >> (u64::BITS - bits)).ok()?;
            let number = u32::try_from(number >> 32).ok()?;
            loop {
                let found = places.get_mut(place)?;
                if found.1 == 0 {
                    // A key never stands first.
                    *found = (number, *at);
                    break;
                }
                let (other, position) = *found;
                let mut cost = 1;
                if other == number {
                    if Key::read(self.input.get(position..)?, self.atoms)? == key {
                        return Some(false);
                    }
                    // Long keys that differ only near their ends take long to be told apart, and few of them so many steps.
                    cost += key.size() / 8;
                }
                steps = steps.checked_sub(cost)?;
                place = (place + 1) & (places.len() - 1);
            }
        }
        Some(true)
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{DecodeErrorKind, View, tag};

    /// The map that has these keys, checked for a view and decoded.
    fn check(keys: &[Vec<u8>]) -> Result<(), DecodeErrorKind> {
        let count = u32::try_from(keys.len()).unwrap().to_be_bytes();
        let pairs: Vec<u8> = keys.iter().flat_map(|key| [key, &b"j"[..]].concat()).collect();
        let bytes = Bytes::from([b"\x83t", &count[..], &pairs].concat());
        let limits = Limits::default();
        let checked = View::versioned(&bytes, &[], &limits).map(drop);
        assert_eq!(checked, crate::decode(&bytes, &limits).map(drop));
        checked.map_err(|error| error.kind)
    }

    #[test]
    fn a_key_that_is_there_twice_is_found_in_maps_of_any_size_and_kind() {
        let text = |tag: &[u8], text: String| {
            [tag, &[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
        };
        let atom = |n: usize| text(b"w", format!("key_{n}"));
        let binary = |n: usize| text(b"m\0\0\0", format!("a longer key, of number {n}"));
        let int = |n: usize| [&b"b\0\0"[..], &u16::try_from(n).unwrap().to_be_bytes()].concat();
        // These differ where `spread` does not look, and belong in the same place.
        let alike = |n: usize| text(b"m\0\0\0", format!("the same {n:05} the same"));
        let tuple = |n: usize| [b"h\x01", &int(n)[..]].concat();
        let kinds: [&dyn Fn(usize) -> Vec<u8>; 5] = [&atom, &binary, &int, &alike, &tuple];
        for key in kinds {
            for count in [2, 32, 33, 64, 65, 1000] {
                let mut keys: Vec<_> = (0..count).map(key).collect();
                assert_eq!(check(&keys), Ok(()), "{count}");
                keys[(count - 1) / 2] = key(count - 1);
                assert_eq!(check(&keys), Err(DecodeErrorKind::DuplicateKey), "{count}");
            }
        }
        let mixed: Vec<_> = (0..500).flat_map(|n| [atom(n), alike(n), int(n), tuple(n)]).collect();
        assert_eq!(check(&mixed), Ok(()));
    }

    /// What a peer can make of the table without a secret is bounded: these would take half a million steps.
    #[test]
    fn keys_that_belong_in_the_same_place_are_left_to_a_secret_hash() {
        let find = |key: &dyn Fn(usize) -> String| {
            let keys: Vec<String> = (0..1000).map(key).collect();
            let mut bytes = vec![tag::MAP];
            let mut offsets = Vec::new();
            for key in &keys {
                offsets.push(bytes.len());
                bytes.push(tag::BINARY);
                bytes.extend(u32::try_from(key.len()).unwrap().to_be_bytes());
                bytes.extend(key.as_bytes());
            }
            let bytes = Bytes::from(bytes);
            let decoder = Decoder::new(&bytes, &[], &Limits::default());
            assert!(decoder.are_distinct(&offsets));
            decoder.are_quickly_distinct(&offsets)
        };
        assert_eq!(find(&|n| format!("key number {n:05}")), Some(true));
        assert_eq!(find(&|n| format!("the same {n:05} the same")), None);
        // A few of them, each as long as all the others together.
        let long = |n| format!("{}{n:05} the same", "x".repeat(20_000));
        assert_eq!(find(&|n| if n < 5 { long(n) } else { format!("key number {n:05}") }), None);
    }
}
