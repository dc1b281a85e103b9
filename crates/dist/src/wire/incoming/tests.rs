use bytes::BufMut;
use etf::{Limits, Term, term};
use proptest::prelude::*;

use super::*;

fn incoming(atoms: bool, fragments: bool) -> Incoming {
    let limits = FragmentLimits { sequences: 4, bytes: 1 << 20 };
    Incoming::new(Framing { atoms, fragments }, limits, Budget::new(1 << 20), Limits::default())
}

/// `{6, From, '', sink}`, with the atoms in full.
fn control() -> Vec<u8> {
    let from = etf::Pid { node: Atom::from_static("a@h"), id: 1, serial: 0, creation: 7 };
    bare(&term!({6, (from), (Term::atom("")), sink}))
}

fn bare(term: &Term) -> Vec<u8> {
    etf::encode(term).unwrap().into_bytes()[1..].to_vec()
}

fn fragment(kind: u8, sequence: u64, number: u64, rest: &[u8]) -> Bytes {
    let mut frame = vec![131, kind];
    frame.put_u64(sequence);
    frame.put_u64(number);
    frame.extend_from_slice(rest);
    frame.into()
}

/// A first fragment without atoms in its header.
fn first(sequence: u64, number: u64, rest: &[u8]) -> Bytes {
    fragment(69, sequence, number, &[&[0], rest].concat())
}

fn decoded(message: Option<Message>) -> Term {
    message.unwrap().payload.unwrap().decode(&Limits::default()).unwrap()
}

#[test]
fn only_the_negotiated_framing_is_taken() {
    let plain = Bytes::from([&[112, 131][..], &control(), &[131, 97, 1]].concat());
    let bare = Bytes::from([&[131, 68, 0][..], &control(), &[97, 1]].concat());
    let whole = first(1, 1, &[&control()[..], &[97, 1]].concat());
    let atom = Bytes::from([&[131, 68, 1, 8, 0, 1, b'a'][..], &control(), &[97, 1]].concat());
    for (atoms, fragments) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut incoming = incoming(atoms, fragments);
        let headers = atoms || fragments;
        assert_eq!(incoming.take(&plain).is_ok(), !headers);
        assert_eq!(incoming.take(&bare).is_ok(), headers);
        assert_eq!(incoming.take(&whole).is_ok(), fragments);
        assert_eq!(incoming.take(&atom).is_ok(), atoms);
    }
}

#[test]
fn a_message_in_fragments_is_whole_with_its_last() {
    let payload = bare(&term!({one, [two, 3], "four"}));
    let mut all = incoming(true, true);
    let (start, rest) = payload.split_at(4);
    let (middle, end) = rest.split_at(5);
    assert!(all.take(&first(7, 3, &[&control()[..], start].concat())).unwrap().is_none());
    assert!(all.take(&first(8, 2, &control())).unwrap().is_none());
    assert!(all.take(&fragment(70, 7, 2, middle)).unwrap().is_none());
    assert_eq!(
        decoded(all.take(&fragment(70, 8, 1, &payload)).unwrap()),
        term!({one, [two, 3], "four"})
    );
    assert_eq!(
        decoded(all.take(&fragment(70, 7, 1, end)).unwrap()),
        term!({one, [two, 3], "four"})
    );
}

/// The atoms are those that the header had when the first fragment came.
#[test]
fn the_atoms_of_a_fragmented_message_stay_when_their_slots_are_overwritten() {
    let mut all = incoming(true, true);
    let head = [&[1, 8, 5, 3, b'o', b'l', b'd'][..], &control(), &[104, 2, 82]].concat();
    assert!(all.take(&fragment(69, 1, 2, &head)).unwrap().is_none());
    let other = [&[131, 68, 1, 8, 5, 3, b'n', b'e', b'w'][..], &control(), &[82, 0]].concat();
    assert_eq!(decoded(all.take(&other.into()).unwrap()), term!(new));
    assert_eq!(decoded(all.take(&fragment(70, 1, 1, &[0, 97, 1])).unwrap()), term!({old, 1}));
}

#[test]
fn what_otp_refuses_is_refused() {
    let cut = &control()[..9];
    let unset = [&[131, 68, 1, 3, 5][..], &control(), &[97, 1]].concat();
    let short = [131, 68, 4, 8, 0];
    let past = [&[131, 68, 1, 8, 0, 1, b'a'][..], &[104, 2, 97, 6, 82, 1]].concat();
    for (what, frames) in [
        ("a control tuple cut by a fragment", vec![first(1, 2, cut)]),
        ("no first fragment", vec![fragment(70, 1, 1, b"x")]),
        ("number 0", vec![fragment(70, 1, 0, b"x")]),
        ("number 0 of a first", vec![first(1, 0, &control())]),
        ("out of order", vec![first(1, 3, &control()), fragment(70, 1, 1, b"x")]),
        ("twice", vec![first(1, 3, &control()), first(1, 3, &control())]),
        ("too many", (1..=5).map(|n| first(n, 2, &control())).collect()),
        ("an unset slot", vec![unset.into()]),
        ("a header past the end of its frame", vec![short.to_vec().into()]),
        ("a reference past the end of the header", vec![past.into()]),
        (
            "a version in front of a term",
            vec![[&[131, 68, 0, 131][..], &control()].concat().into()],
        ),
        ("a compressed control tuple", vec![vec![131, 68, 0, 80, 0, 0, 0, 9, 1].into()]),
    ] {
        let mut all = incoming(true, true);
        let (last, before) = frames.split_last().unwrap();
        for frame in before {
            assert!(all.take(frame).unwrap().is_none(), "{what}");
        }
        assert!(all.take(last).is_err(), "{what}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..8),
        atoms: bool, fragments: bool,
    ) {
        let mut all = incoming(atoms, fragments);
        for mut frame in frames {
            if let [first, second, ..] = frame.as_mut_slice() {
                (*first, *second) = (131, 68 + *second % 3);
            }
            if all.take(&frame.into()).is_err() {
                break;
            }
        }
    }
}

/// What OTP 23 to 29 sent with every capability, and with only the mandatory ones.
const CAPTURES: [(&str, bool, &str); 8] = [
    ("23", true, include_str!("../../../tests/captures/otp23-full.txt")),
    ("25", true, include_str!("../../../tests/captures/otp25-full.txt")),
    ("27", true, include_str!("../../../tests/captures/otp27-full.txt")),
    ("29", true, include_str!("../../../tests/captures/otp29-full.txt")),
    ("23", false, include_str!("../../../tests/captures/otp23-mand.txt")),
    ("25", false, include_str!("../../../tests/captures/otp25-mand.txt")),
    ("27", false, include_str!("../../../tests/captures/otp27-mand.txt")),
    ("29", false, include_str!("../../../tests/captures/otp29-mand.txt")),
];

fn captured(text: &str) -> impl Iterator<Item = Vec<u8>> {
    text.lines().filter_map(|line| line.strip_prefix("frame ")).map(|hex| {
        let digits: Vec<u32> = hex.trim().chars().map(|c| c.to_digit(16).unwrap()).collect();
        digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
    })
}

/// Each message is read from its frame, and is the same when OTP had sent it in fragments.
#[test]
fn what_otp_sent_is_read_whole_and_in_fragments() {
    for (otp, headers, text) in CAPTURES {
        let (mut all, mut cut) = (incoming(headers, headers), incoming(headers, headers));
        let mut last = 0;
        for (number, frame) in captured(text).enumerate() {
            let message = all.take(&frame.clone().into()).unwrap().unwrap();
            assert!(message.control.is_ok(), "OTP {otp} frame {number}: {:?}", message.control);
            let term = message.payload.map(|raw| raw.decode(&Limits::default()).unwrap());
            if let (true, Some(term)) = (headers, &term) {
                // The last byte in a fragment of its own; the cache goes on as before.
                let (start, end) = frame.split_at(frame.len() - 1);
                last += 1;
                assert!(cut.take(&fragment(69, last, 2, &start[2..])).unwrap().is_none());
                let got = decoded(cut.take(&fragment(70, last, 1, end)).unwrap());
                assert_eq!(&got, term, "OTP {otp} frame {number}");
            } else {
                cut.take(&frame.into()).unwrap().unwrap();
            }
        }
        assert!(!headers || last > 30, "OTP {otp}: {last} payloads");
    }
}
