//! The digest by which a side shows that it knows the cookie.

use std::fmt;

use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;

use crate::Cookie;

/// `md5(cookie ++ decimal(challenge))`, as `gen_digest` in `dist_util.erl`.
///
/// Only ever compared in constant time.
#[derive(Clone, Copy)]
pub(crate) struct Digest([u8; 16]);

impl Digest {
    pub(crate) fn new(cookie: &Cookie, challenge: u32) -> Self {
        let mut md5 = Md5::new();
        for byte in cookie.latin1() {
            md5.update([byte]);
        }
        md5.update(challenge.to_string());
        Self(md5.finalize().into())
    }

    pub(crate) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub(crate) fn matches(&self, other: &[u8; 16]) -> bool {
        self.0.ct_eq(other).into()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_otp_computes() {
        // erlang:md5([atom_to_list(Cookie) | integer_to_list(Challenge)]), OTP 25.
        for (cookie, challenge, md5) in [
            ("secret", 0, "175ec77a7f63082590987d0d8b051aff"),
            ("secret", 4_294_967_295, "5dfd181e69aa587cc812eb333e6536b6"),
            ("a\u{e9}", 7, "f0ae17832302d08b1a74e91b061f8b89"),
        ] {
            let digest = Digest::new(&Cookie::new(cookie).unwrap(), challenge);
            let hex: String = digest.bytes().iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(hex, md5);
        }
    }

    #[test]
    fn one_bit_matters() {
        let digest = Digest::new(&Cookie::new("secret").unwrap(), 1);
        let mut other = *digest.bytes();
        assert!(digest.matches(&other));
        other[15] ^= 1;
        assert!(!digest.matches(&other));
    }
}
