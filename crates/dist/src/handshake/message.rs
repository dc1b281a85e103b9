//! The messages of the handshake, without their length: parsed and built in one place.

use super::Step;
use super::digest::Digest;
use super::error::HandshakeError;
use crate::Flags;

/// The version in the old messages (`n`), whatever the node speaks.
#[cfg(test)]
const OLD_VERSION: u16 = 5;

/// The first message of an initiator, or the challenge of an acceptor.
pub(super) struct Hello<'a> {
    /// For an old message only the lower 32.
    pub(super) flags: Flags,
    /// Only in a challenge.
    pub(super) challenge: Option<u32>,
    /// Not in an old message.
    pub(super) creation: Option<u32>,
    pub(super) name: &'a [u8],
}

/// `N flags:64 creation:32 nlen:16 name`, or the old `n 5:16 flags:32 name`.
pub(super) fn parse_name(message: &[u8]) -> Result<Hello<'_>, HandshakeError> {
    parse_hello(message, Step::Name)
}

/// `N flags:64 challenge:32 creation:32 nlen:16 name`, or the old `n 5:16 flags:32 challenge:32 name`.
pub(super) fn parse_challenge(message: &[u8]) -> Result<Hello<'_>, HandshakeError> {
    parse_hello(message, Step::Challenge)
}

fn parse_hello(message: &[u8], step: Step) -> Result<Hello<'_>, HandshakeError> {
    let mut rest = Reader(message);
    let hello = match rest.byte() {
        Some(b'N') => new_hello(rest, step),
        Some(b'n') => old_hello(rest, step),
        _ => return Err(step.malformed("neither N nor n")),
    };
    hello.ok_or_else(|| step.malformed("too short"))
}

/// What follows the name is ignored, as OTP does (room for future fields).
fn new_hello(mut rest: Reader<'_>, step: Step) -> Option<Hello<'_>> {
    let flags = Flags::from_bits(rest.u64()?);
    let challenge = if step == Step::Challenge { Some(rest.u32()?) } else { None };
    let creation = Some(rest.u32()?);
    let len = rest.u16()?;
    let name = rest.bytes(usize::from(len))?;
    Some(Hello { flags, challenge, creation, name })
}

/// The name is the rest of the message. OTP ignores the version, which is always 5.
fn old_hello(mut rest: Reader<'_>, step: Step) -> Option<Hello<'_>> {
    let _version = rest.u16()?;
    let flags = Flags::from_bits(u64::from(rest.u32()?));
    let challenge = if step == Step::Challenge { Some(rest.u32()?) } else { None };
    Some(Hello { flags, challenge, creation: None, name: rest.0 })
}

pub(super) fn name(flags: Flags, creation: u32, name: &str) -> Vec<u8> {
    let mut out = vec![b'N'];
    out.extend_from_slice(&flags.bits().to_be_bytes());
    out.extend_from_slice(&creation.to_be_bytes());
    put_short(&mut out, name);
    out
}

pub(super) fn challenge(flags: Flags, challenge: u32, creation: u32, name: &str) -> Vec<u8> {
    let mut out = vec![b'N'];
    out.extend_from_slice(&flags.bits().to_be_bytes());
    out.extend_from_slice(&challenge.to_be_bytes());
    out.extend_from_slice(&creation.to_be_bytes());
    put_short(&mut out, name);
    out
}

/// `s` and what it says.
pub(super) fn parse_status(message: &[u8], step: Step) -> Result<&[u8], HandshakeError> {
    message.strip_prefix(b"s").ok_or_else(|| step.malformed("not a status"))
}

pub(super) fn status(text: &str) -> Vec<u8> {
    [b"s", text.as_bytes()].concat()
}

/// What follows `named:` in a status: `nlen:16 name creation:32`.
pub(super) fn parse_named(rest: &[u8]) -> Result<(&[u8], u32), HandshakeError> {
    let mut rest = Reader(rest);
    (|| {
        let len = rest.u16()?;
        Some((rest.bytes(usize::from(len))?, rest.u32()?))
    })()
    .ok_or_else(|| Step::Status.malformed("a named status that is too short"))
}

pub(super) fn named(name: &str, creation: u32) -> Vec<u8> {
    let mut out = status("named:");
    put_short(&mut out, name);
    out.extend_from_slice(&creation.to_be_bytes());
    out
}

/// `c flags_high:32 creation:32`.
pub(super) fn parse_complement(message: &[u8]) -> Result<(Flags, u32), HandshakeError> {
    let mut rest = Reader(message);
    match (rest.byte(), rest.u32(), rest.u32(), rest.0) {
        (Some(b'c'), Some(high), Some(creation), []) => {
            Ok((Flags::from_bits(u64::from(high) << 32), creation))
        }
        (Some(b'c'), ..) => Err(Step::Complement.malformed("not 9 bytes long")),
        _ => Err(Step::Complement.malformed("not c")),
    }
}

/// `r challenge:32 digest:16`.
pub(super) fn parse_reply(message: &[u8]) -> Result<(u32, [u8; 16]), HandshakeError> {
    let mut rest = Reader(message);
    match (rest.byte(), rest.u32(), rest.digest()) {
        (Some(b'r'), Some(challenge), Some(digest)) => Ok((challenge, digest)),
        (Some(b'r'), ..) => Err(Step::Reply.malformed("not 21 bytes long")),
        _ => Err(Step::Reply.malformed("not r")),
    }
}

pub(super) fn reply(challenge: u32, digest: &Digest) -> Vec<u8> {
    [b"r".as_slice(), &challenge.to_be_bytes(), digest.bytes()].concat()
}

/// `a digest:16`.
pub(super) fn parse_ack(message: &[u8]) -> Result<[u8; 16], HandshakeError> {
    let mut rest = Reader(message);
    match (rest.byte(), rest.digest()) {
        (Some(b'a'), Some(digest)) => Ok(digest),
        (Some(b'a'), None) => Err(Step::Ack.malformed("not 17 bytes long")),
        _ => Err(Step::Ack.malformed("not a")),
    }
}

pub(super) fn ack(digest: &Digest) -> Vec<u8> {
    [b"a".as_slice(), digest.bytes()].concat()
}

/// The old first message and its complement, as OTP 23 sends them; we only read them.
#[cfg(test)]
pub(super) fn old_name(flags: Flags, creation: u32, name: &str) -> [Vec<u8>; 2] {
    let bits = flags.bits().to_be_bytes();
    let (high, low) = bits.split_at(4);
    [
        [b"n".as_slice(), &OLD_VERSION.to_be_bytes(), low, name.as_bytes()].concat(),
        [b"c".as_slice(), high, &creation.to_be_bytes()].concat(),
    ]
}

/// Names and hosts were checked: they have at most 255 bytes.
fn put_short(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(name.as_bytes());
}

/// Takes big-endian numbers off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(first)
    }

    /// A digest that is the last thing in the message.
    fn digest(&mut self) -> Option<[u8; 16]> {
        let digest = self.0.try_into().ok()?;
        self.0 = &[];
        Some(digest)
    }
}
