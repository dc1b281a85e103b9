//! Bitstrings.

use crate::Term;

use super::{close, name, skip_space, value};
use crate::literal::{
    bits::{Bits, Kind, Layout, Value},
    cursor::{Cursor, Read},
    number::digits,
};

/// `<<1, 2::size(4), "text", 1.5::float-little>>`, after the opening.
pub(super) fn bitstring(cursor: &mut Cursor<'_>) -> Read<Term> {
    let mut bits = Bits::default();
    loop {
        skip_space(cursor);
        if cursor.eat(">>") {
            return Ok(bits.finish());
        }
        let start = cursor.at();
        let value = value(cursor)?;
        skip_space(cursor);
        let layout = if cursor.eat("::") { layout(cursor)? } else { Layout::default() };
        let is_utf = matches!(layout.kind, Some(Kind::Utf8 | Kind::Utf16 | Kind::Utf32));
        let value = match value {
            Term::Int(value) => Value::Int(value.into()),
            Term::BigInt(value) => Value::Int(value),
            Term::Float(value) => Value::Float(value),
            term @ (Term::Binary(_) | Term::BitBinary(_)) => match term.as_str() {
                Some(text) if is_utf => Value::Text(text.to_owned()),
                _ => Value::Bits(term),
            },
            _ => return cursor.fail_at(start, "only numbers and binaries stand in a bitstring"),
        };
        bits.push(&value, &layout).or_else(|why| cursor.fail_at(start, why))?;
        skip_space(cursor);
        if !cursor.eat(",") {
            close(cursor, ">>")?;
            return Ok(bits.finish());
        }
    }
}

/// `size(4)-unit(2)-little`, or `4`, or `4*2`
fn layout(cursor: &mut Cursor<'_>) -> Read<Layout> {
    let mut layout = Layout::default();
    loop {
        skip_space(cursor);
        let start = cursor.at();
        if cursor.peek().is_some_and(|c| c.is_ascii_digit()) {
            layout.size = Some(small(cursor)?);
            if cursor.eat("*") {
                layout.unit = Some(small(cursor)?);
            }
        } else {
            let word = name(cursor);
            match word {
                "size" | "unit" => {
                    if !cursor.eat("(") {
                        return cursor.expected("( and a number");
                    }
                    let number = Some(small(cursor)?);
                    close(cursor, ")")?;
                    if word == "size" { layout.size = number } else { layout.unit = number }
                }
                _ if layout.word(word) => {}
                _ => return cursor.fail_at(start, "this says nothing about a segment"),
            }
        }
        skip_space(cursor);
        if !cursor.eat("-") {
            return Ok(layout);
        }
    }
}

/// A number of bits.
pub(in crate::literal) fn small(cursor: &mut Cursor<'_>) -> Read<usize> {
    let start = cursor.at();
    let digits = digits(cursor, 10)?;
    digits.parse().or_else(|_| cursor.fail_at(start, "the segment is too long"))
}
