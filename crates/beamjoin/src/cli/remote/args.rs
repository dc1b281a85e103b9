//! The arguments of the commands that speak to processes of another node.

use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};
use dist::etf::Term;
use dist::etf::literal::{self, Json};

use crate::cli::{
    args::{CookieArgs, FileArgs, Given, TlsArgs},
    config::Key,
    exit::{self, DATA, Failure},
};

#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct CallArgs {
    /// The node, base@host
    pub(crate) node: String,
    /// The function, without its arity: Enum.sum, :lists.sum or lists:sum
    pub(crate) function: String,
    /// Its arguments, each a literal: 1, :ok, "text", [a: 1], %{"b" => 2}. After -- they may begin with -
    #[arg(allow_negative_numbers = true)]
    pub(crate) arguments: Vec<String>,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// How long to wait: milliseconds, or with a unit, such as 500ms, 2s or 1m [default: infinity]
    #[arg(long, value_name = "TIME", default_value = "infinity", hide_default_value = true, value_parser = time)]
    pub(crate) timeout: Time,
    #[command(flatten)]
    pub(crate) node_args: NodeArgs,
}

#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct EvalArgs {
    /// The node, base@host
    pub(crate) node: String,
    /// What to evaluate, in Elixir
    #[arg(allow_hyphen_values = true)]
    pub(crate) expression: String,
    /// The expression is Erlang, for nodes without Elixir too
    #[arg(long)]
    pub(crate) erl: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// How long to wait: milliseconds, or with a unit, such as 500ms, 2s or 1m [default: infinity]
    #[arg(long, value_name = "TIME", default_value = "infinity", hide_default_value = true, value_parser = time)]
    pub(crate) timeout: Time,
    #[command(flatten)]
    pub(crate) node_args: NodeArgs,
}

#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct SendArgs {
    /// The node, base@host
    pub(crate) node: String,
    /// The name that the process is registered under: MyApp.Server, or server
    pub(crate) name: String,
    /// The message, a literal
    #[arg(allow_negative_numbers = true)]
    pub(crate) message: String,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    /// How long to wait for the node: milliseconds, or with a unit, such as 500ms, 2s or 1m [default: 5000]
    #[arg(long, value_name = "TIME", default_value = "5000", hide_default_value = true, value_parser = time)]
    pub(crate) timeout: Time,
    #[command(flatten)]
    pub(crate) node_args: NodeArgs,
}

#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct GenCallArgs {
    /// The node, base@host
    pub(crate) node: String,
    /// The name that the server is registered under: MyApp.Server, or server
    pub(crate) name: String,
    /// The request, a literal
    #[arg(allow_negative_numbers = true)]
    pub(crate) request: String,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// How long to wait: milliseconds, or with a unit, such as 500ms, 2s or 1m; or infinity [default: 5000]
    #[arg(long, value_name = "TIME", default_value = "5000", hide_default_value = true, value_parser = time)]
    pub(crate) timeout: Time,
    #[command(flatten)]
    pub(crate) node_args: NodeArgs,
}

#[derive(Args)]
pub(crate) struct NodeArgs {
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    cookie: CookieArgs,
    /// The port that the node listens on: EPMD is not asked, as with erl -erl_epmd_port
    #[arg(long, value_name = "PORT", help_heading = "Node")]
    peer_port: Option<String>,
    #[command(flatten)]
    tls: TlsArgs,
}

impl NodeArgs {
    pub(crate) fn given(&self) -> Vec<Given> {
        let mut given = vec![(&Key::PEER_PORT, self.peer_port.clone())];
        given.extend(self.cookie.given());
        given.extend(self.tls.given());
        given
    }
}

// In which language terms are given. As documentation it would take the place of a command's own.
#[derive(Args)]
#[command(group = ArgGroup::new("language").args(["erl", "json"]))]
pub(crate) struct InputArgs {
    /// Terms are given in Erlang
    #[arg(long)]
    erl: bool,
    /// Terms are given in JSON: objects become maps with binary keys, null becomes nil
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct OutputArgs {
    /// In which language the result is printed
    #[arg(long, value_name = "LANGUAGE", default_value = "elixir")]
    format: Language,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Language {
    Elixir,
    Erlang,
    Json,
}

impl InputArgs {
    /// Reads the term that the command line calls `what`.
    pub(crate) fn read(&self, what: &str, text: &str) -> Result<Term, Failure> {
        let (language, read) = match self {
            Self { erl: true, .. } => ("Erlang", literal::erlang(text)),
            Self { json: true, .. } => ("JSON", literal::json(text)),
            _ => ("Elixir", literal::elixir(text)),
        };
        read.map_err(|error| {
            let shown = shown(text);
            Failure::new(DATA, format!("{what} is no {language} literal: {error}\n  {shown}"))
        })
    }
}

impl OutputArgs {
    /// A message of a topic, on a line of its own.
    pub(crate) fn on_topic(&self, topic: &[u8], message: &Term) -> String {
        let topic = String::from_utf8_lossy(topic);
        match self.format {
            Language::Json => {
                let topic = Term::from(topic.as_ref());
                format!("{{\"topic\":{},\"message\":{}}}\n", Json(&topic), Json(message))
            }
            // For the eyes of a terminal: no control characters.
            _ => format!("{} {}", shown(&topic), self.print(message)),
        }
    }

    pub(crate) fn print(&self, term: &Term) -> String {
        match self.format {
            Language::Elixir => format!("{}\n", term.elixir()),
            Language::Erlang => format!("{term}\n"),
            Language::Json => format!("{}\n", Json(term)),
        }
    }
}

/// A text as it was given, or its beginning, without what a terminal would obey.
pub(super) fn shown(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    let mut shown = String::new();
    for c in text.chars().take(MAX_CHARS) {
        if c.is_control() { shown.extend(c.escape_debug()) } else { shown.push(c) }
    }
    if text.chars().nth(MAX_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

/// A limit, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Option<Duration>);

/// Milliseconds, or a number with a unit.
pub(crate) fn time(text: &str) -> Result<Time, &'static str> {
    const EXPECTED: &str = "it must be milliseconds, a time such as 500ms, 2s or 1m, or infinity";
    if text == "infinity" {
        return Ok(Time(None));
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| EXPECTED)?;
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "" | "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(EXPECTED),
    };
    Ok(Time(Some(Duration::from_millis(number.saturating_mul(unit)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, ms) in [("0", 0), ("500", 500), ("500ms", 500), ("2s", 2000), ("1m", 60_000)] {
            assert_eq!(time(text), Ok(Time(Some(Duration::from_millis(ms)))), "{text}");
        }
        assert_eq!(time("infinity"), Ok(Time(None)));
        for bad in ["", "-1", "1.5s", "s", "1 s", "1d", "5msx"] {
            assert!(time(bad).unwrap_err().starts_with("it must be"), "{bad}");
        }
    }

    #[test]
    fn what_is_shown_is_harmless() {
        assert_eq!(shown("{\"a\", 'b'}\u{1b}[2J\n"), "{\"a\", 'b'}\\u{1b}[2J\\n");
        assert_eq!(shown(&"é".repeat(300)).chars().count(), 201);
    }
}
