//! Elixir's dates and times. What a real Elixir makes of them is in `integration/tests/serde.rs`.

use etf::{Term, from_term, term, to_term};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time, date, time};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct All(
    #[serde(with = "etf::date")] Date,
    #[serde(with = "etf::time")] Time,
    #[serde(with = "etf::naive_date_time")] DateTime,
    #[serde(with = "etf::date_time")] Timestamp,
    #[serde(with = "etf::date_time")] Option<Timestamp>,
);

fn all(nanosecond: i32) -> All {
    let day = date(2026, 2, 28);
    let at = day.at(23, 59, 59, nanosecond);
    let stamp = jiff::tz::Offset::UTC.to_timestamp(at).unwrap();
    All(day, time(1, 2, 3, nanosecond), at, stamp, None)
}

#[test]
fn they_come_back() {
    for microsecond in [0, 1, 10, 999_999, 500_000] {
        let all = all(microsecond * 1000);
        assert_eq!(from_term::<All>(&to_term(&all).unwrap()).unwrap(), all);
    }
    let years = [-9999, -1, 0, 1, 9999].map(|year| date(year, 1, 31));
    for day in years {
        let all = All { 0: day, ..all(0) };
        assert_eq!(from_term::<All>(&to_term(&all).unwrap()).unwrap(), all);
    }
}

#[test]
fn a_fraction_has_as_many_digits_as_it_needs() {
    let shown = |nanosecond| to_term(&all(nanosecond)).unwrap().to_string();
    assert!(shown(0).contains("microsecond => {0,0}"));
    assert!(shown(120_000_000).contains("microsecond => {120000,2}"));
    assert!(shown(1000).contains("microsecond => {1,6}"));
    assert_eq!(
        to_term(&all(1)).unwrap_err().to_string(),
        "a time of Elixir has no more than microseconds"
    );
}

/// `DateTime.shift_zone!(~U[2026-07-01 10:00:00Z], "Europe/Berlin")`
fn berlin(day: i64) -> Term {
    let calendar = Term::atom("Elixir.Calendar.ISO");
    let name = Term::atom("Elixir.DateTime");
    term!(#{
        __struct__ => (name), calendar => (calendar), year => 2026, month => 7, day => (day), hour => 12, minute => 0,
        second => 0, microsecond => {0, 0}, time_zone => "Europe/Berlin", zone_abbr => "CEST",
        utc_offset => 3600, std_offset => 3600
    })
}

#[derive(Debug, Deserialize)]
struct Stamp(#[serde(with = "etf::date_time")] Timestamp);

#[test]
fn offsets_are_taken_off() {
    let stamp: Stamp = from_term(&berlin(1)).unwrap();
    assert_eq!(stamp.0, "2026-07-01T10:00:00Z".parse().unwrap());
}

#[test]
fn days_that_are_not_are_errors() {
    assert!(from_term::<Stamp>(&berlin(32)).unwrap_err().to_string().contains("day"));
    assert_eq!(from_term::<Stamp>(&term!(nil)).unwrap_err().to_string(), "nil is no date_time");
}
