//! Input from peers that mean no good: no panic, no overflow, no memory without bound.

use std::collections::{BTreeMap, HashMap};
use std::thread;

use etf::{Bytes, DecodeErrorKind, DeserializeError, Limits, Term, from_bytes};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::kinds::{Event, Everything, everything};

/// A type that is as deep as the input says.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "only read")]
enum Any {
    List(Vec<Self>),
    Map(BTreeMap<String, Self>),
    Rest(IgnoredAny),
}

/// A list of itself, with something large at every level, as the stack has to hold it.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only read")]
struct Tree {
    array: [u64; 4],
    children: Vec<Self>,
}

fn read<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, DeserializeError> {
    from_bytes(bytes, &Limits::default())
}

/// Reads it as everything that there is.
fn read_as_all(bytes: &Bytes) {
    let results = [
        read::<Everything>(bytes).err(),
        read::<Event>(bytes).err(),
        read::<Any>(bytes).err(),
        read::<Tree>(bytes).err(),
        read::<Term>(bytes).err(),
        read::<IgnoredAny>(bytes).err(),
        read::<Vec<(char, Option<String>)>>(bytes).err(),
        read::<HashMap<String, Vec<u8>>>(bytes).err(),
        read::<Result<f64, serde_json::Value>>(bytes).err(),
        read::<serde_json::Value>(bytes).err(),
    ];
    for error in results.into_iter().flatten() {
        assert!(!error.to_string().is_empty());
        assert!(error.offset().is_none_or(|offset| offset <= bytes.len()));
    }
}

fn deep(levels: usize, open: &[u8], close: &[u8]) -> Bytes {
    [&[131], open.repeat(levels).as_slice(), &[106], &close.repeat(levels)].concat().into()
}

#[test]
fn deep_input_overflows_no_stack() {
    let many = [&b"h\x02w\x04many"[..], b"l\0\0\0\x01"].concat();
    let both = b"h\x03w\x04bothw\x07started".to_vec();
    let tree = b"t\0\0\0\x02w\x05arrayh\x04a\0a\0a\0a\0w\x08childrenl\0\0\0\x01".to_vec();
    let inputs: [(&[u8], &[u8]); 6] = [
        (b"l\0\0\0\x01", b"j"),
        (b"h\x01", b""),
        (b"t\0\0\0\x01m\0\0\0\x01a", b""),
        (&many, b"j"),
        (&both, b""),
        (&tree, b"j"),
    ];
    let inputs = inputs.map(|(open, close)| (open.to_vec(), close.to_vec()));
    let work = move || {
        for (open, close) in &inputs {
            for levels in [10, 127, 128, 129, 600, 100_000] {
                read_as_all(&deep(levels, open, close));
            }
        }
    };
    // What a thread has by default.
    thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn the_limits_of_the_decoder_hold() {
    let list = |levels| deep(levels, b"l\0\0\0\x01", b"j");
    let deep = list(129);
    let kind = |error: DeserializeError| error.decode_error().unwrap().kind.clone();
    assert_eq!(kind(read::<Any>(&deep).unwrap_err()), DecodeErrorKind::Depth);
    // A term has no need of the stack, and what is read over has no depth.
    assert!(read::<Term>(&deep).is_ok());
    assert!(read::<IgnoredAny>(&deep).is_ok());
    // The empty list in the middle is a level as well.
    assert!(read::<Any>(&list(127)).is_ok());
    assert_eq!(kind(read::<Any>(&list(128)).unwrap_err()), DecodeErrorKind::Depth);
    // What stands beside each other is not in each other.
    let pairs = etf::to_bytes(&vec![(1, 300); 1000]).unwrap();
    assert_eq!(read::<Vec<(u8, u16)>>(&pairs).unwrap().len(), 1000);
    let shallow = Limits::default().with_depth(1);
    let pair = etf::to_bytes(&vec![vec![300]]).unwrap();
    let error = from_bytes::<Vec<Vec<u16>>>(&pair, &shallow).unwrap_err();
    assert_eq!(kind(error), DecodeErrorKind::Depth);
    let error = from_bytes::<Vec<Term>>(&pair, &shallow).unwrap_err();
    assert_eq!(kind(error), DecodeErrorKind::Depth);

    let numbers = etf::to_bytes(&vec![(1, 300); 100]).unwrap();
    let few = Limits::default().with_elements(250);
    let error = from_bytes::<Vec<(u8, u16)>>(&numbers, &few).unwrap_err();
    assert_eq!(kind(error), DecodeErrorKind::Elements);
    let error = from_bytes::<Vec<Term>>(&numbers, &few).unwrap_err();
    assert_eq!(kind(error), DecodeErrorKind::Elements);
    // A pair counts as two.
    let map = etf::to_bytes(&BTreeMap::from([(1, 2), (3, 4)])).unwrap();
    let elements = |most| from_bytes(&map, &Limits::default().with_elements(most));
    assert_eq!(elements(4).map(|map: BTreeMap<u8, u8>| map.len()), Ok(2));
    assert_eq!(kind(elements(3).unwrap_err()), DecodeErrorKind::Elements);
    let little = Limits::default().with_memory(1000);
    let error = from_bytes::<Vec<(u8, u16)>>(&numbers, &little).unwrap_err();
    assert_eq!(kind(error), DecodeErrorKind::Memory);
    let error = from_bytes::<String>(&etf::to_bytes(&"x".repeat(1000)).unwrap(), &little);
    assert_eq!(kind(error.unwrap_err()), DecodeErrorKind::Memory);
}

/// A map that says that it is a term, as it is told to serde for types that are flattened.
#[test]
fn the_limits_hold_for_terms_that_come_through_a_form_of_serde() {
    #[derive(Debug, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        rest: BTreeMap<String, Term>,
    }

    let large = etf::encode(&Term::List(vec![Term::atom("a"); 100])).unwrap().into_bytes();
    let one = |key: &str| (Term::from(key), Term::from(large.clone()));
    let says = Term::Map([one("$etf::term")].into_iter().collect());
    let pairs = ["x", "y"].map(|key| (Term::from(key), says.clone()));
    let bytes = etf::encode(&Term::Map(pairs.into_iter().collect())).unwrap().into_bytes();
    let limits = |elements| Limits::default().with_elements(elements);
    assert_eq!(from_bytes::<Flat>(&bytes, &limits(200)).unwrap().rest.len(), 2);
    for too_few in [99, 199] {
        let error = from_bytes::<Flat>(&bytes, &limits(too_few)).unwrap_err();
        assert!(error.to_string().contains("elements"), "{error}");
    }
}

/// A length that is not there allocates nothing, whatever the elements are.
#[test]
fn lengths_alone_are_cut_short() {
    for tag in [105, 108, 109, 111, 116] {
        let bytes = [&[131, tag][..], &[0xff; 4], &[106; 100]].concat().into();
        read_as_all(&bytes);
        let error = read::<Vec<[u64; 32]>>(&bytes).unwrap_err();
        if tag == 108 {
            assert_eq!(error.decode_error().unwrap().kind, DecodeErrorKind::Truncated);
        }
    }
}

#[test]
fn malformed_bytes_are_told_from_other_terms() {
    let malformed = |bytes: &'static [u8]| {
        let error = read::<Option<String>>(&Bytes::from_static(bytes)).unwrap_err();
        error.decode_error().cloned().map(|error| error.kind)
    };
    assert_eq!(malformed(&[130, 106]), Some(DecodeErrorKind::NoVersion));
    assert_eq!(malformed(&[131]), Some(DecodeErrorKind::Truncated));
    assert_eq!(malformed(&[131, 99, 1]), Some(DecodeErrorKind::Truncated));
    assert_eq!(malformed(&[131, 200]), Some(DecodeErrorKind::UnknownTag));
    assert_eq!(malformed(&[131, 82, 0]), Some(DecodeErrorKind::NoSuchAtom { index: 0 }));
    assert_eq!(malformed(&[131, 119, 1, 255]), Some(DecodeErrorKind::AtomEncoding));
    assert_eq!(malformed(b"\x83m\0\0\0\x01xx"), Some(DecodeErrorKind::Trailing { count: 1 }));
    assert_eq!(malformed(b"\x83m\0\0\0\x01\xff"), None);
    assert_eq!(malformed(b"\x83j"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_cut_is_an_error(value in everything(), at in any::<Index>()) {
        let bytes = etf::to_bytes(&value).unwrap();
        let cut = bytes.slice(..at.index(bytes.len()));
        prop_assert!(read::<Everything>(&cut).is_err());
        prop_assert!(read::<IgnoredAny>(&cut).is_err());
        read_as_all(&cut);
    }

    #[test]
    fn what_is_changed_is_a_value_or_an_error(
        value in everything(),
        changes in prop::collection::vec((any::<Index>(), prop_oneof![any::<u8>(), 67..=121_u8]), 1..4),
    ) {
        let mut bytes = etf::to_bytes(&value).unwrap().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read_as_all(&bytes.into());
    }

    #[test]
    fn any_tags_are_a_value_or_an_error(bytes in prop::collection::vec(prop_oneof![0..4_u8, 67..=121_u8], 1..200)) {
        read_as_all(&[&[131], bytes.as_slice()].concat().into());
    }

    /// Whoever reads the bytes as a term and whoever reads them as a value agree on whether they are one.
    #[test]
    fn values_are_read_only_from_terms(bytes in prop::collection::vec(prop_oneof![0..4_u8, 97..=119_u8], 1..60)) {
        let bytes: Bytes = [&[131], bytes.as_slice()].concat().into();
        let term = etf::decode(&bytes, &Limits::default());
        match read::<Term>(&bytes) {
            Ok(read) => prop_assert_eq!(Ok(read), term),
            Err(error) => prop_assert_eq!(error.decode_error(), term.as_ref().err()),
        }
    }
}
