//! What a peer, an EPMD or its clients can send, for fuzzers: any bytes are taken or refused, and nothing panics.
//!
//! Each function is one target of `fuzz/`.

use bytes::Bytes;
use etf::{Decoder, Limits, Term};

pub use crate::epmd::fuzz::{answer as epmd_answer, request as epmd_request};
pub use crate::handshake::fuzz::{acceptor, initiator};
pub use crate::service::fuzz::global;
#[cfg(feature = "pubsub")]
pub use crate::service::fuzz::pubsub;
pub use crate::service::pg::fuzz::pg;
pub use crate::wire::fuzz::{control, fragment, frame, header};

/// Parts with lengths of one byte, so that a fuzzer finds them.
pub(crate) fn parts(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&length, rest) = data.split_first()?;
        let (part, rest) = rest.split_at_checked(length.into()).unwrap_or((rest, &[]));
        data = rest;
        Some(part)
    })
}

/// A term without its version.
pub(crate) fn term(bytes: &[u8]) -> Option<Term> {
    let limits = Limits::default().with_memory(1 << 20);
    Decoder::new(&Bytes::copy_from_slice(bytes), &[], &limits).term().ok()
}
