//! As `io_lib:format("~0tp", [Term])` prints with `+pc unicode`.

use std::fmt::{self, Display, Formatter, Write};

use super::float::Short;
use super::{as_char, integer, is_printable, separated, short_escape, words};
use crate::{Atom, BitBinary, Export, Fun, Map, Pid, Port, Record, Reference, Term};

impl Display for Atom {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = self.as_str();
        let mut chars = text.chars();
        let bare =
            chars.next().is_some_and(is_lowercase) && chars.all(is_name_char) && !is_reserved(text);
        if bare { f.write_str(text) } else { quoted(text.chars(), '\'', f) }
    }
}

impl Display for Term {
    /// Erlang syntax, on one line. Lists of printable characters are printed as strings, as the shell does it; pids, ports,
    /// references and funs in the form of `#Pid<node@host.84.0>`, which cannot be read back.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Atom(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::BigInt(value) => integer(value, "16#", f),
            Self::Float(value) => Short(*value).fmt(f),
            Self::Binary(bytes) => binary(bytes, f),
            Self::BitBinary(bits) => bits.fmt(f),
            Self::List(items) => list(items, f),
            Self::ImproperList(list) => {
                f.write_str("[")?;
                separated(f, ",", list.items(), Self::fmt)?;
                write!(f, "|{}]", list.tail())
            }
            Self::Tuple(items) => {
                f.write_str("{")?;
                separated(f, ",", items, Self::fmt)?;
                f.write_str("}")
            }
            Self::Map(map) => map.fmt(f),
            Self::Pid(value) => value.fmt(f),
            Self::Port(value) => value.fmt(f),
            Self::Reference(value) => value.fmt(f),
            Self::Fun(value) => value.fmt(f),
            Self::Export(value) => value.fmt(f),
            Self::Record(value) => value.fmt(f),
        }
    }
}

impl Display for Map {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("#{")?;
        separated(f, ",", self.iter(), |(key, value), f| write!(f, "{key} => {value}"))?;
        f.write_str("}")
    }
}

impl Display for BitBinary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("<<")?;
        let (last, whole) = self.data().split_last().unwrap_or((&0, &[]));
        whole.iter().try_for_each(|byte| write!(f, "{byte},"))?;
        let bits = self.last_bits();
        write!(f, "{}:{bits}>>", last >> (8 - bits))
    }
}

impl Display for Pid {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "#Pid<{}.{}.{}>", self.node.as_str(), self.id, self.serial)
    }
}

impl Display for Port {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "#Port<{}.{}>", self.node().as_str(), self.id())
    }
}

impl Display for Reference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "#Ref<{}", self.node().as_str())?;
        words(self.words(), f)?;
        f.write_str(">")
    }
}

impl Display for Fun {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.parts() {
            Some(fun) => write!(f, "#Fun<{}.{}.{}>", fun.module, fun.old_index, fun.old_uniq),
            None => f.write_str("#Fun<>"),
        }
    }
}

impl Display for Export {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.parts() {
            Some((module, function, arity)) => write!(f, "fun {module}:{function}/{arity}"),
            None => f.write_str("#Fun<>"),
        }
    }
}

impl Display for Record {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(record) = self.parts() else { return f.write_str("#Record<>") };
        write!(f, "#{}:{}{{", record.module, record.name)?;
        separated(f, ",", &record.fields, |(name, value), f| write!(f, "{name} = {value}"))?;
        f.write_str("}")
    }
}

fn list(items: &[Term], f: &mut Formatter<'_>) -> fmt::Result {
    if !items.is_empty() && items.iter().all(|item| as_char(item).is_some_and(is_printable)) {
        return quoted(items.iter().filter_map(as_char), '"', f);
    }
    f.write_str("[")?;
    separated(f, ",", items, Term::fmt)?;
    f.write_str("]")
}

fn binary(bytes: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    f.write_str("<<")?;
    match std::str::from_utf8(bytes) {
        Ok("") => {}
        Ok(text) if text.chars().all(is_printable) => {
            quoted(text.chars(), '"', f)?;
            f.write_str(if text.is_ascii() { "" } else { "/utf8" })?;
        }
        // Not UTF-8, but Latin-1 that can be printed.
        Err(_) if bytes.iter().all(|byte| is_printable((*byte).into())) => {
            quoted(bytes.iter().map(|byte| (*byte).into()), '"', f)?;
        }
        _ => separated(f, ",", bytes, u8::fmt)?,
    }
    f.write_str(">>")
}

fn quoted(chars: impl Iterator<Item = char>, quote: char, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char(quote)?;
    for c in chars {
        match c {
            _ if c == quote || c == '\\' => write!(f, "\\{c}")?,
            _ => match short_escape(c) {
                Some(letter) => write!(f, "\\{letter}")?,
                None if c < '\u{a0}' && c.is_control() => write!(f, "\\{:03o}", u32::from(c))?,
                None => f.write_char(c)?,
            },
        }
    }
    f.write_char(quote)
}

fn is_lowercase(c: char) -> bool {
    c.is_ascii_lowercase() || matches!(c, 'ß'..='ÿ') && c != '÷'
}

fn is_name_char(c: char) -> bool {
    is_lowercase(c)
        || c.is_ascii_alphanumeric()
        || c == '_'
        || c == '@'
        || matches!(c, 'À'..='Þ') && c != '×'
}

/// The words of `erl_scan:reserved_word/1`; the last two are reserved from OTP 27 on.
fn is_reserved(text: &str) -> bool {
    matches!(
        text,
        "after"
            | "and"
            | "andalso"
            | "band"
            | "begin"
            | "bnot"
            | "bor"
            | "bsl"
            | "bsr"
            | "bxor"
            | "case"
            | "catch"
            | "cond"
            | "div"
            | "end"
            | "fun"
            | "if"
            | "let"
            | "not"
            | "of"
            | "or"
            | "orelse"
            | "receive"
            | "rem"
            | "try"
            | "when"
            | "xor"
            | "maybe"
            | "else"
    )
}
