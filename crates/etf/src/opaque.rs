//! Terms that mean something only to a BEAM: kept as the bytes of the wire, to be sent on.

use bytes::Bytes;

use crate::encode::{atom_bytes, integer};
use crate::{Atom, Decoder, Limits, Pid, Term, tag};

/// A closure (NEW_FUN_EXT), kept as bytes that any other frame can carry: atoms in full, sizes right.
///
/// Two are equal when their bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fun(pub(crate) Bytes);

/// An external fun, `fun m:f/1` (EXPORT_EXT), kept as bytes that any other frame can carry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Export(pub(crate) Bytes);

/// A native record of OTP 29 (RECORD_EXT), kept as bytes that any other frame can carry.
///
/// Two are equal when their bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record(pub(crate) Bytes);

/// What stands before the elements of a fun: tag, size, arity, uniq, index, number of free variables.
pub(crate) const FUN_HEADER: usize = 1 + 4 + 1 + 16 + 4 + 4;

/// What stands before the elements of a native record: tag, number of fields, flags.
pub(crate) const RECORD_HEADER: usize = 1 + 4 + 1;

/// What a fun is made of, for printing.
pub(crate) struct FunParts {
    pub(crate) arity: u8,
    pub(crate) index: u32,
    pub(crate) module: Atom,
    pub(crate) old_index: i64,
    pub(crate) old_uniq: i64,
}

/// What a native record is made of, for printing.
pub(crate) struct RecordParts {
    pub(crate) module: Atom,
    pub(crate) name: Atom,
    pub(crate) fields: Vec<(Term, Term)>,
}

impl Fun {
    /// The external term format of it, without the leading 131.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The module that it was compiled in.
    #[must_use]
    pub fn module(&self) -> Option<Atom> {
        Some(self.parts()?.module)
    }

    /// How many arguments it takes.
    #[must_use]
    pub fn arity(&self) -> Option<u8> {
        Some(self.parts()?.arity)
    }

    /// Its number among the funs of the module.
    #[must_use]
    pub fn index(&self) -> Option<u32> {
        Some(self.parts()?.index)
    }

    /// The process that made it.
    #[must_use]
    pub fn creator(&self) -> Option<Pid> {
        let elements = self.0.slice(FUN_HEADER.min(self.0.len())..);
        let limits = Limits::default();
        let mut decoder = Decoder::new(&elements, &[], &limits);
        (0..3).try_for_each(|_| decoder.term().map(drop)).ok()?;
        decoder.term().ok()?.as_pid().cloned()
    }

    pub(crate) fn parts(&self) -> Option<FunParts> {
        let arity = *self.0.get(5)?;
        let index = u32::from_be_bytes(*self.0.get(22..)?.first_chunk()?);
        let elements = self.0.slice(FUN_HEADER.min(self.0.len())..);
        let limits = Limits::default();
        let mut decoder = Decoder::new(&elements, &[], &limits);
        let mut next = || decoder.term().ok();
        let (module, old_index, old_uniq) = (next()?, next()?, next()?);
        Some(FunParts {
            arity,
            index,
            module: module.as_atom()?.clone(),
            old_index: old_index.as_int()?,
            old_uniq: old_uniq.as_int()?,
        })
    }
}

impl Export {
    /// `fun Module:Function/Arity`
    ///
    /// ```
    /// use etf::{Atom, Export, Term};
    /// let reverse = Export::new(&Atom::from_static("lists"), &Atom::from_static("reverse"), 1);
    /// assert_eq!(Term::Export(reverse).to_string(), "fun lists:reverse/1");
    /// ```
    #[must_use]
    pub fn new(module: &Atom, function: &Atom, arity: u32) -> Self {
        let mut wire = vec![tag::EXPORT];
        atom_bytes(module, &mut wire);
        atom_bytes(function, &mut wire);
        integer(arity.into(), &mut wire);
        Self(wire.into())
    }

    /// The external term format of it, without the leading 131.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Module, function and arity.
    pub(crate) fn parts(&self) -> Option<(Atom, Atom, i64)> {
        let elements = self.0.slice(1.min(self.0.len())..);
        let limits = Limits::default();
        let mut decoder = Decoder::new(&elements, &[], &limits);
        let mut next = || decoder.term().ok();
        let (module, function, arity) = (next()?, next()?, next()?);
        Some((module.as_atom()?.clone(), function.as_atom()?.clone(), arity.as_int()?))
    }
}

impl Record {
    /// The external term format of it, without the leading 131.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    pub(crate) fn parts(&self) -> Option<RecordParts> {
        let count = u32::from_be_bytes(*self.0.get(1..)?.first_chunk()?);
        let elements = self.0.slice(RECORD_HEADER.min(self.0.len())..);
        // It was within some limits when it was captured.
        let limits = Limits::default().with_depth(Limits::MAX_DEPTH).with_memory(usize::MAX);
        let mut decoder = Decoder::new(&elements, &[], &limits);
        let mut next = || decoder.term().ok();
        let (module, name) = (next()?, next()?);
        let names: Vec<_> = (0..count).map_while(|_| next()).collect();
        let fields = names.into_iter().map_while(|name| Some((name, next()?))).collect();
        Some(RecordParts {
            module: module.as_atom()?.clone(),
            name: name.as_atom()?.clone(),
            fields,
        })
    }
}
