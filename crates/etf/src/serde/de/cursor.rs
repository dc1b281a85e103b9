//! Reading what stands at the position: tags, scalars, and the starts of terms that have others inside.

use std::borrow::Cow;

use serde::de::{Error, Unexpected, Visitor};

use super::access::Elements;
use super::{Deserializer, Result};
use crate::encode::{MAX_ARITY, MAX_INTEGER};
use crate::{Atom, AtomError, DecodeErrorKind, Decoder, DeserializeError, Term, tag};

/// An integer of any size.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Unsigned(u64),
    Negative(i64),
    LargeUnsigned(u128),
    LargeNegative(i128),
    /// Of more than 128 bits: how many bytes it has.
    TooLarge(usize),
}

impl Number {
    pub(super) fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self {
            Self::Unsigned(value) => visitor.visit_u64(value),
            Self::Negative(value) => visitor.visit_i64(value),
            Self::LargeUnsigned(value) => visitor.visit_u128(value),
            Self::LargeNegative(value) => visitor.visit_i128(value),
            Self::TooLarge(len) => {
                let found = format!("an integer of {len} bytes");
                Err(Error::invalid_value(Unexpected::Other(&found), &visitor))
            }
        }
    }
}

impl<'de> Deserializer<'de> {
    pub(super) fn position(&self) -> usize {
        self.input.len() - self.rest.len()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'de [u8]> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.cut()),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.rest.split_first_chunk() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(self.cut()),
        }
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8> {
        match self.rest.split_first() {
            Some((first, rest)) => {
                self.rest = rest;
                Ok(*first)
            }
            None => Err(self.cut()),
        }
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A length of four bytes.
    pub(super) fn length(&mut self) -> Result<usize> {
        let length = self.array().map(u32::from_be_bytes)?;
        usize::try_from(length).map_err(|_| self.cut())
    }

    #[cold]
    fn cut(&self) -> DeserializeError {
        self.wrong(self.position(), DecodeErrorKind::Truncated)
    }

    /// The integer that starts with this tag, if one does.
    #[inline]
    pub(super) fn integer(&mut self, tag: u8, start: usize) -> Result<Option<Number>> {
        Ok(Some(match tag {
            tag::SMALL_INTEGER => Number::Unsigned(self.u8()?.into()),
            tag::INTEGER => {
                let value: i64 = i32::from_be_bytes(self.array()?).into();
                u64::try_from(value).map_or(Number::Negative(value), Number::Unsigned)
            }
            tag::SMALL_BIG => {
                let length = self.u8()?.into();
                self.big(length, start)?
            }
            tag::LARGE_BIG => {
                let length = self.length()?;
                self.big(length, start)?
            }
            _ => return Ok(None),
        }))
    }

    /// An integer of that many bytes, least significant first. Leading zeros are allowed, and so is `-0`.
    fn big(&mut self, length: usize, start: usize) -> Result<Number> {
        let negative = self.u8()? != 0;
        let digits = self.take(length)?;
        let significant = digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
        let mut low = [0; 16];
        match (low.get_mut(..significant), digits.get(..significant)) {
            (Some(low), Some(digits)) => low.copy_from_slice(digits),
            _ if significant > MAX_INTEGER => {
                return Err(self.wrong(start, DecodeErrorKind::Integer));
            }
            _ => return Ok(Number::TooLarge(significant)),
        }
        let magnitude = u128::from_le_bytes(low);
        if !negative {
            return Ok(
                u64::try_from(magnitude).map_or(Number::LargeUnsigned(magnitude), Number::Unsigned)
            );
        }
        Ok(match 0_i128.checked_sub_unsigned(magnitude) {
            Some(0) => Number::Unsigned(0),
            Some(value) => {
                i64::try_from(value).map_or(Number::LargeNegative(value), Number::Negative)
            }
            None => Number::TooLarge(significant),
        })
    }

    /// The float that starts with this tag, which is a float's.
    pub(super) fn float(&mut self, tag: u8, start: usize) -> Result<f64> {
        if tag == tag::NEW_FLOAT {
            let value = f64::from_be_bytes(self.array()?);
            return if value.is_finite() {
                Ok(value)
            } else {
                Err(self.wrong(start, DecodeErrorKind::Float))
            };
        }
        // The old form, which is seldom: a text.
        self.rewind(start);
        match self.term()? {
            Term::Float(value) => Ok(value),
            _ => Err(self.wrong(start, DecodeErrorKind::Float)),
        }
    }

    /// The bytes of a binary whose tag was read.
    pub(super) fn binary(&mut self) -> Result<&'de [u8]> {
        let length = self.length()?;
        let bytes = self.take(length)?;
        self.charge(0, bytes.len())?;
        Ok(bytes)
    }

    /// The text of the atom that starts with this tag, if one does.
    pub(super) fn atom_text(&mut self, tag: u8) -> Result<Option<Cow<'de, str>>> {
        let length = match tag {
            tag::SMALL_ATOM_UTF8 | tag::SMALL_ATOM => self.u8()?.into(),
            tag::ATOM_UTF8 | tag::ATOM => self.u16()?.into(),
            tag::ATOM_CACHE_REF => {
                let index = self.u8()?;
                return match self.atoms.get(usize::from(index)) {
                    Some(atom) => Ok(Some(atom.as_str().into())),
                    None => {
                        Err(self.wrong(self.position() - 2, DecodeErrorKind::NoSuchAtom { index }))
                    }
                };
            }
            _ => return Ok(None),
        };
        let start = self.position();
        let bytes = self.take(length)?;
        let text = if matches!(tag, tag::ATOM | tag::SMALL_ATOM) && !bytes.is_ascii() {
            Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect())
        } else {
            match std::str::from_utf8(bytes) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => return Err(self.wrong(start, DecodeErrorKind::AtomEncoding)),
            }
        };
        if text.len() > Atom::MAX_CHARS {
            let chars = text.chars().count();
            if chars > Atom::MAX_CHARS {
                return Err(self.wrong(start, AtomError::TooLong { chars }.into()));
            }
        }
        Ok(Some(text))
    }

    /// The start of a list with this tag, if it is one's.
    pub(super) fn list(&mut self, tag: u8) -> Result<Option<Elements>> {
        match tag {
            tag::NIL => Ok(Some(Elements::tuple(0, 0))),
            tag::LIST => {
                let count = self.length()?;
                self.container(count)?;
                Ok(Some(Elements::list(count)))
            }
            tag::STRING => {
                let count = self.u16()?.into();
                self.container(count)?;
                Ok(Some(Elements::string(count)))
            }
            _ => Ok(None),
        }
    }

    /// The arity of a tuple with this tag, if it is one's.
    pub(super) fn tuple(&mut self, tag: u8) -> Result<Option<usize>> {
        let arity = match tag {
            tag::SMALL_TUPLE => self.u8()?.into(),
            tag::LARGE_TUPLE => self.length()?,
            _ => return Ok(None),
        };
        self.container(arity)?;
        if arity > MAX_ARITY {
            return Err(self.wrong(self.position() - 5, DecodeErrorKind::Arity { arity }));
        }
        Ok(Some(arity))
    }

    /// How many pairs the map has whose tag was read.
    pub(super) fn map(&mut self) -> Result<usize> {
        let pairs = self.length()?;
        self.container(pairs.saturating_mul(2))?;
        Ok(pairs)
    }

    /// Whether that many elements can be there, and may be.
    pub(super) fn container(&mut self, count: usize) -> Result<()> {
        if count > self.rest.len() {
            return Err(self.cut());
        }
        self.charge(count, count.saturating_mul(size_of::<Term>()))
    }

    /// Charges for elements, and for an allocation of that many bytes, as the decoder does.
    fn charge(&mut self, elements: usize, bytes: usize) -> Result<()> {
        let Some(elements) = self.left.elements.checked_sub(elements) else {
            return Err(self.wrong(self.position(), DecodeErrorKind::Elements));
        };
        // What an allocation costs besides its bytes.
        let Some(memory) = self.left.memory.checked_sub(bytes.saturating_add(16)) else {
            return Err(self.wrong(self.position(), DecodeErrorKind::Memory));
        };
        (self.left.elements, self.left.memory) = (elements, memory);
        Ok(())
    }

    /// The character whose code is the integer that starts with this tag.
    pub(super) fn code_point(&mut self, tag: u8) -> Result<Option<char>> {
        let code = match tag {
            tag::SMALL_INTEGER => self.u8()?.into(),
            tag::INTEGER => u32::from_be_bytes(self.array()?),
            _ => return Ok(None),
        };
        Ok(char::from_u32(code))
    }

    /// The text of a list of characters that starts with this tag, if it is one.
    pub(super) fn charlist(&mut self, tag: u8) -> Result<Option<String>> {
        let Some(mut elements) = self.list(tag)? else { return Ok(None) };
        let mut text = String::new();
        while let Some(next) = elements.next(self)? {
            let c = match next {
                Some(byte) => Some(char::from(byte)),
                None => {
                    let tag = self.u8()?;
                    self.code_point(tag)?
                }
            };
            let Some(c) = c else { return Ok(None) };
            text.push(c);
        }
        Ok(Some(text))
    }

    /// A whole term, whatever it is.
    pub(super) fn term(&mut self) -> Result<Term> {
        let mut decoder = Decoder::resume(self.input, self.position(), self.atoms, &self.left);
        let term = decoder.term()?;
        (self.left.elements, self.left.memory) = decoder.left();
        let end = decoder.position();
        self.rewind(end);
        Ok(term)
    }

    /// What stands here, for the text of an error.
    pub(super) fn found(&mut self) -> Result<String> {
        let start = self.position();
        let tag = self.u8()?;
        if let Some(number) = self.integer(tag, start)? {
            return Ok(match number {
                Number::Unsigned(value) => format!("the integer {value}"),
                Number::Negative(value) => format!("the integer {value}"),
                Number::LargeUnsigned(value) => format!("the integer {value}"),
                Number::LargeNegative(value) => format!("the integer {value}"),
                Number::TooLarge(len) => format!("an integer of {len} bytes"),
            });
        }
        if let Some(text) = self.atom_text(tag)? {
            return Ok(format!(
                "the atom {}",
                Atom::new(text).map_or_else(|_| "?".to_owned(), |atom| atom.to_string())
            ));
        }
        Ok(match tag {
            tag::NEW_FLOAT | tag::FLOAT => format!("the float {:?}", self.float(tag, start)?),
            tag::BINARY => {
                let length = self.length()?;
                match std::str::from_utf8(self.take(length)?) {
                    Ok(text) if length <= 40 => format!("the string {text:?}"),
                    Ok(_) => format!("a string of {length} bytes"),
                    Err(_) => format!("a binary of {length} bytes that is no UTF-8"),
                }
            }
            tag::NIL => "an empty list".to_owned(),
            tag::LIST => format!("a list of {} elements", self.length()?),
            tag::STRING => format!("a list of {} bytes", self.u16()?),
            tag::SMALL_TUPLE => format!("a tuple of {} elements", self.u8()?),
            tag::LARGE_TUPLE => format!("a tuple of {} elements", self.length()?),
            tag::MAP => format!("a map of {} keys", self.length()?),
            tag::BIT_BINARY => "a bitstring".to_owned(),
            tag::NEW_PID | tag::PID => "a pid".to_owned(),
            tag::V4_PORT | tag::NEW_PORT | tag::PORT => "a port".to_owned(),
            tag::NEWER_REFERENCE | tag::NEW_REFERENCE | tag::REFERENCE => "a reference".to_owned(),
            tag::NEW_FUN | tag::EXPORT => "a fun".to_owned(),
            tag::RECORD => "a native record".to_owned(),
            tag::COMPRESSED => return Err(self.wrong(start, DecodeErrorKind::Compressed)),
            tag::LOCAL => return Err(self.wrong(start, DecodeErrorKind::Local)),
            _ => return Err(self.wrong(start, DecodeErrorKind::UnknownTag)),
        })
    }
}
