//! The configuration file.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::Key;

/// The most bytes read of a file.
const MAX_BYTES: u64 = 256 * 1024;

/// A TOML file whose keys are all known, each value as text. No `Debug`: passwords are in it.
pub(super) struct File {
    pub(super) path: PathBuf,
    values: BTreeMap<&'static str, String>,
}

impl File {
    /// # Errors
    /// A file that cannot be read, is not TOML, or has a key that means nothing. No message quotes a value.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text))
            .map_err(|error| format!("failed to read the configuration file {shown}: {error}"))?;
        if text.len() as u64 > MAX_BYTES {
            return Err(format!("the configuration file {shown} is over {MAX_BYTES} bytes"));
        }
        let values = parse(&text).map_err(|error| format!("{shown}: {error}"))?;
        Ok(Self { path: path.to_owned(), values })
    }

    pub(super) fn get(&self, key: &Key) -> Option<&str> {
        self.values.get(key.name).map(String::as_str)
    }
}

fn parse(text: &str) -> Result<BTreeMap<&'static str, String>, String> {
    let line = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
    let table = DeTable::parse(text).map_err(|error| {
        // Not the error's Display, which shows the line: it may hold the password.
        let at = error.span().map_or(0, |span| span.start);
        format!("line {}: {}", line(at), error.message())
    })?;
    let mut values = BTreeMap::new();
    for (name, value) in table.get_ref() {
        let found = Key::ALL.iter().find(|key| key.name == name.get_ref());
        let text = match found {
            Some(key) => text_of(key, value.get_ref()).map(|text| (key.name, text)),
            None => Err(unknown(name.get_ref())),
        };
        let (name, text) =
            text.map_err(|error| format!("line {}: {error}", line(name.span().start)))?;
        values.insert(name, text);
    }
    Ok(values)
}

fn text_of(key: &Key, value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Boolean(yes) => Ok(yes.to_string()),
        DeValue::Table(table) if key.name == Key::PARAMETERS.name => table
            .iter()
            .map(|(name, value)| match value.get_ref() {
                DeValue::String(text) => Ok(format!("{}={text}\n", name.get_ref())),
                _ => Err(format!("{}.{} must be a string", key.name, name.get_ref())),
            })
            .collect(),
        DeValue::Array(items) if key.name == Key::ALLOW.name => items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) => Ok(format!("{text}\n")),
                _ => Err(format!("{} must be a list of strings", key.name)),
            })
            .collect(),
        _ => Err(format!("{} must be a string, a number or true or false", key.name)),
    }
}

fn unknown(name: &str) -> String {
    let advice = match name {
        "cookie" => {
            "; a cookie is given by cookie_file, BEAMJOIN_COOKIE, RELEASE_COOKIE or ~/.erlang.cookie".to_owned()
        }
        "topologies" | "strategy" | "config" => "; the settings stand at the top of the file, in no table".to_owned(),
        _ => {
            let known: Vec<_> = Key::ALL.iter().map(|key| key.name).collect();
            format!("; known are {}", known.join(", "))
        }
    };
    format!("unknown key {name:?}{advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_text() {
        let text =
            "hostname = \"db\"\nport = 5433\nvisible = true\n[parameters]\nsearch_path = \"a,b\"\n";
        let values: Vec<_> = parse(text).unwrap().into_iter().collect();
        let expected = [
            ("hostname", "db"),
            ("parameters", "search_path=a,b\n"),
            ("port", "5433"),
            ("visible", "true"),
        ];
        assert_eq!(values, expected.map(|(key, value)| (key, value.to_owned())));
    }

    #[test]
    fn a_list_is_one_a_line() {
        let values: Vec<_> = parse("allow = ['a@*', '*@h']").unwrap().into_iter().collect();
        assert_eq!(values, [("allow", "a@*\n*@h\n".to_owned())]);
        assert!(parse("port = [1]").unwrap_err().contains("port must be a string, a number"));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = parse("port = 1\nhostnme = \"db\"\n").unwrap_err();
        assert!(
            error.starts_with("line 2: unknown key \"hostnme\"; known are url, hostname"),
            "{error}"
        );
        let error = parse("cookie = \"hush\"").unwrap_err();
        assert!(error.contains("cookie_file") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn no_error_quotes_a_value() {
        for bad in [
            "password = \"hush",
            "password = [\"hush\"]",
            "password = hush",
            "password = 'a' 'hush'",
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.starts_with("line 1: ") && !error.contains("hush"), "{error}");
        }
    }
}
