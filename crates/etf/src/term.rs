use std::fmt;
use std::hash::{Hash, Hasher};

use bytes::Bytes;
use num_bigint::BigInt;

use crate::{Atom, Binary, BitBinary, Export, Fun, Map, Pid, Port, Record, Reference};

/// An Erlang term.
///
/// Equality is Erlang's `=:=`: `Int(1)` and `Float(1.0)` differ (and so do `0.0` and `-0.0`, as from OTP 27 on). A number is
/// the same whether it is kept as `Int` or `BigInt`; the decoder and `From` use `Int` wherever it fits.
///
/// `Display` prints Erlang syntax, which `parse` reads, [`Term::elixir`] Elixir's, which [`literal`](crate::literal) reads.
/// Build one in place with [`term!`](crate::term!).
#[derive(Clone)]
#[non_exhaustive]
pub enum Term {
    /// `ok`, `true`, `'Elixir.Enum'`
    Atom(Atom),
    /// An integer of 64 bits.
    Int(i64),
    /// A greater integer.
    BigInt(BigInt),
    /// A float: never NaN or infinite when decoded, and refused when encoded.
    Float(f64),
    /// `<<1,2,3>>`: what Elixir calls a string or binary. A decoded one that is not short may be a slice of the input.
    Binary(Binary),
    /// `<<5:3>>`
    BitBinary(BitBinary),
    /// `[1,2,3]`, also `"abc"` in Erlang and `'abc'` in Elixir, which are lists of code points.
    List(Vec<Self>),
    /// `[1,2|3]`
    ImproperList(Box<ImproperList>),
    /// `{a,1}`
    Tuple(Vec<Self>),
    /// `#{a => 1}`
    Map(Map),
    /// `<0.84.0>`
    Pid(Pid),
    /// `#Port<0.5>`
    Port(Port),
    /// `#Ref<0.1.2.3>`
    Reference(Reference),
    /// A closure or `fun f/1`: opaque.
    Fun(Fun),
    /// `fun m:f/1`: opaque.
    Export(Export),
    /// A native record of OTP 29: opaque.
    Record(Record),
}

/// A list that does not end in `[]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImproperList {
    pub(crate) items: Vec<Term>,
    pub(crate) tail: Term,
}

impl ImproperList {
    /// The elements before the tail; at least one.
    #[must_use]
    pub fn items(&self) -> &[Term] {
        &self.items
    }

    /// What stands after the bar; never a list.
    #[must_use]
    pub fn tail(&self) -> &Term {
        &self.tail
    }
}

impl Term {
    /// The empty list, `[]`. (Elixir's `nil` is the atom of that name: `Term::atom("nil")`.)
    pub const NIL: Self = Self::List(Vec::new());

    /// An atom of a literal.
    ///
    /// # Panics
    /// When the literal has more than 255 characters; use [`Atom::new`] for what is not a literal.
    #[must_use]
    pub const fn atom(text: &'static str) -> Self {
        Self::Atom(Atom::from_static(text))
    }

    /// `[Items… | Tail]`: a proper list where the tail is one, the tail itself where there are no items.
    #[must_use]
    pub fn list_with_tail(mut items: Vec<Self>, tail: Self) -> Self {
        match tail {
            tail if items.is_empty() => tail,
            Self::List(rest) => {
                items.extend(rest);
                Self::List(items)
            }
            Self::ImproperList(rest) => {
                items.extend(rest.items);
                Self::ImproperList(Box::new(ImproperList { items, tail: rest.tail }))
            }
            tail => Self::ImproperList(Box::new(ImproperList { items, tail })),
        }
    }

    /// The atom, if it is one.
    #[must_use]
    pub fn as_atom(&self) -> Option<&Atom> {
        if let Self::Atom(atom) = self { Some(atom) } else { None }
    }

    /// Whether it is the atom of that text.
    #[must_use]
    pub fn is_atom(&self, text: &str) -> bool {
        self.as_atom().is_some_and(|atom| atom == text)
    }

    /// `true` or `false`, if it is one of these atoms.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.as_atom()?.as_bytes() {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// The integer, if it is one that fits 64 bits with a sign.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::BigInt(value) => value.try_into().ok(),
            _ => None,
        }
    }

    /// The integer, if it is one that fits 64 bits without a sign.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(value) => u64::try_from(*value).ok(),
            Self::BigInt(value) => value.try_into().ok(),
            _ => None,
        }
    }

    /// The float, if it is one; an integer is not.
    #[must_use]
    pub fn as_float(&self) -> Option<f64> {
        if let Self::Float(value) = self { Some(*value) } else { None }
    }

    /// The bytes, if it is a binary.
    #[must_use]
    pub fn as_binary(&self) -> Option<&Binary> {
        if let Self::Binary(bytes) = self { Some(bytes) } else { None }
    }

    /// The text, if it is a binary of valid UTF-8: what Elixir calls a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_binary()?).ok()
    }

    /// The elements, if it is a proper list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// The elements, if it is a tuple.
    ///
    /// ```
    /// let reply = etf::term!({ok, 42});
    /// let Some([tag, value]) = reply.as_tuple() else { panic!("no pair") };
    /// assert!(tag.is_atom("ok"));
    /// assert_eq!(value.as_int(), Some(42));
    /// ```
    #[must_use]
    pub fn as_tuple(&self) -> Option<&[Self]> {
        if let Self::Tuple(items) = self { Some(items) } else { None }
    }

    /// The map, if it is one.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        if let Self::Map(map) = self { Some(map) } else { None }
    }

    /// The pid, if it is one.
    #[must_use]
    pub fn as_pid(&self) -> Option<&Pid> {
        if let Self::Pid(pid) = self { Some(pid) } else { None }
    }

    /// The port, if it is one.
    #[must_use]
    pub fn as_port(&self) -> Option<&Port> {
        if let Self::Port(port) = self { Some(port) } else { None }
    }

    /// The reference, if it is one.
    #[must_use]
    pub fn as_reference(&self) -> Option<&Reference> {
        if let Self::Reference(reference) = self { Some(reference) } else { None }
    }

    /// Copies every binary in the term, so that none keeps the buffer alive that it was decoded from.
    ///
    /// The decoder has already copied those that are small or a small part of it; see [`Decoder`](crate::Decoder).
    pub fn detach(&mut self) {
        let mut terms = vec![self];
        while let Some(term) = terms.pop() {
            match term {
                Self::Binary(binary) => binary.detach(),
                Self::BitBinary(bits) => bits.detach(),
                Self::Fun(Fun(bytes))
                | Self::Export(Export(bytes))
                | Self::Record(Record(bytes)) => {
                    *bytes = Bytes::copy_from_slice(bytes);
                }
                Self::List(items) | Self::Tuple(items) => terms.extend(items),
                Self::Map(map) => terms.extend(map.items_mut()),
                Self::ImproperList(list) => {
                    terms.extend(&mut list.items);
                    terms.push(&mut list.tail);
                }
                _ => {}
            }
        }
    }

    /// The elements, if it is a tuple; otherwise the term back.
    ///
    /// # Errors
    /// The term itself, when it is not a tuple.
    pub fn into_tuple(self) -> Result<Vec<Self>, Self> {
        if let Self::Tuple(items) = self { Ok(items) } else { Err(self) }
    }

    /// The elements, if it is a proper list; otherwise the term back.
    ///
    /// # Errors
    /// The term itself, when it is not a proper list.
    pub fn into_list(self) -> Result<Vec<Self>, Self> {
        if let Self::List(items) = self { Ok(items) } else { Err(self) }
    }
}

impl PartialEq for Term {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Atom(a), Self::Atom(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::BigInt(a), Self::BigInt(b)) => a == b,
            (Self::Int(small), Self::BigInt(big)) | (Self::BigInt(big), Self::Int(small)) => {
                i64::try_from(big) == Ok(*small)
            }
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Binary(a), Self::Binary(b)) => a == b,
            (Self::BitBinary(a), Self::BitBinary(b)) => a == b,
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => a == b,
            (Self::ImproperList(a), Self::ImproperList(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
            (Self::Pid(a), Self::Pid(b)) => a == b,
            (Self::Port(a), Self::Port(b)) => a == b,
            (Self::Reference(a), Self::Reference(b)) => a == b,
            (Self::Fun(a), Self::Fun(b)) => a == b,
            (Self::Export(a), Self::Export(b)) => a == b,
            (Self::Record(a), Self::Record(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Term {}

impl Hash for Term {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(match self {
            Self::BigInt(_) => &Self::Int(0),
            other => other,
        })
        .hash(state);
        match self {
            Self::Atom(value) => value.hash(state),
            Self::Int(value) => value.hash(state),
            Self::BigInt(value) => match i64::try_from(value) {
                Ok(small) => small.hash(state),
                Err(_) => value.hash(state),
            },
            Self::Float(value) => value.to_bits().hash(state),
            Self::Binary(value) => value.hash(state),
            Self::BitBinary(value) => value.hash(state),
            Self::List(items) | Self::Tuple(items) => items.hash(state),
            Self::ImproperList(list) => list.hash(state),
            Self::Map(map) => map.hash(state),
            Self::Pid(value) => value.hash(state),
            Self::Port(value) => value.hash(state),
            Self::Reference(value) => value.hash(state),
            Self::Fun(value) => value.hash(state),
            Self::Export(value) => value.hash(state),
            Self::Record(value) => value.hash(state),
        }
    }
}

impl fmt::Debug for Term {
    /// Erlang syntax: what a reader of a log or a failed assertion wants to see.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// The decoder moves terms by the million; `Pid` is the only part that needs all of the 40 bytes.
const _: () = assert!(size_of::<Term>() == 40);
