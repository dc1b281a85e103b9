//! The segments of a bitstring.

use crate::{BigInt, BitBinary, Term};

/// The longest bitstring that a few characters may ask for, in bits.
const MAX_BITS: usize = 1 << 23;

/// Bits in the order of the bitstring.
#[derive(Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    /// How many bits of the last byte are used; 0 when all are.
    used: u8,
}

/// What a segment holds.
pub(super) enum Value {
    Int(BigInt),
    Float(f64),
    Text(String),
    /// A binary or bitstring.
    Bits(Term),
}

/// How a segment is laid out.
#[derive(Default)]
pub(super) struct Layout {
    pub(super) kind: Option<Kind>,
    pub(super) size: Option<usize>,
    pub(super) unit: Option<usize>,
    pub(super) little: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Float,
    Bits,
    Utf8,
    Utf16,
    Utf32,
}

impl Layout {
    /// Takes a word that both languages have. False when it is none.
    pub(super) fn word(&mut self, word: &str) -> bool {
        match word {
            "integer" => self.kind = Some(Kind::Integer),
            "float" => self.kind = Some(Kind::Float),
            "binary" | "bytes" | "bitstring" | "bits" => self.kind = Some(Kind::Bits),
            "utf8" => self.kind = Some(Kind::Utf8),
            "utf16" => self.kind = Some(Kind::Utf16),
            "utf32" => self.kind = Some(Kind::Utf32),
            "big" => self.little = false,
            "little" => self.little = true,
            // They matter where a bitstring is taken apart.
            "signed" | "unsigned" => {}
            _ => return false,
        }
        true
    }

    /// The length of a number in bits.
    fn bits(&self, default: usize) -> Result<usize, &'static str> {
        let bits = match (self.size, self.unit) {
            (None, None) => Some(default),
            (None, Some(_)) => return Err("a unit needs a size"),
            (Some(size), unit) => size.checked_mul(unit.unwrap_or(1)),
        };
        bits.filter(|bits| *bits <= MAX_BITS).ok_or("the segment is too long")
    }
}

impl Bits {
    /// Adds a segment.
    ///
    /// # Errors
    /// A message when the value does not fit its layout.
    pub(super) fn push(&mut self, value: &Value, layout: &Layout) -> Result<(), &'static str> {
        match (value, layout.kind) {
            (Value::Int(value), None | Some(Kind::Integer)) => self.integer(value, layout),
            (Value::Int(value), Some(Kind::Float)) => {
                self.float(value.to_string().parse().unwrap_or(f64::INFINITY), layout)
            }
            (Value::Float(value), None | Some(Kind::Float)) => self.float(*value, layout),
            (Value::Int(code), Some(kind @ (Kind::Utf8 | Kind::Utf16 | Kind::Utf32))) => {
                let code = u32::try_from(code).ok().and_then(char::from_u32);
                self.char(code.ok_or("it is no code point")?, kind, layout.little);
                Ok(())
            }
            (Value::Text(text), Some(kind @ (Kind::Utf8 | Kind::Utf16 | Kind::Utf32))) => {
                text.chars().for_each(|c| self.char(c, kind, layout.little));
                Ok(())
            }
            // Erlang: a string is its characters.
            (Value::Text(text), None | Some(Kind::Integer)) => {
                text.chars().try_for_each(|c| self.integer(&u32::from(c).into(), layout))
            }
            (Value::Bits(term), None | Some(Kind::Bits)) => self.bits(term, layout),
            _ => Err("the value is not of the segment's type"),
        }
    }

    pub(super) fn finish(self) -> Term {
        match self.used {
            0 => Term::from(self.bytes.as_slice()),
            used => BitBinary::new(&self.bytes, used).map_or(Term::NIL, Term::from),
        }
    }

    fn integer(&mut self, value: &BigInt, layout: &Layout) -> Result<(), &'static str> {
        let bits = layout.bits(8)?;
        self.check(bits)?;
        // Two's complement, as long as the segment and with its sign before it, most significant first.
        let digits = value.to_signed_bytes_be();
        let length = bits.div_ceil(8);
        let sign = if *value < BigInt::ZERO { 0xff } else { 0 };
        let mut bytes = vec![sign; length.saturating_sub(digits.len())];
        bytes.extend(digits.iter().skip(digits.len().saturating_sub(length)));
        let odd = u8::try_from(bits % 8).unwrap_or(0);
        if layout.little {
            bytes.reverse();
            self.whole_then_odd(&bytes, odd);
        } else {
            let (first, rest) = match (odd, bytes.split_first()) {
                (1.., Some((first, rest))) => (Some(*first), rest),
                _ => (None, bytes.as_slice()),
            };
            if let Some(first) = first {
                self.add(first, odd);
            }
            rest.iter().for_each(|byte| self.add(*byte, 8));
        }
        Ok(())
    }

    fn whole_then_odd(&mut self, bytes: &[u8], odd: u8) {
        match (odd, bytes.split_last()) {
            (1.., Some((last, whole))) => {
                whole.iter().for_each(|byte| self.add(*byte, 8));
                self.add(*last, odd);
            }
            _ => bytes.iter().for_each(|byte| self.add(*byte, 8)),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a float of 32 bits was asked for")]
    fn float(&mut self, value: f64, layout: &Layout) -> Result<(), &'static str> {
        let mut bytes = match layout.bits(64)? {
            64 if value.is_finite() => value.to_be_bytes().to_vec(),
            32 if (value as f32).is_finite() => (value as f32).to_be_bytes().to_vec(),
            32 | 64 => return Err("the float is too large"),
            _ => return Err("a float has 32 or 64 bits"),
        };
        if layout.little {
            bytes.reverse();
        }
        self.check(64)?;
        bytes.iter().for_each(|byte| self.add(*byte, 8));
        Ok(())
    }

    fn char(&mut self, c: char, kind: Kind, little: bool) {
        let mut add = |bytes: &[u8]| bytes.iter().for_each(|byte| self.add(*byte, 8));
        match kind {
            Kind::Utf16 => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                add(&if little { unit.to_le_bytes() } else { unit.to_be_bytes() });
            }),
            Kind::Utf32 => {
                let code = u32::from(c);
                add(&if little { code.to_le_bytes() } else { code.to_be_bytes() });
            }
            _ => add(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }

    fn bits(&mut self, term: &Term, layout: &Layout) -> Result<(), &'static str> {
        if layout.size.is_some() || layout.unit.is_some() {
            return Err("a part of a binary is no literal");
        }
        match term {
            Term::Binary(bytes) => {
                self.check(bytes.len() * 8)?;
                bytes.iter().for_each(|byte| self.add(*byte, 8));
            }
            Term::BitBinary(bits) => {
                self.check(bits.bit_len())?;
                let last = bits.last_bits();
                if let Some((odd, whole)) = bits.data().split_last() {
                    whole.iter().for_each(|byte| self.add(*byte, 8));
                    self.add(odd >> (8 - last), last);
                }
            }
            _ => return Err("the value is not of the segment's type"),
        }
        Ok(())
    }

    fn check(&self, more: usize) -> Result<(), &'static str> {
        if self.bytes.len() * 8 + more > MAX_BITS {
            Err("the bitstring is too long")
        } else {
            Ok(())
        }
    }

    /// Adds the low 1 to 8 bits of a byte.
    fn add(&mut self, byte: u8, count: u8) {
        for bit in (0..count.min(8)).rev() {
            let is_set = byte >> bit & 1;
            match self.bytes.last_mut() {
                Some(last) if self.used > 0 => *last |= is_set << (7 - self.used),
                _ => self.bytes.push(is_set << 7),
            }
            self.used = (self.used + 1) % 8;
        }
    }
}
