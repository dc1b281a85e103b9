//! The encoder: one pass, with recursion for the first few levels alone.

mod short;

use std::slice;

use bytes::Bytes;
use num_bigint::{BigInt, Sign};
use thiserror::Error;

use crate::header::HeaderAtoms;
use crate::{Atom, Pid, Port, Reference, Rope, Term, tag};

/// Encodes a term with its leading 131, in the forms that OTP 25 writes.
///
/// # Errors
/// When a part of the term cannot be said in the format; nothing is ever truncated.
pub fn encode(term: &Term) -> Result<Rope, EncodeError> {
    if let Some(rope) = short::encode(term) {
        return Ok(rope);
    }
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

/// Where encoded bytes go.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);

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

/// Only counts.
struct Counter(u64);

impl Sink for Counter {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
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

#[inline]
fn binary(bytes: &Bytes, sink: &mut impl Sink) -> Result<(), EncodeError> {
    header(sink, tag::BINARY, length("a binary", bytes.len())?);
    sink.share(bytes);
    Ok(())
}

#[inline]
pub(crate) fn atom_bytes(atom: &Atom, sink: &mut impl Sink) {
    let text = atom.as_str().as_bytes();
    match u8::try_from(text.len()) {
        Ok(length) => sink.put(&[tag::SMALL_ATOM_UTF8, length]),
        Err(_) => {
            // At most 255 characters of at most 4 bytes, so the length always fits.
            let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
            sink.put(&[tag::ATOM_UTF8]);
            sink.put(&length.to_be_bytes());
        }
    }
    sink.put(text);
}

#[inline]
pub(crate) fn integer(value: i64, sink: &mut impl Sink) {
    if let Ok(byte) = u8::try_from(value) {
        sink.put(&[tag::SMALL_INTEGER, byte]);
    } else if let Ok(word) = i32::try_from(value) {
        let [a, b, c, d] = word.to_be_bytes();
        sink.put(&[tag::INTEGER, a, b, c, d]);
    } else {
        let digits = value.unsigned_abs().to_le_bytes();
        let [significant @ .., 0] = digits.as_slice() else {
            sink.put(&[tag::SMALL_BIG, 8, u8::from(value < 0)]);
            return sink.put(&digits);
        };
        let significant = trim_zeros(significant);
        // At most 7.
        let length = u8::try_from(significant.len()).unwrap_or(u8::MAX);
        sink.put(&[tag::SMALL_BIG, length, u8::from(value < 0)]);
        sink.put(significant);
    }
}

fn trim_zeros(mut digits: &[u8]) -> &[u8] {
    while let [significant @ .., 0] = digits {
        digits = significant;
    }
    digits
}

fn big_integer(value: &BigInt, sink: &mut impl Sink) -> Result<(), EncodeError> {
    if let Ok(small) = i64::try_from(value) {
        integer(small, sink);
        return Ok(());
    }
    let (sign, digits) = value.to_bytes_le();
    if digits.len() > MAX_INTEGER {
        return Err(EncodeError::TooLong { what: "an integer", len: digits.len() });
    }
    match u8::try_from(digits.len()) {
        Ok(length) => sink.put(&[tag::SMALL_BIG, length]),
        Err(_) => header(sink, tag::LARGE_BIG, length("an integer", digits.len())?),
    }
    sink.put(&[u8::from(sign == Sign::Minus)]);
    sink.put(&digits);
    Ok(())
}

fn pid(pid: &Pid, sink: &mut impl Sink) {
    sink.put(&[tag::NEW_PID]);
    sink.atom(&pid.node);
    sink.put(&pid.id.to_be_bytes());
    sink.put(&pid.serial.to_be_bytes());
    sink.put(&pid.creation.to_be_bytes());
}

/// OTP 23 knows only the short form, which has room for 28 bits.
fn port(port: &Port, sink: &mut impl Sink) {
    let short = u32::try_from(port.id()).ok().filter(|id| *id < 1 << 28);
    sink.put(&[if short.is_some() { tag::NEW_PORT } else { tag::V4_PORT }]);
    sink.atom(port.node());
    match short {
        Some(id) => sink.put(&id.to_be_bytes()),
        None => sink.put(&port.id().to_be_bytes()),
    }
    sink.put(&port.creation().to_be_bytes());
}

fn reference(reference: &Reference, sink: &mut impl Sink) -> Result<(), EncodeError> {
    let words = reference.words();
    let count = u16::try_from(words.len())
        .map_err(|_| EncodeError::TooLong { what: "a reference", len: words.len() })?;
    sink.put(&[tag::NEWER_REFERENCE]);
    sink.put(&count.to_be_bytes());
    sink.atom(reference.node());
    sink.put(&reference.creation().to_be_bytes());
    words.iter().for_each(|word| sink.put(&word.to_be_bytes()));
    Ok(())
}

#[inline]
fn header(sink: &mut impl Sink, tag: u8, length: u32) {
    let [a, b, c, d] = length.to_be_bytes();
    sink.put(&[tag, a, b, c, d]);
}

#[inline]
fn length(what: &'static str, len: usize) -> Result<u32, EncodeError> {
    u32::try_from(len).map_err(|_| EncodeError::TooLong { what, len })
}

fn as_byte(term: &Term) -> Option<u8> {
    if let Term::Int(value) = term { u8::try_from(*value).ok() } else { None }
}

/// The length, if the list can be written as a string.
fn string_length(items: &[Term]) -> Option<u16> {
    let length = u16::try_from(items.len()).ok()?;
    items.iter().all(|item| as_byte(item).is_some()).then_some(length)
}

pub(crate) fn finite(value: f64) -> Result<f64, EncodeError> {
    match value {
        _ if value.is_finite() => Ok(value),
        _ if value.is_nan() => Err(EncodeError::Float { value: "NaN" }),
        _ if value > 0.0 => Err(EncodeError::Float { value: "inf" }),
        _ => Err(EncodeError::Float { value: "-inf" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, decode, term};

    fn written(term: &Term) -> Vec<u8> {
        encode(term).unwrap().into_bytes()[1..].to_vec()
    }

    #[test]
    fn nothing_that_cannot_be_said_is_written() {
        for (value, name) in
            [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")]
        {
            let error = encode(&Term::Tuple(vec![Term::Float(value)])).unwrap_err();
            assert_eq!(error, EncodeError::Float { value: name });
        }
        let largest = BigInt::from(1) << (8 * MAX_INTEGER);
        let error = encode(&Term::from(largest.clone())).unwrap_err();
        assert_eq!(error, EncodeError::TooLong { what: "an integer", len: MAX_INTEGER + 1 });
        assert!(encode(&Term::from(largest - 1)).is_ok());
        let error = encode(&Term::Tuple(vec![Term::NIL; MAX_ARITY + 1])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a tuple of 16777216 is too long for the external term format"
        );
    }

    #[test]
    fn each_number_takes_its_shortest_form() {
        assert_eq!(written(&term!(255)), [97, 255]);
        assert_eq!(written(&term!(-1)), [98, 255, 255, 255, 255]);
        assert_eq!(written(&term!(256)), [98, 0, 0, 1, 0]);
        assert_eq!(written(&Term::from(1_u64 << 32)), [110, 5, 0, 0, 0, 0, 0, 1]);
        assert_eq!(written(&Term::from(i64::MIN)), [110, 8, 1, 0, 0, 0, 0, 0, 0, 0, 128]);
        assert_eq!(written(&Term::BigInt(7.into())), [97, 7]);
    }

    #[test]
    fn lists_of_bytes_are_strings_up_to_65535() {
        let of = |length: usize, item: i64| written(&Term::List(vec![Term::Int(item); length]));
        assert_eq!(of(65_535, 7)[..4], [107, 255, 255, 7]);
        assert_eq!(of(65_536, 7)[..6], [108, 0, 1, 0, 0, 97]);
        assert_eq!(of(1, 256)[..5], [108, 0, 0, 0, 1]);
        assert_eq!(of(1, -1)[..5], [108, 0, 0, 0, 1]);
    }

    #[test]
    fn large_binaries_are_shared_and_small_ones_copied() {
        let (small, large) = (Bytes::from(vec![1; 4095]), Bytes::from(vec![2; 4096]));
        let term = Term::Tuple(vec![small.into(), large.clone().into(), term!(last)]);
        let rope = encode(&term).unwrap();
        let parts: Vec<_> = rope.iter().cloned().collect();
        assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), [3 + 5 + 4095 + 5, 4096, 6]);
        assert_eq!(parts[1].as_ptr(), large.as_ptr());
        assert_eq!(decode(&rope.into_bytes(), &Limits::default()), Ok(term));
    }

    #[test]
    fn the_length_is_known_before_writing() {
        let terms =
            [term!({a, "b", [c, 1.5 | d], #{e => 300}}), Term::from(vec![0_u8; 5000].as_slice())];
        let mut bytes = Vec::new();
        write_all(&terms, &mut bytes).unwrap();
        assert_eq!(encoded_len(&terms), Ok(bytes.len() as u64));
    }

    #[test]
    fn with_a_header_atoms_are_numbers_of_its_entries() {
        let pid = Pid { node: Atom::from_static("n@h"), id: 1, serial: 2, creation: 3 };
        let term = Term::Tuple(vec![term!(a), Term::Pid(pid), term!([b, a])]);
        let mut encoder = Encoder::with_header();
        encoder.term(&term).unwrap();
        let (rope, atoms) = encoder.finish_with_atoms();
        let texts: Vec<_> = atoms.iter().map(Atom::as_str).collect();
        assert_eq!(texts, ["a", "n@h", "b"]);
        let bytes = rope.into_bytes();
        assert_eq!(bytes[..6], [tag::SMALL_TUPLE, 3, tag::ATOM_CACHE_REF, 0, tag::NEW_PID, 82]);
        let limits = Limits::default();
        assert_eq!(crate::Decoder::new(&bytes, &atoms, &limits).term(), Ok(term));
    }

    #[test]
    fn atoms_that_find_no_place_in_the_header_are_written_in_full() {
        let many: Vec<_> =
            (0..1000).map(|n| Term::Atom(Atom::new(format!("a{n}")).unwrap())).collect();
        let term = Term::List(many);
        let mut encoder = Encoder::with_header();
        encoder.term(&term).unwrap();
        let (rope, atoms) = encoder.finish_with_atoms();
        assert!((100..=255).contains(&atoms.len()), "{}", atoms.len());
        let bytes = rope.into_bytes();
        let limits = Limits::default();
        assert_eq!(crate::Decoder::new(&bytes, &atoms, &limits).term(), Ok(term));
    }

    #[test]
    fn an_encoder_puts_terms_after_each_other() {
        let mut encoder = Encoder::new();
        encoder.bytes(&[112]);
        for term in [term!({2, (crate::Atom::from_static("")), x}), term!(hello)] {
            encoder.version();
            encoder.term(&term).unwrap();
        }
        assert_eq!(encoder.len(), 1 + 1 + 2 + 2 + 2 + 3 + 1 + 7);
        let bytes = encoder.finish().into_bytes();
        assert_eq!(bytes[..5], [112, 131, 104, 3, 97]);
    }
}
