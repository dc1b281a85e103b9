//! Elixir's literals (`elixir_tokenizer`, `elixir_parser`).

mod bitstring;
mod collection;

use crate::{Atom, Export, Map, Term};

pub(super) use self::bitstring::small;
use self::{
    bitstring::bitstring,
    collection::{list, map, tuple},
};
use super::{
    cursor::{Cursor, Read},
    escape::{self, Escaped},
    number::{decimal, digits, integer, negated},
    sigil,
};

/// The operators that can be atoms and keys, each before those that it begins with.
const OPERATORS: [&str; 52] = [
    "%{}", "<<>>", "..//", "...", "===", "!==", "<<<", ">>>", "<<~", "~>>", "<~>", "<|>", "+++",
    "---", "&&&", "|||", "^^^", "~~~", "{}", "..", "==", "!=", "=~", "<=", ">=", "<-", "->", "<>",
    "++", "--", "&&", "||", "|>", "~>", "<~", "**", "\\\\", "::", "+", "-", "*", "/", "=", "<",
    ">", "!", "&", "|", "^", "@", "%", ".",
];

pub(super) fn skip_space(cursor: &mut Cursor<'_>) {
    loop {
        cursor.take_while(char::is_whitespace);
        if cursor.peek() != Some('#') {
            return;
        }
        cursor.take_while(|c| c != '\n');
    }
}

pub(super) fn value(cursor: &mut Cursor<'_>) -> Read<Term> {
    cursor.nested(|cursor| {
        skip_space(cursor);
        let start = cursor.at();
        let Some(first) = cursor.peek() else { return cursor.expected("a literal") };
        match first {
            '0'..='9' | '+' | '-' | '?' => number_or_range(cursor),
            '"' => {
                let bytes = string(cursor)?;
                Ok(Term::from(bytes.as_slice()))
            }
            '\'' => {
                let bytes = string(cursor)?;
                charlist(cursor, start, bytes)
            }
            '~' => sigil::sigil(cursor),
            ':' => colon_atom(cursor).map(Term::Atom),
            '&' => capture(cursor),
            '[' => list(cursor),
            '{' => tuple(cursor),
            '<' if cursor.eat("<<") => bitstring(cursor),
            '%' => map(cursor),
            '(' => {
                cursor.next();
                let inner = value(cursor)?;
                close(cursor, ")")?;
                Ok(inner)
            }
            c if c.is_uppercase() => alias(cursor).map(Term::Atom),
            c if is_name_start(c) => word(cursor),
            _ => cursor.expected("a literal"),
        }
    })
}

/// `1`, `-1.5`, `0xff`, `?a`, and `1..3//2`
fn number_or_range(cursor: &mut Cursor<'_>) -> Read<Term> {
    let first = number(cursor)?;
    let end = cursor.at();
    skip_space(cursor);
    if !cursor.looking_at("..") || cursor.looking_at("...") || first.as_float().is_some() {
        cursor.back_to(end);
        return Ok(first);
    }
    cursor.eat("..");
    skip_space(cursor);
    let last = number(cursor)?;
    let end = cursor.at();
    skip_space(cursor);
    let step = if cursor.eat("//") {
        skip_space(cursor);
        number(cursor)?
    } else {
        cursor.back_to(end);
        Term::Int(if first <= last { 1 } else { -1 })
    };
    let fields = [("first", first), ("last", last), ("step", step)];
    Ok(structure("Elixir.Range", fields))
}

fn number(cursor: &mut Cursor<'_>) -> Read<Term> {
    let sign = cursor.peek().filter(|c| matches!(c, '+' | '-'));
    if sign.is_some() {
        cursor.next();
        skip_space(cursor);
    }
    let number = match (cursor.peek(), cursor.peek_second()) {
        (Some('0'), Some(base @ ('x' | 'o' | 'b'))) => {
            cursor.next();
            cursor.next();
            let base = match base {
                'x' => 16,
                'o' => 8,
                _ => 2,
            };
            Term::from(integer(&digits(cursor, base)?, base))
        }
        (Some('?'), _) => char_code(cursor)?,
        _ => decimal(cursor)?,
    };
    if cursor.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return cursor.fail("a number does not go on like this");
    }
    Ok(if sign == Some('-') { negated(number) } else { number })
}

/// `?a`
fn char_code(cursor: &mut Cursor<'_>) -> Read<Term> {
    cursor.next();
    let code = match cursor.next() {
        None => return cursor.expected("a character"),
        Some('\\') => match escape::elixir(cursor)? {
            Escaped::Char(c) => c.into(),
            Escaped::Byte(byte) => byte.into(),
            Escaped::Nothing => u32::from('\n'),
        },
        Some(c) => c.into(),
    };
    Ok(Term::from(code))
}

/// What stands between quotes, `"` or `'`.
fn string(cursor: &mut Cursor<'_>) -> Read<Vec<u8>> {
    let start = cursor.at();
    let quote = cursor.next().unwrap_or('"');
    let heredoc = quote.to_string().repeat(2);
    if cursor.looking_at(&heredoc) {
        return cursor.fail_at(start, "heredocs are not read here; write \\n in a string");
    }
    unescaped(cursor, start, quote)
}

/// Text up to an unescaped `end`, which is taken too. It may hold escapes but no interpolation.
pub(super) fn unescaped(cursor: &mut Cursor<'_>, start: usize, end: char) -> Read<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if cursor.looking_at("#{") {
            return cursor.fail("interpolation is no literal; write \\#{ for the characters");
        }
        match cursor.next() {
            None => return cursor.fail_at(start, format!("there is no {end} that ends this")),
            Some(c) if c == end => return Ok(bytes),
            Some('\\') => match escape::elixir(cursor)? {
                Escaped::Char(c) => push(&mut bytes, c),
                Escaped::Byte(byte) => bytes.push(byte),
                Escaped::Nothing => {}
            },
            Some(c) => push(&mut bytes, c),
        }
    }
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// The code points of a text.
pub(super) fn charlist(cursor: &Cursor<'_>, start: usize, bytes: Vec<u8>) -> Read<Term> {
    let text = utf8(cursor, start, bytes)?;
    Ok(text.chars().map(|c| Term::from(u32::from(c))).collect())
}

fn utf8(cursor: &Cursor<'_>, start: usize, bytes: Vec<u8>) -> Read<String> {
    String::from_utf8(bytes).or_else(|_| cursor.fail_at(start, "this is not valid UTF-8"))
}

/// `:ok`, `:"an atom"`, `:+`
pub(super) fn colon_atom(cursor: &mut Cursor<'_>) -> Read<Atom> {
    let start = cursor.at();
    cursor.next();
    match cursor.peek() {
        Some('"' | '\'') => {
            let bytes = string(cursor)?;
            let text = utf8(cursor, start, bytes)?;
            cursor.atom(start, &text)
        }
        Some(c) if is_name_start(c) => {
            let text = name(cursor);
            cursor.atom(start, text)
        }
        _ => match operator(cursor) {
            Some(operator) => Ok(Atom::from_static(operator)),
            None => cursor.expected("the name of an atom"),
        },
    }
}

/// `Foo.Bar`, which is `:"Elixir.Foo.Bar"`
pub(super) fn alias(cursor: &mut Cursor<'_>) -> Read<Atom> {
    let start = cursor.at();
    let mut text = "Elixir".to_owned();
    loop {
        let is_first = cursor.at() == start;
        let part = cursor.take_while(|c| c.is_alphanumeric() || c == '_');
        // `Elixir` in front is the prefix itself.
        if part != "Elixir" || !is_first {
            text.push('.');
            text.push_str(part);
        }
        match cursor.peek_second() {
            Some(c) if cursor.peek() == Some('.') && c.is_uppercase() => cursor.next(),
            _ => return cursor.atom(start, &text),
        };
    }
}

/// `nil`, `true`, `false`
fn word(cursor: &mut Cursor<'_>) -> Read<Term> {
    let start = cursor.at();
    let text = name(cursor);
    match text {
        "nil" | "true" | "false" => Ok(Term::Atom(cursor.atom(start, text)?)),
        _ => cursor.fail_at(
            start,
            format!("{text} is no literal; write :{text} for the atom, \"{text}\" for the string"),
        ),
    }
}

/// `&Enum.sum/1`, `&(Enum.sum/1)`
fn capture(cursor: &mut Cursor<'_>) -> Read<Term> {
    let start = cursor.at();
    cursor.next();
    skip_space(cursor);
    if cursor.eat("(") {
        skip_space(cursor);
        let function = captured(cursor, start)?;
        close(cursor, ")")?;
        return Ok(function);
    }
    captured(cursor, start)
}

fn captured(cursor: &mut Cursor<'_>, start: usize) -> Read<Term> {
    let module = match cursor.peek() {
        Some(':') => colon_atom(cursor)?,
        Some(c) if c.is_uppercase() => alias(cursor)?,
        _ if cursor.eat("nil") => Atom::from_static("nil"),
        _ if cursor.eat("true") => Atom::from_static("true"),
        _ if cursor.eat("false") => Atom::from_static("false"),
        _ => return cursor.fail_at(start, "of functions only &Module.function/arity is a literal"),
    };
    let function = dot_function(cursor)?;
    skip_space(cursor);
    if !cursor.eat("/") {
        return cursor.expected("/ and the arity");
    }
    skip_space(cursor);
    let text = digits(cursor, 10)?;
    match text.parse::<u8>() {
        Ok(arity) => Ok(Term::Export(Export::new(&module, &function, arity.into()))),
        Err(_) => cursor.fail_at(start, "the arity is at most 255"),
    }
}

/// `.sum`, `."a function"`, `.+`
pub(super) fn dot_function(cursor: &mut Cursor<'_>) -> Read<Atom> {
    if !cursor.eat(".") {
        return cursor.expected("a dot and the name of a function");
    }
    let start = cursor.at();
    match cursor.peek() {
        Some('"' | '\'') => {
            let bytes = string(cursor)?;
            let text = utf8(cursor, start, bytes)?;
            cursor.atom(start, &text)
        }
        Some(c) if is_name_start(c) => {
            let text = name(cursor);
            cursor.atom(start, text)
        }
        _ => operator_function(cursor),
    }
}

pub(super) fn operator_function(cursor: &mut Cursor<'_>) -> Read<Atom> {
    match operator(cursor) {
        Some(operator) => Ok(Atom::from_static(operator)),
        None => cursor.expected("the name of a function"),
    }
}

/// A struct of a module of Elixir's own.
pub(super) fn structure<const N: usize>(
    name: &'static str,
    fields: [(&'static str, Term); N],
) -> Term {
    let mut map = Map::new();
    map.insert(Term::atom("__struct__"), Term::atom(name));
    map.extend(fields.map(|(key, value)| (Term::atom(key), value)));
    Term::Map(map)
}

/// Letters, digits, `_` and `@`, then perhaps `?` or `!`.
fn name<'a>(cursor: &mut Cursor<'a>) -> &'a str {
    let rest = cursor.rest();
    let mut length = cursor.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '@')).len();
    // `a?: 1` has a key; `a!=` would be an operator.
    if matches!(cursor.peek(), Some('?' | '!')) && cursor.peek_second() != Some('=') {
        cursor.next();
        length += 1;
    }
    rest.get(..length).unwrap_or_default()
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn operator(cursor: &mut Cursor<'_>) -> Option<&'static str> {
    OPERATORS.into_iter().find(|operator| cursor.eat(operator))
}

fn close(cursor: &mut Cursor<'_>, end: &str) -> Read<()> {
    skip_space(cursor);
    if cursor.eat(end) { Ok(()) } else { cursor.expected(end) }
}
