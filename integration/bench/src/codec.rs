//! The codec beside eetf and erltf.

use bytes::Bytes;
use etf::{Limits, Term, View};

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
    if let Some(value) = view.as_int() {
        value.unsigned_abs()
    } else if let Some(bytes) = view.as_binary() {
        bytes.len() as u64
    } else if let Some(elements) = view.as_tuple().or_else(|| view.as_list()) {
        elements.map(visit).sum()
    } else if let Some(map) = view.as_map() {
        map.iter().map(|(key, value)| visit(key) + visit(value)).sum()
    } else {
        view.as_atom().map_or(0, |text| text.len() as u64)
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
