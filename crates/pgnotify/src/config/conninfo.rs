//! `host=db user=app password='it''s'` (PostgreSQL manual, 34.1.1.1 "Keyword/Value Connection
//! Strings").

use std::iter::Peekable;
use std::str::Chars;

use super::{Config, ConfigError};

const MALFORMED: ConfigError =
    ConfigError::Malformed("expected postgres://... or option=value option=value ...");

pub(super) fn parse(text: &str) -> Result<Config, ConfigError> {
    let mut config = Config::new();
    let mut rest = text.chars().peekable();
    loop {
        skip_spaces(&mut rest);
        if rest.peek().is_none() {
            return Ok(config);
        }
        let option = option(&mut rest)?;
        let value = value(&mut rest)?;
        if value.contains('\0') {
            return Err(ConfigError::Malformed("NUL is not allowed"));
        }
        config.set(&option, &value)?;
    }
}

fn skip_spaces(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|c| c.is_whitespace()).is_some() {}
}

/// A name and the equals sign, with spaces around it.
fn option(rest: &mut Peekable<Chars<'_>>) -> Result<String, ConfigError> {
    let mut name = String::new();
    while let Some(c) = rest.next_if(|c| *c != '=' && !c.is_whitespace()) {
        name.push(c);
    }
    skip_spaces(rest);
    match rest.next() {
        Some('=') if !name.is_empty() => {}
        _ => return Err(MALFORMED),
    }
    skip_spaces(rest);
    Ok(name)
}

/// Bare up to a space, or in single quotes; a backslash takes the next character as it is.
fn value(rest: &mut Peekable<Chars<'_>>) -> Result<String, ConfigError> {
    let quoted = rest.next_if_eq(&'\'').is_some();
    let mut value = String::new();
    loop {
        match rest.next() {
            Some('\\') => value.push(rest.next().ok_or(MALFORMED)?),
            Some('\'') if quoted => return Ok(value),
            None if quoted => return Err(ConfigError::Malformed("a quote is not closed")),
            Some(c) if quoted || !c.is_whitespace() => value.push(c),
            Some(_) | None => return Ok(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Password;
    use super::*;

    #[test]
    fn quotes_spaces_and_backslashes() {
        let config =
            Config::from_url(r"host = db  user=app password='it\'s \\ me' dbname=a\ b port=7")
                .unwrap();
        assert_eq!(config.targets().unwrap()[0].label(), "db:7");
        assert!(config.password == Some(Password(br"it's \ me".to_vec())));
        assert_eq!(config.database.as_deref(), Some("a b"));
    }

    #[test]
    fn malformed_strings_are_errors() {
        for text in ["nonsense", "host=", "=x", "host='x", "host db", "user=\\"] {
            let result = Config::from_url(text);
            // An empty value is allowed, everything else here is not.
            assert_eq!(result.is_ok(), text == "host=", "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            let _ = Config::from_url(&text);
        }
    }
}
