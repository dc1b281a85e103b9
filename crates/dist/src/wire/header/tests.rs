use bytes::Bytes;
use etf::{Decoder, Limits, Term};
use proptest::prelude::*;

use super::*;

/// What OTP 23 to 29 sent, with every capability negotiated; see the README beside the files.
const FULL: [(&str, &str); 4] = [
    ("23", include_str!("../../../tests/captures/otp23-full.txt")),
    ("25", include_str!("../../../tests/captures/otp25-full.txt")),
    ("27", include_str!("../../../tests/captures/otp27-full.txt")),
    ("29", include_str!("../../../tests/captures/otp29-full.txt")),
];

/// What they sent with only the mandatory capabilities: no headers.
const MANDATORY: [(&str, &str); 4] = [
    ("23", include_str!("../../../tests/captures/otp23-mand.txt")),
    ("25", include_str!("../../../tests/captures/otp25-mand.txt")),
    ("27", include_str!("../../../tests/captures/otp27-mand.txt")),
    ("29", include_str!("../../../tests/captures/otp29-mand.txt")),
];

/// A captured frame, and how an independent decoder printed its control tuple and payload.
struct Captured {
    frame: Bytes,
    printed: Option<String>,
}

fn captured(text: &str) -> Vec<Captured> {
    let mut all: Vec<Captured> = Vec::new();
    for line in text.lines() {
        if let Some(hex) = line.strip_prefix("frame ") {
            all.push(Captured { frame: from_hex(hex).into(), printed: None });
        } else if let Some(printed) = line.strip_prefix("  = ") {
            all.last_mut().expect("a frame precedes what was printed of it").printed =
                Some(printed.to_owned());
        }
    }
    all
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.trim().chars().map(|c| c.to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}

#[test]
fn every_captured_frame_with_a_header_is_read() {
    for (otp, text) in FULL {
        let mut cache = AtomCache::new();
        let frames = captured(text);
        assert!(frames.len() > 50, "OTP {otp} sent {} frames", frames.len());
        for (number, captured) in frames.iter().enumerate() {
            let (header, rest) = cache.read(&captured.frame).unwrap();
            let Header::Normal { atoms } = header else {
                panic!("OTP {otp} frame {number} is a fragment")
            };
            let rest = captured.frame.slice_ref(rest);
            let mut decoder = Decoder::new(&rest, &atoms, &Limits::default());
            let mut terms = vec![decoder.term().unwrap()];
            if !decoder.is_empty() {
                terms.push(decoder.term().unwrap());
            }
            decoder.finish().unwrap();
            check(otp, number, captured, &terms);
        }
    }
}

#[test]
fn every_captured_frame_without_a_header_is_read() {
    for (otp, text) in MANDATORY {
        let frames = captured(text);
        assert!(frames.len() > 30, "OTP {otp} sent {} frames", frames.len());
        for (number, captured) in frames.iter().enumerate() {
            assert_eq!(captured.frame.first(), Some(&112));
            let rest = captured.frame.slice(1..);
            let mut decoder = Decoder::new(&rest, &[], &Limits::default());
            let mut terms = vec![decoder.term_with_version().unwrap()];
            if !decoder.is_empty() {
                terms.push(decoder.term_with_version().unwrap());
            }
            decoder.finish().unwrap();
            check(otp, number, captured, &terms);
        }
    }
}

/// The terms are those that the other decoder saw, and survive being sent on without a header.
fn check(otp: &str, number: usize, captured: &Captured, terms: &[Term]) {
    if let Some(printed) = &captured.printed {
        let ours: Vec<_> = terms.iter().map(Print).map(|term| term.to_string()).collect();
        assert_eq!(&ours.join(" "), printed, "OTP {otp} frame {number}");
    }
    for term in terms {
        let sent_on = etf::encode(term).unwrap().into_bytes();
        assert_eq!(
            &etf::decode(&sent_on, &Limits::default()).unwrap(),
            term,
            "OTP {otp} frame {number}"
        );
    }
}

/// Prints as the decoder did that made the captures.
struct Print<'a>(&'a Term);

impl std::fmt::Display for Print<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let join = |items: &[Term]| {
            items.iter().map(|item| Print(item).to_string()).collect::<Vec<_>>().join(",")
        };
        match self.0 {
            Term::Pid(pid) => {
                write!(
                    f,
                    "#Pid<{}:{}.{} c{:x}>",
                    pid.node.as_str(),
                    pid.id,
                    pid.serial,
                    pid.creation
                )
            }
            Term::Reference(reference) => {
                let words: Vec<_> = reference.words().iter().map(u32::to_string).collect();
                write!(
                    f,
                    "#Ref<{} c{:x} {}>",
                    reference.node().as_str(),
                    reference.creation(),
                    words.join(".")
                )
            }
            Term::Tuple(items) => write!(f, "{{{}}}", join(items)),
            Term::List(items) => write!(f, "[{}]", join(items)),
            Term::ImproperList(list) => {
                write!(f, "[{}|{}]", join(list.items()), Print(list.tail()))
            }
            Term::Map(map) => {
                let pairs: Vec<_> =
                    map.iter().map(|(k, v)| format!("{}: {}", Print(k), Print(v))).collect();
                write!(f, "{{{}}}", pairs.join(","))
            }
            Term::Fun(fun) => {
                let (module, arity) = (fun.module().unwrap(), fun.arity().unwrap());
                let (index, creator) = (fun.index().unwrap(), Term::Pid(fun.creator().unwrap()));
                assert_eq!(fun.as_bytes()[26..30], [0; 4], "no free variables");
                write!(
                    f,
                    "<fun {module}/{arity} idx{index} free=[] pid={} 0 bytes>",
                    Print(&creator)
                )
            }
            other => write!(f, "{other}"),
        }
    }
}

/// The worked example of `erl_ext_dist`: a message in two fragments, with a cache in which two slots are set.
#[test]
fn the_fragments_of_otps_documentation_are_read() {
    let mut cache = AtomCache::new();
    let setup = [131, 68, 2, 0x98, 0x00, 5, 2, b'n', b'2', 10, 2, b'n', b'1', 106];
    let (header, rest) = cache.read(&setup).unwrap();
    assert_eq!(
        header,
        Header::Normal { atoms: [Atom::from_static("n2"), Atom::from_static("n1")].into() }
    );
    assert_eq!(rest, [106]);

    let first = [
        131, 69, 0, 0, 2, 168, 0, 0, 5, 83, 0, 0, 0, 0, 0, 0, 0, 2, 5, 4, 137, 9, 10, 5, 236, 3,
        114, 101, 103, 9, 4, 99, 97, 108, 108, 238, 13, 115, 101, 116, 95, 103, 101, 116, 95, 115,
        116, 97, 116, 101, 104, 4, 97, 6, 103, 82, 0, 0, 0, 0, 85, 0, 0, 0, 0, 2, 82, 1, 82, 2,
    ];
    // The document's first byte of flags says that reference 0 is in segment 4, where the example has set nothing.
    assert_eq!(cache.read(&first), Err(HeaderError::UnsetSlot { slot: 4 * 256 + 10 }));
    cache.slots.set(4 * 256 + 10, Atom::from_static("n1"));
    let (header, rest) = cache.read(&first).unwrap();
    let Header::First { part, atoms } = header else { panic!("not a first fragment") };
    assert_eq!(part, Part { sequence: 0x2a8_0000_0553, fragment: 2 });
    let texts: Vec<_> = atoms.iter().map(Atom::as_str).collect();
    assert_eq!(texts, ["n1", "n2", "reg", "call", "set_get_state"]);
    let control = Bytes::copy_from_slice(rest);
    let control = Decoder::new(&control, &atoms, &Limits::default()).term().unwrap();
    assert_eq!(control.to_string(), "{6,#Pid<n1.85.0>,n2,reg}");

    let next = [131, 70, 0, 0, 2, 168, 0, 0, 5, 83, 0, 0, 0, 0, 0, 0, 0, 1, 7, 7];
    let (header, rest) = cache.read(&next).unwrap();
    assert_eq!(
        header,
        Header::Continuation { part: Part { sequence: 0x2a8_0000_0553, fragment: 1 } }
    );
    assert_eq!(rest, [7, 7]);
}

/// Writes a normal header with these references: segment, index, and the text of a new entry.
fn write(references: &[(u8, u8, Option<&str>)], long: bool) -> Vec<u8> {
    let mut halves: Vec<u8> = references
        .iter()
        .map(|(segment, _, text)| segment | u8::from(text.is_some()) << 3)
        .collect();
    halves.push(u8::from(long));
    let mut frame = vec![131, 68, u8::try_from(references.len()).unwrap()];
    if !references.is_empty() {
        frame.extend(halves.chunks(2).map(|pair| pair[0] | pair.get(1).copied().unwrap_or(0) << 4));
    }
    for (_, index, text) in references {
        frame.push(*index);
        if let Some(text) = text {
            let length = u16::try_from(text.len()).unwrap().to_be_bytes();
            frame.extend(&length[usize::from(!long)..]);
            frame.extend(text.as_bytes());
        }
    }
    frame
}

fn texts(header: &Header) -> Vec<&str> {
    let Header::Normal { atoms } = header else { panic!("not a whole message") };
    atoms.iter().map(Atom::as_str).collect()
}

#[test]
fn no_atoms_need_no_flags() {
    let (header, rest) = AtomCache::new().read(&[131, 68, 0, 104, 0]).unwrap();
    assert_eq!((texts(&header), rest), (vec![], &[104, 0][..]));
}

#[test]
fn slots_are_kept_and_overwritten_and_do_not_change_what_was_read() {
    let mut cache = AtomCache::new();
    let (first, _) =
        cache.read(&write(&[(7, 255, Some("last")), (0, 0, Some("zero"))], false)).unwrap();
    let (second, _) = cache
        .read(&write(&[(0, 0, None), (7, 255, Some("other")), (7, 255, None)], false))
        .unwrap();
    assert_eq!(texts(&first), ["last", "zero"]);
    assert_eq!(texts(&second), ["zero", "other", "other"]);
}

#[test]
fn long_atoms_are_read_at_odd_and_even_counts() {
    let long = "é".repeat(255);
    for references in
        [vec![(1, 1, Some(long.as_str()))], vec![(1, 1, Some(long.as_str())), (1, 2, Some("b"))]]
    {
        let frame = write(&references, true);
        let (header, rest) = AtomCache::new().read(&frame).unwrap();
        assert_eq!(texts(&header)[0], long);
        assert!(rest.is_empty());
    }
}

#[test]
fn a_full_header_has_255_atoms() {
    let names: Vec<_> = (0..255).map(|number| format!("a{number}")).collect();
    let references: Vec<_> =
        names.iter().zip(0..=254).map(|(text, at)| (at % 8, at, Some(text.as_str()))).collect();
    let frame = write(&references, false);
    let (header, _) = AtomCache::new().read(&frame).unwrap();
    assert_eq!(texts(&header), names);
}

#[test]
fn what_otp_refuses_is_refused() {
    let read = |frame: &[u8]| AtomCache::new().read(frame).map(|(header, _)| header);
    assert_eq!(read(&write(&[(3, 4, None)], false)), Err(HeaderError::UnsetSlot { slot: 772 }));
    assert_eq!(read(&[131, 68, 1, 8, 0, 1, 0xff]), Err(HeaderError::AtomEncoding));
    let too_long = "a".repeat(256);
    assert_eq!(
        read(&write(&[(0, 0, Some(&too_long))], true)),
        Err(HeaderError::Atom(AtomError::TooLong { chars: 256 }))
    );
    assert_eq!(read(&[112, 131, 104]), Err(HeaderError::NoHeader { first: 112, second: 131 }));
    assert_eq!(read(&[131, 104, 2]), Err(HeaderError::NoHeader { first: 131, second: 104 }));
    let zero = [&[131, 70][..], &[1; 8], &[0; 8]].concat();
    assert_eq!(read(&zero), Err(HeaderError::FragmentZero));
}

#[test]
fn a_header_that_ends_early_is_refused_wherever_it_is_cut() {
    let long = "n".repeat(300).replace("nn", "é");
    let mut first = write(&[(0, 1, Some("a")), (1, 2, Some(&long)), (2, 3, Some("c"))], true);
    first.splice(1..2, [&[69][..], &[1; 16]].concat());
    for length in 0..first.len() {
        let got = AtomCache::new().read(&first[..length]).map(drop);
        assert_eq!(got, Err(HeaderError::Truncated), "at {length}");
    }
    assert!(AtomCache::new().read(&first).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_a_header_or_an_error(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..8)) {
        let mut cache = AtomCache::new();
        for mut frame in frames {
            if let [first, second, ..] = frame.as_mut_slice() {
                (*first, *second) = (131, 68 + *second % 3);
            }
            if let Ok((_, rest)) = cache.read(&frame) {
                prop_assert!(frame.ends_with(rest));
            }
        }
    }
}

#[test]
fn a_header_that_came_before_refers_to_what_is_in_its_slots_now() {
    let mut cache = AtomCache::new();
    let mut read = |frame: &[u8]| match cache.read(frame).unwrap() {
        (Header::Normal { atoms }, []) => atoms,
        other => panic!("{other:?}"),
    };
    let mut last = None;
    for name in [b'a', b'b'] {
        let text = std::str::from_utf8(std::slice::from_ref(&name)).unwrap();
        read(&[131, 68, 1, 8, 5, 1, name]);
        let first = read(&[131, 68, 1, 0, 5]);
        assert_eq!(first.iter().map(Atom::as_str).collect::<Vec<_>>(), [text]);
        // The same again costs nothing.
        assert!(Arc::ptr_eq(&first, &read(&[131, 68, 1, 0, 5])));
        // With other headers in between, of which one has the slot twice.
        for _ in 0..3 {
            let both = read(&[131, 68, 2, 0, 0, 5, 5]);
            assert_eq!(both.iter().map(Atom::as_str).collect::<Vec<_>>(), [text, text]);
            assert_eq!(read(&[131, 68, 1, 0, 5]), first);
        }
        assert_ne!(last.replace(first.clone()), Some(first));
    }
}
