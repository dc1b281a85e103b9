use super::{DecodeErrorKind, Decoder, Result};
use crate::encode::{encoded_len, write_all};
use crate::term::ImproperList;
use crate::{Fun, Map, Term, tag};

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
}

impl Decoder<'_> {
    /// Makes the term of a container that has its elements, or `None` when it turns out that more are to come.
    pub(super) fn close(&mut self, open: &mut Open, pending: usize) -> Result<Option<Term>> {
        if matches!(open.kind, Kind::List) && !self.tail(open, pending)? {
            return Ok(None);
        }
        let mut items = std::mem::take(&mut open.items);
        Ok(Some(match open.kind {
            Kind::Tuple => Term::Tuple(items),
            Kind::List => Term::List(items),
            Kind::ListAndTail => match items.pop() {
                Some(tail) if items.is_empty() => tail,
                Some(tail) => Term::ImproperList(Box::new(ImproperList { items, tail })),
                None => Term::NIL,
            },
            Kind::Map => Term::Map(Map::from_items(items).map_err(|_| {
                self.cursor.mark_at(open.start);
                DecodeErrorKind::DuplicateKey
            })?),
            Kind::Fun => Term::Fun(self.fun(open, items)?),
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
                self.budget.elements(1)?;
                open.items.reserve(1);
                open.missing = 1;
                open.kind = Kind::ListAndTail;
                Ok(false)
            }
        }
    }
}

/// What stands before the elements of a fun: tag, size, arity, uniq, index, number of free variables.
const FUN_HEADER: usize = 1 + 4 + 1 + 16 + 4 + 4;

/// What of that stands after the size.
const FUN_FIXED: usize = 1 + 16 + 4 + 4;

impl Decoder<'_> {
    /// The start of a fun (NEW_FUN_EXT), up to its elements.
    pub(super) fn open_fun(&mut self, pending: usize) -> Result<Open> {
        let start = self.cursor.marked();
        self.cursor.u32()?; // the size is checked when the end is known
        self.cursor.take(FUN_FIXED - 4)?;
        let free = self.cursor.length()?;
        let count = free.checked_add(4).ok_or(DecodeErrorKind::Truncated)?;
        self.cursor.mark_at(start);
        self.open(Kind::Fun, count, pending)
    }

    /// The bytes of a fun that any other frame can carry.
    ///
    /// They are those of the input, unless it refers to the header of this frame or gives a wrong size (which OTP reads
    /// over): then they are written again.
    fn fun(&mut self, open: &Open, items: Vec<Term>) -> Result<Fun> {
        if !matches!(
            items.as_slice(),
            [Term::Atom(_), Term::Int(_), Term::Int(_), Term::Pid(_), ..]
        ) {
            self.cursor.mark_at(open.start);
            return Err(DecodeErrorKind::Expected { expected: "the parts of a fun" });
        }
        let wire = self.input.get(open.start..self.cursor.position()).unwrap_or_default();
        let (header, _) = wire.split_at_checked(FUN_HEADER).ok_or(DecodeErrorKind::Truncated)?;
        let size = |length: usize| u32::try_from(length - 1).map(u32::to_be_bytes);
        let right_size = size(wire.len()).is_ok_and(|size| header.get(1..5) == Some(&size));
        if right_size && self.header_refs == open.header_refs {
            return Ok(Fun(self.keep(wire)?));
        }
        let elements = encoded_len(&items).map_err(|_| DecodeErrorKind::Memory)?;
        let length = usize::try_from(elements).map_err(|_| DecodeErrorKind::Memory)?;
        let length = length.checked_add(FUN_HEADER).ok_or(DecodeErrorKind::Memory)?;
        self.budget.allocation(length)?;
        let mut written = Vec::with_capacity(length);
        written.push(tag::NEW_FUN);
        written.extend(size(length).map_err(|_| DecodeErrorKind::Memory)?);
        written.extend_from_slice(header.get(5..).unwrap_or_default());
        write_all(&items, &mut written).map_err(|_| DecodeErrorKind::Memory)?;
        Ok(Fun(written.into()))
    }
}
