//! Bitstrings: those of whole bytes, and the others.

mod binary;
mod bit_binary;

pub use self::binary::Binary;
pub use self::bit_binary::{BitBinary, BitBinaryError};
