//! Printing: in Erlang syntax by `Display`, in Elixir's by [`Term::elixir`](crate::Term::elixir).

mod elixir;
mod erlang;
mod float;
mod structs;

use std::fmt::{self, Display, Formatter};

use num_bigint::BigInt;

pub use self::elixir::Elixir;
use crate::Term;

/// Items with a comma, or a comma and a space, between them.
fn separated<T>(
    f: &mut Formatter<'_>,
    separator: &str,
    items: impl IntoIterator<Item = T>,
    mut print: impl FnMut(T, &mut Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            f.write_str(separator)?;
        }
        print(item, f)?;
    }
    Ok(())
}

/// Integers above this are printed in base 16: base 10 takes time in the square of the length.
const DECIMAL_BITS: u64 = 1 << 18;

/// An integer, in base 16 with this prefix if it is huge.
fn integer(value: &BigInt, prefix: &str, f: &mut Formatter<'_>) -> fmt::Result {
    if value.bits() <= DECIMAL_BITS {
        return Display::fmt(value, f);
    }
    let sign = if value.sign() == num_bigint::Sign::Minus { "-" } else { "" };
    write!(f, "{sign}{prefix}{:X}", value.magnitude())
}

/// Whether Erlang (with `+pc unicode`) and Elixir print the character as it is, or by a short escape.
fn is_printable(c: char) -> bool {
    matches!(c, '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
        || matches!(c, '\n' | '\r' | '\t' | '\u{b}' | '\u{8}' | '\u{c}' | '\u{1b}')
}

/// The letter after the backslash for a character that has one.
fn short_escape(c: char) -> Option<char> {
    Some(match c {
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{b}' => 'v',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        '\u{1b}' => 'e',
        '\u{7f}' => 'd',
        _ => return None,
    })
}

/// The character that a list element stands for.
fn as_char(term: &Term) -> Option<char> {
    if let Term::Int(value) = term { char::from_u32(u32::try_from(*value).ok()?) } else { None }
}

/// The words of a reference, as Erlang prints them: the last first.
fn words(words: &[u32], f: &mut Formatter<'_>) -> fmt::Result {
    words.iter().rev().try_for_each(|word| write!(f, ".{word}"))
}
