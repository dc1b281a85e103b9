//! JSON (RFC 8259), read and written.

use std::fmt::{self, Display, Formatter, Write};

use crate::{BigInt, Map, Term};

use super::{
    cursor::{Cursor, Read},
    number::{float, integer},
};

pub(super) fn skip_space(cursor: &mut Cursor<'_>) {
    cursor.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
}

pub(super) fn value(cursor: &mut Cursor<'_>) -> Read<Term> {
    cursor.nested(|cursor| {
        skip_space(cursor);
        match cursor.peek() {
            Some('{') => object(cursor),
            Some('[') => array(cursor),
            Some('"') => string(cursor).map(Term::from),
            Some('-' | '0'..='9') => number(cursor),
            _ if cursor.eat("null") => Ok(Term::atom("nil")),
            _ if cursor.eat("true") => Ok(Term::atom("true")),
            _ if cursor.eat("false") => Ok(Term::atom("false")),
            _ => cursor.expected("a JSON value"),
        }
    })
}

fn object(cursor: &mut Cursor<'_>) -> Read<Term> {
    cursor.next();
    let mut map = Map::new();
    skip_space(cursor);
    if cursor.eat("}") {
        return Ok(Term::Map(map));
    }
    loop {
        skip_space(cursor);
        if cursor.peek() != Some('"') {
            return cursor.expected("a key in quotes");
        }
        let key = string(cursor)?;
        skip_space(cursor);
        if !cursor.eat(":") {
            return cursor.expected(":");
        }
        let value = value(cursor)?;
        map.insert(Term::from(key), value);
        skip_space(cursor);
        if cursor.eat("}") {
            return Ok(Term::Map(map));
        }
        if !cursor.eat(",") {
            return cursor.expected(", or }");
        }
    }
}

fn array(cursor: &mut Cursor<'_>) -> Read<Term> {
    cursor.next();
    let mut items = Vec::new();
    skip_space(cursor);
    if cursor.eat("]") {
        return Ok(Term::NIL);
    }
    loop {
        items.push(value(cursor)?);
        skip_space(cursor);
        if cursor.eat("]") {
            return Ok(Term::List(items));
        }
        if !cursor.eat(",") {
            return cursor.expected(", or ]");
        }
    }
}

fn number(cursor: &mut Cursor<'_>) -> Read<Term> {
    let start = cursor.at();
    let text = cursor.rest();
    cursor.eat("-");
    let whole = cursor.take_while(|c| c.is_ascii_digit());
    if whole.is_empty() {
        return cursor.expected("a digit");
    }
    if whole.len() > 1 && whole.starts_with('0') {
        return cursor.fail_at(start, "a number does not begin with 0 and another digit");
    }
    let mut is_float = false;
    if cursor.eat(".") {
        is_float = true;
        if cursor.take_while(|c| c.is_ascii_digit()).is_empty() {
            return cursor.expected("a digit");
        }
    }
    if cursor.eat("e") || cursor.eat("E") {
        is_float = true;
        let _ = cursor.eat("+") || cursor.eat("-");
        if cursor.take_while(|c| c.is_ascii_digit()).is_empty() {
            return cursor.expected("a digit");
        }
    }
    let text = text.get(..cursor.at() - start).unwrap_or_default();
    if is_float {
        return float(cursor, start, text);
    }
    let magnitude = integer(whole, 10);
    Ok(Term::from(if text.starts_with('-') { -magnitude } else { magnitude }))
}

fn string(cursor: &mut Cursor<'_>) -> Read<String> {
    let start = cursor.at();
    cursor.next();
    let mut text = String::new();
    loop {
        let at = cursor.at();
        match cursor.next() {
            None => return cursor.fail_at(start, "there is no \" that ends this"),
            Some('"') => return Ok(text),
            Some('\\') => text.push(escaped(cursor)?),
            Some(c) if c < ' ' => {
                return cursor.fail_at(at, "a control character must be escaped in JSON");
            }
            Some(c) => text.push(c),
        }
    }
}

fn escaped(cursor: &mut Cursor<'_>) -> Read<char> {
    let at = cursor.at();
    Ok(match cursor.next() {
        Some(c @ ('"' | '\\' | '/')) => c,
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => {
            let first = unit(cursor)?;
            let mut units = vec![first];
            if (0xd800..0xdc00).contains(&first) && cursor.eat("\\u") {
                units.push(unit(cursor)?);
            }
            match char::decode_utf16(units).next() {
                Some(Ok(c)) => c,
                _ => return cursor.fail_at(at, "half of a surrogate pair is no character"),
            }
        }
        _ => return cursor.fail_at(at, "JSON has no such escape"),
    })
}

fn unit(cursor: &mut Cursor<'_>) -> Read<u16> {
    let digits = cursor.rest().get(..4).unwrap_or_default();
    let is_hex = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u16::from_str_radix(digits, 16) {
        Ok(unit) if is_hex => {
            cursor.eat(digits);
            Ok(unit)
        }
        _ => cursor.fail("\\u needs four hexadecimal digits"),
    }
}

/// Prints a term as JSON.
///
/// `nil` becomes `null`, other atoms and UTF-8 binaries strings, lists and tuples arrays, maps objects. Whatever JSON has no
/// form for (pids, binaries that are no text, keys that are neither atoms nor text) is a string with its Elixir form.
#[derive(Debug, Clone, Copy)]
pub struct Json<'a>(pub &'a Term);

impl Display for Json<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Term::Atom(atom) => match atom.as_str() {
                "nil" => f.write_str("null"),
                text @ ("true" | "false") => f.write_str(text),
                text => quoted(text, f),
            },
            Term::Int(value) => value.fmt(f),
            Term::BigInt(value) => BigInt::fmt(value, f),
            // `1.0`, `1e100`: both are JSON.
            Term::Float(value) if value.is_finite() => write!(f, "{value:?}"),
            Term::List(items) | Term::Tuple(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    f.write_str(if at > 0 { "," } else { "" })?;
                    Self(item).fmt(f)?;
                }
                f.write_str("]")
            }
            Term::Map(map) => {
                f.write_str("{")?;
                for (at, (key, value)) in map.iter().enumerate() {
                    f.write_str(if at > 0 { "," } else { "" })?;
                    match key.as_str().or_else(|| key.as_atom().map(crate::Atom::as_str)) {
                        Some(text) => quoted(text, f)?,
                        None => quoted(&key.elixir().to_string(), f)?,
                    }
                    write!(f, ":{}", Self(value))?;
                }
                f.write_str("}")
            }
            term => match term.as_str() {
                Some(text) => quoted(text, f),
                None => quoted(&term.elixir().to_string(), f),
            },
        }
    }
}

fn quoted(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_str("\"")
}
