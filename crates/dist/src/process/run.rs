//! Messages that are nearly the same.
//!
//! A process that sends to another one mostly sends again: the header and the control tuple are the same, and the
//! payload is short. What such messages share is there once, and their payloads stand behind one another in one
//! piece of memory, so that neither who reads them off a link nor who receives them pays for each alone.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use etf::{Atom, DecodeError, Decoder, Limits, Pid, RawTerm, Term};

use super::queue::{Body, Envelope, OVERHEAD, refuse};
use crate::link::WeakLink;

/// So many messages and bytes a run has at most: the first must not wait for long, and none is given
/// back before all were received.
const MOST: usize = 64;
const MOST_BYTES: usize = 4 * 1024;

/// Short messages in the order in which they came.
#[derive(Debug)]
pub(crate) struct Run {
    from: Option<Pid>,
    atoms: Arc<[Atom]>,
    link: WeakLink,
    payloads: BytesMut,
    lengths: VecDeque<u16>,
    /// What each counts beside its payload.
    each: usize,
    /// What the run itself counts, with the first of them.
    own: usize,
}

impl Run {
    /// A payload of more bytes than this belongs in no run. Of so few the decoder copies each part: a term that was
    /// received keeps no run alive.
    pub(crate) const SHORT: usize = 255;

    /// No messages yet, from that process over that link, with these atoms in their headers.
    pub(crate) fn new(from: Option<Pid>, atoms: Arc<[Atom]>, link: WeakLink) -> Self {
        let retained: usize = atoms.iter().map(|atom| size_of::<Atom>() + atom.retained()).sum();
        let (payloads, lengths) = (BytesMut::new(), VecDeque::new());
        let (each, own) = (OVERHEAD + retained, size_of::<Self>());
        Self { from, atoms, link, payloads, lengths, each, own }
    }

    /// No messages yet, and otherwise like this one.
    pub(crate) fn another(&self) -> Self {
        let (payloads, lengths) = (BytesMut::new(), VecDeque::new());
        let (from, atoms, link) = (self.from.clone(), self.atoms.clone(), self.link.clone());
        let (each, own) = (self.each, size_of::<Self>());
        Self { from, atoms, link, payloads, lengths, each, own }
    }

    /// Adds a message. False when there is no room for it.
    pub(crate) fn push(&mut self, payload: &[u8]) -> bool {
        let Ok(length) = u16::try_from(payload.len()) else { return false };
        if self.lengths.len() >= MOST || self.payloads.len() + payload.len() > MOST_BYTES {
            return false;
        }
        self.payloads.extend_from_slice(payload);
        self.lengths.push_back(length);
        true
    }

    /// How many messages there are.
    pub(crate) fn len(&self) -> usize {
        self.lengths.len()
    }

    /// What all of them count, in bytes as retained.
    pub(super) fn size(&self) -> usize {
        self.payloads.len() + self.len() * self.each + self.own
    }

    /// The next message as it came, and what it counts.
    pub(super) fn next(&mut self) -> Option<(Envelope, usize)> {
        let (payload, size) = self.payload()?;
        let raw = RawTerm::new(&payload, self.atoms.clone(), false);
        let body = Body::Encoded(raw, self.link.clone());
        Some((Envelope { from: self.from.clone(), body }, size))
    }

    /// The next message, read where it stands. One that cannot be read costs what it costs alone, and is
    /// given as `None`.
    pub(super) fn read(&mut self, limits: &Limits) -> Option<(Option<Envelope>, usize)> {
        let (payload, size) = self.payload()?;
        let envelope = match decode(&payload, &self.atoms, limits) {
            Ok(term) => Some(Envelope { from: self.from.clone(), body: Body::Term(term) }),
            Err(error) => {
                refuse(&error, &self.link);
                None
            }
        };
        Some((envelope, size))
    }

    fn payload(&mut self) -> Option<(Bytes, usize)> {
        let length = usize::from(self.lengths.pop_front()?);
        let size = length + self.each + std::mem::take(&mut self.own);
        Some((self.payloads.split_to(length).freeze(), size))
    }
}

fn decode(payload: &Bytes, atoms: &[Atom], limits: &Limits) -> Result<Term, DecodeError> {
    let mut decoder = Decoder::new(payload, atoms, limits);
    let term = decoder.term()?;
    decoder.finish()?;
    Ok(term)
}

#[cfg(test)]
mod tests {
    use etf::term;

    use super::*;
    use crate::process::queue::{Overflow, Queue, Taken};

    fn run() -> Run {
        let node = Atom::from_static("a@h");
        let from = Pid { node: node.clone(), id: 1, serial: 2, creation: 3 };
        Run::new(Some(from), [node, Atom::from_static("ok")].into(), WeakLink::new())
    }

    /// `{ok, N}`, and what is no term.
    fn payload(n: u8) -> [u8; 6] {
        [104, 2, 82, 1, 97, n]
    }
    const MALFORMED: [u8; 3] = [104, 1, 255];

    fn filled(payloads: &[&[u8]]) -> Run {
        let mut run = run();
        assert!(payloads.iter().all(|payload| run.push(payload)));
        run
    }

    #[test]
    fn a_run_has_so_many_messages_and_bytes_and_no_more() {
        let mut short = run();
        assert_eq!((0..100).filter(|n| short.push(&payload(*n))).count(), MOST);
        let mut long = run();
        let most = MOST_BYTES / Run::SHORT;
        assert_eq!((0..100).filter(|_| long.push(&[0; Run::SHORT])).count(), most);
        assert!(!long.push(&[0; Run::SHORT]));
        // What they count is no less than half of what they take.
        for run in [short.another(), filled(&[&[0; Run::SHORT]]), long] {
            let (room, used) = (run.payloads.capacity(), run.payloads.len());
            assert!(room <= 2 * used, "{room} for {used}");
            assert!(run.size() >= size_of::<Run>());
        }
        let mut next = short.another();
        assert_eq!((next.len(), next.push(&payload(1))), (0, true));
    }

    #[test]
    fn its_messages_are_what_they_would_be_alone() {
        let limits = Limits::default();
        let payloads: Vec<_> = (0..20).map(payload).collect();
        let payloads: Vec<&[u8]> = payloads.iter().map(|payload| &payload[..]).collect();
        let (mut came, mut read) = (filled(&payloads), filled(&payloads));
        let (whole, mut sum) = (came.size(), 0);
        for n in 0..20 {
            let (envelope, size) = came.next().unwrap();
            let own = if n == 0 { size_of::<Run>() } else { 0 };
            assert_eq!(size, envelope.size() + own);
            sum += size;
            let (read, same) = read.read(&limits).unwrap();
            let read = read.unwrap();
            assert_eq!((same, &read.from), (size, &envelope.from));
            let term = term!({ok, (Term::from(n))});
            assert_eq!(envelope.body.into_term(&limits), Ok(term.clone()));
            assert!(matches!(read.body, Body::Term(of) if of == term));
        }
        assert_eq!(sum, whole);
        assert!(came.next().is_none() && read.read(&limits).is_none());
    }

    #[test]
    fn in_a_queue_they_keep_their_place_and_what_is_malformed_is_left_out() {
        let limits = Limits::default();
        let one = |n: i64| Envelope { from: None, body: Body::Term(Term::Int(n)) };
        let (queue, mut taken) = (Queue::new(7, 10_000), Taken::default());
        queue.push(one(1)).unwrap();
        queue.push_run(filled(&[&payload(2), &MALFORMED, &payload(3)])).unwrap();
        queue.push_run(filled(&[&MALFORMED])).unwrap();
        queue.push(one(4)).unwrap();
        assert_eq!(queue.push_run(filled(&[&payload(5), &payload(6)])), Err(Overflow));
        let mut got = Vec::new();
        while let Some((envelope, size)) = queue.try_read(&mut taken, &limits) {
            queue.release(size);
            let Body::Term(term) = envelope.body else { panic!("not read") };
            got.push(term);
        }
        let pair = |n: i64| term!({ok, (Term::Int(n))});
        assert_eq!(got, [Term::Int(1), pair(2), pair(3), Term::Int(4)]);
        assert_eq!(queue.held(), (0, 0));

        // As they came, and when there is nothing else.
        queue.push_run(filled(&[&payload(5), &MALFORMED])).unwrap();
        for is_malformed in [false, true] {
            let (envelope, size) = queue.try_pop(&mut taken).unwrap();
            queue.release(size);
            assert_eq!(envelope.body.into_term(&limits).is_err(), is_malformed);
        }
        assert!(queue.try_pop(&mut taken).is_none());
        assert_eq!(queue.held(), (0, 0));
    }
}
