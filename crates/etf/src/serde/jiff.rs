//! Elixir's dates and times, as those of the crate `jiff`.
//!
//! Elixir keeps microseconds and how many digits of them are known; here that is as many digits as there are, so that
//! `~T[12:00:00]` stays without a fraction. What is finer than a microsecond is refused rather than cut off.

use std::fmt::Display;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::with::Maybe;

#[derive(Serialize, Deserialize)]
#[serde(rename = "Elixir.Date")]
struct ElixirDate {
    calendar: Calendar,
    year: i16,
    month: i8,
    day: i8,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Elixir.Time")]
struct ElixirTime {
    calendar: Calendar,
    hour: i8,
    minute: i8,
    second: i8,
    microsecond: (i32, u8),
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Elixir.NaiveDateTime")]
struct ElixirNaive {
    calendar: Calendar,
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    microsecond: (i32, u8),
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Elixir.DateTime")]
struct ElixirDateTime {
    calendar: Calendar,
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    microsecond: (i32, u8),
    time_zone: String,
    zone_abbr: String,
    utc_offset: i32,
    std_offset: i32,
}

/// The only calendar that Elixir itself has.
#[derive(Serialize, Deserialize)]
enum Calendar {
    #[serde(rename = "Elixir.Calendar.ISO")]
    Iso,
}

impl From<Date> for ElixirDate {
    fn from(date: Date) -> Self {
        Self { calendar: Calendar::Iso, year: date.year(), month: date.month(), day: date.day() }
    }
}

impl ElixirDate {
    fn read(&self) -> Result<Date, jiff::Error> {
        Date::new(self.year, self.month, self.day)
    }
}

impl ElixirTime {
    fn write<E: ser::Error>(time: Time) -> Result<Self, E> {
        Ok(Self {
            calendar: Calendar::Iso,
            hour: time.hour(),
            minute: time.minute(),
            second: time.second(),
            microsecond: fraction(time.subsec_nanosecond())?,
        })
    }

    fn read(&self) -> Result<Time, jiff::Error> {
        Time::new(self.hour, self.minute, self.second, nanosecond(self.microsecond.0))
    }
}

impl ElixirNaive {
    fn write<E: ser::Error>(value: DateTime) -> Result<Self, E> {
        let (date, time) = (ElixirDate::from(value.date()), ElixirTime::write(value.time())?);
        Ok(Self {
            calendar: Calendar::Iso,
            year: date.year,
            month: date.month,
            day: date.day,
            hour: time.hour,
            minute: time.minute,
            second: time.second,
            microsecond: time.microsecond,
        })
    }

    fn read(&self) -> Result<DateTime, jiff::Error> {
        let nanosecond = nanosecond(self.microsecond.0);
        DateTime::new(
            self.year,
            self.month,
            self.day,
            self.hour,
            self.minute,
            self.second,
            nanosecond,
        )
    }
}

/// Microseconds, and how many digits of them count.
fn fraction<E: ser::Error>(nanosecond: i32) -> Result<(i32, u8), E> {
    if nanosecond % 1000 != 0 {
        return Err(E::custom("a time of Elixir has no more than microseconds"));
    }
    let microsecond = nanosecond / 1000;
    let mut digits = 6;
    let mut rest = microsecond;
    while digits > 0 && rest % 10 == 0 {
        rest /= 10;
        digits -= 1;
    }
    Ok((microsecond, digits))
}

/// One that is out of range is so afterwards, too, and then refused.
const fn nanosecond(microsecond: i32) -> i32 {
    microsecond.saturating_mul(1000)
}

fn custom<E: de::Error>(error: impl Display) -> E {
    E::custom(error)
}

macro_rules! with {
    ($(#[$doc:meta])* $name:ident, $type:ty, $elixir:ty, $write:expr, $read:expr) => {
        $(#[$doc])*
        pub mod $name {
            use super::*;

            /// For `#[serde(with = "…")]`.
            ///
            /// # Errors
            /// The serializer's, and when it has more than microseconds.
            pub fn serialize<T: Maybe<$type>, S: Serializer>(
                value: &T,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                let write: fn($type) -> Result<$elixir, S::Error> = $write;
                value.as_option().map(|value| write(*value)).transpose()?.serialize(serializer)
            }

            /// For `#[serde(with = "…")]`.
            ///
            /// # Errors
            /// The deserializer's, and when there is no such day or time.
            pub fn deserialize<'de, T: Maybe<$type>, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<T, D::Error> {
                let read: fn(&$elixir) -> Result<$type, jiff::Error> = $read;
                let value = Option::<$elixir>::deserialize(deserializer)?;
                let value = value.map(|value| read(&value)).transpose().map_err(custom)?;
                T::from_option(value).ok_or_else(|| custom(concat!("nil is no ", stringify!($name))))
            }
        }
    };
}

with! {
    /// Elixir's `Date`, as [`jiff::civil::Date`], or an `Option` of it.
    ///
    /// ```
    /// use jiff::civil::Date;
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Person { #[serde(with = "etf::date")] born: Option<Date> }
    /// let ada = Person { born: Some(jiff::civil::date(1815, 12, 10)) };
    /// let term = etf::to_term(&ada)?;
    /// assert_eq!(term.elixir().to_string(), "%{born: ~D[1815-12-10]}");
    /// assert_eq!(etf::from_term::<Person>(&term)?.born, ada.born);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    date, Date, ElixirDate, |date| Ok(date.into()), ElixirDate::read
}

with! {
    /// Elixir's `Time`, as [`jiff::civil::Time`], or an `Option` of it.
    time, Time, ElixirTime, ElixirTime::write, ElixirTime::read
}

with! {
    /// Elixir's `NaiveDateTime`, as [`jiff::civil::DateTime`], or an `Option` of it.
    naive_date_time, DateTime, ElixirNaive, ElixirNaive::write, ElixirNaive::read
}

with! {
    /// Elixir's `DateTime`, as [`jiff::Timestamp`], or an `Option` of it: written in UTC, read from any time zone by the offsets that it
    /// comes with.
    date_time, Timestamp, ElixirDateTime, ElixirDateTime::write, ElixirDateTime::read
}

impl ElixirDateTime {
    fn write<E: ser::Error>(value: Timestamp) -> Result<Self, E> {
        let naive = ElixirNaive::write(jiff::tz::Offset::UTC.to_datetime(value))?;
        Ok(Self {
            calendar: Calendar::Iso,
            year: naive.year,
            month: naive.month,
            day: naive.day,
            hour: naive.hour,
            minute: naive.minute,
            second: naive.second,
            microsecond: naive.microsecond,
            time_zone: "Etc/UTC".to_owned(),
            zone_abbr: "UTC".to_owned(),
            utc_offset: 0,
            std_offset: 0,
        })
    }

    fn read(&self) -> Result<Timestamp, jiff::Error> {
        let naive = ElixirNaive {
            calendar: Calendar::Iso,
            year: self.year,
            month: self.month,
            day: self.day,
            hour: self.hour,
            minute: self.minute,
            second: self.second,
            microsecond: self.microsecond,
        };
        let seconds = self.utc_offset.saturating_add(self.std_offset);
        jiff::tz::Offset::from_seconds(seconds)?.to_timestamp(naive.read()?)
    }
}
