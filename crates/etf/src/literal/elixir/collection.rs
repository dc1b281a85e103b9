//! Lists, tuples and maps.

use crate::{Atom, Map, Term};

use super::{
    alias, close, colon_atom, is_name_start, name, operator, skip_space, string, utf8, value,
};
use crate::literal::cursor::{Cursor, Read};

/// An element of a list, tuple or map.
enum Element {
    Key(Atom),
    Value(Term),
}

fn element(cursor: &mut Cursor<'_>) -> Read<Element> {
    skip_space(cursor);
    let start = cursor.at();
    let key = match cursor.peek() {
        Some('"' | '\'') => {
            let bytes = string(cursor)?;
            if !key_colon(cursor) {
                cursor.back_to(start);
                return value(cursor).map(Element::Value);
            }
            utf8(cursor, start, bytes)?
        }
        Some(c) if is_name_start(c) => {
            let text = name(cursor);
            if !key_colon(cursor) {
                cursor.back_to(start);
                return value(cursor).map(Element::Value);
            }
            text.to_owned()
        }
        _ => match operator(cursor) {
            Some(operator) if key_colon(cursor) => operator.to_owned(),
            _ => {
                cursor.back_to(start);
                return value(cursor).map(Element::Value);
            }
        },
    };
    cursor.atom(start, &key).map(Element::Key)
}

/// The colon of a key, after which a space must follow.
fn key_colon(cursor: &mut Cursor<'_>) -> bool {
    let found = cursor.peek() == Some(':') && cursor.peek_second().is_some_and(char::is_whitespace);
    found && cursor.eat(":")
}

pub(super) fn list(cursor: &mut Cursor<'_>) -> Read<Term> {
    cursor.next();
    let mut items = Vec::new();
    let keywords = elements(cursor, "]", &mut items)?;
    skip_space(cursor);
    if !items.is_empty() && keywords.is_empty() && cursor.eat("|") {
        let tail = value(cursor)?;
        close(cursor, "]")?;
        return Ok(Term::list_with_tail(items, tail));
    }
    close(cursor, "]")?;
    items.extend(keywords);
    Ok(Term::List(items))
}

pub(super) fn tuple(cursor: &mut Cursor<'_>) -> Read<Term> {
    let start = cursor.at();
    cursor.next();
    let mut items = Vec::new();
    let keywords = elements(cursor, "}", &mut items)?;
    close(cursor, "}")?;
    if !keywords.is_empty() {
        if items.is_empty() {
            return cursor.fail_at(start, "keys stand in a list or a map, not alone in a tuple");
        }
        items.push(Term::List(keywords));
    }
    Ok(Term::Tuple(items))
}

/// Elements up to `end` or a bar, which are left; those with keys, which stand last, are returned.
fn elements(cursor: &mut Cursor<'_>, end: &str, items: &mut Vec<Term>) -> Read<Vec<Term>> {
    let mut keywords = Vec::new();
    loop {
        skip_space(cursor);
        if cursor.looking_at(end) {
            return Ok(keywords);
        }
        let start = cursor.at();
        match element(cursor)? {
            Element::Key(key) => {
                let value = value(cursor)?;
                keywords.push(Term::Tuple(vec![Term::Atom(key), value]));
            }
            Element::Value(_) if !keywords.is_empty() => {
                return cursor.fail_at(start, "after a key: value only others may follow");
            }
            Element::Value(value) => items.push(value),
        }
        skip_space(cursor);
        if !cursor.eat(",") {
            return Ok(keywords);
        }
    }
}

/// `%{a: 1, "b" => 2}`, `%Foo{a: 1}`
pub(super) fn map(cursor: &mut Cursor<'_>) -> Read<Term> {
    cursor.next();
    let mut map = Map::new();
    let name = match cursor.peek() {
        Some(':') => Some(colon_atom(cursor)?),
        Some(c) if c.is_uppercase() => Some(alias(cursor)?),
        _ => None,
    };
    if let Some(name) = name {
        map.insert(Term::atom("__struct__"), Term::Atom(name));
    }
    if !cursor.eat("{") {
        return cursor.expected("{");
    }
    loop {
        skip_space(cursor);
        if cursor.eat("}") {
            return Ok(Term::Map(map));
        }
        let key = match element(cursor)? {
            Element::Key(key) => Term::Atom(key),
            Element::Value(key) => {
                skip_space(cursor);
                if !cursor.eat("=>") {
                    return cursor.expected("=> and a value");
                }
                key
            }
        };
        let value = value(cursor)?;
        map.insert(key, value);
        skip_space(cursor);
        if !cursor.eat(",") {
            close(cursor, "}")?;
            return Ok(Term::Map(map));
        }
    }
}
