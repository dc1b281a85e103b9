//! Reading a term where it stands.

mod elements;
mod key;
mod kind;
mod skip;
mod walk;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

pub use self::elements::{Elements, MapView};
pub(crate) use self::key::Key;
pub use self::kind::ViewKind;
use self::skip::{array, length, skip, text};
pub use self::walk::{Step, Walk};
use crate::decode::is_plain;
use crate::{Atom, DecodeError, Decoder, Limits, Pid, Reference, Term, tag};

/// A term that stays in the bytes that it came in: for looking at messages that are then passed on, or dropped.
///
/// The bytes are checked once, with the same limits and the same errors as [`Decoder`]'s; what passes can be decoded, as a
/// whole or in part, by [`View::to_term`]. Reading allocates nothing. Checking allocates nothing for most messages; what takes an
/// allocation that is given back at once is more than 7 levels, maps with more than 32 keys or with keys other than
/// atoms, integers and binaries, funs and native records.
///
/// A view is `Copy`. Passing over an element costs as much as it is long, so a term that is read in full is read over once for
/// each level: to take all of a deep term apart, decode it.
///
/// ```
/// use etf::{Limits, RawTerm, View, term};
///
/// /// The topic of a message for subscribers, and what they shall get.
/// fn route<'a>(message: View<'a>) -> Option<(&'a str, View<'a>)> {
///     let [tag, topic, payload] = message.tuple()?;
///     if !tag.is_atom("publish") {
///         return None;
///     }
///     Some((topic.as_str()?, payload))
/// }
///
/// let raw = RawTerm::encode(&term!({publish, "room:1", #{text => "hello", size => 5}})).unwrap();
/// let (topic, payload) = route(raw.view(&Limits::default()).unwrap()).unwrap();
/// assert_eq!(topic, "room:1");
/// assert_eq!(payload.as_map().unwrap().get_atom("size").unwrap().as_int(), Some(5));
/// assert_eq!(payload.to_term(), term!(#{text => "hello", size => 5}));
/// ```
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The tag is the first of these; the term ends somewhere in them. Never a list of no elements and a tail.
    wire: &'a [u8],
    frame: Frame<'a>,
}

/// What a view is a part of.
#[derive(Debug, Clone, Copy)]
struct Frame<'a> {
    input: &'a Bytes,
    atoms: &'a [Atom],
}

/// The elements of a list of bytes (STRING_EXT), which have no tags there.
static BYTES: [[u8; 2]; 256] = {
    let mut all = [[tag::SMALL_INTEGER, 0]; 256];
    let (mut rest, mut byte): (&mut [[u8; 2]], u8) = (&mut all, 0);
    while let [[_, value], after @ ..] = rest {
        *value = byte;
        byte = byte.wrapping_add(1);
        rest = after;
    }
    all
};

impl<'a> View<'a> {
    /// The term that is all of the bytes, in which tag 82 refers to `atoms`: those of the frame's header, or none.
    ///
    /// # Errors
    /// When the bytes are malformed, or over the limits.
    #[inline]
    pub fn new(bytes: &'a Bytes, atoms: &'a [Atom], limits: &Limits) -> Result<Self, DecodeError> {
        Self::checked(bytes, atoms, limits, false)
    }

    /// The same of bytes that 131 leads.
    ///
    /// # Errors
    /// As [`View::new`], and when there is no 131.
    #[inline]
    pub fn versioned(
        bytes: &'a Bytes,
        atoms: &'a [Atom],
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        Self::checked(bytes, atoms, limits, true)
    }

    #[inline]
    pub(crate) fn checked(
        bytes: &'a Bytes,
        atoms: &'a [Atom],
        limits: &Limits,
        versioned: bool,
    ) -> Result<Self, DecodeError> {
        let (wire, is_led) = match &**bytes {
            [tag::VERSION, rest @ ..] if versioned => (rest, true),
            all => (all, !versioned),
        };
        if !is_led || !is_plain(wire, atoms, limits) {
            check(bytes, atoms, limits, versioned)?;
        }
        Ok(Self::at(wire, Frame { input: bytes, atoms }))
    }

    #[inline]
    fn at(wire: &'a [u8], frame: Frame<'a>) -> Self {
        match wire {
            [tag::LIST, 0, 0, 0, 0, tail @ ..] => Self { wire: only_tail(tail), frame },
            wire => Self { wire, frame },
        }
    }

    /// An element of a list of bytes.
    #[inline]
    fn byte(byte: u8, frame: Frame<'a>) -> Self {
        Self { wire: BYTES.get(usize::from(byte)).map_or(&[], |term| term), frame }
    }

    /// The tag and what follows it.
    #[inline]
    fn tagged(self) -> Option<(u8, &'a [u8])> {
        self.wire.split_first().map(|(tag, rest)| (*tag, rest))
    }

    /// The text of the atom, if it is one. It is borrowed unless an old peer wrote it in Latin-1 with other than ASCII.
    #[must_use]
    #[inline]
    pub fn as_atom(self) -> Option<Cow<'a, str>> {
        let (tag, rest) = self.tagged()?;
        match tag {
            tag::ATOM | tag::SMALL_ATOM => {
                let text = text(tag, rest)?;
                Some(match std::str::from_utf8(text).ok().filter(|text| text.is_ascii()) {
                    Some(ascii) => Cow::Borrowed(ascii),
                    None => Cow::Owned(text.iter().map(|byte| char::from(*byte)).collect()),
                })
            }
            tag::ATOM_CACHE_REF => {
                let atom = self.frame.atoms.get(usize::from(*rest.first()?))?;
                Some(Cow::Borrowed(atom.as_str()))
            }
            _ => std::str::from_utf8(text(tag, rest)?).ok().map(Cow::Borrowed),
        }
    }

    /// Whether it is the atom of that text.
    #[must_use]
    #[inline]
    pub fn is_atom(self, expected: &str) -> bool {
        match self.tagged() {
            Some((tag @ (tag::SMALL_ATOM_UTF8 | tag::ATOM_UTF8), rest)) => {
                text(tag, rest) == Some(expected.as_bytes())
            }
            Some((tag::ATOM_CACHE_REF | tag::ATOM | tag::SMALL_ATOM, _)) => {
                self.as_atom().is_some_and(|text| text == expected)
            }
            _ => false,
        }
    }

    /// `true` or `false`, if it is one of these atoms.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        if self.is_atom("true") { Some(true) } else { self.is_atom("false").then_some(false) }
    }

    /// The integer, if it is one that fits 64 bits with a sign.
    #[must_use]
    #[inline]
    pub fn as_int(self) -> Option<i64> {
        match self.wire {
            [tag::SMALL_INTEGER, value, ..] => Some((*value).into()),
            [tag::INTEGER, a, b, c, d, ..] => Some(i32::from_be_bytes([*a, *b, *c, *d]).into()),
            [tag::SMALL_BIG | tag::LARGE_BIG, ..] => self.to_term().as_int(),
            _ => None,
        }
    }

    /// The integer, if it is one that fits 64 bits without a sign.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        match self.tagged() {
            Some((tag::SMALL_BIG | tag::LARGE_BIG, _)) => self.to_term().as_u64(),
            _ => u64::try_from(self.as_int()?).ok(),
        }
    }

    /// The float, if it is one; an integer is not.
    #[must_use]
    pub fn as_float(self) -> Option<f64> {
        match self.tagged()? {
            (tag::NEW_FLOAT, rest) => Some(f64::from_be_bytes(array(rest)?)),
            (tag::FLOAT, _) => self.to_term().as_float(),
            _ => None,
        }
    }

    /// The bytes, if it is a binary.
    #[must_use]
    #[inline]
    pub fn as_binary(self) -> Option<&'a [u8]> {
        match self.tagged()? {
            (tag::BINARY, rest) => rest.get(4..)?.get(..length(rest)?),
            // A bitstring of which the last byte is full, or that has none.
            (tag::BIT_BINARY, rest) if matches!(rest.get(4), Some(0 | 8)) => {
                rest.get(5..)?.get(..length(rest)?)
            }
            _ => None,
        }
    }

    /// The text, if it is a binary of valid UTF-8: what Elixir calls a string.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        std::str::from_utf8(self.as_binary()?).ok()
    }

    /// The elements, if it is a tuple.
    #[must_use]
    #[inline]
    pub fn as_tuple(self) -> Option<Elements<'a>> {
        match self.tagged()? {
            (tag::SMALL_TUPLE, [arity, rest @ ..]) => {
                Some(Elements::tuple((*arity).into(), rest, self.frame))
            }
            (tag::LARGE_TUPLE, rest) => {
                Some(Elements::tuple(length(rest)?, rest.get(4..)?, self.frame))
            }
            _ => None,
        }
    }

    /// The elements, if it is a tuple of so many.
    ///
    /// ```
    /// use etf::{Limits, RawTerm, term};
    /// let raw = RawTerm::encode(&term!({ok, 42})).unwrap();
    /// let Some([tag, value]) = raw.view(&Limits::default()).unwrap().tuple() else { panic!("no pair") };
    /// assert!(tag.is_atom("ok"));
    /// assert_eq!(value.as_int(), Some(42));
    /// ```
    #[must_use]
    #[inline]
    pub fn tuple<const N: usize>(self) -> Option<[Self; N]> {
        let mut elements = self.as_tuple()?;
        if elements.len() != N {
            return None;
        }
        let mut all = [self; N];
        for place in &mut all {
            *place = elements.next()?;
        }
        Some(all)
    }

    /// The elements, if it is a list. Whether it is a proper one, [`Elements::tail`] says.
    #[must_use]
    #[inline]
    pub fn as_list(self) -> Option<Elements<'a>> {
        Elements::list(self.wire, self.frame)
    }

    /// The map, if it is one.
    #[must_use]
    #[inline]
    pub fn as_map(self) -> Option<MapView<'a>> {
        match self.tagged()? {
            (tag::MAP, rest) => Some(MapView::new(length(rest)?, rest.get(4..)?, self.frame)),
            _ => None,
        }
    }

    /// The pid, if it is one. It allocates where the name of its node has more than 23 bytes.
    #[must_use]
    pub fn as_pid(self) -> Option<Pid> {
        match self.tagged()? {
            (tag::NEW_PID | tag::PID, _) => self.to_term().as_pid().cloned(),
            _ => None,
        }
    }

    /// The reference, if it is one. It is allocated.
    #[must_use]
    pub fn as_reference(self) -> Option<Reference> {
        match self.tagged()? {
            (tag::NEWER_REFERENCE | tag::NEW_REFERENCE | tag::REFERENCE, _) => {
                self.to_term().as_reference().cloned()
            }
            _ => None,
        }
    }

    /// Decodes it: a term of its own, as [`Decoder`] makes it.
    #[must_use]
    pub fn to_term(self) -> Term {
        if let [tag::SMALL_INTEGER, value, ..] = self.wire {
            // It may be an element of a list of bytes, which is not a part of the input.
            return Term::Int((*value).into());
        }
        let bytes = self.frame.input.slice_ref(self.wire);
        let term = Decoder::new(&bytes, self.frame.atoms, &Limits::UNBOUNDED).term();
        #[expect(clippy::expect_used, reason = "these bytes have passed the decoder's checks")]
        term.expect("a view is made only of what can be decoded")
    }

    /// The term that these bytes start with, and what follows it.
    #[inline]
    fn first(wire: &'a [u8], frame: Frame<'a>) -> (Self, &'a [u8]) {
        // Of the usual kinds, how long it is: one number from each arm is what compilers make the best of.
        let length = match wire {
            [tag::SMALL_INTEGER | tag::ATOM_CACHE_REF, ..] => 2,
            [tag::INTEGER, ..] => 5,
            [tag::SMALL_ATOM_UTF8, length, ..] => 2 + usize::from(*length),
            [tag::BINARY, 0, 0, 0, length, ..] => 5 + usize::from(*length),
            wire => return (Self::at(wire, frame), skip(wire)),
        };
        let rest = wire.get(length..).unwrap_or_default();
        (Self { wire, frame }, rest)
    }

    fn key(self) -> Option<Key<'a>> {
        Key::read(self.wire, self.frame.atoms)
    }
}

/// Apart from what is inlined.
#[inline(never)]
fn check(
    bytes: &Bytes,
    atoms: &[Atom],
    limits: &Limits,
    versioned: bool,
) -> Result<(), DecodeError> {
    Decoder::new(bytes, atoms, limits).validate(versioned)
}

/// A list of no elements is its tail.
#[cold]
fn only_tail(mut wire: &[u8]) -> &[u8] {
    while let [tag::LIST, 0, 0, 0, 0, tail @ ..] = wire {
        wire = tail;
    }
    wire
}

impl PartialEq<Term> for View<'_> {
    /// Erlang's `=:=`.
    fn eq(&self, other: &Term) -> bool {
        match (self.key(), Key::of(other)) {
            (Some(key), Some(other)) => key == other,
            // One of them may be in a rare form.
            _ => self.to_term() == *other,
        }
    }
}

impl fmt::Debug for View<'_> {
    /// Erlang syntax.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_term(), f)
    }
}
