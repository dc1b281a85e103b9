use super::{DecodeErrorKind, Decoder, Result};
use crate::term::ImproperList;
use crate::{Fun, Map, Record, Term, tag};

/// A term that has others inside, of which some are still to be read.
pub(super) struct Open {
    pub(super) kind: Kind,
    pub(super) items: Vec<Term>,
    /// How many elements are still to be read.
    pub(super) missing: usize,
    /// Offset of the tag.
    pub(super) start: usize,
    /// How many header references had been read before.
    pub(super) header_refs: usize,
    /// Of how many maps it is (in) a key.
    pub(super) keys: u8,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Tuple,
    /// The elements before the tail.
    List,
    /// The last of the elements is the tail.
    ListAndTail,
    /// Keys and values in turn.
    Map,
    /// Module, old index, old uniq, pid, then the free variables.
    Fun,
    /// Module, name, the names of the fields, their values.
    Record,
}

impl Open {
    /// Whether the element that was begun last is the key of a map.
    pub(super) const fn is_at_key(&self) -> bool {
        matches!(self.kind, Kind::Map) && self.items.len().is_multiple_of(2)
    }
}

impl Decoder<'_> {
    /// Makes the term of a container that has its elements, or `None` when it turns out that more are to come.
    #[inline]
    pub(super) fn close(&mut self, open: &mut Open, pending: usize) -> Result<Option<Term>> {
        if matches!(open.kind, Kind::Tuple) {
            return Ok(Some(Term::Tuple(std::mem::take(&mut open.items))));
        }
        self.close_other(open, pending)
    }

    fn close_other(&mut self, open: &mut Open, pending: usize) -> Result<Option<Term>> {
        if matches!(open.kind, Kind::List) && !self.tail(open, pending)? {
            return Ok(None);
        }
        // Whatever is wrong now is wrong with the whole.
        self.cursor.mark_at(open.start);
        let mut items = std::mem::take(&mut open.items);
        Ok(Some(match open.kind {
            Kind::Tuple => Term::Tuple(items),
            Kind::List => Term::List(items),
            Kind::ListAndTail => match items.pop() {
                Some(tail) if items.is_empty() => tail,
                Some(tail) => Term::ImproperList(Box::new(ImproperList { items, tail })),
                None => Term::NIL,
            },
            Kind::Map => {
                Term::Map(Map::from_items(items).map_err(|_| DecodeErrorKind::DuplicateKey)?)
            }
            Kind::Fun => Term::Fun(Fun(self.fun(open, &items)?)),
            Kind::Record => Term::Record(Record(self.record(open, &items)?)),
        }))
    }

    /// Reads what follows the elements of a list: whether the list ends here.
    ///
    /// A tail that is a list itself continues this one, at the same level.
    fn tail(&mut self, open: &mut Open, pending: usize) -> Result<bool> {
        match self.cursor.peek() {
            Some(tag::NIL) => {
                self.cursor.u8()?;
                Ok(true)
            }
            Some(tag::LIST) => {
                self.cursor.mark();
                self.cursor.u8()?;
                let count = self.cursor.length()?;
                self.check_room(count, pending)?;
                self.budget.elements(count)?;
                open.items.reserve(count);
                open.missing = count;
                Ok(false)
            }
            Some(tag::STRING) => {
                self.cursor.mark();
                self.cursor.u8()?;
                let length = self.cursor.u16()?;
                let characters = self.cursor.take(length.into())?;
                self.budget.elements(characters.len())?;
                open.items.extend(characters.iter().map(|byte| Term::Int((*byte).into())));
                Ok(true)
            }
            _ => {
                self.cursor.mark();
                self.budget.elements(1)?;
                open.items.reserve(1);
                open.missing = 1;
                open.kind = Kind::ListAndTail;
                Ok(false)
            }
        }
    }
}
