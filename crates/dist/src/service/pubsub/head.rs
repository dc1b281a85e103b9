//! The head of a broadcast, read without building a term: of what nobody here listens to, no more
//! is looked at.

use etf::Atom;

/// `forward_to_local`, the first element of a broadcast (`Phoenix.PubSub.PG2`).
const WORD: &[u8] = b"forward_to_local";

/// Tags of `erl_ext_dist`.
const VERSION: u8 = 131;
const SMALL_TUPLE: u8 = 104;
const BINARY: u8 = 109;
const ATOM_CACHE_REF: u8 = 82;
const ATOM: u8 = 100;
const SMALL_ATOM: u8 = 115;
const ATOM_UTF8: u8 = 118;
const SMALL_ATOM_UTF8: u8 = 119;

/// What stands in front of a broadcast's message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) topic: &'a [u8],
    /// Where the message begins; the dispatcher follows it.
    pub(super) message: usize,
}

/// Reads the head of `{forward_to_local, Topic, Message, Dispatcher}`; `None` for anything else.
pub(super) fn head<'a>(bytes: &'a [u8], atoms: &[Atom]) -> Option<Head<'a>> {
    let rest = bytes.strip_prefix(&[VERSION]).unwrap_or(bytes);
    let rest = rest.strip_prefix(&[SMALL_TUPLE, 4])?;
    let (&tag, rest) = rest.split_first()?;
    let rest = match tag {
        ATOM_CACHE_REF => {
            let (&index, rest) = rest.split_first()?;
            (atoms.get(usize::from(index))?.as_str().as_bytes() == WORD).then_some(rest)?
        }
        SMALL_ATOM | SMALL_ATOM_UTF8 => {
            let (&len, rest) = rest.split_first()?;
            word(usize::from(len), rest)?
        }
        ATOM | ATOM_UTF8 => {
            let (&len, rest) = rest.split_first_chunk()?;
            word(usize::from(u16::from_be_bytes(len)), rest)?
        }
        _ => return None,
    };
    let rest = rest.strip_prefix(&[BINARY])?;
    let (&len, rest) = rest.split_first_chunk()?;
    let (topic, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(len)).ok()?)?;
    Some(Head { topic, message: bytes.len() - rest.len() })
}

fn word(len: usize, rest: &[u8]) -> Option<&[u8]> {
    (len == WORD.len()).then(|| rest.strip_prefix(WORD)).flatten()
}

#[cfg(test)]
mod tests {
    use etf::{Encoder, Term, term};

    use super::*;

    fn encoded(term: &Term) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.version();
        encoder.term(term).unwrap();
        encoder.finish().into_bytes().to_vec()
    }

    #[test]
    fn the_topic_is_found_and_where_the_message_begins() {
        for message in [term!(hello), term!({1, [2, 3]}), term!("text")] {
            let bytes =
                encoded(&term!({forward_to_local, "room:1", (message.clone()), dispatcher}));
            let found = head(&bytes, &[]).unwrap();
            assert_eq!(found.topic, b"room:1");
            let tail = [&encoded(&message)[1..], &encoded(&term!(dispatcher))[1..]].concat();
            assert_eq!(bytes[found.message..], tail);
        }
    }

    /// Every form in which OTP writes an atom, also as a reference into the frame's header.
    #[test]
    fn the_word_is_known_in_every_form() {
        let atoms = [Atom::from_static("other"), Atom::from_static("forward_to_local")];
        let long = [&[0, 16][..], WORD].concat();
        let short = [&[16][..], WORD].concat();
        for (word, is) in [
            ([&[119], &short[..]].concat(), true),
            ([&[115], &short[..]].concat(), true),
            ([&[118], &long[..]].concat(), true),
            ([&[100], &long[..]].concat(), true),
            (vec![82, 1], true),
            (vec![82, 0], false),
            (vec![82, 2], false),
            (vec![97, 1], false),
            (vec![119, 2, b'o', b'k'], false),
        ] {
            let bytes = [&[104, 4][..], &word, &[109, 0, 0, 0, 1, b't', 106, 106]].concat();
            assert_eq!(head(&bytes, &atoms).is_some(), is, "{word:?}");
        }
    }

    #[test]
    fn anything_else_and_every_cut_is_nothing() {
        for term in [
            term!({forward_to_local, topic, 1, d}),
            term!({forward_to_local, "t", 1}),
            term!({forward_to_local, "t", 1, d, e}),
            term!([forward_to_local, "t", 1, d]),
            term!(forward_to_local),
        ] {
            assert_eq!(head(&encoded(&term), &[]), None, "{term}");
        }
        let bytes = encoded(&term!({forward_to_local, "topic", 1, d}));
        let message = head(&bytes, &[]).unwrap().message;
        for cut in 0..message {
            assert_eq!(head(&bytes[..cut], &[]), None, "{cut}");
        }
        // A topic that says it is longer than all there is.
        let long = [&[104, 4, 119, 16][..], WORD, &[109, 255, 255, 255, 255, b't']].concat();
        assert_eq!(head(&long, &[]), None);
    }
}
