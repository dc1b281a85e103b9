//! Terms that OTP wrote: read, printed as OTP prints them, and written again as OTP writes them.

use etf::{DecodeErrorKind, Limits, Term};

use crate::support::vectors::{Vector, vectors};

fn read(vector: &Vector) -> Term {
    etf::decode_compressed(&vector.bytes, &Limits::default(), 1 << 20)
        .unwrap_or_else(|error| panic!("{}: {error}", vector.name))
}

#[test]
fn all_are_read_and_written_again_as_otp_writes_them() {
    for vector in vectors() {
        let term = read(&vector);
        let written = etf::encode(&term).unwrap().into_bytes();
        assert_eq!(written, vector.canonical, "{}: {term}", vector.name);
    }
}

#[test]
fn all_are_printed_as_otp_prints_them() {
    for vector in vectors() {
        if let Some(printed) = &vector.printed {
            assert_eq!(&read(&vector).to_string(), printed, "{}", vector.name);
        }
    }
}

#[test]
fn two_forms_of_one_term_are_equal() {
    for vector in vectors() {
        let canonical = etf::decode(&vector.canonical, &Limits::default()).unwrap();
        assert_eq!(read(&vector), canonical, "{}", vector.name);
    }
}

#[test]
fn compressed_terms_need_an_api_of_their_own() {
    let compressed: Vec<_> =
        vectors().into_iter().filter(|v| v.name.starts_with("compressed")).collect();
    assert!(!compressed.is_empty());
    for vector in compressed {
        let error = etf::decode(&vector.bytes, &Limits::default()).unwrap_err();
        assert_eq!((error.kind, error.offset), (DecodeErrorKind::Compressed, 1), "{}", vector.name);
    }
}
