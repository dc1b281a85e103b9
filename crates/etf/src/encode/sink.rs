//! Where encoded bytes go.

use bytes::Bytes;

use super::{Encoder, SHARED, atom_bytes};
use crate::inline::Inline;
use crate::{Atom, tag};

/// Where encoded bytes go.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);

    #[inline]
    fn inline(&mut self, bytes: &Inline) {
        self.put(bytes);
    }

    /// Makes room for what will come at least.
    #[inline]
    fn expect(&mut self, _bytes: usize) {}

    /// Bytes that live on by themselves, so that a large piece need not be copied.
    fn share(&mut self, bytes: &Bytes) {
        self.put(bytes);
    }

    fn atom(&mut self, atom: &Atom)
    where
        Self: Sized,
    {
        atom_bytes(atom, self);
    }
}

impl Sink for Vec<u8> {
    #[inline]
    fn expect(&mut self, bytes: usize) {
        self.reserve(bytes);
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline]
    fn inline(&mut self, bytes: &Inline) {
        put_inline(bytes, self);
    }
}

impl Sink for Encoder {
    #[inline]
    fn expect(&mut self, bytes: usize) {
        self.buffer.reserve(bytes);
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    #[inline]
    fn inline(&mut self, bytes: &Inline) {
        put_inline(bytes, &mut self.buffer);
    }

    #[inline]
    fn share(&mut self, bytes: &Bytes) {
        if bytes.len() >= SHARED {
            self.flush();
            self.rope.push(bytes.clone());
        } else {
            self.put(bytes);
        }
    }

    #[inline]
    fn atom(&mut self, atom: &Atom) {
        match self.atoms.as_mut().and_then(|atoms| atoms.number(atom)) {
            Some(number) => self.put(&[tag::ATOM_CACHE_REF, number]),
            None => atom_bytes(atom, self),
        }
    }
}

/// A copy of a length that is known takes few steps, also where part of it is taken back. No room is made for that part.
#[inline]
fn put_inline(bytes: &Inline, buffer: &mut Vec<u8>) {
    if buffer.capacity() - buffer.len() < Inline::MAX {
        return buffer.extend_from_slice(bytes);
    }
    let end = buffer.len() + usize::from(bytes.len());
    buffer.extend_from_slice(bytes.all());
    buffer.truncate(end);
}

/// Only counts.
pub(super) struct Counter(pub(super) u64);

impl Sink for Counter {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
    }
}
