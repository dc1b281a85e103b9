//! The codec beside eetf and erltf.

use bytes::Bytes;
use etf::{Limits, Step, Term, View, ViewKind};

use crate::contest::Contender;
use crate::payload::Payload;

/// Who reads the payload into an owned term, ours first.
pub fn decoders(payload: &Payload) -> Vec<Contender<'_>> {
    vec![
        Contender::new("ours", || decode(&payload.bytes)),
        Contender::new("eetf", || decode_eetf(&payload.bytes)),
        Contender::new("erltf", || erltf::decode(&payload.bytes).unwrap()),
    ]
}

/// Who visits every element of it without making a term, ours first, beside eetf, which has to make one. Then ours in the way that a
/// program takes that wants the elements of each term by themselves, and what nobody could be much faster than.
pub fn walkers(payload: &Payload) -> Vec<Contender<'_>> {
    vec![
        Contender::new("ours", || {
            let limits = Limits::default();
            View::versioned(&payload.bytes, &[], &limits).unwrap().walk().map(weigh).sum::<u64>()
        }),
        Contender::new("eetf", || decode_eetf(&payload.bytes)),
        Contender::new("level by level", || {
            let limits = Limits::default();
            visit(View::versioned(&payload.bytes, &[], &limits).unwrap())
        }),
        Contender::new("a loop", || bare(&payload.bytes).unwrap()),
    ]
}

/// Takes the value and adds something of it up.
fn weigh(step: Step<'_>) -> u64 {
    match step {
        Step::Int(value) => value.unsigned_abs(),
        Step::Atom(bytes) | Step::Binary(bytes) => bytes.len() as u64,
        Step::Tuple(_) | Step::List(_) | Step::Map(_) | Step::Nil => 0,
        other => panic!("{other:?} in a payload"),
    }
}

/// The same of all values in a term.
fn visit(view: View<'_>) -> u64 {
    match view.kind() {
        ViewKind::Int(value) => value.unsigned_abs(),
        ViewKind::Atom(bytes) | ViewKind::Binary(bytes) => bytes.len() as u64,
        ViewKind::Tuple(elements) | ViewKind::List(elements) => elements.map(visit).sum(),
        ViewKind::Map(map) => map.iter().map(|(key, value)| visit(key) + visit(value)).sum(),
        other => panic!("{other:?} in a payload"),
    }
}

/// The same again of what is in the payloads and no more, checked as it comes, with no limits but the length: no view, no other kinds of
/// terms, no keys that have to differ.
fn bare(bytes: &[u8]) -> Option<u64> {
    let (131, mut rest) = bytes.split_first().map(|(first, rest)| (*first, rest))? else {
        return None;
    };
    let length = |bytes: [&u8; 4]| u32::from_be_bytes(bytes.map(|byte| *byte)) as usize;
    let (mut sum, mut missing) = (0, 1_usize);
    while missing > 0 {
        missing -= 1;
        rest = match rest {
            [97, value, rest @ ..] => {
                sum += u64::from(*value);
                rest
            }
            [98, a, b, c, d, rest @ ..] => {
                sum += u64::from(i32::from_be_bytes([*a, *b, *c, *d]).unsigned_abs());
                rest
            }
            [119, length, rest @ ..] => {
                let (text, rest) = rest.split_at_checked((*length).into())?;
                sum += text.is_ascii().then_some(text.len())? as u64;
                rest
            }
            [109, a, b, c, d, rest @ ..] => {
                let (bytes, rest) = rest.split_at_checked(length([a, b, c, d]))?;
                sum += bytes.len() as u64;
                rest
            }
            [104, arity, rest @ ..] => {
                missing += usize::from(*arity);
                rest
            }
            [108, a, b, c, d, rest @ ..] => {
                missing += length([a, b, c, d]) + 1;
                rest
            }
            [116, a, b, c, d, rest @ ..] => {
                missing += 2 * length([a, b, c, d]);
                rest
            }
            [106, rest @ ..] => rest,
            _ => return None,
        };
    }
    rest.is_empty().then_some(sum)
}

/// Who writes it, ours first.
pub fn encoders(payload: &Payload) -> Vec<Contender<'_>> {
    let (ours, eetf) = (decode(&payload.bytes), decode_eetf(&payload.bytes));
    let erltf = erltf::decode(&payload.bytes).unwrap();
    vec![
        Contender::new("ours", move || etf::encode(&ours).unwrap()),
        Contender::new("eetf", move || {
            // As much as ours begins with.
            let mut bytes = Vec::with_capacity(128);
            eetf.encode(&mut bytes).unwrap();
            bytes
        }),
        Contender::new("erltf", move || erltf::encode(&erltf).unwrap()),
    ]
}

/// As a node reads what its peer sent.
pub fn decode(bytes: &Bytes) -> Term {
    etf::decode(bytes, &Limits::default()).unwrap()
}

fn decode_eetf(bytes: &Bytes) -> eetf::Term {
    eetf::Term::decode(bytes.as_ref()).unwrap()
}
