//! Looks at what the server sends before tokio-postgres does.
//!
//! Three things are needed from the raw messages. A notification that is not UTF-8 (anybody can
//! send one in an `SQL_ASCII` database) would end tokio-postgres' connection each time, so it is
//! made UTF-8 here. The backend's process id tells a pooler, and tokio-postgres keeps it to itself.
//! And no length that a peer names is believed beyond a bound.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The first bytes of a message: its type, and its length without the type.
const HEADER: usize = 5;

/// No answer to what we ask is longer.
const MAX_MESSAGE: usize = 1 << 20;

/// A notification is at most a process id, a name of 63 bytes and 7,999 bytes, each ended by a NUL.
const MAX_NOTIFICATION: usize = 1 << 14;

const AUTHENTICATION: u8 = b'R';
const BACKEND_KEY_DATA: u8 = b'K';
const NOTIFICATION_RESPONSE: u8 = b'A';

/// Follows the messages in a stream of bytes, however they are cut.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    input: BytesMut,
    /// Bytes of the present message that pass unseen.
    passing: usize,
    greeting: Greeting,
}

/// What the server said while the connection was set up.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// The process id that the server claims for this connection. A pooler makes one up.
    pub(crate) backend_pid: Option<i32>,
    /// The server is Postgres, as far as to ask who we are.
    pub(crate) authenticating: bool,
    /// A password, or the proof of one, was asked for.
    pub(crate) wants_password: bool,
}

/// The server's bytes are not what Postgres sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(&'static str);

impl Filter {
    /// Takes what was read and appends to `output` what may be passed on.
    pub(crate) fn feed(&mut self, bytes: &[u8], output: &mut BytesMut) -> Result<(), Malformed> {
        self.input.extend_from_slice(bytes);
        loop {
            let pass = self.passing.min(self.input.len());
            output.extend_from_slice(&self.input.split_to(pass));
            self.passing -= pass;
            let Some((kind, total)) = self.header()? else { return Ok(()) };
            match kind {
                NOTIFICATION_RESPONSE | BACKEND_KEY_DATA | AUTHENTICATION => {
                    if self.input.len() < total {
                        return Ok(());
                    }
                    let message = self.input.split_to(total).freeze();
                    self.see(kind, message, output);
                }
                _ => self.passing = total,
            }
        }
    }

    pub(crate) fn greeting(&self) -> Greeting {
        self.greeting
    }

    /// Type and total length of the next message, if its header is there.
    fn header(&self) -> Result<Option<(u8, usize)>, Malformed> {
        let mut header = match self.input.get(..HEADER) {
            Some(header) if self.passing == 0 => header,
            _ => return Ok(None),
        };
        let kind = header.get_u8();
        let length = usize::try_from(header.get_u32()).unwrap_or(usize::MAX);
        let most = if kind == NOTIFICATION_RESPONSE { MAX_NOTIFICATION } else { MAX_MESSAGE };
        match length {
            0..4 => Err(Malformed("a message is shorter than its own header")),
            _ if length > most => Err(Malformed("a message is longer than any that was asked for")),
            _ => Ok(Some((kind, length + 1))),
        }
    }

    fn see(&mut self, kind: u8, message: Bytes, output: &mut BytesMut) {
        let mut body = message.slice(HEADER..);
        match kind {
            BACKEND_KEY_DATA if body.len() >= 4 => {
                self.greeting.backend_pid = Some(body.get_i32());
            }
            // Cleartext, MD5 and SASL; 0 is "authenticated", and 11, 12 go on with SASL.
            AUTHENTICATION if body.len() >= 4 => {
                self.greeting.authenticating = true;
                self.greeting.wants_password |= matches!(body.get_u32(), 3 | 5 | 10);
            }
            NOTIFICATION_RESPONSE if std::str::from_utf8(text_of(&body)).is_err() => {
                put_lossy(body, output);
                return;
            }
            _ => {}
        }
        output.extend_from_slice(&message);
    }
}

/// What follows the process id: channel and payload.
fn text_of(body: &[u8]) -> &[u8] {
    body.get(4..).unwrap_or_default()
}

/// Writes a notification with U+FFFD in place of what is not UTF-8.
fn put_lossy(body: Bytes, output: &mut BytesMut) {
    // A replacement takes three bytes for at least one, and the input is bounded.
    let text = String::from_utf8_lossy(text_of(&body));
    let length = u32::try_from(4 + 4 + text.len()).unwrap_or(u32::MAX);
    output.put_u8(NOTIFICATION_RESPONSE);
    output.put_u32(length);
    output.extend_from_slice(body.get(..4).unwrap_or_default());
    output.extend_from_slice(text.as_bytes());
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut message = vec![kind];
        message.put_u32(u32::try_from(body.len() + 4).unwrap());
        message.extend_from_slice(body);
        message
    }

    fn notification(payload: &[u8]) -> Vec<u8> {
        message(b'A', &[&[0, 0, 0, 7], &b"channel\0"[..], payload, &[0]].concat())
    }

    /// What comes out when the input is cut into pieces of `size`.
    fn filter(input: &[u8], size: usize) -> Result<(Vec<u8>, Greeting), Malformed> {
        let mut filter = Filter::default();
        let mut output = BytesMut::new();
        for piece in input.chunks(size) {
            filter.feed(piece, &mut output)?;
        }
        Ok((output.to_vec(), filter.greeting()))
    }

    #[test]
    fn everything_else_passes_as_it_is() {
        let input = [
            message(b'R', &[0, 0, 0, 10, 1, 2, 3]),
            message(b'K', &[0, 0, 1, 2, 9, 9, 9, 9]),
            notification("grüße".as_bytes()),
            message(b'Z', b"I"),
        ]
        .concat();
        for size in 1..=input.len() {
            let (output, greeting) = filter(&input, size).unwrap();
            assert_eq!(output, input, "pieces of {size}");
            assert_eq!(greeting.backend_pid, Some(258));
            assert!(greeting.authenticating && greeting.wants_password);
        }
    }

    #[test]
    fn a_payload_that_is_not_utf_8_becomes_so_and_what_follows_is_intact() {
        let input = [notification(b"a\xff\xfeb"), message(b'Z', b"I")].concat();
        let expected =
            [notification("a\u{fffd}\u{fffd}b".as_bytes()), message(b'Z', b"I")].concat();
        for size in 1..=input.len() {
            assert_eq!(filter(&input, size).unwrap().0, expected, "pieces of {size}");
        }
    }

    #[test]
    fn lengths_are_not_believed() {
        assert!(filter(&[b'A', 0, 0, 0x80, 0], 5).is_err());
        assert!(filter(&[b'D', 0x7f, 0xff, 0xff, 0xff], 5).is_err());
        assert!(filter(&[b'D', 0, 0, 0, 3], 5).is_err());
    }

    #[test]
    fn short_messages_pass() {
        for kind in *b"AKR" {
            let input = message(kind, b"\xff");
            assert_eq!(filter(&input, 1).unwrap(), (input, Greeting::default()));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces(input in prop::collection::vec(any::<u8>(), 0..300), size in 1_usize..50) {
            let whole = filter(&input, input.len().max(1)).map(|(output, _)| output);
            let pieces = filter(&input, size).map(|(output, _)| output);
            prop_assert_eq!(whole, pieces);
        }

        #[test]
        fn a_notification_comes_out_as_utf_8(payload in prop::collection::vec(1_u8.., 0..200), size in 1_usize..50) {
            let (output, _) = filter(&notification(&payload), size).unwrap();
            let text = String::from_utf8_lossy(&payload);
            prop_assert_eq!(output, notification(text.as_bytes()));
        }
    }
}
