//! A large message on its way out of the mailbox.

use etf::{DecodeError, Pid, RawTerm, Term};
use tokio::task::JoinHandle;

use super::{Body, Envelope};
use crate::link::WeakLink;

/// A message that is decoded on a thread for what blocks. The receiver may stop waiting and come
/// back for it.
#[derive(Debug)]
pub(super) struct Decoding {
    pub(super) from: Option<Pid>,
    raw: RawTerm,
    link: WeakLink,
    pub(super) size: usize,
    term: JoinHandle<Result<Term, DecodeError>>,
}

impl Decoding {
    /// Begins.
    pub(super) fn begin(
        from: Option<Pid>,
        (raw, link): (RawTerm, WeakLink),
        size: usize,
        limits: &etf::Limits,
    ) -> Box<Self> {
        let (limits, body) = (limits.clone(), Body::Encoded(raw.clone(), link.clone()));
        let term = tokio::task::spawn_blocking(move || body.into_term(&limits));
        Box::new(Self { from, raw, link, size, term })
    }

    /// The term; `None` when it could not be read, and when the runtime ends.
    pub(super) async fn term(&mut self) -> Option<Term> {
        (&mut self.term).await.ok()?.ok()
    }

    /// The message as it was: whoever cannot wait reads it on the spot.
    pub(super) fn undo(self) -> (Envelope, usize) {
        self.term.abort();
        let body = Body::Encoded(self.raw, self.link);
        (Envelope { from: self.from, body }, self.size)
    }
}
