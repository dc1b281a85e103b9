//! Logs, on stderr.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use super::{
    config::{Format, Key, Layers},
    exit::Failure,
};

/// Starts logging as the settings say: as text, and `level` and what is worse (`off`: nothing), unless they say otherwise.
pub(crate) fn start(layers: &Layers, level: &str) -> Result<(), Failure> {
    let filter = match layers.get(&Key::LOG_LEVEL)? {
        None => None,
        Some(level) if !level.source.is_shared() && is_misspelt(&level.text) => {
            let levels = "it must be off, error, warn, info, debug or trace, or RUST_LOG's syntax";
            return Err(level.invalid(levels));
        }
        Some(level) => Some(EnvFilter::try_new(&level.text).map_err(|error| level.invalid(error))?),
    };
    // pgnotify says at info what beamjoin says itself.
    let default = if level == "off" { level.to_owned() } else { format!("{level},pgnotify=warn") };
    let format: Option<Format> = layers.parse(&Key::LOG_FORMAT, str::parse)?;
    let colour = stderr().is_terminal() && layers.variable("NO_COLOR").is_none();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new(default)))
        .with_writer(stderr)
        .with_ansi(colour)
        // It would print to a stderr that is closed, and panic.
        .log_internal_errors(false);
    let started = match format.unwrap_or_default() {
        Format::Text => logs.try_init(),
        Format::Json => logs.json().flatten_event(true).try_init(),
    };
    started.map_err(Failure::config)
}

/// A word that is no level would be the name of a crate in RUST_LOG's syntax, and log what no crate says.
fn is_misspelt(level: &str) -> bool {
    let is_word = level.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let known = ["off", "beamjoin", "dist", "pgnotify"];
    is_word && level.parse::<tracing::Level>().is_err() && !known.contains(&&*level.to_lowercase())
}
