//! What stands after a backslash.

use super::cursor::{Cursor, Read};

/// What an escape stands for.
pub(super) enum Escaped {
    Char(char),
    /// One byte, whatever it makes of the text around it (Elixir's `\xHH`).
    Byte(u8),
    /// Nothing: a newline that was escaped.
    Nothing,
}

/// One escape of Elixir, whose backslash was read (`Macro.unescape_string/1`).
pub(super) fn elixir(cursor: &mut Cursor<'_>) -> Read<Escaped> {
    let at = cursor.at();
    let Some(c) = cursor.next() else { return cursor.expected("an escaped character") };
    Ok(Escaped::Char(match c {
        '0' => '\0',
        'a' => '\u{7}',
        '\n' => return Ok(Escaped::Nothing),
        '\r' if cursor.eat("\n") => return Ok(Escaped::Nothing),
        'x' if cursor.peek() == Some('{') => braced(cursor, at)?,
        'x' => {
            let digits = cursor.take_while(|c| c.is_ascii_hexdigit());
            // At most two of them.
            cursor.back_to(at + 1 + digits.len().min(2));
            let digits = digits.get(..2).unwrap_or(digits);
            return match u8::from_str_radix(digits, 16) {
                Ok(byte) if byte < 0x80 => Ok(Escaped::Char(byte.into())),
                Ok(byte) => Ok(Escaped::Byte(byte)),
                Err(_) => cursor.fail_at(at, "\\x needs hexadecimal digits"),
            };
        }
        'u' if cursor.peek() == Some('{') => braced(cursor, at)?,
        'u' => {
            let digits = cursor.rest().get(..4).unwrap_or_default();
            if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) || digits.is_empty() {
                return cursor.fail_at(at, "\\u needs four hexadecimal digits, or some in braces");
            }
            cursor.back_to(at + 5);
            code_point(cursor, at, digits)?
        }
        c => common(c).unwrap_or(c),
    }))
}

/// One escape of Erlang, whose backslash was read (`erl_scan`).
pub(super) fn erlang(cursor: &mut Cursor<'_>) -> Read<char> {
    let at = cursor.at();
    let Some(c) = cursor.next() else { return cursor.expected("an escaped character") };
    Ok(match c {
        '0'..='7' => {
            let more = cursor.take_while(|c| c.is_digit(8)).len().min(2);
            cursor.back_to(at);
            let digits = cursor.rest().get(..=more).unwrap_or_default();
            cursor.back_to(at + 1 + more);
            u32::from_str_radix(digits, 8).ok().and_then(char::from_u32).unwrap_or_default()
        }
        'x' if cursor.peek() == Some('{') => braced(cursor, at)?,
        'x' => {
            let digits = cursor.rest().get(..2).unwrap_or_default();
            if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) || digits.is_empty() {
                return cursor.fail_at(at, "\\x needs two hexadecimal digits, or some in braces");
            }
            cursor.back_to(at + 3);
            code_point(cursor, at, digits)?
        }
        '^' => match cursor.next() {
            Some(control @ '@'..='_') => char::from(u8::try_from(control).unwrap_or(0) & 31),
            Some(control @ 'a'..='z') => char::from(u8::try_from(control).unwrap_or(0) & 31),
            _ => return cursor.fail_at(at, "\\^ needs a letter"),
        },
        c => common(c).unwrap_or(c),
    })
}

/// The letters that both languages have.
fn common(c: char) -> Option<char> {
    Some(match c {
        'b' => '\u{8}',
        'd' => '\u{7f}',
        'e' => '\u{1b}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        's' => ' ',
        't' => '\t',
        'v' => '\u{b}',
        _ => return None,
    })
}

/// `{1F600}`
fn braced(cursor: &mut Cursor<'_>, at: usize) -> Read<char> {
    cursor.next();
    let digits = cursor.take_while(|c| c.is_ascii_hexdigit());
    if digits.is_empty() || digits.len() > 8 || !cursor.eat("}") {
        return cursor.fail_at(at, "expected hexadecimal digits in braces");
    }
    code_point(cursor, at, digits)
}

fn code_point(cursor: &Cursor<'_>, at: usize, digits: &str) -> Read<char> {
    let code = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
    code.map_or_else(|| cursor.fail_at(at, format!("{digits} is no code point")), Ok)
}
