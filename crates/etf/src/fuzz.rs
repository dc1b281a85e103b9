//! What a peer can send, for fuzzers: any bytes are taken or refused, nothing panics, and the ways to read them agree.

use bytes::Bytes;

use crate::{Atom, Decoder, Limits, Term, View};

/// What the header of a frame might have.
static ATOMS: [Atom; 3] = [
    Atom::from_static("ok"),
    Atom::from_static("a name of more than 23 bytes"),
    Atom::from_static("Ünïcödé"),
];

/// Small enough for a fuzzer to reach.
fn limits() -> Limits {
    Limits::default().with_depth(64).with_elements(1 << 16).with_memory(1 << 20)
}

fn read(bytes: &Bytes) -> Result<Term, crate::DecodeError> {
    let mut decoder = Decoder::new(bytes, &ATOMS, &limits());
    let term = decoder.term()?;
    decoder.finish()?;
    Ok(term)
}

/// What was decoded can be printed, written and read again.
///
/// # Panics
/// When that is not so.
pub fn decode(data: &[u8]) {
    let Ok(term) = read(&Bytes::copy_from_slice(data)) else { return };
    assert!(!term.to_string().is_empty());
    assert!(!term.elixir().to_string().is_empty());
    let Ok(rope) = crate::encode(&term) else { return };
    let written = rope.into_bytes();
    // Atoms of the header are now written out, which takes no other memory but may take another form.
    let again = crate::decode(&written, &Limits::default());
    assert_eq!(again.as_ref(), Ok(&term));
}

/// A view takes what the decoder takes, refuses the rest for the same reason, and shows the same.
///
/// # Panics
/// When that is not so.
pub fn view(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    match (read(&bytes), View::new(&bytes, &ATOMS, &limits())) {
        (Ok(term), Ok(view)) => {
            assert_eq!(view.to_term(), term);
            show(view, &term);
            assert!(view.walk().count() > 0);
        }
        (Err(error), Err(other)) => assert_eq!(error, other),
        (term, view) => assert_eq!(term.is_ok(), view.is_ok()),
    }
}

/// Part by part.
fn show(view: View<'_>, term: &Term) {
    assert!(view == *term);
    assert_eq!(view.as_atom().as_deref(), term.as_atom().map(Atom::as_str));
    assert_eq!(view.as_int(), term.as_int());
    assert_eq!(view.as_binary(), term.as_binary().map(AsRef::as_ref));
    match term {
        Term::Tuple(items) => each(view.as_tuple(), items),
        Term::List(items) => each(view.as_list(), items),
        Term::ImproperList(list) => {
            each(view.as_list(), list.items());
            let tail = view.as_list().and_then(crate::Elements::tail);
            assert!(tail.is_some_and(|tail| tail == *list.tail()));
        }
        Term::Map(map) => {
            let pairs = view.as_map().map(|map| map.iter().flat_map(|(key, value)| [key, value]));
            each(pairs, map.items());
        }
        _ => {}
    }
}

fn each<'a>(shown: Option<impl IntoIterator<Item = View<'a>>>, items: &[Term]) {
    let shown: Vec<View<'a>> = shown.into_iter().flatten().collect();
    assert_eq!(shown.len(), items.len());
    shown.into_iter().zip(items).for_each(|(view, term)| show(view, term));
}
