//! What a decoder allocates is in proportion to the bytes that are really there, whatever they claim.

use allocation_counter::measure;
use bytes::Bytes;
use etf::{Atom, Decoder, Limits, decode, decode_compressed};

/// A nil takes one byte on the wire and 40 in memory; a list that grows by its tails for a moment three times that.
const FACTOR: u64 = 128;

/// What does not depend on the input: a message of an error, the stack of levels.
const CONSTANT: u64 = 16 * 1024;

/// The most bytes that were allocated at once while this was decoded, whatever came out.
fn peak(bytes: &Bytes, limits: &Limits) -> u64 {
    measure(|| drop(decode(bytes, limits))).bytes_max
}

fn assert_in_proportion(bytes: Bytes) {
    let used = peak(&bytes, &Limits::default());
    let allowed = CONSTANT + FACTOR * bytes.len() as u64;
    let start = bytes.iter().take(20).collect::<Vec<_>>();
    assert!(
        used <= allowed,
        "{used} bytes for an input of {} that starts with {start:?}",
        bytes.len()
    );
}

#[test]
fn the_counter_counts() {
    assert!(measure(|| drop(std::hint::black_box(vec![0_u8; 100_000]))).bytes_max >= 100_000);
}

#[test]
fn what_otp_writes_takes_memory_in_proportion() {
    let vectors = include_str!("vectors/otp25.txt");
    for line in vectors.lines().filter(|line| !line.starts_with('#')) {
        let hex = line.split('\t').nth(1).unwrap();
        let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16).unwrap()).collect();
        assert_in_proportion(
            digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect(),
        );
    }
}

#[test]
fn a_length_alone_allocates_nothing() {
    let tags = [105, 108, 109, 111, 112, 116, 67, 77, 107, 110, 118];
    for tag in tags {
        for length in [[0xff; 4], [0x7f, 0xff, 0xff, 0xff], [0, 0xff, 0xff, 0xff]] {
            for rest in [&[][..], &[0; 1], &[106; 64], &[97; 1000]] {
                assert_in_proportion([&[131, tag], &length[..], rest].concat().into());
            }
        }
    }
}

/// Each level claims all the bytes that are left: together they may not reserve more than once.
#[test]
fn lengths_inside_of_each_other_do_not_add_up() {
    let levels = 500_usize;
    for (tag, times) in [(108, 1), (105, 1), (116, 2)] {
        for rest in [0, 1_000, 100_000] {
            let mut bytes = vec![131];
            for level in 0..levels {
                let left = (levels - level - 1) * 5 + rest;
                bytes.push(tag);
                bytes.extend(u32::try_from(left / times).unwrap().to_be_bytes());
            }
            bytes.extend(vec![106; rest]);
            assert_in_proportion(bytes.into());
        }
    }
}

#[test]
fn many_small_terms_take_memory_in_proportion() {
    for element in [
        &[106][..],
        &[97, 1],
        &[119, 0],
        &[104, 0],
        &[108, 0, 0, 0, 1, 106, 106],
        &[116, 0, 0, 0, 0],
        &[109, 0, 0, 0, 0],
    ] {
        let count = 10_000_u32;
        let list =
            [&[131, 108], &count.to_be_bytes()[..], &element.repeat(10_000), &[106]].concat();
        assert!(decode(&list.clone().into(), &Limits::default()).is_ok());
        assert_in_proportion(list.into());
    }
    let keys: Vec<u8> =
        (0..20_000_u32).flat_map(|key| [&[98][..], &key.to_be_bytes(), &[106]].concat()).collect();
    let map = [&[131, 116], &20_000_u32.to_be_bytes()[..], &keys].concat();
    assert!(decode(&map.clone().into(), &Limits::default()).is_ok());
    assert_in_proportion(map.into());
    // A list that goes on in its tail, element by element.
    assert_in_proportion(
        [&[131][..], &[108, 0, 0, 0, 1, 106].repeat(20_000), &[106]].concat().into(),
    );
}

#[test]
fn the_limit_of_memory_is_what_is_allocated() {
    let nils = [&[131, 108], &1_000_000_u32.to_be_bytes()[..], &[106; 1_000_001]].concat().into();
    let limit = 1 << 20;
    let limits = Limits::default().with_memory(limit);
    assert!(decode(&nils, &limits).unwrap_err().is_limit());
    assert!(peak(&nils, &limits) <= CONSTANT);
    let lists = [
        &[131, 108],
        &200_000_u32.to_be_bytes()[..],
        &[108, 0, 0, 0, 1, 106, 106].repeat(200_000),
        &[106],
    ]
    .concat()
    .into();
    assert!(decode(&lists, &limits).unwrap_err().is_limit());
    assert!(peak(&lists, &limits) <= limit as u64 + CONSTANT);
}

/// A reference of two bytes to an atom of a kilobyte is written in full when a fun is captured.
#[test]
fn a_fun_that_grows_when_it_is_captured_stays_within_the_limit() {
    let atoms = [Atom::new("😀".repeat(255)).unwrap()];
    let free = |count: usize| {
        let variable = [&[104, 250][..], &[82, 0].repeat(250)].concat().repeat(count);
        let head =
            [&[0, 0, 0, 4, 0][..], &[0; 16], &[0; 4], &u32::try_from(count).unwrap().to_be_bytes()]
                .concat();
        let name = [82, 0, 97, 0, 97, 0, 88, 82, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        Bytes::from([&[112], head.as_slice(), &name, &variable].concat())
    };
    let limit = 1 << 20;
    let limits = Limits::default().with_memory(limit);
    let small = free(1);
    let term = Decoder::new(&small, &atoms, &limits).term().unwrap();
    assert!(etf::encode(&term).unwrap().len() > 250 * 1020);
    let large = free(255);
    let mut error = None;
    let used = measure(|| error = Decoder::new(&large, &atoms, &limits).term().err()).bytes_max;
    assert!(error.unwrap().is_limit());
    assert!(used <= 2 * limit as u64, "{used}");
}

#[test]
fn compressed_data_makes_room_only_for_what_comes_out() {
    let claims =
        |size: u32, data: &[u8]| Bytes::from([&[131, 80], &size.to_be_bytes()[..], data].concat());
    // Nothing that could inflate to that much, and the start of a stream that ends there.
    for data in [
        &[][..],
        &[0x78, 0x9c],
        &[0x78; 1000],
        &[[0x78, 0x9c].as_slice(), &[0; 2_000_000]].concat(),
    ] {
        let bytes = claims(u32::MAX, data);
        let used =
            measure(|| assert!(decode_compressed(&bytes, &Limits::default(), usize::MAX).is_err()))
                .bytes_max;
        assert!(used < 256 * 1024, "{used}");
    }
}
