//! Digits.

use crate::{BigInt, Term};

use super::cursor::{Cursor, Read};

/// Digits of a base with single underscores between them, without these.
pub(super) fn digits(cursor: &mut Cursor<'_>, base: u32) -> Read<String> {
    let mut digits = String::new();
    loop {
        let run = cursor.take_while(|c| c.is_digit(base));
        if run.is_empty() {
            return cursor.expected(if base == 10 { "a digit" } else { "a digit of that base" });
        }
        digits.push_str(run);
        if cursor.peek() != Some('_') || !cursor.peek_second().is_some_and(|c| c.is_digit(base)) {
            return Ok(digits);
        }
        cursor.next();
    }
}

/// An integer of digits that were read.
pub(super) fn integer(digits: &str, base: u32) -> BigInt {
    BigInt::parse_bytes(digits.as_bytes(), base).unwrap_or_default()
}

/// A decimal integer, or a float if a point and a digit follow.
pub(super) fn decimal(cursor: &mut Cursor<'_>) -> Read<Term> {
    let start = cursor.at();
    let whole = digits(cursor, 10)?;
    let has_point =
        cursor.peek() == Some('.') && cursor.peek_second().is_some_and(|c| c.is_ascii_digit());
    if !has_point {
        return Ok(Term::from(integer(&whole, 10)));
    }
    cursor.next();
    let mut text = format!("{whole}.{}", digits(cursor, 10)?);
    if matches!(cursor.peek(), Some('e' | 'E')) {
        cursor.next();
        text.push('e');
        if let Some(sign @ ('+' | '-')) = cursor.peek() {
            cursor.next();
            text.push(sign);
        }
        text.push_str(&digits(cursor, 10)?);
    }
    float(cursor, start, &text)
}

/// A float of that text, which began at `start`.
pub(super) fn float(cursor: &Cursor<'_>, start: usize, text: &str) -> Read<Term> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Term::Float(value)),
        _ => cursor.fail_at(start, "the float is too large"),
    }
}

/// What a minus sign before a number makes of it.
pub(super) fn negated(number: Term) -> Term {
    match number {
        Term::Int(value) => Term::from(-BigInt::from(value)),
        Term::BigInt(value) => Term::from(-value),
        Term::Float(value) => Term::Float(-value),
        other => other,
    }
}
