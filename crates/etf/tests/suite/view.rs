//! A view accepts what the decoder accepts, refuses the rest with the same error, and shows the same term.

use std::sync::LazyLock;

use bytes::Bytes;
use etf::{Atom, Decoder, Limits, RawTerm, Step, Term, View, ViewKind, Walk, decode, encode, term};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::changes::{change, changed};
use crate::support::terms::{any_term, atom};
use crate::support::vectors::{Vector, vectors};

static VECTORS: LazyLock<Vec<Vector>> = LazyLock::new(vectors);

/// Reads the bytes in all ways; with the feature, also through serde, which hands a term from there to its visitor.
fn check(bytes: &Bytes, limits: &Limits) {
    #[cfg(feature = "serde")]
    match (decode(bytes, limits), etf::from_bytes::<Term>(bytes, limits)) {
        (Ok(term), Ok(read)) => assert_eq!(term, read),
        (Err(error), Err(other)) => assert_eq!(Some(&error), other.decode_error(), "{bytes:?}"),
        (term, read) => panic!("decoded {term:?}, read with serde {read:?}: {bytes:?}"),
    }
    #[cfg(feature = "serde")]
    if decode(bytes, limits).is_ok() {
        // To its end, and no further.
        assert!(etf::from_bytes::<serde::de::IgnoredAny>(bytes, limits).is_ok(), "{bytes:?}");
    }
    match (decode(bytes, limits), View::versioned(bytes, &[], limits)) {
        (Ok(term), Ok(view)) => assert_shows(view, &term),
        (Err(error), Err(other)) => assert_eq!(error, other, "{bytes:?}"),
        (term, view) => panic!("decoded {term:?}, viewed {view:?}: {bytes:?}"),
    }
}

/// Asks the view for everything that it can say.
fn assert_shows(view: View<'_>, term: &Term) {
    assert_eq!(view.to_term(), *term);
    assert_parts(view, term, 0);
}

/// As many levels as the stack of a test has room for.
fn assert_parts(view: View<'_>, term: &Term, level: usize) {
    assert!(view == *term);
    if level < 3 {
        // Each to its end, where others follow or not.
        assert_walk(view, term);
    }
    assert_scalars(view, term);
    if level < 100 {
        assert_elements(view, term, level + 1);
    }
}

fn assert_walk(view: View<'_>, term: &Term) {
    let mut walk = view.walk();
    assert_eq!(rebuilt(&mut walk), *term);
    assert!(walk.next().is_none());
}

/// So many terms of which these are the next steps.
fn rebuilt_all(walk: &mut Walk<'_>, count: usize) -> Vec<Term> {
    (0..count).map(|_| rebuilt(walk)).collect()
}

fn rebuilt(walk: &mut Walk<'_>) -> Term {
    match walk.next().unwrap() {
        Step::Atom(text) => Term::Atom(Atom::new(std::str::from_utf8(text).unwrap()).unwrap()),
        Step::Int(value) => value.into(),
        Step::Binary(bytes) => Term::Binary(bytes.into()),
        Step::Tuple(arity) => Term::Tuple(rebuilt_all(walk, arity)),
        Step::List(count) => Term::list_with_tail(rebuilt_all(walk, count), rebuilt(walk)),
        Step::Bytes(bytes) => bytes.iter().map(|byte| Term::from(*byte)).collect(),
        Step::Nil => Term::NIL,
        Step::Map(pairs) => {
            let items = rebuilt_all(walk, 2 * pairs);
            Term::Map(items.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
        }
        Step::Other(view) => {
            assert!(matches!(view.kind(), ViewKind::Other));
            view.to_term()
        }
        step => panic!("{step:?}"),
    }
}

/// The kind, which has atoms in UTF-8 alone.
fn assert_kind(view: View<'_>, term: &Term) {
    match (view.kind(), term) {
        (ViewKind::Int(value), _) => assert_eq!(Some(value), term.as_int()),
        (ViewKind::Atom(text), Term::Atom(atom)) => assert_eq!(text, atom.as_str().as_bytes()),
        (ViewKind::Binary(bytes), Term::Binary(expected)) => assert_eq!(bytes, expected),
        (ViewKind::Tuple(elements), Term::Tuple(items)) => {
            assert_eq!(elements.count(), items.len());
        }
        (ViewKind::List(elements), Term::List(items)) => assert_eq!(elements.count(), items.len()),
        (ViewKind::List(elements), Term::ImproperList(list)) => {
            assert_eq!(elements.count(), list.items().len());
        }
        (ViewKind::Map(shown), Term::Map(map)) => assert_eq!(shown.len(), map.len()),
        (ViewKind::Other, Term::Atom(atom)) => assert!(!atom.as_str().is_ascii()),
        (ViewKind::Other, term) => {
            assert_eq!((term.as_int(), term.as_binary()), (None, None));
            let is_compound = term.as_tuple().is_some() || term.as_map().is_some();
            assert!(!is_compound && view.as_list().is_none());
        }
        (kind, term) => panic!("{kind:?} of {term}"),
    }
}

fn assert_scalars(view: View<'_>, term: &Term) {
    assert_kind(view, term);
    assert_eq!(view.as_atom().as_deref(), term.as_atom().map(Atom::as_str));
    assert_eq!(view.as_bool(), term.as_bool());
    assert_eq!(view.as_int(), term.as_int());
    assert_eq!(view.as_u64(), term.as_u64());
    assert_eq!(view.as_float().map(f64::to_bits), term.as_float().map(f64::to_bits));
    assert_eq!(view.as_binary(), term.as_binary().map(AsRef::as_ref));
    assert_eq!(view.as_str(), term.as_str());
    assert_eq!(view.as_pid().as_ref(), term.as_pid());
    assert_eq!(view.as_reference().as_ref(), term.as_reference());
    assert_eq!(view.as_tuple().is_some(), term.as_tuple().is_some());
    assert_eq!(view.as_map().is_some(), term.as_map().is_some());
    let is_list = matches!(term, Term::List(_) | Term::ImproperList(_));
    assert_eq!(view.as_list().is_some(), is_list);
    if let Some(atom) = term.as_atom() {
        assert!(view.is_atom(atom.as_str()));
    } else {
        assert!(!view.is_atom("") && !view.is_atom("a"));
    }
}

fn assert_elements(view: View<'_>, term: &Term, level: usize) {
    match term {
        Term::Tuple(items) => {
            let elements = view.as_tuple().unwrap();
            assert_eq!(elements.size_hint(), (items.len(), Some(items.len())));
            assert!(elements.clone().tail().is_none());
            assert_each(elements, items, level);
            assert_eq!(view.tuple::<2>().is_some(), items.len() == 2);
        }
        Term::List(items) => {
            let elements = view.as_list().unwrap();
            assert!(elements.clone().tail().is_none());
            assert_each(elements, items, level);
        }
        Term::ImproperList(list) => {
            let elements = view.as_list().unwrap();
            assert_parts(elements.clone().tail().unwrap(), list.tail(), level);
            assert_each(elements, list.items(), level);
        }
        Term::Map(map) => {
            let shown = view.as_map().unwrap();
            assert_eq!((shown.len(), shown.is_empty()), (map.len(), map.is_empty()));
            assert_eq!(shown.iter().count(), map.len());
            for ((key, value), (expected_key, expected)) in shown.iter().zip(map.iter()) {
                assert_parts(key, expected_key, level);
                assert_parts(value, expected, level);
                assert!(shown.get(expected_key).unwrap() == *expected);
            }
            if let Some((Term::Atom(key), value)) = map.iter().next_back() {
                assert!(shown.get_atom(key.as_str()).unwrap() == *value);
            }
            assert!(shown.get(&term!({no, such, key, -1.25})).is_none());
        }
        _ => {}
    }
}

fn assert_each<'a>(elements: impl Iterator<Item = View<'a>>, items: &[Term], level: usize) {
    let shown: Vec<View<'_>> = elements.collect();
    assert_eq!(shown.len(), items.len());
    shown.into_iter().zip(items).for_each(|(view, item)| assert_parts(view, item, level));
}

#[test]
fn all_that_otp_wrote_is_shown() {
    for vector in VECTORS.iter() {
        check(&vector.bytes, &Limits::default());
        check(&vector.canonical, &Limits::default());
    }
}

#[test]
fn rare_forms_are_shown() {
    for bytes in [
        // Lists that go on in their tails, of no elements, of bytes, improper.
        &[108, 0, 0, 0, 1, 97, 1, 108, 0, 0, 0, 1, 97, 2, 107, 0, 1, 3][..],
        &[108, 0, 0, 0, 1, 97, 1, 107, 0, 0],
        &[108, 0, 0, 0, 0, 97, 2],
        &[108, 0, 0, 0, 0, 108, 0, 0, 0, 0, 106],
        &[108, 0, 0, 0, 1, 97, 1, 108, 0, 0, 0, 0, 97, 2],
        &[107, 0, 0],
        &[104, 2, 107, 0, 2, 1, 2, 106],
        // Keys that are one in two forms, and keys that are not.
        &[116, 0, 0, 0, 2, 97, 1, 106, 98, 0, 0, 0, 1, 106],
        &[116, 0, 0, 0, 2, 97, 1, 106, 110, 1, 0, 1, 106],
        &[116, 0, 0, 0, 2, 97, 1, 106, 110, 1, 1, 1, 106],
        &[116, 0, 0, 0, 2, 115, 1, 97, 106, 119, 1, 97, 106],
        &[116, 0, 0, 0, 2, 119, 1, 97, 106, 109, 0, 0, 0, 1, 97, 106],
        &[116, 0, 0, 0, 2, 107, 0, 1, 7, 106, 108, 0, 0, 0, 1, 97, 7, 106, 106],
        // A native record, in a tuple.
        &[104, 2, 67, 0, 0, 0, 1, 0, 119, 1, 97, 119, 1, 98, 119, 1, 99, 97, 7, 106],
        // Latin-1, bitstrings of whole bytes.
        &[104, 2, 115, 1, 0xe9, 100, 0, 2, 97, 0xe9],
        &[104, 2, 77, 0, 0, 0, 2, 8, 1, 2, 77, 0, 0, 0, 0, 0],
    ] {
        check(&[&[131], bytes].concat().into(), &Limits::default());
    }
}

#[test]
fn what_no_version_leads_is_the_same_error() {
    for bytes in [&[][..], &[97, 1], &[104, 0], &[130, 97, 1], &[131, 131, 97, 1]] {
        check(&Bytes::copy_from_slice(bytes), &Limits::default());
    }
    let (led, bare) = (Bytes::from_static(&[131, 97, 1]), Bytes::from_static(&[97, 1]));
    assert_eq!(View::new(&bare, &[], &Limits::default()).unwrap().as_int(), Some(1));
    assert!(View::new(&led, &[], &Limits::default()).is_err());
}

#[test]
fn many_keys_are_told_apart() {
    for count in [31_u16, 32, 33, 1000] {
        for again in [None, Some(0), Some(count - 1)] {
            let keys: Vec<u16> = (0..count).chain(again).collect();
            let pairs =
                keys.iter().flat_map(|key| [&[98, 0, 0][..], &key.to_be_bytes(), &[106]].concat());
            let size = u16::try_from(keys.len()).unwrap().to_be_bytes();
            let bytes = [&[131, 116, 0, 0], &size[..], &pairs.collect::<Vec<_>>()].concat().into();
            check(&bytes, &Limits::default());
            assert_eq!(View::versioned(&bytes, &[], &Limits::default()).is_ok(), again.is_none());
        }
    }
}

#[test]
fn a_view_goes_as_deep_as_the_decoder() {
    for levels in [1, 5, 6, 7, 8, 511, 512, 513] {
        for (open, close) in [
            (&[104, 1][..], &[][..]),
            (&[108, 0, 0, 0, 1], &[106]),
            (&[116, 0, 0, 0, 1, 97, 1], &[]),
            (&[116, 0, 0, 0, 2, 97, 1, 97, 1, 97, 2], &[]),
        ] {
            let (open, close) = (open.repeat(levels), close.repeat(levels));
            let bytes = [&[131], open.as_slice(), &[106], &close].concat().into();
            let view = View::versioned(&bytes, &[], &Limits::default());
            assert_eq!(view.is_ok(), levels <= 512);
            assert_eq!(view.err(), decode(&bytes, &Limits::default()).err());
        }
    }
}

/// Elements that are still to come have to have room too, whoever reads those before them.
#[test]
fn what_is_cut_anywhere_is_the_same_error() {
    let term = term!({
        {1, {[], []}, [], []},
        [{a, {[], [], []}}, {[], []}, []],
        #{k => {[], {[], []}, []}, [{[], []}, []] => []},
        [], [], []
    });
    let bytes = encode(&term).unwrap().into_bytes();
    for end in 0..=bytes.len() {
        check(&bytes.slice(..end), &Limits::default());
    }
}

/// What is kept in place costs nothing beside its term, and what is a byte longer does.
#[test]
fn the_limits_are_the_same_around_the_length_that_is_kept_in_place() {
    for length in 22..=25_u8 {
        let text = vec![b'a'; length.into()];
        let long = [&[109, 0, 0, 0, 30][..], &[b'a'; 30]].concat();
        let binary = [&[109, 0, 0, 0, length], text.as_slice()].concat();
        let atom = [&[119, length], text.as_slice()].concat();
        for element in [binary, atom] {
            for (open, close) in [
                (&[][..], &[][..]),
                (&[104, 1], &[]),
                (&[108, 0, 0, 0, 1], &[106]),
                (&[116, 0, 0, 0, 1], &[106]),
                // Where texts end with the bytes, and where more follow than could be theirs.
                (&[104, 2], &element),
                (&[104, 3], &[element.as_slice(), &element].concat()),
                // What costs something comes after them.
                (&[104, 2], &long),
            ] {
                let bytes = [&[131], open, &element, close].concat().into();
                let whole = (0..1000).find(|memory| {
                    let limits = Limits::default().with_memory(*memory);
                    check(&bytes, &limits);
                    decode(&bytes, &limits).is_ok()
                });
                assert!(whole.is_some());
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_shown(term in any_term()) {
        let raw = RawTerm::encode(&term).unwrap();
        assert_shows(raw.view(&Limits::default()).unwrap(), &term);
    }

    #[test]
    fn what_is_cut_or_changed_is_the_same_term_or_the_same_error(
        term in any_term(),
        changes in prop::collection::vec(change(), 1..4),
    ) {
        check(&changed(&encode(&term).unwrap().into_bytes(), &changes), &Limits::default());
    }

    #[test]
    fn what_otp_wrote_and_is_changed_is_the_same_term_or_the_same_error(
        vector in any::<Index>(),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        check(&changed(&vector.get(&VECTORS).bytes, &changes), &Limits::default());
    }

    #[test]
    fn any_tags_are_the_same_term_or_the_same_error(
        bytes in prop::collection::vec(prop_oneof![0..4_u8, 67..=121_u8], 1..200),
    ) {
        check(&[&[131], bytes.as_slice()].concat().into(), &Limits::default());
    }

    #[test]
    fn the_limits_are_the_same(
        term in any_term(),
        depth in 0..6_usize,
        elements in 0..200_usize,
        memory in 0..20_000_usize,
    ) {
        let limits = Limits::default().with_depth(depth).with_elements(elements).with_memory(memory);
        check(&encode(&term).unwrap().into_bytes(), &limits);
    }

    #[test]
    fn atoms_of_the_header_are_resolved(
        atoms in prop::collection::vec(atom(), 1..20),
        indices in prop::collection::vec(0..22_u8, 1..40),
    ) {
        // In a map, in tuples of a list, in a large tuple.
        for tag in [116, 108, 105] {
            let element = |index: &u8| match tag {
                116 => vec![82, *index, 88, 82, *index, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3],
                108 => vec![104, 3, 82, *index, 104, 1, 82, *index, 82, 0],
                _ => vec![82, *index],
            };
            let mut bytes = vec![tag];
            bytes.extend(u32::try_from(indices.len()).unwrap().to_be_bytes());
            bytes.extend(indices.iter().flat_map(element));
            bytes.extend((tag == 108).then_some(106));
            let bytes = bytes.into();
            let limits = Limits::default();
            let decoded = Decoder::new(&bytes, &atoms, &limits).term();
            match (decoded, View::new(&bytes, &atoms, &limits)) {
                (Ok(term), Ok(view)) => assert_shows(view, &term),
                (Err(error), Err(other)) => prop_assert_eq!(error, other),
                (term, view) => panic!("decoded {term:?}, viewed {view:?}"),
            }
        }
    }
}
