//! Few bytes, in place.

use std::ops::Deref;

/// At most 23 bytes, in as much memory as a vector takes.
#[derive(Clone, Copy)]
pub(crate) struct Inline {
    length: Length,
    /// Whatever stands beyond the length means nothing.
    bytes: [u8; Self::MAX],
}

/// A number of bytes. The others that a byte can be are what an enum around it tells its variants by.
#[derive(Clone, Copy)]
#[rustfmt::skip]
enum Length {
    L0, L1, L2, L3, L4, L5, L6, L7, L8, L9, L10, L11,
    L12, L13, L14, L15, L16, L17, L18, L19, L20, L21, L22, L23,
}

impl Inline {
    pub(crate) const MAX: usize = 23;

    pub(crate) const EMPTY: Self = Self { length: Length::L0, bytes: [0; Self::MAX] };

    /// The first so many of these bytes; `None` where they are too many, or not there.
    #[inline]
    pub(crate) fn new(bytes: &[u8], length: usize) -> Option<Self> {
        let short = Length::new(length)?;
        if let Some(all) = bytes.first_chunk() {
            // A copy of a length that is known takes few steps.
            return Some(Self { length: short, bytes: *all });
        }
        Some(Self { length: short, bytes: near_the_end(bytes.get(..length)?)? })
    }

    /// All bytes, also those beyond the length: a copy of so many takes few steps where there is room for them.
    #[inline]
    pub(crate) const fn all(&self) -> &[u8; Self::MAX] {
        &self.bytes
    }

    #[inline]
    pub(crate) const fn len(&self) -> u8 {
        self.length as u8
    }
}

/// The same where too little follows the bytes that could be copied with them: by pieces of a known length, which may overlap. A call
/// that copies so few takes longer, and writes them in other sizes than they are read in when they are moved: the read has to wait.
#[inline]
fn near_the_end(bytes: &[u8]) -> Option<[u8; Inline::MAX]> {
    let mut place = [0; Inline::MAX];
    let length = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        *place.first_chunk_mut()? = *first;
        if let Some(second) = bytes.get(8..16) {
            place.get_mut(8..16)?.copy_from_slice(second);
        }
        *place.get_mut(length - 8..)?.first_chunk_mut()? = *last;
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        *place.first_chunk_mut()? = *first;
        *place.get_mut(length - 4..)?.first_chunk_mut()? = *last;
    } else if let ([first, ..], [.., last]) = (bytes, bytes) {
        // One to three.
        let middle = length / 2;
        *place.get_mut(middle)? = *bytes.get(middle)?;
        *place.first_mut()? = *first;
        *place.get_mut(length - 1)? = *last;
    }
    Some(place)
}

impl Deref for Inline {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length as usize).unwrap_or_default()
    }
}

impl Length {
    /// No more than a comparison once it is compiled.
    #[inline]
    #[rustfmt::skip]
    const fn new(length: usize) -> Option<Self> {
        Some(match length {
            0 => Self::L0, 1 => Self::L1, 2 => Self::L2, 3 => Self::L3, 4 => Self::L4, 5 => Self::L5,
            6 => Self::L6, 7 => Self::L7, 8 => Self::L8, 9 => Self::L9, 10 => Self::L10, 11 => Self::L11,
            12 => Self::L12, 13 => Self::L13, 14 => Self::L14, 15 => Self::L15, 16 => Self::L16, 17 => Self::L17,
            18 => Self::L18, 19 => Self::L19, 20 => Self::L20, 21 => Self::L21, 22 => Self::L22, 23 => Self::L23,
            _ => return None,
        })
    }
}

/// Whether the first so many bytes, of which there are so many, are ASCII.
#[inline]
pub(crate) fn starts_with_ascii(bytes: &[u8], length: usize) -> bool {
    /// The bits that no character of ASCII has.
    const OTHER: u128 = u128::from_ne_bytes([0x80; 16]);

    // What follows a text mostly is ASCII as well, and a length that is known takes few steps.
    if length <= 16
        && let Some(all) = bytes.first_chunk()
        && u128::from_ne_bytes(*all) & OTHER == 0
    {
        return true;
    }
    bytes.get(..length).is_some_and(<[u8]>::is_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_first_of_the_bytes() {
        let all: Vec<u8> = (1..60).collect();
        for (length, there) in
            (0..=40).flat_map(|length| [0, 1, 30].map(|more| (length, length + more)))
        {
            let inline = Inline::new(&all[..there.min(all.len())], length);
            assert_eq!(inline.as_deref(), (length <= 23).then_some(&all[..length]));
        }
        assert!(Inline::new(b"abc", 4).is_none());
        assert!(Inline::EMPTY.is_empty());
    }

    #[test]
    fn ascii_is_what_it_is_wherever_it_ends() {
        for at in 0..40 {
            let mut bytes = [b'a'; 40];
            bytes[at] = 0xc3;
            for length in 0..=40 {
                assert_eq!(starts_with_ascii(&bytes, length), at >= length, "{at} of {length}");
                assert_eq!(starts_with_ascii(&bytes[..length], length), at >= length);
            }
        }
        assert!(!starts_with_ascii(b"abc", 4));
    }
}
