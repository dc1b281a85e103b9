//! Reading over a term that nobody asks for, at whatever depth, without a stack.

use super::{Deserializer, Result};
use crate::{DecodeErrorKind, tag};

impl Deserializer<'_> {
    /// Reads over one term.
    pub(super) fn skip(&mut self) -> Result<()> {
        // Terms still to be read over, of at least one byte each.
        let mut left = 1_usize;
        while left > 0 {
            left -= 1;
            let inside = self.skip_one()?;
            left = left.saturating_add(inside);
            if left > self.rest.len() {
                return Err(self.wrong(self.position(), DecodeErrorKind::Truncated));
            }
        }
        Ok(())
    }

    /// Reads over the start of a term: how many terms stand inside of it.
    fn skip_one(&mut self) -> Result<usize> {
        let start = self.position();
        let tag = self.u8()?;
        let bytes = match tag {
            tag::NIL => 0,
            tag::SMALL_INTEGER => 1,
            tag::INTEGER => 4,
            tag::NEW_FLOAT => 8,
            tag::FLOAT => 31,
            tag::SMALL_BIG => usize::from(self.u8()?) + 1,
            tag::LARGE_BIG | tag::BIT_BINARY => self.length()?.saturating_add(1),
            tag::BINARY => self.length()?,
            tag::STRING => self.u16()?.into(),
            tag::SMALL_TUPLE => return self.u8().map(usize::from),
            tag::LARGE_TUPLE => return self.length(),
            tag::LIST => return self.length().map(|count| count.saturating_add(1)),
            tag::MAP => return self.length().map(|pairs| pairs.saturating_mul(2)),
            tag::EXPORT => return Ok(3),
            tag::NEW_FUN => {
                let _size_arity_uniq_index = self.take(4 + 1 + 16 + 4)?;
                return self.length().map(|free| free.saturating_add(4));
            }
            tag::RECORD => {
                let fields = self.length()?;
                let _flags = self.u8()?;
                return Ok(fields.saturating_mul(2).saturating_add(2));
            }
            tag::NEW_PID | tag::V4_PORT => self.skip_node(12)?,
            tag::PID => self.skip_node(9)?,
            tag::NEW_PORT => self.skip_node(8)?,
            tag::PORT | tag::REFERENCE => self.skip_node(5)?,
            tag::NEWER_REFERENCE => {
                let words = usize::from(self.u16()?);
                self.skip_node(4 + 4 * words)?
            }
            tag::NEW_REFERENCE => {
                let words = usize::from(self.u16()?);
                self.skip_node(1 + 4 * words)?
            }
            tag::COMPRESSED => return Err(self.wrong(start, DecodeErrorKind::Compressed)),
            tag::LOCAL => return Err(self.wrong(start, DecodeErrorKind::Local)),
            _ => match self.atom_text(tag)? {
                Some(_) => 0,
                None => return Err(self.wrong(start, DecodeErrorKind::UnknownTag)),
            },
        };
        self.take(bytes)?;
        Ok(0)
    }

    /// Reads over an atom; so many bytes follow it.
    fn skip_node(&mut self, bytes: usize) -> Result<usize> {
        let start = self.position();
        let tag = self.u8()?;
        match self.atom_text(tag)? {
            Some(_) => Ok(bytes),
            None => Err(self.wrong(start, DecodeErrorKind::Expected { expected: "an atom" })),
        }
    }
}
