//! Bytes on their way to the socket.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use etf::{Atom, ShortEncoder};

use crate::wire::outgoing::{Message, Outgoing, Place};

/// Pieces shorter than this are copied together; longer ones are handed to the kernel where they are.
const COPY_BELOW: usize = 4 * 1024;

/// Frames one after the other: small ones copied together, large binaries shared.
#[derive(Debug, Default)]
pub(super) struct Segments {
    /// What comes before the tail.
    parts: VecDeque<Bytes>,
    /// Where short pieces are copied to.
    tail: Vec<u8>,
    /// How much of the tail was advanced over.
    passed: usize,
    remaining: usize,
}

impl Segments {
    /// No bytes yet, and room for them.
    pub(super) fn with_room(mut tail: Vec<u8>) -> Self {
        tail.clear();
        Self { tail, ..Self::default() }
    }

    /// The room of the short pieces, for those of others.
    pub(super) fn into_room(self) -> Vec<u8> {
        self.tail
    }

    /// Adds a frame: its length, header and body.
    pub(super) fn frame(&mut self, outgoing: &mut Outgoing, place: Place, message: &Message) {
        self.head(outgoing, place, &message.atoms, message.len());
        message.body.iter().for_each(|part| self.push(part));
    }

    /// Adds a frame of a whole short message.
    pub(super) fn short_frame(&mut self, outgoing: &mut Outgoing, message: &ShortEncoder<'_>) {
        let body = message.as_bytes();
        self.head(outgoing, Place::Whole, message.atoms(), body.len());
        self.copy(body);
    }

    fn head(
        &mut self,
        outgoing: &mut Outgoing,
        place: Place,
        atoms: &[impl Borrow<Atom>],
        body: usize,
    ) {
        let start = self.tail.len();
        self.tail.extend_from_slice(&[0; 4]);
        outgoing.head(place, atoms, &mut self.tail);
        let head = self.tail.len() - start;
        self.remaining += head;
        // No message is longer than a frame may be.
        let length = u32::try_from(head - 4 + body).unwrap_or(u32::MAX);
        if let Some(place) = self.tail.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }

    fn copy(&mut self, part: &[u8]) {
        self.remaining += part.len();
        self.tail.extend_from_slice(part);
    }

    fn push(&mut self, part: &Bytes) {
        if part.len() < COPY_BELOW {
            return self.copy(part);
        }
        self.remaining += part.len();
        if !self.tail.is_empty() {
            self.parts.push_back(std::mem::take(&mut self.tail).into());
        }
        self.parts.push_back(part.clone());
    }

    fn rest_of_tail(&self) -> &[u8] {
        self.tail.get(self.passed..).unwrap_or_default()
    }
}

impl Buf for Segments {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        match self.parts.front() {
            Some(part) => part,
            None => self.rest_of_tail(),
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let parts = self.parts.iter().map(|part| &**part);
        let all = parts.chain([self.rest_of_tail()]).filter(|part| !part.is_empty());
        let mut filled = 0;
        for (slice, part) in slices.iter_mut().zip(all) {
            *slice = IoSlice::new(part);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        debug_assert!(count <= self.remaining, "advanced past the end");
        self.remaining -= count;
        while let Some(part) = self.parts.front_mut() {
            if count < part.len() {
                part.advance(count);
                return;
            }
            count -= part.len();
            self.parts.pop_front();
        }
        self.passed += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_give_the_same_bytes_at_any_step() {
        for step in [1, 3, 1000, 5000, 100_000] {
            let mut segments = Segments::default();
            let pieces = [vec![1; 10], vec![], vec![2; 5000], vec![3; 20], vec![4; 7]];
            for piece in &pieces {
                segments.push(&Bytes::from(piece.clone()));
            }
            assert_eq!((segments.remaining(), segments.parts.len()), (5037, 2));
            let mut got = Vec::new();
            while segments.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 4];
                let filled = segments.chunks_vectored(&mut slices);
                let all: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
                assert_eq!((&*slices[0], all), (segments.chunk(), segments.remaining()));
                let now = segments.chunk().len().min(step);
                got.extend_from_slice(&segments.chunk()[..now]);
                segments.advance(now);
            }
            assert_eq!(got, pieces.concat());
        }
    }
}
