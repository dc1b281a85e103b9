//! Terms that have no others inside, or only a fixed few small ones.

use bytes::Bytes;
use num_bigint::{BigInt, Sign};

use super::{DecodeErrorKind, Decoder, Result};
use crate::encode::MAX_INTEGER;
use crate::{Atom, Binary, BitBinary, Export, Pid, Port, Reference, Term, tag};

/// Binaries shorter than this are copied out of the input.
const SMALL_BINARY: usize = 256;

/// Binaries of less than this part of the input are copied out of it.
const SMALL_FRACTION: usize = 4;

impl Decoder<'_> {
    pub(super) fn scalar(&mut self, tag: u8) -> Result<Term> {
        Ok(match tag {
            tag::SMALL_INTEGER => Term::Int(self.cursor.u8()?.into()),
            tag::INTEGER => Term::Int(i32::from_be_bytes(self.cursor.array()?).into()),
            tag::SMALL_BIG => {
                let length = self.cursor.u8()?.into();
                self.big(length)?
            }
            tag::LARGE_BIG => {
                let length = self.cursor.length()?;
                self.big(length)?
            }
            tag::NEW_FLOAT => Term::Float(finite(f64::from_be_bytes(self.cursor.array()?))?),
            tag::FLOAT => Term::Float(float_text(self.cursor.take(31)?)?),
            tag::NIL => Term::NIL,
            tag::STRING => self.string()?,
            tag::BINARY => Term::Binary(self.binary()?),
            tag::BIT_BINARY => self.bit_binary()?,
            tag::NEW_PID => {
                let (node, id, serial) = (self.atom()?, self.cursor.u32()?, self.cursor.u32()?);
                Term::Pid(Pid { node, id, serial, creation: self.cursor.u32()? })
            }
            tag::PID => {
                let (node, id, serial) = (self.atom()?, self.cursor.u32()?, self.cursor.u32()?);
                Term::Pid(Pid { node, id, serial, creation: self.cursor.u8()?.into() })
            }
            tag::V4_PORT => {
                let (node, id) = (self.atom()?, u64::from_be_bytes(self.cursor.array()?));
                let creation = self.cursor.u32()?;
                self.port(node, id, creation)?
            }
            tag::NEW_PORT => {
                let (node, id) = (self.atom()?, self.cursor.u32()?.into());
                let creation = self.cursor.u32()?;
                self.port(node, id, creation)?
            }
            tag::PORT => {
                let (node, id) = (self.atom()?, self.cursor.u32()?.into());
                let creation = self.cursor.u8()?.into();
                self.port(node, id, creation)?
            }
            tag::NEWER_REFERENCE => {
                let (words, node) = (self.cursor.u16()?, self.atom()?);
                let creation = self.cursor.u32()?;
                self.reference(node, creation, words)?
            }
            tag::NEW_REFERENCE => {
                let (words, node) = (self.cursor.u16()?, self.atom()?);
                let creation = self.cursor.u8()?.into();
                self.reference(node, creation, words)?
            }
            tag::REFERENCE => {
                let (node, word) = (self.atom()?, self.cursor.u32()?);
                self.budget.allocation(Reference::HEAP_SIZE)?;
                Term::Reference(reference(node, self.cursor.u8()?.into(), &[word])?)
            }
            tag::EXPORT => self.export()?,
            tag::COMPRESSED => return Err(DecodeErrorKind::Compressed.into()),
            tag::LOCAL => return Err(DecodeErrorKind::Local.into()),
            _ => match self.atom_of(tag)? {
                Some(atom) => Term::Atom(atom),
                None => return Err(DecodeErrorKind::UnknownTag.into()),
            },
        })
    }

    /// A list of bytes (STRING_EXT).
    fn string(&mut self) -> Result<Term> {
        let length = self.cursor.u16()?;
        let bytes = self.cursor.take(length.into())?;
        self.budget.elements(bytes.len())?;
        Ok(Term::List(bytes.iter().map(|byte| Term::Int((*byte).into())).collect()))
    }

    /// An atom where nothing else may stand, such as the node of a pid.
    pub(super) fn atom(&mut self) -> Result<Atom> {
        self.cursor.mark();
        let tag = self.cursor.u8()?;
        Ok(self.atom_of(tag)?.ok_or(DecodeErrorKind::Expected { expected: "an atom" })?)
    }

    /// The atom that starts with this tag, or `None` if none does.
    fn atom_of(&mut self, tag: u8) -> Result<Option<Atom>> {
        let length = match tag {
            tag::ATOM_CACHE_REF => return self.header_atom().map(Some),
            tag::SMALL_ATOM_UTF8 | tag::SMALL_ATOM => self.cursor.u8()?.into(),
            tag::ATOM_UTF8 | tag::ATOM => self.cursor.u16()?.into(),
            _ => return Ok(None),
        };
        if matches!(tag, tag::ATOM | tag::SMALL_ATOM) {
            let text = self.cursor.take(length)?;
            let text: String = text.iter().map(|byte| char::from(*byte)).collect();
            return self.keep_atom(&text).map(Some);
        }
        self.utf8_atom(length).map(Some)
    }

    /// An atom of that many bytes of UTF-8.
    #[inline]
    pub(super) fn utf8_atom(&mut self, length: usize) -> Result<Atom> {
        let text = self.cursor.take(length)?;
        let text = std::str::from_utf8(text).map_err(|_| DecodeErrorKind::AtomEncoding)?;
        self.keep_atom(text)
    }

    #[inline]
    pub(super) fn keep_atom(&mut self, text: &str) -> Result<Atom> {
        let atom = Atom::new(text).map_err(DecodeErrorKind::from)?;
        match atom.retained() {
            0 => {}
            bytes => self.budget.allocation(bytes)?,
        }
        Ok(atom)
    }

    #[inline]
    pub(super) fn binary(&mut self) -> Result<Binary> {
        let length = self.cursor.length()?;
        let data = self.cursor.take(length)?;
        self.keep_binary(data)
    }

    pub(super) fn header_atom(&mut self) -> Result<Atom> {
        let index = self.cursor.u8()?;
        self.header_refs += 1;
        let atom = self.atoms.get(usize::from(index)).cloned();
        Ok(atom.ok_or(DecodeErrorKind::NoSuchAtom { index })?)
    }

    /// An integer of that many bytes, least significant first. Leading zeros are allowed, and so is `-0`.
    fn big(&mut self, length: usize) -> Result<Term> {
        let negative = self.cursor.u8()? != 0;
        let digits = self.cursor.take(length)?;
        let significant = digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
        let digits = digits.get(..significant).unwrap_or_default();
        let mut low = [0; 8];
        if let Some(low) = low.get_mut(..significant) {
            low.copy_from_slice(digits);
        } else if significant > MAX_INTEGER {
            return Err(DecodeErrorKind::Integer.into());
        } else {
            self.budget.allocation(significant)?;
            return Ok(Term::from(BigInt::from_bytes_le(sign(negative), digits)));
        }
        let magnitude = u64::from_le_bytes(low);
        let value = if negative {
            0_i64.checked_sub_unsigned(magnitude)
        } else {
            i64::try_from(magnitude).ok()
        };
        Ok(value
            .map_or_else(|| Term::BigInt(BigInt::from_bytes_le(sign(negative), digits)), Term::Int))
    }

    fn bit_binary(&mut self) -> Result<Term> {
        let length = self.cursor.length()?;
        let bits = self.cursor.peek().ok_or(DecodeErrorKind::Truncated)?;
        let wire = self.cursor.take(length.checked_add(1).ok_or(DecodeErrorKind::Truncated)?)?;
        Ok(match (length, bits) {
            (0, 0) => Term::Binary(Binary::default()),
            (1.., 8) => {
                let data = wire.get(1..).unwrap_or_default();
                Term::Binary(self.keep_binary(data)?)
            }
            (1.., 1..=7) => Term::BitBinary(BitBinary::from_wire(self.keep(wire)?)),
            _ => return Err(DecodeErrorKind::Bits.into()),
        })
    }

    fn port(&mut self, node: Atom, id: u64, creation: u32) -> Result<Term> {
        self.budget.allocation(Port::HEAP_SIZE)?;
        Ok(Term::Port(Port::new(node, id, creation)))
    }

    fn reference(&mut self, node: Atom, creation: u32, count: u16) -> Result<Term> {
        self.budget.allocation(Reference::HEAP_SIZE)?;
        let mut words = [0; Reference::MAX_WORDS];
        let count = usize::from(count);
        let wrong = crate::ReferenceError::Words { words: count };
        let words = words.get_mut(..count).ok_or(DecodeErrorKind::Reference(wrong))?;
        for word in words.iter_mut() {
            *word = self.cursor.u32()?;
        }
        Ok(Term::Reference(reference(node, creation, words)?))
    }

    fn export(&mut self) -> Result<Term> {
        let (module, function) = (self.atom()?, self.atom()?);
        self.cursor.mark();
        let arity = match self.cursor.u8()? {
            tag::SMALL_INTEGER => self.cursor.u8()?.into(),
            tag::INTEGER => self.cursor.u32()?,
            _ => return Err(DecodeErrorKind::Expected { expected: "an arity" }.into()),
        };
        if arity > i32::MAX.unsigned_abs() {
            return Err(DecodeErrorKind::Expected { expected: "an arity" }.into());
        }
        let export = Export::new(&module, &function, arity);
        self.budget.allocation(export.as_bytes().len())?;
        Ok(Term::Export(export))
    }

    #[inline]
    fn keep_binary(&mut self, data: &[u8]) -> Result<Binary> {
        match Binary::inline(data, data.len()) {
            Some(binary) => Ok(binary),
            None => self.keep(data).map(Binary::from),
        }
    }

    /// Bytes of the input: a slice of it, or a copy when it would keep much more alive than it needs.
    #[inline]
    pub(super) fn keep(&mut self, part: &[u8]) -> Result<Bytes> {
        if self.is_copied(part.len()) {
            self.budget.allocation(part.len())?;
            Ok(Bytes::copy_from_slice(part))
        } else {
            Ok(self.input.slice_ref(part))
        }
    }

    /// Whether a binary of that length is not a slice of the input.
    pub(super) fn is_copied(&self, length: usize) -> bool {
        length < SMALL_BINARY || length < self.input.len() / SMALL_FRACTION
    }
}

fn reference(node: Atom, creation: u32, words: &[u32]) -> Result<Reference> {
    Ok(Reference::new(node, creation, words).map_err(DecodeErrorKind::from)?)
}

fn sign(negative: bool) -> Sign {
    if negative { Sign::Minus } else { Sign::Plus }
}

fn finite(value: f64) -> Result<f64> {
    if value.is_finite() { Ok(value) } else { Err(DecodeErrorKind::Float.into()) }
}

/// The old form (FLOAT_EXT): what C's `"%.20e"` prints, padded with zero bytes to 31.
fn float_text(padded: &[u8]) -> Result<f64> {
    let end = padded.iter().position(|byte| *byte == 0).unwrap_or(padded.len());
    let text = padded.get(..end).and_then(|text| std::str::from_utf8(text).ok());
    // `parse` alone would also take `inf`, `1` and `.5`, which OTP does not.
    let has_digits = |text: &&str| {
        let (whole, fraction) = text.split_once('.').unwrap_or_default();
        whole.ends_with(|c: char| c.is_ascii_digit())
            && fraction.starts_with(|c: char| c.is_ascii_digit())
    };
    let text = text.filter(has_digits).ok_or(DecodeErrorKind::Float)?;
    finite(text.parse().map_err(|_| DecodeErrorKind::Float)?)
}
