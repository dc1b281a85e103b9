//! As `inspect(term, limit: :infinity, printable_limit: :infinity)` prints.

use std::fmt::{self, Display, Formatter, Write};

use super::float::Short;
use super::{as_char, integer, is_printable, separated, short_escape, structs, words};
use crate::{Atom, Map, Term};

/// Prints a term in Elixir syntax; made by [`Term::elixir`].
#[derive(Debug, Clone, Copy)]
pub struct Elixir<'a>(&'a Term);

impl Term {
    /// Prints as Elixir's `inspect/1`, on one line and in full.
    ///
    /// Charlists are printed as from Elixir 1.15 on (`~c"abc"`), ranges, dates and times as literals (`1..3`,
    /// `~D[2026-11-23]`). Any other struct is printed with all its fields, whatever its own module makes of it; atoms with
    /// letters beyond Latin-1 are always quoted.
    ///
    /// ```
    /// use etf::term;
    /// let user = term!(#{(etf::Atom::from_static("__struct__")) => (etf::Atom::from_static("Elixir.User")), name => "Ada"});
    /// assert_eq!(user.elixir().to_string(), r#"%User{name: "Ada"}"#);
    /// assert_eq!(term!([{ok, nil}, {retry, 3}]).elixir().to_string(), "[ok: nil, retry: 3]");
    /// ```
    #[must_use]
    pub const fn elixir(&self) -> Elixir<'_> {
        Elixir(self)
    }
}

impl Display for Elixir<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Term::Atom(value) => atom(value, f),
            Term::Int(value) => value.fmt(f),
            Term::BigInt(value) => integer(value, "0x", f),
            Term::Float(value) => float(*value, f),
            Term::Binary(bytes) => binary(bytes, f),
            Term::BitBinary(bits) => {
                let (last, whole) = bits.data().split_last().unwrap_or((&0, &[]));
                f.write_str("<<")?;
                whole.iter().try_for_each(|byte| write!(f, "{byte}, "))?;
                write!(f, "{}::size({})>>", last >> (8 - bits.last_bits()), bits.last_bits())
            }
            Term::List(items) => list(items, f),
            Term::ImproperList(list) => {
                f.write_str("[")?;
                terms(list.items(), f)?;
                write!(f, " | {}]", Self(list.tail()))
            }
            Term::Tuple(items) => {
                f.write_str("{")?;
                terms(items, f)?;
                f.write_str("}")
            }
            Term::Map(value) => map(value, f),
            Term::Pid(pid) => write!(f, "#PID<{}.{}.{}>", pid.node.as_str(), pid.id, pid.serial),
            Term::Port(port) => port.fmt(f),
            Term::Reference(reference) => {
                write!(f, "#Reference<{}", reference.node().as_str())?;
                words(reference.words(), f)?;
                f.write_str(">")
            }
            Term::Fun(fun) => match fun.parts() {
                Some(fun) => {
                    write!(f, "#Function<{}.{}/{} in ", fun.index, fun.old_uniq, fun.arity)?;
                    atom(&fun.module, f)?;
                    f.write_str(">")
                }
                None => f.write_str("#Function<>"),
            },
            Term::Export(export) => match export.parts() {
                Some((module, function, arity)) => {
                    f.write_str("&")?;
                    atom(&module, f)?;
                    f.write_str(".")?;
                    callable(function.as_str(), f)?;
                    write!(f, "/{arity}")
                }
                None => f.write_str("#Function<>"),
            },
            Term::Record(record) => record.fmt(f),
        }
    }
}

fn terms(items: &[Term], f: &mut Formatter<'_>) -> fmt::Result {
    separated(f, ", ", items, |item, f| Elixir(item).fmt(f))
}

fn list(items: &[Term], f: &mut Formatter<'_>) -> fmt::Result {
    if !items.is_empty() && items.iter().all(|item| as_char(item).is_some_and(is_ascii_printable)) {
        f.write_str("~c")?;
        return quoted(items.iter().filter_map(as_char), f);
    }
    f.write_str("[")?;
    if !items.is_empty() && items.iter().all(|item| as_keyword(item).is_some()) {
        separated(f, ", ", items.iter().filter_map(as_keyword), |(key, value), f| {
            pair(key, value, f)
        })?;
    } else {
        terms(items, f)?;
    }
    f.write_str("]")
}

fn map(map: &Map, f: &mut Formatter<'_>) -> fmt::Result {
    if let Some(literal) = structs::literal(map) {
        return f.write_str(&literal);
    }
    let name =
        map.get_atom("__struct__").and_then(Term::as_atom).filter(|name| is_alias(name.as_str()));
    let is_hidden =
        |key: &Term| name.is_some() && (key.is_atom("__struct__") || key.is_atom("__exception__"));
    let shown = || map.iter().filter(|(key, _)| !is_hidden(key));
    f.write_str("%")?;
    if let Some(name) = name {
        atom(name, f)?;
    }
    f.write_str("{")?;
    if map.keys().all(|key| as_key(key).is_some()) {
        separated(f, ", ", shown().filter_map(|(k, v)| Some((as_key(k)?, v))), |(k, v), f| {
            pair(k, v, f)
        })?;
    } else {
        separated(f, ", ", shown(), |(k, v), f| write!(f, "{} => {}", Elixir(k), Elixir(v)))?;
    }
    f.write_str("}")
}

/// `key: value`
fn pair(key: &Atom, value: &Term, f: &mut Formatter<'_>) -> fmt::Result {
    let text = key.as_str();
    // `Elixir` is a module's name, though the only one that may be written as a key.
    if (is_identifier(text) || is_operator(text)) && text != "Elixir" {
        f.write_str(text)?;
    } else {
        quoted(text.chars(), f)?;
    }
    write!(f, ": {}", Elixir(value))
}

/// The key and value of an element of a keyword list.
fn as_keyword(item: &Term) -> Option<(&Atom, &Term)> {
    if let [key, value] = item.as_tuple()? { Some((as_key(key)?, value)) } else { None }
}

/// The atom of a key that is written as `key:`; names of modules are not.
fn as_key(key: &Term) -> Option<&Atom> {
    key.as_atom().filter(|atom| !atom.as_str().starts_with("Elixir."))
}

fn atom(atom: &Atom, f: &mut Formatter<'_>) -> fmt::Result {
    let text = atom.as_str();
    match text {
        "true" | "false" | "nil" => f.write_str(text),
        "Elixir" => f.write_str("Elixir"),
        _ if is_alias(text) => f.write_str(alias(text)),
        _ if is_identifier(text) || is_operator(text) => write!(f, ":{text}"),
        _ => {
            f.write_str(":")?;
            quoted(text.chars(), f)
        }
    }
}

/// The name of a function after the dot of a call.
fn callable(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    let is_variable =
        is_identifier(text) && !text.contains('@') && !text.starts_with(|c: char| c.is_uppercase());
    if is_variable || is_callable_operator(text) {
        f.write_str(text)
    } else {
        quoted(text.chars(), f)
    }
}

/// `Elixir.Foo.Bar1`
fn is_alias(text: &str) -> bool {
    text.strip_prefix("Elixir.").is_some_and(|aliases| {
        aliases.split('.').all(|alias| {
            alias.starts_with(|c: char| c.is_ascii_uppercase())
                && alias.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
    })
}

/// An alias as it is written: without the prefix, unless it would be taken for one again.
fn alias(text: &str) -> &str {
    match text.strip_prefix("Elixir.") {
        Some(short) if short != "Elixir" && !short.starts_with("Elixir.") => short,
        _ => text,
    }
}

/// What needs no quotes after a colon: letters, digits, `_` and `@`, then perhaps `?` or `!`.
fn is_identifier(text: &str) -> bool {
    let is_letter = |c: char| {
        c.is_ascii_alphabetic() || c == '_' || matches!(c, 'À'..='ÿ') && c != '×' && c != '÷'
    };
    let text = text.strip_suffix(['?', '!']).unwrap_or(text);
    text.starts_with(is_letter)
        && text.chars().all(|c| is_letter(c) || c.is_ascii_digit() || c == '@')
}

/// The operators that need no quotes after a colon.
fn is_operator(text: &str) -> bool {
    matches!(text, "%" | "." | "->" | ".." | "..//" | "..." | "{}" | "%{}" | "<<>>" | "@")
        || is_callable_operator(text) && !matches!(text, "::" | "<|>" | "^^^" | "~~~")
}

/// The operators that need no quotes after the dot of a call.
fn is_callable_operator(text: &str) -> bool {
    matches!(
        text,
        "!" | "&"
            | "*"
            | "+"
            | "-"
            | "/"
            | "<"
            | "="
            | ">"
            | "^"
            | "|"
            | "@"
            | "!="
            | "&&"
            | "**"
            | "++"
            | "--"
            | "<-"
            | "<="
            | "<>"
            | "<~"
            | "=="
            | "=~"
            | ">="
            | "\\\\"
            | "|>"
            | "||"
            | "~>"
            | "::"
            | "!=="
            | "&&&"
            | "+++"
            | "---"
            | "<<<"
            | "<<~"
            | "<~>"
            | "==="
            | ">>>"
            | "|||"
            | "~>>"
            | "<|>"
            | "^^^"
            | "~~~"
    )
}

/// Elixir prints integers in full up to 10^16.
fn float(value: f64, f: &mut Formatter<'_>) -> fmt::Result {
    if (1.0..1.0e16).contains(&value.abs()) && value.fract() == 0.0 {
        write!(f, "{value:.1}")
    } else {
        Short(value).fmt(f)
    }
}

fn binary(bytes: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(|c| is_printable(c) || matches!(c, '\u{7}' | '\u{7f}')) => {
            quoted(text.chars(), f)
        }
        _ => {
            f.write_str("<<")?;
            separated(f, ", ", bytes, u8::fmt)?;
            f.write_str(">>")
        }
    }
}

/// What `List.ascii_printable?/1` takes.
fn is_ascii_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{7}'..='\u{d}' | '\u{1b}')
}

fn quoted(chars: impl Iterator<Item = char>, f: &mut Formatter<'_>) -> fmt::Result {
    let mut chars = chars.peekable();
    f.write_str("\"")?;
    while let Some(c) = chars.next() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '#' if chars.peek() == Some(&'{') => f.write_str("\\#")?,
            '\u{7}' => f.write_str("\\a")?,
            '\0' => f.write_str("\\0")?,
            '\u{feff}' => f.write_str("\\uFEFF")?,
            _ => match short_escape(c) {
                Some(letter) => write!(f, "\\{letter}")?,
                None if is_printable(c) => f.write_char(c)?,
                None if u32::from(c) < 0x100 => write!(f, "\\x{:02X}", u32::from(c))?,
                None => write!(f, "\\x{{{:X}}}", u32::from(c))?,
            },
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BitBinary, Export, Limits, Pid, Port, Reference, decode, term};

    fn named(text: &str) -> Term {
        Term::Atom(Atom::new(text).unwrap())
    }

    fn inspect(term: &Term) -> String {
        term.elixir().to_string()
    }

    /// Printed by Elixir 1.14.
    #[test]
    fn atoms_are_quoted_as_elixir_does_it() {
        let printed = [
            ("ok", ":ok"),
            ("nil", "nil"),
            ("true", "true"),
            ("a?", ":a?"),
            ("b!", ":b!"),
            ("c@d", ":c@d"),
            ("n@127.0.0.1", ":\"n@127.0.0.1\""),
            ("Foo", ":Foo"),
            ("é", ":é"),
            ("", ":\"\""),
            ("1a", ":\"1a\""),
            ("_a", ":_a"),
            ("a!?", ":\"a!?\""),
            ("@a", ":\"@a\""),
            ("+", ":+"),
            ("&&", ":&&"),
            ("=>", ":\"=>\""),
            ("%{}", ":%{}"),
            ("<<>>", ":<<>>"),
            ("..//", ":..//"),
            ("::", ":\"::\""),
            ("not in", ":\"not in\""),
            ("Elixir", "Elixir"),
            ("Elixir.", ":\"Elixir.\""),
            ("Elixir.Foo", "Foo"),
            ("Elixir.Foo.Bar1", "Foo.Bar1"),
            ("Elixir.foo", ":\"Elixir.foo\""),
            ("Elixir.Foo.bar", ":\"Elixir.Foo.bar\""),
            ("Elixir.A_1", "A_1"),
            ("Elixir.Elixir", "Elixir.Elixir"),
            ("Elixir.Elixir.Foo", "Elixir.Elixir.Foo"),
            ("Elixir.ElixirLs", "ElixirLs"),
            ("Elixir.A?", ":\"Elixir.A?\""),
            ("foo bar", ":\"foo bar\""),
            ("a.b", ":\"a.b\""),
            ("a\né\u{85}\0", ":\"a\\né\\x85\\0\""),
            ("a'\"#{", ":\"a'\\\"\\#{\""),
        ];
        for (text, expected) in printed {
            assert_eq!(inspect(&named(text)), expected);
        }
    }

    /// Printed by Elixir 1.14, but for the charlist, which is as from 1.15 on.
    #[test]
    fn terms_are_printed_as_elixir_does_it() {
        let user = [(named("__struct__"), named("Elixir.User")), (named("name"), term!("Ada"))];
        let exception = [
            (named("__exception__"), term!(true)),
            (named("__struct__"), named("Elixir.RuntimeError")),
            (named("message"), term!("x")),
        ];
        let odd_key = [(named("Elixir.Foo"), term!(1)), (named("a"), term!(2))];
        let keywords = ["b c", "do", "Foo", "+", "nil", "Elixir"]
            .map(|key| Term::Tuple(vec![named(key), term!(1)]));
        let printed = [
            (term!([]), "[]"),
            (term!({}), "{}"),
            (term!(#{}), "%{}"),
            (term!({a, "b", 1, 2.5}), "{:a, \"b\", 1, 2.5}"),
            (term!([1, 2 | 3]), "[1, 2 | 3]"),
            (term!([{a, 1}, {b, [{c, 2}]}]), "[a: 1, b: [c: 2]]"),
            (term!([{a, 1} | 3]), "[{:a, 1} | 3]"),
            (
                Term::List(keywords.to_vec()),
                "[\"b c\": 1, do: 1, Foo: 1, +: 1, nil: 1, \"Elixir\": 1]",
            ),
            (Term::List(vec![Term::Tuple(vec![named("Elixir.Foo"), term!(1)])]), "[{Foo, 1}]"),
            (term!(#{a => 3, nil => 4}), "%{a: 3, nil: 4}"),
            (term!(#{1 => 2, a => 3}), "%{1 => 2, :a => 3}"),
            (odd_key.into_iter().collect(), "%{Foo => 1, :a => 2}"),
            (user.into_iter().collect(), "%User{name: \"Ada\"}"),
            (exception.into_iter().collect(), "%RuntimeError{message: \"x\"}"),
            (
                term!(#{(Atom::from_static("__struct__")) => foo, a => 1}),
                "%{__struct__: :foo, a: 1}",
            ),
            (term!([97, 98, 7, 34, 35, 123]), "~c\"ab\\a\\\"\\#{\""),
            (term!([233]), "[233]"),
            (term!([97, 127]), "[97, 127]"),
            (Term::from(b"\xff\x01".as_slice()), "<<255, 1>>"),
            (
                term!("a\n\t\u{1b}\u{7}\u{8}\u{7f}\u{c}\u{b}\r#{x} # {"),
                "\"a\\n\\t\\e\\a\\b\\d\\f\\v\\r\\#{x} # {\"",
            ),
            (term!("é日\u{feff}"), "\"é日\\uFEFF\""),
            (term!("a\0"), "<<97, 0>>"),
            (BitBinary::new(&[1, 2, 0x30], 4).unwrap().into(), "<<1, 2, 3::size(4)>>"),
            (term!(1500.0), "1500.0"),
            (term!(1.0e15), "1000000000000000.0"),
            (term!(1.0e16), "1.0e16"),
            (term!(1.23e-4), "1.23e-4"),
            (term!(-0.0), "-0.0"),
        ];
        for (term, expected) in printed {
            assert_eq!(inspect(&term), expected);
        }
    }

    #[test]
    fn identifiers_and_funs_are_printed_with_their_node() {
        let node = Atom::from_static("n1@127.0.0.1");
        let pid = Pid { node: node.clone(), id: 96, serial: 0, creation: 1 };
        assert_eq!(inspect(&pid.into()), "#PID<n1@127.0.0.1.96.0>");
        let reference = Reference::new(node.clone(), 1, &[24806, 1378, 13]).unwrap();
        assert_eq!(inspect(&reference.into()), "#Reference<n1@127.0.0.1.13.1378.24806>");
        assert_eq!(inspect(&Port::new(node, 5, 1).into()), "#Port<n1@127.0.0.1.5>");
        let export = |module: &str, function: &str| {
            let (module, function) = (Atom::new(module).unwrap(), Atom::new(function).unwrap());
            inspect(&Export::new(&module, &function, 1).into())
        };
        assert_eq!(export("Elixir.Enum", "map"), "&Enum.map/1");
        assert_eq!(export("lists", "foo bar"), "&:lists.\"foo bar\"/1");
        assert_eq!(export("m", "+"), "&:m.+/1");
        assert_eq!(export("m", "A"), "&:m.\"A\"/1");
        assert_eq!(export("m", "a@b"), "&:m.\"a@b\"/1");
        assert_eq!(export("m", "nil"), "&:m.nil/1");
        assert_eq!(export("m", ".."), "&:m.\"..\"/1");
    }

    #[test]
    fn a_huge_integer_is_printed_in_base_16() {
        let huge = crate::BigInt::from(0xabc) << 1_000_000_u32;
        let term = Term::from(-huge);
        assert!(
            term.to_string().starts_with("-16#ABC000") && inspect(&term).starts_with("-0xABC000")
        );
        let bytes = crate::encode(&term).unwrap().into_bytes();
        assert_eq!(decode(&bytes, &Limits::default()), Ok(term));
    }
}
