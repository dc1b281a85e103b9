//! The terms that everybody reads and writes, as their peers would get them from a BEAM node.

use bytes::Bytes;
use etf::{Map, Term, term};

/// A term, as bytes.
pub struct Payload {
    /// What it is, for the name of a row.
    pub name: &'static str,
    /// As `term_to_binary/1` writes it.
    pub bytes: Bytes,
}

/// Small tuple, proplist, map, ints, and (last) the one large binary.
///
/// # Panics
/// Never: these terms can be encoded.
pub fn payloads() -> [Payload; 5] {
    let key = |index: u32| format!("key_{index}");
    let value = |index: u32| Term::from(format!("value_of_{index}"));
    let pair = |index| Term::Tuple(vec![etf::Atom::new(key(index)).unwrap().into(), value(index)]);
    let map: Map = (0..1000)
        // In no order that helps, as a large map of a BEAM node is.
        .map(|index| index * 619 % 1000)
        .map(|index| (Term::from(key(index)), value(index)))
        .collect();
    let binary: Vec<u8> = (0..1 << 20).map(|index: u32| index.to_le_bytes()[1]).collect();
    [
        ("small tuple", term!({"$gen_cast", {event, 42, "hello"}})),
        ("proplist of 1,000", (0..1000).map(pair).collect()),
        ("map of 1,000", Term::Map(map)),
        ("10,000 ints", (0..10_000).map(|index| Term::from(index % 1000)).collect()),
        ("1 MiB binary", Term::from(Bytes::from(binary))),
    ]
    .map(|(name, term)| Payload { name, bytes: etf::encode(&term).unwrap().into_bytes() })
}
