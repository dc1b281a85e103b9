use bytes::Bytes;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use super::{DecodeError, DecodeErrorKind, Decoder, Result};
use crate::{Limits, Term, tag};

/// What inflated data has at most, for each byte of it (deflate's limit is 1032).
const MAX_RATIO: usize = 1040;

/// The first piece of output that is made room for.
const CHUNK: usize = 64 * 1024;

/// Decodes one term that may be compressed, as `term_to_binary(Term, [compressed])` writes it; nothing may follow it.
///
/// What is compressed may inflate to `max_size` bytes; the limits hold for what it decodes to. Only terms from
/// files and the like are compressed: in a frame between nodes COMPRESSED is an error, for OTP as for [`Decoder`].
///
/// # Errors
/// When the bytes are malformed, inflate to more than `max_size`, or are over the limits. An error inside of compressed
/// data gives the offset into the inflated term.
///
/// ```
/// // term_to_binary(lists:duplicate(50, a), [compressed])
/// let bytes = bytes::Bytes::from_static(&[
///     131, 80, 0, 0, 0, 156, 120, 156, 203, 97, 96, 96, 48, 42, 103, 76, 28, 132, 40, 11, 0, 15, 222, 43, 107,
/// ]);
/// let term = etf::decode_compressed(&bytes, &etf::Limits::default(), 1 << 20).unwrap();
/// assert_eq!(term.as_list().unwrap().len(), 50);
/// assert!(etf::decode_compressed(&bytes, &etf::Limits::default(), 100).unwrap_err().is_limit());
/// ```
pub fn decode_compressed(
    bytes: &Bytes,
    limits: &Limits,
    max_size: usize,
) -> Result<Term, DecodeError> {
    let mut decoder = Decoder::new(bytes, &[], limits);
    if !bytes.starts_with(&[tag::VERSION, tag::COMPRESSED]) {
        return super::decode(bytes, limits);
    }
    let inflated = decoder.inflate(max_size).map_err(|kind| decoder.blame(kind))?;
    let inflated = inflated.into();
    let mut decoder = Decoder::new(&inflated, &[], limits);
    let term = decoder.term()?;
    decoder.finish()?;
    Ok(term)
}

impl Decoder<'_> {
    /// Inflates what follows, making room only as output comes.
    fn inflate(&mut self, max_size: usize) -> Result<Vec<u8>> {
        let [_version] = self.cursor.array()?;
        self.cursor.mark();
        let [_tag] = self.cursor.array()?;
        let size = self.cursor.length()?;
        if size > max_size {
            return Err(DecodeErrorKind::Inflated { size }.into());
        }
        let mut input = self.cursor.take(self.cursor.remaining())?;
        if size > input.len().saturating_mul(MAX_RATIO) {
            return Err(DecodeErrorKind::BadCompression.into());
        }
        // One more than there should be, so that too much output is seen.
        let capacity = size.saturating_add(1);
        let flags = inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER
            | inflate_flags::TINFL_FLAG_COMPUTE_ADLER32
            | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let mut state = Box::<DecompressorOxide>::default();
        let mut output = vec![0; capacity.min(CHUNK)];
        let mut written = 0;
        loop {
            let (status, read, wrote) = decompress(&mut state, input, &mut output, written, flags);
            input = input.get(read..).unwrap_or_default();
            written += wrote;
            match status {
                TINFLStatus::Done if written == size && input.is_empty() => break,
                TINFLStatus::HasMoreOutput if output.len() < capacity => {
                    output.resize(capacity.min(output.len().saturating_mul(2)), 0);
                }
                _ => return Err(DecodeErrorKind::BadCompression.into()),
            }
        }
        output.truncate(written);
        Ok(output)
    }
}
