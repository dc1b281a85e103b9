//! What a peer can send once it is connected.

use bytes::Bytes;
use etf::Limits;

use super::control::Control;
use super::fragment::{Budget, FragmentLimits};
use super::frame::FrameBuffer;
use super::header::AtomCache;
use super::incoming::{Framing, Incoming};
use crate::fuzz::{parts, term};

/// A stream of frames, cut anywhere.
pub fn frame(data: &[u8]) {
    let mut buffer = FrameBuffer::new(1 << 16);
    for part in data.chunks(7) {
        buffer.extend(part);
        while let Ok(Some(_)) = buffer.next() {}
    }
}

/// Distribution headers, one after the other on one connection.
pub fn header(data: &[u8]) {
    let mut cache = AtomCache::new();
    for frame in frames(data) {
        if cache.read(&frame).is_err() {
            return;
        }
    }
}

/// Frames of a connection whose framing the first byte decides: messages whole and in fragments.
pub fn fragment(data: &[u8]) {
    let Some((flags, data)) = data.split_first() else { return };
    let framing = Framing { atoms: flags & 1 != 0, fragments: flags & 2 != 0 };
    let limits = FragmentLimits { sequences: 8, bytes: 1 << 16 };
    let terms = Limits::default().with_memory(1 << 20);
    let node = Budget::new(1 << 16);
    let mut incoming = Incoming::new(framing, limits, node.clone(), terms.clone());
    for frame in frames(data) {
        match incoming.take(&frame) {
            Ok(Some(message)) => {
                // The receiver decodes it.
                if let Some(payload) = message.payload {
                    let _ = payload.decode(&terms);
                }
            }
            Ok(None) => {}
            Err(_) => break,
        }
    }
    drop(incoming);
    assert_eq!(node.used(), 0, "what was in progress is given back");
}

/// A control tuple.
pub fn control(data: &[u8]) {
    if let Some(term) = term(data) {
        let _ = Control::parse(term);
    }
}

fn frames(data: &[u8]) -> impl Iterator<Item = Bytes> {
    parts(data).map(Bytes::copy_from_slice)
}
