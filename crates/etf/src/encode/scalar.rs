//! Terms that have no others inside.

use num_bigint::{BigInt, Sign};

use super::{EncodeError, MAX_INTEGER, Sink};
use crate::{Atom, Binary, Pid, Port, Reference, Term, tag};

#[inline]
pub(super) fn binary(binary: &Binary, sink: &mut impl Sink) -> Result<(), EncodeError> {
    match binary.parts() {
        Ok(bytes) => {
            sink.put(&[tag::BINARY, 0, 0, 0, bytes.len()]);
            sink.inline(bytes);
        }
        Err(bytes) => {
            header(sink, tag::BINARY, length("a binary", bytes.len())?);
            sink.share(bytes);
        }
    }
    Ok(())
}

#[inline]
pub(crate) fn atom_bytes(atom: &Atom, sink: &mut impl Sink) {
    let text = match atom.parts() {
        Ok(text) => {
            sink.put(&[tag::SMALL_ATOM_UTF8, text.len()]);
            return sink.inline(text);
        }
        Err(text) => text.as_bytes(),
    };
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

pub(super) fn big_integer(value: &BigInt, sink: &mut impl Sink) -> Result<(), EncodeError> {
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

pub(super) fn pid(pid: &Pid, sink: &mut impl Sink) {
    sink.put(&[tag::NEW_PID]);
    sink.atom(&pid.node);
    sink.put(&pid.id.to_be_bytes());
    sink.put(&pid.serial.to_be_bytes());
    sink.put(&pid.creation.to_be_bytes());
}

/// OTP 23 knows only the short form, which has room for 28 bits.
pub(super) fn port(port: &Port, sink: &mut impl Sink) {
    let short = u32::try_from(port.id()).ok().filter(|id| *id < 1 << 28);
    sink.put(&[if short.is_some() { tag::NEW_PORT } else { tag::V4_PORT }]);
    sink.atom(port.node());
    match short {
        Some(id) => sink.put(&id.to_be_bytes()),
        None => sink.put(&port.id().to_be_bytes()),
    }
    sink.put(&port.creation().to_be_bytes());
}

pub(super) fn reference(reference: &Reference, sink: &mut impl Sink) -> Result<(), EncodeError> {
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
pub(super) fn header(sink: &mut impl Sink, tag: u8, length: u32) {
    let [a, b, c, d] = length.to_be_bytes();
    sink.put(&[tag, a, b, c, d]);
}

#[inline]
pub(super) fn length(what: &'static str, len: usize) -> Result<u32, EncodeError> {
    u32::try_from(len).map_err(|_| EncodeError::TooLong { what, len })
}

pub(super) fn as_byte(term: &Term) -> Option<u8> {
    if let Term::Int(value) = term { u8::try_from(*value).ok() } else { None }
}

/// The length, if the list can be written as a string.
pub(super) fn string_length(items: &[Term]) -> Option<u16> {
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
