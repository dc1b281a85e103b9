use bytes::Bytes;

use super::{DecodeErrorKind, decode};
use crate::{Limits, Term, term};

fn read(bytes: &[u8]) -> Result<Term, DecodeErrorKind> {
    decode(&Bytes::copy_from_slice(bytes), &Limits::default()).map_err(|error| error.kind)
}

#[test]
fn a_list_in_the_tail_of_a_list_continues_it() {
    let nested = [131, 108, 0, 0, 0, 1, 97, 1, 108, 0, 0, 0, 1, 97, 2, 107, 0, 1, 3];
    assert_eq!(read(&nested), Ok(term!([1, 2, 3])));
    assert_eq!(read(&[131, 108, 0, 0, 0, 1, 97, 1, 97, 2]), Ok(term!([1 | 2])));
    assert_eq!(read(&[131, 108, 0, 0, 0, 0, 97, 2]), Ok(term!(2)));
}

#[test]
fn a_length_that_the_bytes_cannot_hold_is_refused_before_anything_is_reserved() {
    assert_eq!(read(&[131, 108, 255, 255, 255, 255, 106]), Err(DecodeErrorKind::Truncated));
    assert_eq!(read(&[131, 105, 255, 255, 255, 255, 106]), Err(DecodeErrorKind::Truncated));
    assert_eq!(read(&[131, 116, 255, 255, 255, 255, 106]), Err(DecodeErrorKind::Truncated));
    assert_eq!(read(&[131, 109, 255, 255, 255, 255, 106]), Err(DecodeErrorKind::Truncated));
}

#[test]
fn round_trips() {
    let all = term!({atom, "text", [1, -2, 3.5 | end], #{1 => one, 1.0 => float}, [], {}});
    let bytes = crate::encode(&all).unwrap().into_bytes();
    assert_eq!(decode(&bytes, &Limits::default()), Ok(all));
}
