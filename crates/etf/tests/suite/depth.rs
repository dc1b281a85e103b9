//! No depth that can be set overflows a stack, whatever is done with the term.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::thread;

use bytes::Bytes;
use etf::{DecodeErrorKind, Limits, Term, term};

/// What a thread has by default, and what tokio gives its workers.
const STACK: usize = 2 << 20;

fn deepest() -> Limits {
    Limits::default().with_depth(usize::MAX)
}

/// One more level around the term.
type Wrap = fn(Term) -> Term;

const WRAPS: [(&str, Wrap); 4] = [
    ("tuples", |inner| Term::Tuple(vec![inner])),
    ("lists", |inner| Term::List(vec![inner])),
    ("improper lists", |inner| Term::list_with_tail(vec![inner], term!(end))),
    ("maps", |inner| Term::Map([(term!(key), inner)].into_iter().collect())),
];

/// The bytes of an atom inside of that many levels.
fn nested(levels: usize, wrap: Wrap) -> Bytes {
    // Encoded level by level, because the term itself may be too deep to be dropped.
    let whole = |term: &Term| etf::encode(term).unwrap().into_bytes();
    let (inner, outer) = (whole(&term!(x)), whole(&wrap(term!(x))));
    let at = outer.windows(inner.len() - 1).position(|window| *window == inner[1..]).unwrap();
    let (before, after) = (&outer[1..at], &outer[at + inner.len() - 1..]);
    [&[131], before.repeat(levels).as_slice(), &inner[1..], &after.repeat(levels)].concat().into()
}

#[test]
fn the_deepest_terms_can_be_used_on_the_default_stack() {
    for (name, wrap) in WRAPS {
        let use_it = move || {
            let bytes = nested(Limits::MAX_DEPTH, wrap);
            let term = etf::decode(&bytes, &deepest()).unwrap();
            let other = term.clone();
            assert_eq!(term, other);
            assert!(term <= other);
            let hasher = RandomState::new();
            assert_eq!(hasher.hash_one(&term), hasher.hash_one(&other));
            assert!(term.to_string().len() > Limits::MAX_DEPTH);
            assert!(format!("{other:#?}").len() > Limits::MAX_DEPTH);
            assert!(term.elixir().to_string().len() > Limits::MAX_DEPTH);
            assert_eq!(etf::encode(&term).unwrap().into_bytes(), bytes);
        };
        let thread =
            thread::Builder::new().stack_size(STACK).name(name.to_owned()).spawn(use_it).unwrap();
        thread.join().unwrap();
    }
}

#[test]
fn one_level_more_is_over_the_limit() {
    for (name, wrap) in WRAPS {
        for (levels, limits) in [
            (Limits::MAX_DEPTH + 1, deepest()),
            (513, Limits::default()),
            (3, Limits::default().with_depth(2)),
            (1, Limits::default().with_depth(0)),
        ] {
            let error = etf::decode(&nested(levels, wrap), &limits).unwrap_err();
            assert_eq!(error.kind, DecodeErrorKind::Depth, "{name}, {levels} levels");
            assert!(error.is_limit());
            assert!(
                etf::decode(&nested(levels - 1, wrap), &limits).is_ok(),
                "{name}, {levels} levels"
            );
        }
    }
}

#[test]
fn a_million_levels_are_refused_on_a_small_stack() {
    let refuse = || {
        for (_, wrap) in WRAPS {
            assert!(etf::decode(&nested(1_000_000, wrap), &deepest()).unwrap_err().is_limit());
        }
    };
    thread::Builder::new().stack_size(64 * 1024).spawn(refuse).unwrap().join().unwrap();
}

/// A list of which each tail is a list has one level, however long the chain.
#[test]
fn tails_do_not_nest() {
    let mut bytes = vec![131];
    for _ in 0..100_000 {
        bytes.extend([108, 0, 0, 0, 1, 97, 7]);
    }
    bytes.push(106);
    let term = etf::decode(&bytes.into(), &Limits::default().with_depth(2)).unwrap();
    assert_eq!(term, Term::List(vec![term!(7); 100_000]));
}

/// A key is hashed and compared at each level that it is a key of, so these levels are few.
#[test]
fn keys_within_keys_are_limited() {
    let as_key = |inner| Term::Map([(inner, term!(value))].into_iter().collect());
    assert!(etf::decode(&nested(9, as_key), &deepest()).is_ok());
    let error = etf::decode(&nested(10, as_key), &deepest()).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::Depth);
}
