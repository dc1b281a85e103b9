//! Terms that OTP wrote: read, printed as OTP prints them, and written again as OTP writes them.

use std::path::Path;

use bytes::Bytes;
use etf::{DecodeErrorKind, Limits, Term};

/// One line of a file of vectors; see `integration/erl/vectors.escript`, which made them.
struct Vector {
    name: String,
    bytes: Bytes,
    canonical: Bytes,
    printed: Option<String>,
}

fn vectors() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut all = Vec::new();
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "txt")) {
        let text = std::fs::read_to_string(path).unwrap();
        all.extend(text.lines().filter(|line| !line.starts_with('#')).map(parse));
    }
    assert!(all.len() > 400, "only {} vectors", all.len());
    all
}

fn parse(line: &str) -> Vector {
    let [name, bytes, canonical, printed] =
        line.split('\t').collect::<Vec<_>>().try_into().unwrap();
    let bytes = from_hex(bytes);
    Vector {
        name: name.to_owned(),
        canonical: if canonical == "=" { bytes.clone() } else { from_hex(canonical) },
        bytes,
        printed: (printed != "-").then(|| printed.to_owned()),
    }
}

fn from_hex(hex: &str) -> Bytes {
    let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}

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
