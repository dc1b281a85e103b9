//! Three places for one setting.

use std::{collections::HashMap, ffi::OsString, fmt, path::Path};

use super::{Key, file::File};
use crate::cli::exit::{CONFIG, Failure, USAGE};

/// Flags, the environment and a file, all as text. No `Debug`: passwords are in it.
pub(crate) struct Layers {
    flags: HashMap<&'static str, String>,
    environment: Vec<(OsString, OsString)>,
    file: Option<File>,
}

/// A text and where it came from.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) key: &'static Key,
    pub(crate) text: String,
    pub(crate) source: Source,
}

/// Where a setting was given, in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Flag(String),
    /// `BEAMJOIN_...`
    OwnVariable(String),
    /// One that other programs read too.
    Variable(&'static str),
    File(String),
}

impl Layers {
    pub(crate) fn new(
        flags: impl IntoIterator<Item = (&'static Key, Option<String>)>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let given = |(key, text): (&'static Key, Option<String>)| Some((key.name, text?));
        Self {
            flags: flags.into_iter().filter_map(given).collect(),
            environment: environment.into_iter().collect(),
            file: None,
        }
    }

    /// Puts a file beneath the other two: `flag`, or else the file that `BEAMJOIN_CONFIG` names.
    pub(crate) fn with_file(mut self, flag: Option<&Path>) -> Result<Self, Failure> {
        let variable = self.variable("BEAMJOIN_CONFIG").map(OsString::from);
        if let Some(path) = flag.or(variable.as_deref().map(Path::new)) {
            self.file = Some(File::read(path).map_err(Failure::config)?);
        }
        Ok(self)
    }

    /// A variable that is set and not empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&OsString> {
        let (_, value) = self.environment.iter().find(|(variable, _)| variable == name)?;
        Some(value).filter(|value| !value.is_empty())
    }

    /// A variable as text.
    pub(crate) fn variable_text(&self, name: &str) -> Result<Option<String>, Failure> {
        let Some(value) = self.variable(name) else { return Ok(None) };
        let text = value.to_str().ok_or_else(|| Failure::config(format!("{name} is not UTF-8")))?;
        Ok(Some(text.to_owned()))
    }

    /// A setting from wherever it is given first.
    pub(crate) fn get(&self, key: &'static Key) -> Result<Option<Setting>, Failure> {
        if let Some(text) = self.flags.get(key.name) {
            return Ok(Some(Setting { key, text: text.clone(), source: Source::Flag(key.flag()) }));
        }
        if let Some(text) = self.variable_text(&key.variable())? {
            return Ok(Some(Setting { key, text, source: Source::OwnVariable(key.variable()) }));
        }
        for &name in key.variables {
            if let Some(text) = self.variable_text(name)? {
                return Ok(Some(Setting { key, text, source: Source::Variable(name) }));
            }
        }
        let Some(file) = &self.file else { return Ok(None) };
        let source = || Source::File(file.path.display().to_string());
        Ok(file.get(key).map(|text| Setting { key, text: text.to_owned(), source: source() }))
    }

    /// A setting that is read by `parse`, whose error says what it must be.
    pub(crate) fn parse<T, E: fmt::Display>(
        &self,
        key: &'static Key,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Failure> {
        let Some(setting) = self.get(key)? else { return Ok(None) };
        parse(&setting.text).map(Some).map_err(|error| setting.invalid(error))
    }
}

impl Setting {
    /// Says what is wrong, where it was given, and (unless it is a secret) what it is.
    pub(crate) fn invalid(&self, why: impl fmt::Display) -> Failure {
        let what = match &self.source {
            Source::Flag(flag) => flag.clone(),
            Source::OwnVariable(name) => name.clone(),
            Source::Variable(name) => (*name).to_owned(),
            Source::File(path) => format!("{} in {path}", self.key.name),
        };
        let message = if self.key.secret {
            format!("invalid {what}: {why}")
        } else {
            format!("invalid {what} {:?}: {why}", self.text)
        };
        Failure::new(self.source.exit_code(), message)
    }
}

impl Source {
    /// The least counts.
    pub(crate) fn precedence(&self) -> u8 {
        match self {
            Self::Flag(_) => 0,
            Self::OwnVariable(_) => 1,
            Self::Variable(_) => 2,
            Self::File(_) => 3,
        }
    }

    pub(crate) fn is_flag(&self) -> bool {
        matches!(self, Self::Flag(_))
    }

    /// Whether it may have been meant for another program.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Variable(_))
    }

    fn exit_code(&self) -> u8 {
        if self.is_flag() { USAGE } else { CONFIG }
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setting")
            .field("key", &self.key.name)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn layers(flag: Option<&str>, environment: &[(&str, &str)], file: &str) -> Layers {
        let mut written = tempfile::NamedTempFile::new().unwrap();
        written.write_all(file.as_bytes()).unwrap();
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        Layers::new([(&Key::HOSTNAME, flag.map(str::to_owned))], environment)
            .with_file(Some(written.path()))
            .unwrap()
    }

    fn hostname(layers: &Layers) -> Option<String> {
        layers.get(&Key::HOSTNAME).unwrap().map(|setting| setting.text)
    }

    #[test]
    fn flags_then_environment_then_file() {
        let both = [("PGHOST", "pg"), ("BEAMJOIN_HOSTNAME", "env")];
        let file = "hostname = 'file'";
        assert_eq!(hostname(&layers(Some("flag"), &both, file)).as_deref(), Some("flag"));
        assert_eq!(hostname(&layers(None, &both, file)).as_deref(), Some("env"));
        assert_eq!(hostname(&layers(None, &both[..1], file)).as_deref(), Some("pg"));
        assert_eq!(
            hostname(&layers(None, &[("BEAMJOIN_HOSTNAME", "")], file)).as_deref(),
            Some("file")
        );
        assert_eq!(hostname(&layers(None, &[], "")), None);
    }

    #[test]
    fn an_error_says_where_the_value_came_from() {
        let port = |layers: &Layers| layers.parse(&Key::PORT, str::parse::<u16>).unwrap_err();
        let error = port(&layers(None, &[("BEAMJOIN_PORT", "x1")], ""));
        assert_eq!(
            error.to_string(),
            "invalid BEAMJOIN_PORT \"x1\": invalid digit found in string"
        );
        assert_eq!(error.code, CONFIG);
        let error = port(&layers(None, &[], "port = 'x2'")).to_string();
        assert!(
            error.starts_with("invalid port in /") && error.contains("\"x2\": invalid"),
            "{error}"
        );
        let flag =
            Setting { key: &Key::PORT, text: "x3".into(), source: Source::Flag("--port".into()) };
        assert_eq!(
            (flag.invalid("no").to_string(), flag.invalid("no").code),
            ("invalid --port \"x3\": no".into(), USAGE)
        );
    }

    #[test]
    fn secrets_are_not_quoted() {
        let layers = layers(None, &[("PGPASSWORD", "hush")], "");
        let setting = layers.get(&Key::PASSWORD).unwrap().unwrap();
        assert!(!format!("{setting:?} {}", setting.invalid("it is bad")).contains("hush"));
    }
}
