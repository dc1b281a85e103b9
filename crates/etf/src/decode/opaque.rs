//! Capturing terms that are kept as bytes.
//!
//! Their parts are decoded like any other, so that all checks and limits hold for them, and then thrown away. The bytes are
//! those of the input, unless they mean something only in this frame: then they are written again.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::open::Open;
use super::{DecodeErrorKind, Decoder, Result};
use crate::Term;
use crate::encode::{encoded_len, write_all};
use crate::opaque::{FUN_HEADER, RECORD_HEADER};

/// The greatest number of free variables (`MAX_ARG`).
const MAX_FREE: usize = 255;

impl<'a> Decoder<'a> {
    /// Reads a fun (NEW_FUN_EXT) up to its elements: how many these are.
    pub(super) fn fun_header(&mut self) -> Result<usize> {
        // The size counts itself. OTP only checks that so many bytes are there.
        if self.cursor.length()?.saturating_sub(4) > self.cursor.remaining() {
            return Err(DecodeErrorKind::Truncated.into());
        }
        let [_arity] = self.cursor.array()?;
        let _uniq: [u8; 16] = self.cursor.array()?;
        let _index = self.cursor.u32()?;
        match self.cursor.length()? {
            free @ 0..=MAX_FREE => Ok(4 + free),
            _ => Err(DecodeErrorKind::Expected { expected: "at most 255 free variables" }.into()),
        }
    }

    /// Reads a native record (RECORD_EXT) up to its elements: how many these are.
    pub(super) fn record_header(&mut self) -> Result<usize> {
        let fields = self.cursor.length()?;
        let _flags = self.cursor.u8()?;
        let count = fields.checked_mul(2).and_then(|count| count.checked_add(2));
        Ok(count.ok_or(DecodeErrorKind::Truncated)?)
    }

    /// The bytes of a fun that any other frame can carry. Its size may be wrong in the input: OTP reads over that.
    pub(super) fn fun(&mut self, open: &Open, items: &[Term]) -> Result<Bytes> {
        if !matches!(items, [Term::Atom(_), Term::Int(_), Term::Int(_), Term::Pid(_), ..]) {
            return self.refuse(open, DecodeErrorKind::Expected { expected: "the parts of a fun" });
        }
        let input = self.captured(open);
        let size = input.get(1..5);
        if self.header_refs == open.header_refs
            && size == fun_size(input.len()).as_ref().map(<[u8; 4]>::as_slice)
        {
            return self.keep(input);
        }
        let header = input.get(..FUN_HEADER).unwrap_or_default();
        let mut written = self.write(header, items)?;
        let size = fun_size(written.len()).ok_or(DecodeErrorKind::Memory)?;
        if let Some(place) = written.get_mut(1..5) {
            place.copy_from_slice(&size);
        }
        Ok(written.into())
    }

    /// The bytes of a native record that any other frame can carry.
    pub(super) fn record(&mut self, open: &Open, items: &[Term]) -> Result<Bytes> {
        let fields = items.len().saturating_sub(2) / 2;
        let mut names = items.iter().take(2 + fields);
        if !names.all(|name| matches!(name, Term::Atom(_))) {
            return self.refuse(
                open,
                DecodeErrorKind::Expected { expected: "the parts of a native record" },
            );
        }
        let mut seen = BTreeSet::new();
        if !items.iter().skip(2).take(fields).all(|name| seen.insert(name)) {
            return self.refuse(open, DecodeErrorKind::DuplicateKey);
        }
        let input = self.captured(open);
        if self.header_refs == open.header_refs {
            return self.keep(input);
        }
        let header = input.get(..RECORD_HEADER).unwrap_or_default();
        Ok(self.write(header, items)?.into())
    }

    fn captured(&self, open: &Open) -> &'a [u8] {
        self.input.get(open.start..self.cursor.position()).unwrap_or_default()
    }

    fn write(&mut self, header: &[u8], items: &[Term]) -> Result<Vec<u8>> {
        // What was decoded can be encoded, but may have become longer than the input by any factor.
        let length = encoded_len(items).ok().and_then(|length| usize::try_from(length).ok());
        let length = length
            .and_then(|length| length.checked_add(header.len()))
            .ok_or(DecodeErrorKind::Memory)?;
        self.budget.allocation(length)?;
        let mut written = Vec::with_capacity(length);
        written.extend_from_slice(header);
        write_all(items, &mut written).map_err(|_| DecodeErrorKind::Memory)?;
        Ok(written)
    }

    fn refuse<T>(&mut self, open: &Open, kind: DecodeErrorKind) -> Result<T> {
        self.cursor.mark_at(open.start);
        Err(kind.into())
    }
}

/// The size field of a fun of that many bytes: all but the tag.
fn fun_size(length: usize) -> Option<[u8; 4]> {
    Some(u32::try_from(length.checked_sub(1)?).ok()?.to_be_bytes())
}
