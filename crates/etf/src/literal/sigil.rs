//! Elixir's sigils: text, words and dates.

use crate::Term;

use super::{
    cursor::{Cursor, Read},
    elixir::{charlist, structure, unescaped},
};

/// `~s(text)`, `~w[a b]a`, `~D[2026-11-23]`
pub(super) fn sigil(cursor: &mut Cursor<'_>) -> Read<Term> {
    let start = cursor.at();
    cursor.next();
    let Some(letter) = cursor.next().filter(char::is_ascii_alphabetic) else {
        return cursor.fail_at(start, "a sigil has a letter after the ~");
    };
    if !"sScCwWDTNU".contains(letter) {
        return cursor.fail_at(start, format!("what ~{letter} makes is no literal"));
    }
    let content = cursor.at();
    let end = match cursor.next() {
        Some('(') => ')',
        Some('[') => ']',
        Some('{') => '}',
        Some('<') => '>',
        Some(same @ ('"' | '\'' | '/' | '|')) => same,
        _ => {
            return cursor.fail_at(content, "a sigil has one of / | \" ' ( [ { < after its letter");
        }
    };
    let bytes = if letter.is_ascii_lowercase() {
        unescaped(cursor, start, end)?
    } else {
        raw(cursor, start, end)?.into_bytes()
    };
    let modifiers = cursor.take_while(|c| c.is_ascii_alphanumeric());
    match (letter, modifiers) {
        ('s' | 'S', "") => Ok(Term::from(bytes.as_slice())),
        ('c' | 'C', "") => charlist(cursor, start, bytes),
        ('w' | 'W', "" | "s" | "a" | "c") => words(cursor, start, &bytes, modifiers),
        ('s' | 'S' | 'c' | 'C' | 'w' | 'W', _) => {
            cursor.fail_at(start, format!("~{letter} has no modifier {modifiers}"))
        }
        _ => {
            let text = String::from_utf8_lossy(&bytes);
            let read = match letter {
                'D' => date(&text).map(|date| structure("Elixir.Date", date)),
                'T' => time(&text).map(|time| structure("Elixir.Time", time)),
                'N' => naive(&text),
                _ => utc(&text),
            };
            match read {
                Some(term) => Ok(term),
                None => cursor.fail_at(start, format!("~{letter} cannot read {text:?}")),
            }
        }
    }
}

/// Text without escapes, but for that of its end.
fn raw(cursor: &mut Cursor<'_>, start: usize, end: char) -> Read<String> {
    let mut text = String::new();
    loop {
        match cursor.next() {
            None => return cursor.fail_at(start, format!("there is no {end} that ends this")),
            Some(c) if c == end => return Ok(text),
            Some('\\') if cursor.peek() == Some(end) => {
                cursor.next();
                text.push(end);
            }
            Some(c) => text.push(c),
        }
    }
}

fn words(cursor: &Cursor<'_>, start: usize, bytes: &[u8], kind: &str) -> Read<Term> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return cursor.fail_at(start, "this is not valid UTF-8");
    };
    text.split_whitespace()
        .map(|word| match kind {
            "a" => cursor.atom(start, word).map(Term::Atom),
            "c" => charlist(cursor, start, word.as_bytes().to_vec()),
            _ => Ok(Term::from(word)),
        })
        .collect()
}

type Field = (&'static str, Term);

fn calendar() -> Field {
    ("calendar", Term::atom("Elixir.Calendar.ISO"))
}

/// `2026-11-23`
fn date(text: &str) -> Option<[Field; 4]> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text),
    };
    let mut parts = text.split('-');
    let (year, month, day) =
        (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    let is_date = parts.next().is_none() && (1..=days).contains(&day);
    let fields =
        [calendar(), ("year", (sign * year).into()), ("month", month.into()), ("day", day.into())];
    is_date.then_some(fields)
}

/// `12:30:00.123`
fn time(text: &str) -> Option<[Field; 5]> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let precision = if clock.len() == text.len() { 0 } else { fraction.len() };
    if precision > 6 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) || fraction.is_empty() {
        return None;
    }
    let microsecond: i64 = format!("{fraction:0<6}").parse().ok()?;
    let mut parts = clock.split(':');
    let (hour, minute, second) =
        (number(parts.next()?, 2)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let is_time = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    let microsecond = Term::Tuple(vec![microsecond.into(), i64::try_from(precision).ok()?.into()]);
    let fields = [
        calendar(),
        ("hour", hour.into()),
        ("minute", minute.into()),
        ("second", second.into()),
        ("microsecond", microsecond),
    ];
    is_time.then_some(fields)
}

/// `2026-11-23 12:30:00`, also with a `T` between.
fn both(text: &str) -> Option<([Field; 4], [Field; 5])> {
    let (day, clock) = text.split_once([' ', 'T'])?;
    Some((date(day)?, time(clock)?))
}

fn naive(text: &str) -> Option<Term> {
    let ([calendar, year, month, day], [_, hour, minute, second, microsecond]) = both(text)?;
    let fields = [calendar, year, month, day, hour, minute, second, microsecond];
    Some(structure("Elixir.NaiveDateTime", fields))
}

/// `2026-11-23 12:30:00Z`
fn utc(text: &str) -> Option<Term> {
    let ([calendar, year, month, day], [_, hour, minute, second, microsecond]) =
        both(text.strip_suffix('Z')?)?;
    let zone = [
        ("time_zone", Term::from("Etc/UTC")),
        ("zone_abbr", Term::from("UTC")),
        ("utc_offset", Term::Int(0)),
        ("std_offset", Term::Int(0)),
    ];
    let [zone, abbreviation, utc_offset, std_offset] = zone;
    let fields = [
        calendar,
        year,
        month,
        day,
        hour,
        minute,
        second,
        microsecond,
        zone,
        abbreviation,
        utc_offset,
        std_offset,
    ];
    Some(structure("Elixir.DateTime", fields))
}

/// A number of so many digits.
fn number(text: &str, digits: usize) -> Option<i64> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}
