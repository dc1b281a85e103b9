//! The encoder: one pass, with recursion for the first few levels alone.

mod scalar;
mod short;
mod sink;

use std::slice;

use bytes::Bytes;
use thiserror::Error;

use self::scalar::{
    as_byte, big_integer, binary, header, length, pid, port, reference, string_length,
};
pub(crate) use self::scalar::{atom_bytes, finite, integer};
pub use self::short::ShortEncoder;
use self::sink::Counter;
pub(crate) use self::sink::Sink;
use crate::header::HeaderAtoms;
use crate::{Atom, Rope, Term, tag};

/// Encodes a term with its leading 131, in the forms that OTP 25 writes.
///
/// # Errors
/// When a part of the term cannot be said in the format; nothing is ever truncated.
#[inline]
pub fn encode(term: &Term) -> Result<Rope, EncodeError> {
    let mut room = [0; SHORT];
    match short::encode(term, &mut room) {
        Some(bytes) => Ok(Rope::of(bytes)),
        None => encode_long(term),
    }
}

/// Not a part of [`encode`], which is inlined so that it makes its rope where it belongs: to move one takes a fifth of the time
/// of a small term.
#[inline(never)]
fn encode_long(term: &Term) -> Result<Rope, EncodeError> {
    let mut encoder = Encoder { buffer: Vec::with_capacity(2 * SHORT), ..Encoder::default() };
    encoder.version();
    encoder.term(term)?;
    Ok(encoder.finish())
}

/// Why a term cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// More elements or bytes than the format has room for.
    #[error("{what} of {len} is too long for the external term format")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its elements or bytes.
        len: usize,
    },
    /// A float that is NaN or infinite.
    #[error("the float {value} is not finite")]
    Float {
        /// `NaN`, `inf` or `-inf`.
        value: &'static str,
    },
}

/// Writes terms, one after the other, into one rope.
///
/// Binaries of 4 KiB and more are shared, not copied.
///
/// ```
/// let mut encoder = etf::Encoder::new();
/// encoder.bytes(&[0, 0, 0, 0]); // a frame's length, to be filled in by the caller
/// encoder.version();
/// encoder.term(&etf::term!({6, ok})).unwrap();
/// assert_eq!(encoder.finish().len(), 4 + 1 + 2 + 2 + 4);
/// ```
#[derive(Debug, Default)]
pub struct Encoder {
    rope: Rope,
    buffer: Vec<u8>,
    /// The atoms that are written as numbers; none without a header.
    atoms: Option<HeaderAtoms>,
}

impl Encoder {
    /// An encoder that has written nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An encoder of a frame with a distribution header: atoms are written as numbers of its entries,
    /// as far as they find place there. [`Encoder::finish_with_atoms`] gives the entries.
    #[must_use]
    pub fn with_header() -> Self {
        Self { atoms: Some(HeaderAtoms::default()), ..Self::default() }
    }

    /// Makes room for so many bytes, so that a message of no more is written in one allocation.
    pub fn reserve(&mut self, bytes: usize) {
        self.buffer.reserve(bytes);
    }

    /// Writes the version, 131.
    pub fn version(&mut self) {
        self.buffer.push(tag::VERSION);
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Writes a term, without a version.
    ///
    /// # Errors
    /// When a part of the term cannot be said in the format; what was written up to there stays.
    pub fn term(&mut self, term: &Term) -> Result<(), EncodeError> {
        write_all(slice::from_ref(term), self)
    }

    /// Where the next bytes go.
    #[cfg(feature = "serde")]
    pub(crate) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// How many bytes have been written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rope.len() + self.buffer.len()
    }

    /// Whether nothing has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that was written.
    #[must_use]
    pub fn finish(mut self) -> Rope {
        self.flush();
        self.rope
    }

    /// All that was written, and the entries of the header that it needs, at most 255.
    #[must_use]
    pub fn finish_with_atoms(mut self) -> (Rope, Vec<Atom>) {
        self.flush();
        (self.rope, self.atoms.map(HeaderAtoms::into_entries).unwrap_or_default())
    }

    fn flush(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        // A short piece may wait in a queue for a while, and should take no more than it needs.
        let is_short = buffer.len() <= SHORT;
        self.rope.push(if is_short { Bytes::copy_from_slice(&buffer) } else { buffer.into() });
    }
}

/// Pieces of up to so many bytes are copied into memory of their own size.
const SHORT: usize = 256;

/// Binaries of this many bytes are shared.
const SHARED: usize = 4096;

/// The bytes of the greatest integer of a BEAM (`BIG_ARITY_MAX`).
pub(crate) const MAX_INTEGER: usize = 4_194_296;

/// The greatest arity of a tuple in a BEAM (`MAX_ARITYVAL`).
pub(crate) const MAX_ARITY: usize = (1 << 24) - 1;

/// How many bytes these terms take, one after the other.
pub(crate) fn encoded_len(terms: &[Term]) -> Result<u64, EncodeError> {
    let mut counter = Counter(0);
    write_all(terms, &mut counter)?;
    Ok(counter.0)
}

/// Elements that are still to be written, and what follows the last.
struct Rest<'t> {
    items: slice::Iter<'t, Term>,
    end: End<'t>,
}

enum End<'t> {
    Nothing,
    Nil,
    Tail(&'t Term),
}

/// How many levels are written by recursion, which is quicker than a stack of our own and of which the stack has room.
const RECURSED: usize = 16;

/// Writes these terms, one after the other.
pub(crate) fn write_all(terms: &[Term], sink: &mut impl Sink) -> Result<(), EncodeError> {
    write_elements(terms, RECURSED, sink)
}

/// The same, so many levels of it by recursion.
fn write_elements(terms: &[Term], levels: usize, sink: &mut impl Sink) -> Result<(), EncodeError> {
    let Some(below) = levels.checked_sub(1) else {
        return deep(Rest { items: terms.iter(), end: End::Nothing }, sink);
    };
    for term in terms {
        match term {
            Term::Int(value) => integer(*value, sink),
            Term::Atom(value) => sink.atom(value),
            Term::Binary(bytes) => binary(bytes, sink)?,
            Term::Tuple(items) => {
                tuple(items, sink)?;
                write_elements(items, below, sink)?;
            }
            term => {
                let Some(inner) = write(term, sink)? else { continue };
                write_elements(inner.items.as_slice(), below, sink)?;
                match inner.end {
                    End::Tail(tail) => write_elements(slice::from_ref(tail), below, sink)?,
                    End::Nil => sink.put(&[tag::NIL]),
                    End::Nothing => {}
                }
            }
        }
    }
    Ok(())
}

/// The same of any number of levels.
fn deep(mut rest: Rest<'_>, sink: &mut impl Sink) -> Result<(), EncodeError> {
    let mut outer = Vec::new();
    loop {
        if let Some(inner) = rest.write(sink)? {
            outer.push(std::mem::replace(&mut rest, inner));
        } else if let Some(above) = outer.pop() {
            rest = above;
        } else {
            return Ok(());
        }
    }
}

impl<'t> Rest<'t> {
    /// Writes all that is left, or up to a term that has others inside: these are returned.
    #[inline]
    fn write(&mut self, sink: &mut impl Sink) -> Result<Option<Self>, EncodeError> {
        loop {
            for term in self.items.by_ref() {
                match term {
                    Term::Int(value) => integer(*value, sink),
                    Term::Atom(value) => sink.atom(value),
                    Term::Binary(bytes) => binary(bytes, sink)?,
                    Term::Tuple(items) => return tuple(items, sink).map(Some),
                    term => {
                        if let Some(inner) = write(term, sink)? {
                            return Ok(Some(inner));
                        }
                    }
                }
            }
            match std::mem::replace(&mut self.end, End::Nothing) {
                End::Tail(tail) => self.items = slice::from_ref(tail).iter(),
                End::Nil => {
                    sink.put(&[tag::NIL]);
                    return Ok(None);
                }
                End::Nothing => return Ok(None),
            }
        }
    }
}

/// Writes a term, or the start of one that has others inside; these are returned.
fn write<'t>(term: &'t Term, sink: &mut impl Sink) -> Result<Option<Rest<'t>>, EncodeError> {
    match term {
        Term::Atom(value) => sink.atom(value),
        Term::Int(value) => integer(*value, sink),
        Term::BigInt(value) => big_integer(value, sink)?,
        Term::Float(value) => {
            sink.put(&[tag::NEW_FLOAT]);
            sink.put(&finite(*value)?.to_be_bytes());
        }
        Term::Binary(bytes) => binary(bytes, sink)?,
        Term::BitBinary(bits) => {
            header(sink, tag::BIT_BINARY, length("a bitstring", bits.data().len())?);
            sink.put(&[bits.last_bits()]);
            sink.put(bits.data());
        }
        Term::List(items) if items.is_empty() => sink.put(&[tag::NIL]),
        Term::List(items) => {
            if let Some(length) = string_length(items) {
                sink.put(&[tag::STRING]);
                sink.put(&length.to_be_bytes());
                sink.expect(items.len());
                items.iter().filter_map(as_byte).for_each(|byte| sink.put(&[byte]));
            } else {
                header(sink, tag::LIST, length("a list", items.len())?);
                // Most elements take two bytes or more.
                sink.expect(2 * items.len());
                return Ok(Some(Rest { items: items.iter(), end: End::Nil }));
            }
        }
        Term::ImproperList(list) => {
            header(sink, tag::LIST, length("a list", list.items.len())?);
            return Ok(Some(Rest { items: list.items.iter(), end: End::Tail(&list.tail) }));
        }
        Term::Tuple(items) => return tuple(items, sink).map(Some),
        Term::Map(map) => {
            header(sink, tag::MAP, length("a map", map.len())?);
            sink.expect(4 * map.len());
            return Ok(Some(Rest { items: map.items().iter(), end: End::Nothing }));
        }
        Term::Pid(value) => pid(value, sink),
        Term::Port(value) => port(value, sink),
        Term::Reference(value) => reference(value, sink)?,
        Term::Fun(value) => sink.share(value.as_bytes()),
        Term::Export(value) => sink.share(value.as_bytes()),
        Term::Record(value) => sink.share(value.as_bytes()),
    }
    Ok(None)
}

/// Writes the start of a tuple; its elements are returned.
#[inline]
fn tuple<'t>(items: &'t [Term], sink: &mut impl Sink) -> Result<Rest<'t>, EncodeError> {
    match u8::try_from(items.len()) {
        Ok(arity) => sink.put(&[tag::SMALL_TUPLE, arity]),
        Err(_) if items.len() > MAX_ARITY => {
            return Err(EncodeError::TooLong { what: "a tuple", len: items.len() });
        }
        Err(_) => header(sink, tag::LARGE_TUPLE, length("a tuple", items.len())?),
    }
    Ok(Rest { items: items.iter(), end: End::Nothing })
}

#[cfg(test)]
mod tests;
