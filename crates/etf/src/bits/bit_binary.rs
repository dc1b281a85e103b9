use std::fmt;

use bytes::Bytes;
use thiserror::Error;

/// A bitstring whose last byte is not full (BIT_BINARY_EXT); one of whole bytes is a [`Term::Binary`](crate::Term::Binary).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BitBinary {
    /// As on the wire: the number of bits used in the last byte (1 to 7), then the data.
    ///
    /// Bits past the last are zero, so that equality is that of bytes.
    wire: Bytes,
}

impl BitBinary {
    /// A bitstring of all the data, but of the last byte only the `bits` most significant bits.
    ///
    /// # Errors
    /// When `bits` is not 1 to 7, or there is no data.
    pub fn new(data: &[u8], bits: u8) -> Result<Self, BitBinaryError> {
        if !(1..=7).contains(&bits) {
            return Err(BitBinaryError::Bits { bits });
        }
        let (last, whole) = data.split_last().ok_or(BitBinaryError::Empty)?;
        let mut wire = Vec::with_capacity(1 + data.len());
        wire.push(bits);
        wire.extend_from_slice(whole);
        wire.push(last & Self::mask(bits));
        Ok(Self { wire: wire.into() })
    }

    /// The same from the wire's own layout; the caller has checked that 1 to 7 leads and data follows.
    pub(crate) fn from_wire(wire: Bytes) -> Self {
        match (wire.first(), wire.last()) {
            (Some(&bits), Some(last)) if last & !Self::mask(bits) != 0 => {
                let mut masked = wire.to_vec();
                if let Some(last) = masked.last_mut() {
                    *last &= Self::mask(bits);
                }
                Self { wire: masked.into() }
            }
            _ => Self { wire },
        }
    }

    /// How many bits of the last byte belong to it: 1 to 7, from the most significant on.
    #[must_use]
    pub fn last_bits(&self) -> u8 {
        self.wire.first().copied().unwrap_or(1)
    }

    /// The data; unused bits of the last byte are zero.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.wire.get(1..).unwrap_or_default()
    }

    /// The length in bits.
    #[must_use]
    pub fn bit_len(&self) -> usize {
        self.data().len().saturating_sub(1) * 8 + usize::from(self.last_bits())
    }

    pub(crate) fn detach(&mut self) {
        self.wire = Bytes::copy_from_slice(&self.wire);
    }

    const fn mask(bits: u8) -> u8 {
        // Only called with 1 to 7.
        !(0xff_u8 >> (bits & 7))
    }
}

/// Why data is not a bitstring.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BitBinaryError {
    /// The number of bits in the last byte is not 1 to 7.
    #[error("the last byte of a bitstring has 1 to 7 bits, not {bits}")]
    Bits {
        /// How many bits were asked for.
        bits: u8,
    },
    /// There is no last byte.
    #[error("a bitstring without a byte has no last byte")]
    Empty,
}

impl fmt::Debug for BitBinary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BitBinary({:?}, last byte {} bits)", self.data(), self.last_bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_bits_do_not_count() {
        let bits = BitBinary::new(&[0xff, 0xff], 3).unwrap();
        assert_eq!(bits.data(), [0xff, 0b1110_0000]);
        assert_eq!(bits.bit_len(), 11);
        assert_eq!(bits, BitBinary::from_wire(Bytes::from_static(&[3, 0xff, 0xe5])));
    }

    #[test]
    fn refuses_what_is_no_bitstring() {
        assert_eq!(BitBinary::new(&[1], 8), Err(BitBinaryError::Bits { bits: 8 }));
        assert_eq!(BitBinary::new(&[1], 0), Err(BitBinaryError::Bits { bits: 0 }));
        assert_eq!(BitBinary::new(&[], 1), Err(BitBinaryError::Empty));
    }
}
