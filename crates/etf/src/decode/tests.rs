use bytes::Bytes;

use super::{DecodeErrorKind, Decoder, decode};
use crate::{Atom, AtomError, Limits, Pid, RawTerm, ReferenceError, Term, View, term};

/// Decodes bytes that 131 leads, as if that stood in front.
fn read(bytes: &[u8]) -> Result<Term, DecodeErrorKind> {
    decode(&[&[131], bytes].concat().into(), &Limits::default()).map_err(|error| error.kind)
}

/// Decodes bytes of a frame whose header has these atoms.
fn read_with_header(bytes: &[u8], atoms: &[&'static str]) -> Result<Term, DecodeErrorKind> {
    let atoms: Vec<_> = atoms.iter().map(|text| Atom::from_static(text)).collect();
    let bytes = Bytes::copy_from_slice(bytes);
    let limits = Limits::default();
    let mut decoder = Decoder::new(&bytes, &atoms, &limits);
    let term = decoder.term().and_then(|term| decoder.finish().map(|()| term));
    term.map_err(|error| error.kind)
}

/// A fun of module `m` with these free variables, in which atoms stand as they are given.
fn fun(module: &[u8], node: &[u8], free: &[&[u8]]) -> Vec<u8> {
    let mut rest = vec![2]; // arity
    rest.extend([7; 16]);
    rest.extend([0, 0, 0, 3]);
    rest.extend(u32::try_from(free.len()).unwrap().to_be_bytes());
    rest.extend(module);
    rest.extend([97, 3, 98, 0, 1, 0, 0]);
    rest.push(88);
    rest.extend(node);
    rest.extend([0, 0, 0, 84, 0, 0, 0, 0, 0, 0, 0, 9]);
    free.iter().for_each(|variable| rest.extend(*variable));
    let size = u32::try_from(rest.len() + 4).unwrap().to_be_bytes();
    [&[112], &size[..], &rest].concat()
}

const M: &[u8] = b"w\x01m";
const NODE: &[u8] = b"w\x03n@h";

/// What OTP 29's documentation shows: `#m:r{a = 1, b = 2}`.
const RECORD: &[u8] = b"C\0\0\0\x02\0w\x01mw\x01rw\x01aw\x01ba\x01a\x02";

#[test]
fn a_list_in_the_tail_of_a_list_continues_it() {
    let nested = [108, 0, 0, 0, 1, 97, 1, 108, 0, 0, 0, 1, 97, 2, 107, 0, 1, 3];
    assert_eq!(read(&nested), Ok(term!([1, 2, 3])));
    assert_eq!(read(&[108, 0, 0, 0, 1, 97, 1, 97, 2]), Ok(term!([1 | 2])));
    assert_eq!(read(&[108, 0, 0, 0, 0, 97, 2]), Ok(term!(2)));
}

#[test]
fn a_length_that_the_bytes_cannot_hold_is_refused_before_anything_is_reserved() {
    for tag in [105, 108, 109, 111, 116, 67, 77] {
        assert_eq!(
            read(&[tag, 255, 255, 255, 255, 106]),
            Err(DecodeErrorKind::Truncated),
            "tag {tag}"
        );
    }
    // More than one map or record could have, were there no end to the bytes.
    assert_eq!(read(&[116, 0, 0, 0, 1, 106]), Err(DecodeErrorKind::Truncated));
    // The outer list still owes an element.
    assert_eq!(read(&[108, 0, 0, 0, 2, 104, 2, 106, 106]), Err(DecodeErrorKind::Truncated));
}

#[test]
fn what_no_frame_may_hold_is_refused() {
    use DecodeErrorKind::{Compressed, Local, UnknownTag};
    assert_eq!(read(&[80, 0, 0, 0, 1, 120, 156]), Err(Compressed));
    assert_eq!(read(&[104, 1, 80, 0, 0, 0, 1, 120, 156]), Err(Compressed));
    assert_eq!(read(&[121, 1, 2, 3]), Err(Local));
    assert_eq!(read(&[131, 106]), Err(UnknownTag));
    assert_eq!(read(&[104, 1, 131, 106]), Err(UnknownTag));
    // FUN_EXT, which no OTP that is supported reads.
    assert_eq!(read(&[117, 0, 0, 0, 0]), Err(UnknownTag));
    for tag in [0, 66, 68, 69, 78, 87, 91, 96, 122, 255] {
        assert_eq!(read(&[tag, 0, 0, 0, 0]), Err(UnknownTag), "tag {tag}");
    }
}

#[test]
fn atoms_are_utf8_and_of_at_most_255_characters() {
    let too_long = DecodeErrorKind::Atom(AtomError::TooLong { chars: 256 });
    let atom = |tag: u8, text: &[u8]| {
        let length = u16::try_from(text.len()).unwrap().to_be_bytes();
        read(&[&[tag], &length[..], text].concat())
    };
    assert_eq!(
        atom(118, "é".repeat(255).as_bytes()),
        Ok(Term::Atom(Atom::new("é".repeat(255)).unwrap()))
    );
    assert_eq!(atom(118, "é".repeat(256).as_bytes()), Err(too_long.clone()));
    assert_eq!(atom(118, &[b'a'; 256]), Err(too_long.clone()));
    assert_eq!(atom(100, &[0xe9; 256]), Err(too_long));
    assert_eq!(atom(100, &[0xe9; 255]), Ok(Term::Atom(Atom::new("é".repeat(255)).unwrap())));
    // A lone byte, half of a surrogate pair, too long a form of "/", beyond the last character.
    for text in [&b"\xe9"[..], b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"] {
        assert_eq!(atom(118, text), Err(DecodeErrorKind::AtomEncoding), "{text:?}");
    }
}

#[test]
fn floats_are_finite() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(read(&[&[70], &value.to_be_bytes()[..]].concat()), Err(DecodeErrorKind::Float));
    }
    let text = |text: &str| {
        let mut bytes = vec![99];
        bytes.extend(text.as_bytes());
        bytes.resize(32, 0);
        read(&bytes)
    };
    assert_eq!(text("-1.50000000000000000000e+01"), Ok(Term::Float(-15.0)));
    // As OTP 25: no words, both digits around the point, nothing behind.
    for wrong in
        ["inf", "nan", "NaN", "1", "1e5", ".5", "1.", " 1.5", "1.5x", "1.0e400", "", "-", "1.5.5"]
    {
        assert_eq!(text(wrong), Err(DecodeErrorKind::Float), "{wrong}");
    }
}

#[test]
fn maps_have_each_key_once() {
    assert_eq!(
        read(&[116, 0, 0, 0, 2, 97, 1, 106, 97, 1, 106]),
        Err(DecodeErrorKind::DuplicateKey)
    );
    // One key in two forms.
    assert_eq!(
        read(&[116, 0, 0, 0, 2, 97, 1, 106, 98, 0, 0, 0, 1, 106]),
        Err(DecodeErrorKind::DuplicateKey)
    );
    let one = [&[70][..], &1.0_f64.to_be_bytes()].concat();
    let both = [&[116, 0, 0, 0, 2, 97, 1, 106], &one[..], &[106]].concat();
    assert_eq!(read(&both), Ok(term!(#{1 => [], 1.0 => []})));

    let many = |keys: Vec<u16>| {
        let pairs = keys
            .iter()
            .flat_map(|key| [&[98, 0, 0][..], &key.to_be_bytes(), &[106]].concat())
            .collect::<Vec<_>>();
        read(
            &[&[116, 0, 0], &u16::try_from(keys.len()).unwrap().to_be_bytes()[..], &pairs].concat(),
        )
    };
    let map = many((0..1000).collect()).unwrap();
    assert_eq!(map.as_map().unwrap().get(&term!(999)), Some(&Term::NIL));
    assert_eq!(many((0..1000).chain([500]).collect()), Err(DecodeErrorKind::DuplicateKey));
    assert_eq!(many((0..32).chain([31]).collect()), Err(DecodeErrorKind::DuplicateKey));
}

#[test]
fn bitstrings_use_1_to_8_bits_of_their_last_byte() {
    for (length, bits) in [(1, 0), (0, 1), (0, 8), (1, 9), (1, 255)] {
        let bytes = [&[77, 0, 0, 0, length, bits][..], &vec![0; length.into()]].concat();
        assert_eq!(read(&bytes), Err(DecodeErrorKind::Bits), "{bits} bits of {length} bytes");
    }
}

#[test]
fn references_have_1_to_5_words() {
    let reference = |words: u16| {
        let body =
            [&words.to_be_bytes()[..], NODE, &[0; 4], &vec![0; 4 * usize::from(words)]].concat();
        read(&[&[90][..], &body].concat())
    };
    assert_eq!(reference(1).unwrap().as_reference().unwrap().words(), [0]);
    assert_eq!(reference(5).unwrap().as_reference().unwrap().words(), [0; 5]);
    assert_eq!(reference(0), Err(DecodeErrorKind::Reference(ReferenceError::Words { words: 0 })));
    assert_eq!(reference(6), Err(DecodeErrorKind::Reference(ReferenceError::Words { words: 6 })));
    assert_eq!(
        reference(u16::MAX),
        Err(DecodeErrorKind::Reference(ReferenceError::Words { words: 65535 }))
    );
}

#[test]
fn identifiers_and_funs_have_atoms_where_they_must() {
    let an_atom = DecodeErrorKind::Expected { expected: "an atom" };
    for tag in [88, 89, 101, 102, 103, 120, 113] {
        assert_eq!(
            read(&[&[tag, 97, 1][..], &[0; 20]].concat()),
            Err(an_atom.clone()),
            "tag {tag}"
        );
    }
    assert_eq!(read(&[&[90, 0, 1, 97, 1][..], &[0; 20]].concat()), Err(an_atom));
    assert_eq!(
        read(&[&[113][..], M, M, &[106]].concat()),
        Err(DecodeErrorKind::Expected { expected: "an arity" })
    );
    let parts = DecodeErrorKind::Expected { expected: "the parts of a fun" };
    assert_eq!(read(&fun(&[97, 1], NODE, &[])), Err(parts));
    let free = vec![&[106][..]; 256];
    let too_many = DecodeErrorKind::Expected { expected: "at most 255 free variables" };
    assert_eq!(read(&fun(M, NODE, &free)), Err(too_many));
    assert!(read(&fun(M, NODE, &free[1..])).is_ok());
}

#[test]
fn an_error_says_where_and_at_which_tag() {
    let bytes = Bytes::from_static(&[131, 104, 2, 97, 1, 104, 1, 118, 0, 1, 0xff]);
    let error = decode(&bytes, &Limits::default()).unwrap_err();
    assert_eq!((error.offset, error.tag), (7, Some(118)));
    assert_eq!(error.to_string(), "an atom is not valid UTF-8 (at byte 7, tag 118)");
    let error = decode(&Bytes::from_static(&[131, 106, 1, 2]), &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "2 bytes follow the term (at byte 2, tag 1)");
    let error = decode(&Bytes::from_static(&[104, 0]), &Limits::default()).unwrap_err();
    assert_eq!((error.kind, error.offset), (DecodeErrorKind::NoVersion, 0));
    let error = decode(&Bytes::new(), &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "the term is cut short (at byte 0)");
}

#[test]
fn what_no_beam_can_hold_is_over_a_limit() {
    let tuple = [&[131, 105, 1, 0, 0, 0][..], &vec![106; 1 << 24]].concat();
    let error = decode(&tuple.into(), &Limits::default()).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::Arity { arity: 1 << 24 });
    assert!(error.is_limit());
    let integer =
        [&[131, 111][..], &4_194_297_u32.to_be_bytes(), &[0], &vec![1; 4_194_297]].concat();
    let error = decode(&integer.into(), &Limits::default()).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::Integer);
    assert!(error.is_limit());
    let padded =
        [&[131, 111][..], &4_194_297_u32.to_be_bytes(), &[0], &vec![1; 4_194_296], &[0]].concat();
    assert!(decode(&padded.into(), &Limits::default()).is_ok());
}

#[test]
fn atoms_of_the_header_are_those_of_this_frame() {
    assert_eq!(read_with_header(&[104, 2, 82, 1, 82, 0], &["a", "b"]), Ok(term!({b, a})));
    assert_eq!(
        read_with_header(&[82, 2], &["a", "b"]),
        Err(DecodeErrorKind::NoSuchAtom { index: 2 })
    );
    assert_eq!(read(&[82, 0]), Err(DecodeErrorKind::NoSuchAtom { index: 0 }));
    let pid = [&[88, 82, 0][..], &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]].concat();
    let expected = Pid { node: Atom::from_static("n@h"), id: 1, serial: 2, creation: 3 };
    assert_eq!(read_with_header(&pid, &["n@h"]), Ok(Term::Pid(expected)));
}

#[test]
fn opaque_terms_are_captured_so_that_any_frame_can_carry_them() {
    let in_full = fun(M, NODE, &[b"w\x01x", b"h\x02w\x01xw\x01m"]);
    let by_header = fun(&[82, 0], &[82, 1], &[&[82, 2], &[104, 2, 82, 2, 82, 0]]);
    let captured = read_with_header(&by_header, &["m", "n@h", "x"]).unwrap();
    assert_eq!(captured, read(&in_full).unwrap());
    assert_eq!(crate::encode(&captured).unwrap().into_bytes()[1..], in_full);
    let Term::Fun(captured) = captured else { panic!("not a fun") };
    assert_eq!(captured.module().unwrap(), "m");
    assert_eq!((captured.arity(), captured.index()), (Some(2), Some(3)));
    assert_eq!(captured.creator().unwrap().to_string(), "#Pid<n@h.84.0>");

    // A fun in a fun: the sizes of both change.
    let in_full = fun(M, NODE, &[&in_full]);
    let by_header = fun(M, NODE, &[&by_header]);
    assert_eq!(read_with_header(&by_header, &["m", "n@h", "x"]), read(&in_full));

    let export = read_with_header(&[113, 82, 1, 82, 0, 97, 2], &["f", "m"]).unwrap();
    assert_eq!(
        crate::encode(&export).unwrap().into_bytes(),
        [&[131, 113], M, b"w\x01fa\x02"].concat()
    );

    let record = [&RECORD[..6], &[82, 0, 82, 1, 82, 2], b"w\x01ba\x01a\x02"].concat();
    let record = read_with_header(&record, &["m", "r", "a"]).unwrap();
    assert_eq!(crate::encode(&record).unwrap().into_bytes()[1..], *RECORD);
}

#[test]
fn native_records_are_read_printed_and_sent_on() {
    let record = read(RECORD).unwrap();
    assert_eq!(record.to_string(), "#m:r{a = 1,b = 2}");
    assert_eq!(crate::encode(&record).unwrap().into_bytes()[1..], *RECORD);
    assert_eq!(read(b"C\0\0\0\0\x01w\x01mw\x01r").unwrap().to_string(), "#m:r{}");
    let nested = read(&[b"C\0\0\0\x01\0w\x01mw\x01sw\x01x", RECORD].concat()).unwrap();
    assert_eq!(nested.to_string(), "#m:s{x = #m:r{a = 1,b = 2}}");
    // The second name of a field is a number, then the same as the first.
    let parts = DecodeErrorKind::Expected { expected: "the parts of a native record" };
    assert_eq!(read(b"C\0\0\0\x02\0w\x01mw\x01rw\x01aa\x01a\x01a\x02"), Err(parts));
    assert_eq!(
        read(b"C\0\0\0\x02\0w\x01mw\x01rw\x01aw\x01aa\x01a\x02"),
        Err(DecodeErrorKind::DuplicateKey)
    );
}

#[test]
fn what_is_inside_of_an_opaque_term_is_checked() {
    let duplicate_key = [116, 0, 0, 0, 2, 97, 1, 106, 97, 1, 106];
    assert_eq!(read(&fun(M, NODE, &[&duplicate_key])), Err(DecodeErrorKind::DuplicateKey));
    assert_eq!(read(&fun(M, NODE, &[&[82, 0]])), Err(DecodeErrorKind::NoSuchAtom { index: 0 }));
    let deep = (0..600).fold(vec![106], |inner, _| [&[104, 1][..], &inner].concat());
    assert_eq!(read(&fun(M, NODE, &[&deep])), Err(DecodeErrorKind::Depth));
}

/// Whether the bytes are a part of the others, and not a copy.
fn is_slice_of(part: &[u8], whole: &[u8]) -> bool {
    whole.as_ptr_range().contains(&part.as_ptr())
}

#[test]
fn a_small_binary_does_not_keep_a_large_frame_alive() {
    let frame = |length: usize, other: usize| -> Bytes {
        let binary = |length: usize| {
            [&[109][..], &u32::try_from(length).unwrap().to_be_bytes(), &vec![1; length]].concat()
        };
        [&[131, 104, 2][..], &binary(length), &binary(other)].concat().into()
    };
    for (length, other, shared) in
        [(255, 0, false), (256, 0, true), (1000, 5000, false), (2000, 5000, true)]
    {
        let frame = frame(length, other);
        let term = decode(&frame, &Limits::default()).unwrap();
        let [Term::Binary(binary), _] = term.as_tuple().unwrap() else {
            panic!("no binary in {term}")
        };
        assert_eq!(binary.len(), length);
        assert_eq!(is_slice_of(binary, &frame), shared, "{length} of {}", frame.len());
    }
}

#[test]
fn a_detached_term_shares_nothing_with_its_frame() {
    let binary = [&[109, 0, 0, 2, 0][..], &[1; 512]].concat();
    let bits = [&[77, 0, 0, 2, 0, 4][..], &[0x50; 512]].concat();
    let tail = [&[108, 0, 0, 0, 1, 97, 1][..], &binary].concat();
    let fun = fun(M, NODE, &[&binary]);
    let parts = [
        &[131, 104, 5][..],
        &[116, 0, 0, 0, 1],
        &binary,
        &binary,
        &bits,
        &tail,
        &fun,
        &[107, 0, 1, 7],
    ];
    let frame = Bytes::from(parts.concat());
    let mut term = decode(&frame.slice(..), &Limits::default()).unwrap();
    let before = term.clone();
    term.detach();
    assert_eq!(term, before);
    drop(before);
    assert!(frame.is_unique());
}

#[test]
fn a_raw_term_does_not_keep_a_read_buffer_alive() {
    let buffer: Bytes = crate::encode(&term!([a, b])).unwrap().into_bytes();
    let raw = RawTerm::new(&buffer.slice(1..), [].into(), false);
    assert_eq!(raw.decode(&Limits::default()), Ok(term!([a, b])));
    assert_eq!(
        RawTerm::new(&buffer, [].into(), true).decode(&Limits::default()),
        Ok(term!([a, b]))
    );
    assert!(!is_slice_of(raw.as_bytes(), &buffer));
    let large = Bytes::from(vec![0; 100_000]);
    assert!(is_slice_of(RawTerm::new(&large, [].into(), false).as_bytes(), &large));
}

#[test]
fn one_decoder_reads_the_terms_of_a_frame() {
    let frame = Bytes::from_static(&[131, 104, 1, 97, 1, 131, 106, 7]);
    let limits = Limits::default();
    let mut decoder = Decoder::new(&frame, &[], &limits);
    assert_eq!(decoder.term_with_version(), Ok(term!({ 1 })));
    assert_eq!((decoder.position(), decoder.rest()), (5, frame.slice(5..)));
    assert_eq!(decoder.term_with_version(), Ok(Term::NIL));
    assert!(!decoder.is_empty());
    assert_eq!(decoder.finish().unwrap_err().kind, DecodeErrorKind::Trailing { count: 1 });
}

#[test]
fn small_binaries_count_against_the_memory_unless_they_are_stored_inline() {
    let list = |length: u8, memory: usize| {
        let binary = [&[109, 0, 0, 0, length][..], &vec![7; length.into()]].concat();
        let bytes = [&[131, 108, 0, 0, 3, 232][..], &binary.repeat(1000), &[106]].concat().into();
        let limits = Limits::default().with_memory(memory);
        let term = decode(&bytes, &limits).map(drop);
        assert_eq!(View::versioned(&bytes, &[], &limits).map(drop), term);
        term.map_err(|error| error.kind)
    };
    assert_eq!(list(23, 40_016), Ok(()));
    assert_eq!(list(0, 40_015), Err(DecodeErrorKind::Memory));
    assert_eq!(list(24, 80_016), Ok(()));
    assert_eq!(list(24, 80_015), Err(DecodeErrorKind::Memory));
    assert_eq!(list(200, 150_000), Err(DecodeErrorKind::Memory));
}
