//! Erlang's literals (`erl_scan`, `erl_parse`).

use crate::{Atom, Export, Map, Term};

use super::{
    bits::{Bits, Layout, Value},
    cursor::{Cursor, Read},
    elixir::{operator_function, small},
    escape,
    number::{decimal, digits, integer, negated},
};

/// `erl_scan:reserved_word/1`, without what only OTP 27 reserves.
const RESERVED: [&str; 27] = [
    "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case",
    "catch", "cond", "div", "end", "fun", "if", "let", "not", "of", "or", "orelse", "receive",
    "rem", "try", "when", "xor",
];

pub(super) fn skip_space(cursor: &mut Cursor<'_>) {
    loop {
        cursor.take_while(char::is_whitespace);
        if cursor.peek() != Some('%') {
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
            '0'..='9' | '$' => number(cursor),
            '+' | '-' => {
                cursor.next();
                skip_space(cursor);
                match number(cursor)? {
                    number if first == '-' => Ok(negated(number)),
                    number => Ok(number),
                }
            }
            '"' => strings(cursor),
            '[' => list(cursor),
            '{' => {
                cursor.next();
                items(cursor, "}").map(Term::Tuple)
            }
            '<' if cursor.eat("<<") => bitstring(cursor),
            '#' => map(cursor),
            '~' if cursor.eat("~") => {
                // OTP 27: ~"text" is a binary in UTF-8.
                let Some('"') = cursor.peek() else { return cursor.expected("\"") };
                quoted(cursor, '"').map(Term::from)
            }
            '(' => {
                cursor.next();
                let inner = value(cursor)?;
                close(cursor, ")")?;
                Ok(inner)
            }
            'f' if word(cursor) == "fun" => capture(cursor),
            c if c.is_uppercase() || c == '_' => {
                let name = word(cursor);
                cursor.fail_at(start, format!("{name} is a variable, and no literal"))
            }
            _ => atom(cursor).map(Term::Atom),
        }
    })
}

/// `ok`, `'an atom'`
pub(super) fn atom(cursor: &mut Cursor<'_>) -> Read<Atom> {
    let start = cursor.at();
    if cursor.peek() == Some('\'') {
        let text = quoted(cursor, '\'')?;
        return cursor.atom(start, &text);
    }
    if !cursor.peek().is_some_and(char::is_lowercase) {
        return cursor.expected("a literal");
    }
    let text = word(cursor);
    cursor.take_while(is_name_char);
    if RESERVED.contains(&text) {
        return cursor.fail_at(start, format!("{text} is a reserved word; write '{text}'"));
    }
    cursor.atom(start, text)
}

/// The function of a name: without a doubt about what it is, so that reserved words and operators need no quotes.
pub(super) fn function(cursor: &mut Cursor<'_>) -> Read<Atom> {
    let start = cursor.at();
    match cursor.peek() {
        Some('\'') => atom(cursor),
        Some(c) if c.is_lowercase() => {
            let text = cursor.take_while(is_name_char);
            cursor.atom(start, text)
        }
        _ => operator_function(cursor),
    }
}

/// The name that comes next, which is left.
fn word<'a>(cursor: &mut Cursor<'a>) -> &'a str {
    let start = cursor.at();
    let word = cursor.take_while(is_name_char);
    cursor.back_to(start);
    word
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '@')
}

/// `1`, `16#ff`, `1.5e3`, `$a`
fn number(cursor: &mut Cursor<'_>) -> Read<Term> {
    if cursor.eat("$") {
        return match cursor.next() {
            None => cursor.expected("a character"),
            Some('\\') => escape::erlang(cursor).map(|c| Term::from(u32::from(c))),
            Some(c) => Ok(Term::from(u32::from(c))),
        };
    }
    let start = cursor.at();
    let number = decimal(cursor)?;
    if number.as_float().is_some() || !cursor.eat("#") {
        return Ok(number);
    }
    match number.as_int().and_then(|base| u32::try_from(base).ok()) {
        Some(base @ 2..=36) => Ok(Term::from(integer(&digits(cursor, base)?, base))),
        _ => cursor.fail_at(start, "the base of a number is 2 to 36"),
    }
}

/// `"one " "string"`
fn strings(cursor: &mut Cursor<'_>) -> Read<Term> {
    let mut chars = Vec::new();
    while cursor.peek() == Some('"') {
        chars.extend(quoted(cursor, '"')?.chars().map(|c| Term::from(u32::from(c))));
        skip_space(cursor);
    }
    Ok(Term::List(chars))
}

fn quoted(cursor: &mut Cursor<'_>, quote: char) -> Read<String> {
    let start = cursor.at();
    cursor.next();
    let mut text = String::new();
    loop {
        match cursor.next() {
            None => return cursor.fail_at(start, format!("there is no {quote} that ends this")),
            Some(c) if c == quote => return Ok(text),
            Some('\\') => text.push(escape::erlang(cursor)?),
            Some(c) => text.push(c),
        }
    }
}

fn list(cursor: &mut Cursor<'_>) -> Read<Term> {
    cursor.next();
    skip_space(cursor);
    if cursor.eat("]") {
        return Ok(Term::NIL);
    }
    let mut items = vec![value(cursor)?];
    loop {
        skip_space(cursor);
        if cursor.eat("|") {
            let tail = value(cursor)?;
            close(cursor, "]")?;
            return Ok(Term::list_with_tail(items, tail));
        }
        if !cursor.eat(",") {
            close(cursor, "]")?;
            return Ok(Term::List(items));
        }
        items.push(value(cursor)?);
    }
}

/// What stands between commas up to `end`, which is taken.
fn items(cursor: &mut Cursor<'_>, end: &str) -> Read<Vec<Term>> {
    let mut items = Vec::new();
    skip_space(cursor);
    if cursor.eat(end) {
        return Ok(items);
    }
    loop {
        items.push(value(cursor)?);
        skip_space(cursor);
        if !cursor.eat(",") {
            close(cursor, end)?;
            return Ok(items);
        }
    }
}

/// `#{a => 1}`
fn map(cursor: &mut Cursor<'_>) -> Read<Term> {
    if !cursor.eat("#{") {
        return cursor.fail("a record is no literal; write the tuple that it is");
    }
    let mut map = Map::new();
    skip_space(cursor);
    if cursor.eat("}") {
        return Ok(Term::Map(map));
    }
    loop {
        let key = value(cursor)?;
        skip_space(cursor);
        if !cursor.eat("=>") {
            return cursor.expected("=> and a value");
        }
        let value = value(cursor)?;
        map.insert(key, value);
        skip_space(cursor);
        if !cursor.eat(",") {
            close(cursor, "}")?;
            return Ok(Term::Map(map));
        }
    }
}

/// `fun lists:reverse/1`
fn capture(cursor: &mut Cursor<'_>) -> Read<Term> {
    let start = cursor.at();
    cursor.eat("fun");
    skip_space(cursor);
    if cursor.peek() == Some('(') {
        return cursor.fail_at(start, "of functions only fun module:function/arity is a literal");
    }
    let module = atom(cursor)?;
    if !cursor.eat(":") {
        return cursor.expected(": and the name of a function");
    }
    let function = atom(cursor)?;
    if !cursor.eat("/") {
        return cursor.expected("/ and the arity");
    }
    match digits(cursor, 10)?.parse::<u8>() {
        Ok(arity) => Ok(Term::Export(Export::new(&module, &function, arity.into()))),
        Err(_) => cursor.fail_at(start, "the arity is at most 255"),
    }
}

/// `<<1, 2:4, "text"/utf8>>`, after the opening.
fn bitstring(cursor: &mut Cursor<'_>) -> Read<Term> {
    let mut bits = Bits::default();
    skip_space(cursor);
    if cursor.eat(">>") {
        return Ok(bits.finish());
    }
    loop {
        skip_space(cursor);
        let start = cursor.at();
        let value = if cursor.peek() == Some('"') {
            Value::Text(quoted(cursor, '"')?)
        } else {
            match value(cursor)? {
                Term::Int(value) => Value::Int(value.into()),
                Term::BigInt(value) => Value::Int(value),
                Term::Float(value) => Value::Float(value),
                term @ (Term::Binary(_) | Term::BitBinary(_)) => Value::Bits(term),
                _ => {
                    return cursor
                        .fail_at(start, "only numbers, strings and binaries stand in a bitstring");
                }
            }
        };
        let layout = layout(cursor)?;
        // In Erlang a binary inside another needs its type; nothing else is meant without it.
        bits.push(&value, &layout).or_else(|why| cursor.fail_at(start, why))?;
        skip_space(cursor);
        if !cursor.eat(",") {
            close(cursor, ">>")?;
            return Ok(bits.finish());
        }
    }
}

/// `:4/little-unit:2`
fn layout(cursor: &mut Cursor<'_>) -> Read<Layout> {
    let mut layout = Layout::default();
    skip_space(cursor);
    if cursor.eat(":") {
        layout.size = Some(small(cursor)?);
    }
    if !cursor.eat("/") {
        return Ok(layout);
    }
    loop {
        let start = cursor.at();
        let word = cursor.take_while(is_name_char);
        if word == "unit" && cursor.eat(":") {
            layout.unit = Some(small(cursor)?);
        } else if !layout.word(word) {
            return cursor.fail_at(start, "this says nothing about a segment");
        }
        if !cursor.eat("-") {
            return Ok(layout);
        }
    }
}

fn close(cursor: &mut Cursor<'_>, end: &str) -> Read<()> {
    skip_space(cursor);
    if cursor.eat(end) { Ok(()) } else { cursor.expected(end) }
}
