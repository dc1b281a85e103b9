//! From a byte stream to handshake messages and back.

/// The largest message accepted with a prefix of four bytes; one of two bytes cannot say more.
const MAX_MESSAGE: usize = 65_535;

/// How wide the length in front of a handshake message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// Over TCP.
    Two,
    /// Over TLS (`inet_tls_dist.erl` sets `{packet, 4}` from the start).
    Four,
}

/// Cuts a byte stream into handshake messages.
///
/// Feed it what was read, in any portions, and take messages until there is none; then read
/// again. It holds at most one unfinished message (64 KiB) besides what was fed since.
#[derive(Debug)]
pub struct Packets {
    prefix: Prefix,
    buffer: Vec<u8>,
    /// Where the bytes not yet taken begin.
    start: usize,
}

impl Packets {
    /// An empty buffer.
    #[must_use]
    pub fn new(prefix: Prefix) -> Self {
        Self { prefix, buffer: Vec::new(), start: 0 }
    }

    /// Appends what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, without its length.
    ///
    /// # Errors
    ///
    /// [`TooLarge`] when the length announces more than 65,535 bytes.
    pub fn next_packet(&mut self) -> Result<Option<Vec<u8>>, TooLarge> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let (len, body) = match self.prefix {
            Prefix::Two => match rest.split_first_chunk() {
                Some((len, body)) => (usize::from(u16::from_be_bytes(*len)), body),
                None => return Ok(None),
            },
            Prefix::Four => match rest.split_first_chunk() {
                Some((len, body)) => {
                    let len = u32::from_be_bytes(*len);
                    (usize::try_from(len).unwrap_or(usize::MAX), body)
                }
                None => return Ok(None),
            },
        };
        if len > MAX_MESSAGE {
            return Err(TooLarge { len });
        }
        let Some(message) = body.get(..len).map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        self.start += self.prefix.width() + len;
        Ok(Some(message))
    }

    /// Whether what was fed begins as TLS does: the header of a record, of version 3.0 to 3.4.
    ///
    /// As the length of a handshake message, that would be over 5,000 bytes of one that begins with a
    /// control character, and there is none.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        self.prefix == Prefix::Two && matches!(rest, [0x14..=0x17, 3, 0..=4, ..])
    }

    /// A message with its length in front, as it is sent.
    ///
    /// No message of ours comes near the 65,535 bytes that fit.
    #[must_use]
    pub fn frame(&self, message: &[u8]) -> Vec<u8> {
        debug_assert!(message.len() <= MAX_MESSAGE, "handshake messages are short");
        let len = u16::try_from(message.len()).unwrap_or(u16::MAX);
        let mut bytes = Vec::with_capacity(self.prefix.width() + message.len());
        match self.prefix {
            Prefix::Two => bytes.extend_from_slice(&len.to_be_bytes()),
            Prefix::Four => bytes.extend_from_slice(&u32::from(len).to_be_bytes()),
        }
        bytes.extend_from_slice(message);
        bytes
    }

    /// What came after the last message taken: the first frames of the connection, when the
    /// handshake is over.
    #[must_use]
    pub fn into_rest(mut self) -> Vec<u8> {
        self.buffer.drain(..self.start);
        self.buffer
    }
}

impl Prefix {
    fn width(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }
}

/// A handshake message announced more bytes than any has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a handshake message of {len} bytes was announced; this is not Erlang distribution")]
pub struct TooLarge {
    /// The announced length.
    pub len: usize,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_length_that_is_too_large_is_refused_before_its_bytes_come() {
        let mut packets = Packets::new(Prefix::Four);
        packets.feed(b"GET / HTTP/1.1\r\n");
        assert_eq!(packets.next_packet(), Err(TooLarge { len: 0x4745_5420 }));
    }

    #[test]
    fn tls_is_recognised() {
        for (bytes, is) in [
            (&[0x16, 3, 1, 2, 0][..], true),
            (&[0x15, 3, 3, 0, 2, 2, 10], true),
            (&[0x16, 3], false),
            (b"\0\x15N\0\0", false),
            (b"\x16\x03N", false),
        ] {
            let mut packets = Packets::new(Prefix::Two);
            packets.feed(bytes);
            assert_eq!(packets.is_tls(), is, "{bytes:?}");
        }
    }

    #[test]
    fn what_follows_is_kept() {
        let mut packets = Packets::new(Prefix::Two);
        packets.feed(&[0, 1, b'a', 0, 0, 0, 0, 7]);
        assert_eq!(packets.next_packet(), Ok(Some(vec![b'a'])));
        assert_eq!(packets.into_rest(), [0, 0, 0, 0, 7]);
    }

    proptest! {
        #[test]
        fn any_portions_give_the_same_messages(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
            cuts in prop::collection::vec(1usize..9, 1..200),
            four: bool,
        ) {
            let prefix = if four { Prefix::Four } else { Prefix::Two };
            let mut packets = Packets::new(prefix);
            let stream: Vec<u8> = messages.iter().flat_map(|m| packets.frame(m)).collect();
            let (mut out, mut rest, mut cuts) = (Vec::new(), stream.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                packets.feed(now);
                while let Some(message) = packets.next_packet().unwrap() {
                    out.push(message);
                }
                rest = later;
            }
            prop_assert_eq!(out, messages);
            prop_assert!(packets.into_rest().is_empty());
        }
    }
}
