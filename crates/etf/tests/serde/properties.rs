//! What is written is read again, by each of the ways, and by all of them alike.

use etf::{Atom, Decoder, Encoder, Limits, RawTerm, Term};
use proptest::prelude::*;
use serde::de::IgnoredAny;

use crate::kinds::{Everything, everything};
use crate::terms::any_term;

/// Not so many as by default: the values are large.
fn config() -> ProptestConfig {
    ProptestConfig::with_cases(60)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn bytes_terms_and_values_agree(value in everything()) {
        let bytes = etf::to_bytes(&value).unwrap();
        let term = etf::to_term(&value).unwrap();
        prop_assert_eq!(&etf::decode(&bytes, &Limits::default()).unwrap(), &term);
        prop_assert_eq!(&etf::encode(&term).unwrap().into_bytes(), &bytes);
        prop_assert_eq!(&etf::from_bytes::<Everything>(&bytes, &Limits::default()).unwrap(), &value);
        prop_assert_eq!(&etf::from_term::<Everything>(&term).unwrap(), &value);
        let raw = RawTerm::serialize(&value).unwrap();
        prop_assert_eq!(raw.as_bytes(), &bytes);
        prop_assert_eq!(&raw.deserialize::<Everything>(&Limits::default()).unwrap(), &value);
        let mut encoder = Encoder::new();
        encoder.value(&value).unwrap();
        prop_assert_eq!(&encoder.finish().into_bytes(), &bytes.slice(1..));
    }

    #[test]
    fn a_term_is_itself(term in any_term()) {
        let bytes = etf::encode(&term).unwrap().into_bytes();
        prop_assert_eq!(&etf::to_bytes(&term).unwrap(), &bytes);
        prop_assert_eq!(&etf::from_bytes::<Term>(&bytes, &Limits::default()).unwrap(), &term);
        let inside = etf::to_bytes(&(1, &term, "x")).unwrap();
        let (_, again, _): (u8, Term, String) = etf::from_bytes(&inside, &Limits::default()).unwrap();
        prop_assert_eq!(again, term);
    }

    #[test]
    fn what_nobody_asks_for_is_read_over_to_its_end(term in any_term()) {
        let bytes = etf::encode(&Term::Tuple(vec![term, Term::from(7)])).unwrap().into_bytes();
        let (_, seven): (IgnoredAny, u8) = etf::from_bytes(&bytes, &Limits::default()).unwrap();
        prop_assert_eq!(seven, 7);
    }

    #[test]
    fn atoms_of_the_header_are_resolved(texts in prop::collection::vec("[a-z]{1,9}", 1..9)) {
        let atoms: Vec<Atom> = texts.iter().map(|text| Atom::new(text).unwrap()).collect();
        let count = u8::try_from(atoms.len()).unwrap();
        let mut bytes = vec![104, count];
        bytes.extend((0..count).flat_map(|index| [82, index]));
        let expected = Decoder::new(&bytes.clone().into(), &atoms, &Limits::default()).term().unwrap();
        let raw = RawTerm::new(&bytes.into(), atoms.clone().into(), false);
        prop_assert_eq!(raw.deserialize::<Term>(&Limits::default()).unwrap(), expected);
        if let [first] = atoms.as_slice() {
            let (read,): (Atom,) = raw.deserialize(&Limits::default()).unwrap();
            prop_assert_eq!(&read, first);
        }
    }
}
