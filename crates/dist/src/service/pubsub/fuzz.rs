//! Broadcasts of other nodes.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use etf::{Atom, Decoder, Limits, RawTerm, Term};

use super::head::head;
use super::message::{PubSubMessage, Raw};
use crate::link::WeakLink;

/// A broadcast: its head is what a decoder finds there, and so is the rest.
pub fn pubsub(data: &[u8]) {
    let atoms = [Atom::from_static("other"), Atom::from_static("forward_to_local")];
    let limits = Limits::default().with_memory(1 << 20);
    let bytes = Bytes::copy_from_slice(data);
    let Some(found) = head(&bytes, &atoms) else { return };
    let raw = Raw {
        term: RawTerm::new(&bytes, atoms.as_slice().into(), false),
        at: found.message,
        limits: limits.clone(),
        link: WeakLink::new(),
        decodes: Arc::new(AtomicU64::new(0)),
    };
    let message = PubSubMessage::came(Bytes::copy_from_slice(found.topic), raw);
    let whole = bytes.strip_prefix(&[131]).map_or(bytes.clone(), Bytes::copy_from_slice);
    match Decoder::new(&whole, &atoms, &limits).term() {
        Ok(Term::Tuple(fields)) if message.term().is_ok() => {
            let same = |word: &Term, topic: &Term, content: &Term| {
                word.is_atom("forward_to_local")
                    && topic.as_binary().is_some_and(|topic| *topic == message.topic())
                    && message.term() == Ok(content)
            };
            let agreed =
                matches!(&*fields, [word, topic, content, _] if same(word, topic, content));
            assert!(agreed, "{fields:?}");
            let _ = message.socket_broadcast();
        }
        // What the whole costs in memory is a little more than its message alone.
        _ => drop(message.term().map(ToString::to_string)),
    }
}
