//! The elements of a view.

use super::{Frame, View};
use crate::view::skip::length;
use crate::{Term, tag};

/// The elements of a tuple or list, in order.
///
/// ```
/// use etf::{Limits, RawTerm, term};
/// let raw = RawTerm::encode(&term!([1, 2, 3 | end])).unwrap();
/// let mut elements = raw.view(&Limits::default()).unwrap().as_list().unwrap();
/// assert_eq!(elements.by_ref().filter_map(etf::View::as_int).sum::<i64>(), 6);
/// assert!(elements.tail().unwrap().is_atom("end"));
/// ```
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    /// Elements that stand in `wire`; after the last of a list, its tail.
    missing: usize,
    wire: &'a [u8],
    /// Elements that are bytes, before those.
    bytes: &'a [u8],
    is_list: bool,
    frame: Frame<'a>,
}

impl<'a> Elements<'a> {
    #[inline]
    pub(super) const fn tuple(arity: usize, wire: &'a [u8], frame: Frame<'a>) -> Self {
        Self { missing: arity, wire, bytes: &[], is_list: false, frame }
    }

    /// The list of so many elements, of which there is one at least.
    #[inline]
    pub(super) const fn of_list(count: usize, wire: &'a [u8], frame: Frame<'a>) -> Self {
        Self { missing: count, wire, bytes: &[], is_list: true, frame }
    }

    /// `None` where no list starts.
    #[inline]
    pub(super) const fn list(wire: &'a [u8], frame: Frame<'a>) -> Option<Self> {
        match wire {
            [tag::LIST, a, b, c, d, rest @ ..] => {
                Some(Self::of_list(u32::from_be_bytes([*a, *b, *c, *d]) as usize, rest, frame))
            }
            [tag::NIL, ..] => Some(Self { missing: 0, wire, bytes: &[], is_list: true, frame }),
            [tag::STRING, a, b, rest @ ..] => {
                let length = u16::from_be_bytes([*a, *b]) as usize;
                let Some((bytes, _)) = rest.split_at_checked(length) else { return None };
                Some(Self { missing: 0, wire: &[], bytes, is_list: true, frame })
            }
            _ => None,
        }
    }

    /// How many are left: all of a tuple; of a list those up to where it goes on in its tail, which few lists do.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.missing + self.bytes.len()
    }

    /// What stands after the bar of an improper list; `None` for other lists and for tuples.
    ///
    /// Passes over the elements that are left.
    #[must_use]
    pub fn tail(mut self) -> Option<View<'a>> {
        self.by_ref().for_each(drop);
        match self.wire {
            _ if !self.is_list => None,
            [] | [tag::NIL, ..] => None,
            wire => Some(View::at(wire, self.frame)),
        }
    }

    /// A tail that is a list itself continues this one.
    fn go_on(mut self) -> Self {
        while self.missing == 0 && self.bytes.is_empty() {
            match self.wire {
                [tag::LIST, rest @ ..] => {
                    self.missing = length(rest).unwrap_or_default();
                    self.wire = rest.get(4..).unwrap_or_default();
                }
                [tag::STRING, a, b, rest @ ..] => {
                    let length = usize::from(u16::from_be_bytes([*a, *b]));
                    self.bytes = rest.get(..length).unwrap_or_default();
                    self.wire = &[];
                }
                _ => break,
            }
        }
        self
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = View<'a>;

    #[inline]
    fn next(&mut self) -> Option<View<'a>> {
        if self.missing == 1 && !self.is_list {
            self.missing = 0;
            // Where it ends is of no interest, and it may be long.
            return Some(View::at(self.wire, self.frame));
        }
        if self.missing > 0 {
            let (element, rest) = View::first(self.wire, self.frame);
            (self.missing, self.wire) = (self.missing - 1, rest);
            if self.missing == 0 && self.is_list {
                // By value, so that the position can stay at hand from one element to the next.
                *self = self.clone().go_on();
            }
            return Some(element);
        }
        let (byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(View::byte(*byte, self.frame))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), (!self.is_list).then_some(self.missing))
    }
}

/// A map where it stands: in the order of the wire, looked up by reading over it.
#[derive(Debug, Clone, Copy)]
pub struct MapView<'a> {
    pairs: usize,
    wire: &'a [u8],
    frame: Frame<'a>,
}

impl<'a> MapView<'a> {
    #[inline]
    pub(super) const fn new(pairs: usize, wire: &'a [u8], frame: Frame<'a>) -> Self {
        Self { pairs, wire, frame }
    }

    /// The number of keys.
    #[must_use]
    pub const fn len(self) -> usize {
        self.pairs
    }

    /// Whether there is no key.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.pairs == 0
    }

    /// Keys and values, in order.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = (View<'a>, View<'a>)> {
        Pairs(self)
    }

    /// The value of a key, told from others as by Erlang's `=:=`.
    #[must_use]
    pub fn get(self, key: &Term) -> Option<View<'a>> {
        self.iter().find(|(candidate, _)| candidate == key).map(|(_, value)| value)
    }

    /// The value of an atom key, the usual kind.
    #[must_use]
    pub fn get_atom(self, key: &str) -> Option<View<'a>> {
        self.iter().find(|(candidate, _)| candidate.is_atom(key)).map(|(_, value)| value)
    }
}

/// The pairs that are left of a map.
struct Pairs<'a>(MapView<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (View<'a>, View<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let MapView { pairs, wire, frame } = self.0;
        let pairs = pairs.checked_sub(1)?;
        let (key, wire) = View::first(wire, frame);
        // Where the last one ends is of no interest, and it may be long.
        let (value, wire) =
            if pairs > 0 { View::first(wire, frame) } else { (View::at(wire, frame), wire) };
        self.0 = MapView { pairs, wire, frame };
        Some((key, value))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::{Limits, View};

    #[test]
    fn folding_visits_what_stepping_does() {
        // [1, 2, a | [300 | "xy"]], [1 | []], {1, []}, [], "xy"
        let all: [&[u8]; 5] = [
            b"l\0\0\0\x03a\x01a\x02w\x01al\0\0\0\x01b\0\0\x01\x2ck\0\x02xy",
            b"l\0\0\0\x01a\x01j",
            b"h\x02a\x01j",
            b"j",
            b"k\0\x02xy",
        ];
        for (wire, count) in all.into_iter().zip([6, 1, 2, 0, 2]) {
            let bytes = Bytes::from_static(wire);
            let view = View::new(&bytes, &[], &Limits::default()).unwrap();
            let mut steps = view.as_tuple().or_else(|| view.as_list()).unwrap();
            for first in 0..=count {
                let mut folded = Vec::new();
                steps.clone().for_each(|element| folded.push(element.to_term()));
                let mut rest = steps.clone();
                let stepped: Vec<_> =
                    std::iter::from_fn(|| rest.next()).map(View::to_term).collect();
                assert_eq!(folded, stepped);
                assert_eq!(folded.len(), count - first);
                steps.next();
            }
        }
    }
}
