use bytes::Bytes;
use num_bigint::BigInt;

use super::*;
use crate::{Limits, Pid, decode, term};

fn written(term: &Term) -> Vec<u8> {
    encode(term).unwrap().into_bytes()[1..].to_vec()
}

#[test]
fn nothing_that_cannot_be_said_is_written() {
    for (value, name) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")] {
        let error = encode(&Term::Tuple(vec![Term::Float(value)])).unwrap_err();
        assert_eq!(error, EncodeError::Float { value: name });
    }
    let largest = BigInt::from(1) << (8 * MAX_INTEGER);
    let error = encode(&Term::from(largest.clone())).unwrap_err();
    assert_eq!(error, EncodeError::TooLong { what: "an integer", len: MAX_INTEGER + 1 });
    assert!(encode(&Term::from(largest - 1)).is_ok());
    let error = encode(&Term::Tuple(vec![Term::NIL; MAX_ARITY + 1])).unwrap_err();
    assert_eq!(error.to_string(), "a tuple of 16777216 is too long for the external term format");
}

#[test]
fn each_number_takes_its_shortest_form() {
    assert_eq!(written(&term!(255)), [97, 255]);
    assert_eq!(written(&term!(-1)), [98, 255, 255, 255, 255]);
    assert_eq!(written(&term!(256)), [98, 0, 0, 1, 0]);
    assert_eq!(written(&Term::from(1_u64 << 32)), [110, 5, 0, 0, 0, 0, 0, 1]);
    assert_eq!(written(&Term::from(i64::MIN)), [110, 8, 1, 0, 0, 0, 0, 0, 0, 0, 128]);
    assert_eq!(written(&Term::BigInt(7.into())), [97, 7]);
}

#[test]
fn lists_of_bytes_are_strings_up_to_65535() {
    let of = |length: usize, item: i64| written(&Term::List(vec![Term::Int(item); length]));
    assert_eq!(of(65_535, 7)[..4], [107, 255, 255, 7]);
    assert_eq!(of(65_536, 7)[..6], [108, 0, 1, 0, 0, 97]);
    assert_eq!(of(1, 256)[..5], [108, 0, 0, 0, 1]);
    assert_eq!(of(1, -1)[..5], [108, 0, 0, 0, 1]);
}

#[test]
fn large_binaries_are_shared_and_small_ones_copied() {
    let (small, large) = (Bytes::from(vec![1; 4095]), Bytes::from(vec![2; 4096]));
    let term = Term::Tuple(vec![small.into(), large.clone().into(), term!(last)]);
    let rope = encode(&term).unwrap();
    let parts: Vec<_> = rope.iter().cloned().collect();
    assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), [3 + 5 + 4095 + 5, 4096, 6]);
    assert_eq!(parts[1].as_ptr(), large.as_ptr());
    assert_eq!(decode(&rope.into_bytes(), &Limits::default()), Ok(term));
}

#[test]
fn the_length_is_known_before_writing() {
    let terms =
        [term!({a, "b", [c, 1.5 | d], #{e => 300}}), Term::from(vec![0_u8; 5000].as_slice())];
    let mut bytes = Vec::new();
    write_all(&terms, &mut bytes).unwrap();
    assert_eq!(encoded_len(&terms), Ok(bytes.len() as u64));
}

#[test]
fn with_a_header_atoms_are_numbers_of_its_entries() {
    let pid = Pid { node: Atom::from_static("n@h"), id: 1, serial: 2, creation: 3 };
    let term = Term::Tuple(vec![term!(a), Term::Pid(pid), term!([b, a])]);
    let mut encoder = Encoder::with_header();
    encoder.term(&term).unwrap();
    let (rope, atoms) = encoder.finish_with_atoms();
    let texts: Vec<_> = atoms.iter().map(Atom::as_str).collect();
    assert_eq!(texts, ["a", "n@h", "b"]);
    let bytes = rope.into_bytes();
    assert_eq!(bytes[..6], [tag::SMALL_TUPLE, 3, tag::ATOM_CACHE_REF, 0, tag::NEW_PID, 82]);
    let limits = Limits::default();
    assert_eq!(crate::Decoder::new(&bytes, &atoms, &limits).term(), Ok(term));
}

#[test]
fn atoms_that_find_no_place_in_the_header_are_written_in_full() {
    let many: Vec<_> = (0..1000).map(|n| Term::Atom(Atom::new(format!("a{n}")).unwrap())).collect();
    let term = Term::List(many);
    let mut encoder = Encoder::with_header();
    encoder.term(&term).unwrap();
    let (rope, atoms) = encoder.finish_with_atoms();
    assert!((100..=255).contains(&atoms.len()), "{}", atoms.len());
    let bytes = rope.into_bytes();
    let limits = Limits::default();
    assert_eq!(crate::Decoder::new(&bytes, &atoms, &limits).term(), Ok(term));
}

#[test]
fn an_encoder_puts_terms_after_each_other() {
    let mut encoder = Encoder::new();
    encoder.bytes(&[112]);
    for term in [term!({2, (crate::Atom::from_static("")), x}), term!(hello)] {
        encoder.version();
        encoder.term(&term).unwrap();
    }
    assert_eq!(encoder.len(), 1 + 1 + 2 + 2 + 2 + 3 + 1 + 7);
    let bytes = encoder.finish().into_bytes();
    assert_eq!(bytes[..5], [112, 131, 104, 3, 97]);
}
