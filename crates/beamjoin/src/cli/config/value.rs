//! Settings that are numbers, words and addresses.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    str::FromStr,
    time::Duration,
};

use beamjoin::{NamePattern, NamePatternError};
use dist::{Epmd, Listen};

/// Text for people or JSON for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("it must be text or json"),
        }
    }
}

/// 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Port(pub(crate) u16);

impl FromStr for Port {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(0) | Err(_) => Err("it must be a number from 1 to 65535"),
            Ok(port) => Ok(Self(port)),
        }
    }
}

pub(crate) fn boolean(text: &str) -> Result<bool, &'static str> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("it must be true or false"),
    }
}

/// Milliseconds. Faster would be noise for everybody; slower is not a heartbeat.
pub(crate) fn heartbeat_interval(text: &str) -> Result<Duration, &'static str> {
    match text.parse() {
        Ok(ms @ 100..=3_600_000) => Ok(Duration::from_millis(ms)),
        _ => Err("it must be milliseconds from 100 to 3600000"),
    }
}

/// Dials a second, or handshakes at one time.
pub(crate) fn number(text: &str) -> Result<u32, &'static str> {
    match text.parse() {
        Ok(number @ 1..=10_000) => Ok(number),
        _ => Err("it must be a number from 1 to 10000"),
    }
}

/// Milliseconds: below, no distant node could answer; OTP's `net_setuptime` has the same upper bound.
pub(crate) fn setup_time(text: &str) -> Result<Duration, &'static str> {
    match text.parse() {
        Ok(ms @ 100..=120_000) => Ok(Duration::from_millis(ms)),
        _ => Err("it must be milliseconds from 100 to 120000"),
    }
}

pub(crate) fn epmd(text: &str) -> Result<Epmd, &'static str> {
    match text {
        "auto" => Ok(Epmd::Auto),
        "external" => Ok(Epmd::External),
        "embedded" => Ok(Epmd::Embedded),
        "none" => Ok(Epmd::None),
        _ => Err("it must be auto, external, embedded or none"),
    }
}

/// `ADDRESS:PORT` or `ADDRESS:FIRST-LAST`, an IPv6 address in brackets.
pub(crate) fn listen(text: &str) -> Result<Listen, &'static str> {
    const EXPECTED: &str =
        "it must be ADDRESS:PORT or ADDRESS:FIRST-LAST, such as 0.0.0.0:9100 or [::]:9100-9109";
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Listen::Addr(address));
    }
    let (address, ports) = text.rsplit_once(':').ok_or(EXPECTED)?;
    let ip = ip(address).ok_or(EXPECTED)?;
    let range = range(ports).ok_or(EXPECTED)?;
    if range.is_empty() {
        return Err("the first port is greater than the last");
    }
    Ok(Listen::Ports { ip, range })
}

/// `ADDRESS:PORT`, or a port of the loopback interface.
pub(crate) fn admin(text: &str) -> Result<SocketAddr, &'static str> {
    let on_loopback = |port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    text.parse().or_else(|_| text.parse().map(on_loopback)).map_err(|_| {
        "it must be ADDRESS:PORT, such as 0.0.0.0:9568 or [::1]:9568, or a port of this machine alone"
    })
}

/// Patterns for names, one a line.
pub(crate) fn patterns(text: &str) -> Result<Vec<NamePattern>, NamePatternError> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::parse).collect()
}

fn ip(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => text.parse().ok().map(IpAddr::V4),
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-')?;
    let (Port(first), Port(last)) = (first.parse().ok()?, last.parse().ok()?);
    Some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_listen() {
        assert!(matches!(listen("0.0.0.0:0"), Ok(Listen::Addr(a)) if a.port() == 0));
        assert!(matches!(listen("[::1]:9100"), Ok(Listen::Addr(a)) if a.is_ipv6()));
        for (text, ip_) in [("10.0.0.1:9100-9109", "10.0.0.1"), ("[::]:9100-9109", "::")] {
            let Ok(Listen::Ports { ip, range }) = listen(text) else { panic!("{text}") };
            assert_eq!((ip, range), (ip_.parse().unwrap(), 9100..=9109));
        }
        for bad in [
            "",
            "9100",
            "::1:9100",
            "localhost:9100",
            "0.0.0.0:0-5",
            "0.0.0.0:9-x",
            "[::]9100",
            "1.2.3.4:70000",
        ] {
            assert!(listen(bad).unwrap_err().starts_with("it must be ADDRESS"), "{bad}");
        }
        assert_eq!(listen("0.0.0.0:5-4").unwrap_err(), "the first port is greater than the last");
    }

    #[test]
    fn where_the_admin_page_is() {
        assert_eq!(admin("9568"), Ok("127.0.0.1:9568".parse().unwrap()));
        assert_eq!(admin("0.0.0.0:0"), Ok("0.0.0.0:0".parse().unwrap()));
        assert_eq!(admin("[::1]:9568"), Ok("[::1]:9568".parse().unwrap()));
        for bad in ["", "localhost:9568", ":9568", "70000", "::1", "1.2.3.4"] {
            assert!(admin(bad).unwrap_err().starts_with("it must be ADDRESS:PORT"), "{bad}");
        }
    }

    #[test]
    fn intervals_have_bounds() {
        assert_eq!(heartbeat_interval("5000"), Ok(Duration::from_secs(5)));
        for bad in ["99", "3600001", "-1", "5s", ""] {
            assert!(heartbeat_interval(bad).is_err(), "{bad}");
        }
        assert_eq!(
            (number("10000"), setup_time("120000")),
            (Ok(10_000), Ok(Duration::from_secs(120)))
        );
        for bad in ["0", "-1", "1.5", "x", "", "120001"] {
            assert!(number(bad).is_err() && setup_time(bad).is_err(), "{bad}");
        }
        assert!(number("10001").is_err() && setup_time("99").is_err());
        assert!(Port::from_str("0").is_err() && Port::from_str("65536").is_err());
    }
}
