//! What holds for every term, and for every string of bytes.

use std::cmp::Ordering;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use bytes::Bytes;
use etf::{Atom, Decoder, Limits, Map, RawTerm, Term, decode, decode_compressed, encode};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::changes::{change, changed};
use crate::support::terms::{any_term, atom};
use crate::support::vectors::{Vector, vectors};

static VECTORS: LazyLock<Vec<Vector>> = LazyLock::new(vectors);

/// Keys of which some are the same.
fn key() -> impl Strategy<Value = Term> {
    prop_oneof![
        3 => any::<u8>().prop_map(Term::from),
        1 => any::<i8>().prop_map(|value| Term::from(f64::from(value))),
        3 => "[a-c]{1,3}".prop_map(|text| Term::from(Atom::new(text).unwrap())),
        1 => any_term(),
    ]
}

/// Whatever was read can be printed, and read and written again.
fn use_it(term: &Term) {
    let bytes = encode(term).unwrap().into_bytes();
    let again = decode(&bytes, &Limits::default().with_depth(Limits::MAX_DEPTH)).unwrap();
    assert_eq!(&again, term);
    assert_eq!(encode(&again).unwrap().into_bytes(), bytes);
    assert!(!term.to_string().is_empty());
    assert!(!term.elixir().to_string().is_empty());
    let hasher = RandomState::new();
    assert_eq!(hasher.hash_one(&again), hasher.hash_one(term));
    assert_eq!(again.cmp(term), Ordering::Equal);
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_to_the_same(term in any_term()) {
        let rope = encode(&term).unwrap();
        let length = rope.len();
        prop_assert_eq!(rope.iter().map(Bytes::len).sum::<usize>(), length);
        let bytes = rope.into_bytes();
        prop_assert_eq!(bytes.len(), length);
        prop_assert_eq!(&decode(&bytes, &Limits::default()).unwrap(), &term);
        prop_assert_eq!(&RawTerm::encode(&term).unwrap().decode(&Limits::default()).unwrap(), &term);
        use_it(&term);
    }

    #[test]
    fn a_term_that_is_cut_short_is_an_error(term in any_term(), at in any::<Index>()) {
        let bytes = encode(&term).unwrap().into_bytes();
        let error = decode(&bytes.slice(..at.index(bytes.len())), &Limits::default()).unwrap_err();
        prop_assert!(!error.is_limit());
        prop_assert!(error.offset <= bytes.len());
    }

    #[test]
    fn any_bytes_are_a_term_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 1..200)) {
        bytes[0] = 131;
        if let Ok(term) = decode(&bytes.into(), &Limits::default()) {
            use_it(&term);
        }
    }

    #[test]
    fn any_tags_are_a_term_or_an_error(bytes in prop::collection::vec(prop_oneof![0..4_u8, 67..=121_u8], 1..200)) {
        let bytes = [&[131], bytes.as_slice()].concat().into();
        if let Ok(term) = decode(&bytes, &Limits::default()) {
            use_it(&term);
        }
    }

    #[test]
    fn a_term_that_is_changed_on_the_way_is_a_term_or_an_error(
        term in any_term(),
        changes in prop::collection::vec(change(), 1..4),
    ) {
        let bytes = encode(&term).unwrap().into_bytes();
        if let Ok(term) = decode(&changed(&bytes, &changes), &Limits::default()) {
            use_it(&term);
        }
    }

    #[test]
    fn what_otp_wrote_and_is_changed_on_the_way_is_a_term_or_an_error(
        vector in any::<Index>(),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let bytes = changed(&vector.get(&VECTORS).bytes, &changes);
        if let Ok(term) = decode_compressed(&bytes, &Limits::default(), 1 << 20) {
            use_it(&term);
        }
    }

    #[test]
    fn limits_are_kept_and_only_refuse(
        term in any_term(),
        depth in 0..6_usize,
        elements in 0..200_usize,
        memory in 0..20_000_usize,
    ) {
        let bytes = encode(&term).unwrap().into_bytes();
        let limits = Limits::default().with_depth(depth).with_elements(elements).with_memory(memory);
        match decode(&bytes, &limits) {
            Ok(decoded) => prop_assert_eq!(decoded, term),
            Err(error) => prop_assert!(error.is_limit(), "{}", error),
        }
    }

    #[test]
    fn atoms_of_the_header_are_resolved(atoms in prop::collection::vec(atom(), 1..255), indices in prop::collection::vec(any::<u8>(), 0..50)) {
        let mut bytes = vec![104, u8::try_from(indices.len()).unwrap()];
        bytes.extend(indices.iter().flat_map(|index| [82, *index]));
        let bytes = bytes.into();
        let known = |index: &u8| atoms.get(usize::from(*index)).cloned().map(Term::from);
        let expected: Option<Vec<Term>> = indices.iter().map(known).collect();
        let decoded = Decoder::new(&bytes, &atoms, &Limits::default()).term();
        prop_assert_eq!(decoded.ok(), expected.map(Term::Tuple));
    }

    #[test]
    fn the_order_is_total(a in any_term(), b in any_term(), c in any_term()) {
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a.cmp(&b) == Ordering::Equal, a == b);
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
    }

    #[test]
    fn a_map_finds_its_keys(pairs in prop::collection::vec((key(), any::<u8>()), 0..80), gone in any::<Index>()) {
        let mut map = Map::new();
        let mut expected: Vec<(Term, Term)> = Vec::new();
        for (key, value) in pairs {
            let old = map.insert(key.clone(), value.into());
            match expected.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => prop_assert_eq!(old, Some(std::mem::replace(known, value.into()))),
                None => {
                    prop_assert_eq!(old, None);
                    expected.push((key, value.into()));
                }
            }
        }
        if !expected.is_empty() {
            let (key, value) = expected.remove(gone.index(expected.len()));
            prop_assert_eq!(map.remove(&key), Some(value));
            prop_assert_eq!(map.get(&key), None);
        }
        prop_assert!(map.iter().map(|(key, value)| (key.clone(), value.clone())).eq(expected.iter().cloned()));
        for (key, value) in &expected {
            prop_assert_eq!(map.get(key), Some(value));
        }
        let reversed: Map = expected.into_iter().rev().collect();
        prop_assert_eq!(&reversed, &map);
        let hasher = RandomState::new();
        prop_assert_eq!(hasher.hash_one(&reversed), hasher.hash_one(&map));
    }

    #[test]
    fn an_atom_is_printed_so_that_it_is_told_from_other_terms(atom in atom()) {
        let printed = atom.to_string();
        prop_assert!(printed.starts_with('\'') || printed.starts_with(char::is_lowercase));
        prop_assert_eq!(Atom::new(atom.as_str()).unwrap(), atom);
    }
}
