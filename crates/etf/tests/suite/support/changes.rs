//! What happens to bytes on the way.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;

/// The same changes to bytes as a bad line, a bad program or a bad person makes.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Repeat(Index, Index, u8),
    Cut(Index),
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    let byte = || prop_oneof![any::<u8>(), Just(0), Just(255), 67..=121_u8];
    prop_oneof![
        6 => (any::<Index>(), byte()).prop_map(|(at, byte)| Change::Set(at, byte)),
        1 => (any::<Index>(), byte()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        1 => any::<Index>().prop_map(Change::Remove),
        1 => (any::<Index>(), any::<Index>(), 1..4_u8).prop_map(|(from, to, times)| Change::Repeat(from, to, times)),
        1 => any::<Index>().prop_map(Change::Cut),
    ]
}

/// All but the first byte, 131, may change.
pub(crate) fn changed(bytes: &[u8], changes: &[Change]) -> Bytes {
    let mut bytes = bytes.to_vec();
    for change in changes {
        let place = |at: &Index| 1 + at.index(bytes.len().max(2) - 1);
        match change {
            Change::Set(at, byte) => {
                let at = place(at);
                if let Some(old) = bytes.get_mut(at) {
                    *old = *byte;
                }
            }
            Change::Insert(at, byte) => bytes.insert(place(at).min(bytes.len()), *byte),
            Change::Remove(at) if bytes.len() > 1 => {
                bytes.remove(place(at).min(bytes.len() - 1));
            }
            Change::Remove(_) => {}
            Change::Repeat(from, to, times) => {
                let (from, to) = (place(from).min(bytes.len()), place(to).min(bytes.len()));
                let part = bytes[from.min(to)..from.max(to)].repeat((*times).into());
                if bytes.len() + part.len() < 100_000 {
                    bytes.splice(from..from, part);
                }
            }
            Change::Cut(at) => bytes.truncate(place(at)),
        }
    }
    bytes.into()
}
