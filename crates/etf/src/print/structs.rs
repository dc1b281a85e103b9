//! The structs of Elixir's own that it prints as the literals they are read from.

use std::ops::RangeInclusive;

use crate::{Map, Term};

/// A range, date or time as a literal. `None` when the map is none of these, or has something else in it than one
/// that was read from a literal.
pub(super) fn literal(map: &Map) -> Option<String> {
    let name = map.get_atom("__struct__")?.as_atom()?;
    match (name.as_str(), map.len()) {
        ("Elixir.Range", 4) => range(map),
        ("Elixir.Date", 5) => Some(format!("~D[{}]", date(map)?)),
        ("Elixir.Time", 6) => Some(format!("~T[{}]", time(map)?)),
        ("Elixir.NaiveDateTime", 9) => Some(format!("~N[{} {}]", date(map)?, time(map)?)),
        ("Elixir.DateTime", 13) if is_utc(map) => {
            Some(format!("~U[{} {}Z]", date(map)?, time(map)?))
        }
        _ => None,
    }
}

/// `1..3`, `3..1//-1`
fn range(map: &Map) -> Option<String> {
    let bound =
        |name| map.get_atom(name).filter(|bound| matches!(bound, Term::Int(_) | Term::BigInt(_)));
    let (first, last, step) = (bound("first")?, bound("last")?, bound("step")?);
    let range = format!("{}..{}", first.elixir(), last.elixir());
    match step {
        Term::Int(1) if first <= last => Some(range),
        step => Some(format!("{range}//{}", step.elixir())),
    }
}

/// `2026-11-23`
fn date(map: &Map) -> Option<String> {
    let is_iso = map.get_atom("calendar")?.is_atom("Elixir.Calendar.ISO");
    let year = number(map.get_atom("year")?, -9999..=9999)?;
    let month = number(map.get_atom("month")?, 1..=12)?;
    let day = number(map.get_atom("day")?, 1..=31)?;
    let sign = if year < 0 { "-" } else { "" };
    is_iso.then(|| format!("{sign}{:04}-{month:02}-{day:02}", year.abs()))
}

/// `12:30:00.123`
fn time(map: &Map) -> Option<String> {
    let is_iso = map.get_atom("calendar")?.is_atom("Elixir.Calendar.ISO");
    let hour = number(map.get_atom("hour")?, 0..=23)?;
    let minute = number(map.get_atom("minute")?, 0..=59)?;
    let second = number(map.get_atom("second")?, 0..=59)?;
    let [microsecond, precision] = map.get_atom("microsecond")?.as_tuple()? else { return None };
    let digits = format!("{:06}", number(microsecond, 0..=999_999)?);
    let (shown, rest) =
        digits.split_at_checked(usize::try_from(number(precision, 0..=6)?).ok()?)?;
    // What the precision hides would be lost.
    let is_whole = rest.bytes().all(|digit| digit == b'0');
    let dot = if shown.is_empty() { "" } else { "." };
    (is_iso && is_whole).then(|| format!("{hour:02}:{minute:02}:{second:02}{dot}{shown}"))
}

fn is_utc(map: &Map) -> bool {
    let is = |name, wanted: &Term| map.get_atom(name) == Some(wanted);
    is("time_zone", &Term::from("Etc/UTC"))
        && is("zone_abbr", &Term::from("UTC"))
        && is("utc_offset", &Term::Int(0))
        && is("std_offset", &Term::Int(0))
}

fn number(term: &Term, allowed: RangeInclusive<i64>) -> Option<i64> {
    term.as_int().filter(|number| allowed.contains(number))
}

#[cfg(test)]
mod tests {
    use crate::literal::elixir;
    use crate::{Term, term};

    /// Printed by Elixir 1.14.
    #[test]
    fn what_has_a_literal_is_printed_as_one() {
        for text in [
            "1..3",
            "1..1",
            "3..1//-1",
            "-1..-9//-2",
            "1..3//-1",
            "1..2//0",
            "1..36893488147419103232",
            "36893488147419103232..1//1",
            "~D[2024-02-29]",
            "~D[-0044-03-15]",
            "~T[23:59:59]",
            "~T[01:02:03.004000]",
            "~T[01:02:03.0]",
            "~N[2024-02-29 01:02:03.5]",
            "~U[2024-02-29 01:02:03Z]",
            "[{1..2, ~D[2024-01-01]}]",
            "%{at: ~U[2024-02-29 01:02:03.000001Z]}",
        ] {
            assert_eq!(elixir(text).unwrap().elixir().to_string(), text);
        }
    }

    #[test]
    fn what_has_none_is_printed_in_full() {
        for (text, key, value) in [
            ("1..3", "first", term!(1.0)),
            ("1..3", "more", term!(1)),
            ("~D[2024-02-29]", "year", term!(10_000)),
            ("~D[2024-02-29]", "month", term!(nil)),
            ("~D[2024-02-29]", "calendar", term!(other)),
            ("~T[01:02:03]", "hour", term!(24)),
            ("~T[01:02:03]", "microsecond", term!({5, 0})),
            ("~T[01:02:03]", "microsecond", term!({123_456, 5})),
            ("~T[01:02:03]", "microsecond", term!({0, 7})),
            ("~T[01:02:03]", "microsecond", term!(0)),
            ("~N[2024-02-29 01:02:03]", "second", term!(60)),
            ("~U[2024-02-29 01:02:03Z]", "utc_offset", term!(3600)),
            ("~U[2024-02-29 01:02:03Z]", "zone_abbr", term!("CET")),
        ] {
            let Ok(Term::Map(mut map)) = elixir(text) else { panic!("{text}") };
            map.insert(Term::atom(key), value);
            let printed = Term::Map(map).elixir().to_string();
            assert!(printed.starts_with('%') && printed.contains(key), "{printed}");
        }
    }
}
