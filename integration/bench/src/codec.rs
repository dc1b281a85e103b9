//! The codec beside eetf and erltf.

use bytes::Bytes;
use etf::{Limits, Term, View, ViewKind};

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

/// Who visits every element of it without making a term, ours first, beside eetf, which has to make one.
pub fn walkers(payload: &Payload) -> Vec<Contender<'_>> {
    vec![
        Contender::new("ours", || {
            let limits = Limits::default();
            visit(View::versioned(&payload.bytes, &[], &limits).unwrap())
        }),
        Contender::new("eetf", || decode_eetf(&payload.bytes)),
    ]
}

/// Takes every value and adds something of it up.
fn visit(view: View<'_>) -> u64 {
    match view.kind() {
        ViewKind::Int(value) => value.unsigned_abs(),
        ViewKind::Atom(bytes) | ViewKind::Binary(bytes) => bytes.len() as u64,
        ViewKind::Tuple(elements) | ViewKind::List(elements) => elements.map(visit).sum(),
        ViewKind::Map(map) => map.iter().map(|(key, value)| visit(key) + visit(value)).sum(),
        other => panic!("{other:?} in a payload"),
    }
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
