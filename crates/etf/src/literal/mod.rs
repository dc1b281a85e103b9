//! Terms written as text: Elixir's literals, Erlang's, and JSON.
//!
//! ```
//! use etf::literal;
//!
//! let term = literal::elixir(r#"{:ok, [a: 1], %{"b" => ~c"hi"}}"#).unwrap();
//! assert_eq!(term, literal::erlang(r#"{ok, [{a, 1}], #{<<"b">> => "hi"}}"#).unwrap());
//! ```
//!
//! Nothing is evaluated: a variable, a call or an operator is an error that says where it stands. What `term.elixir()` and
//! `Display` print is read back as the same term, where it has a literal form at all (pids, ports, references and closures
//! have none).

mod bits;
mod cursor;
mod elixir;
mod erlang;
mod escape;
mod json;
mod name;
mod number;
mod sigil;

use std::fmt;
use std::str::FromStr;

use crate::Term;

use self::cursor::Cursor;
pub use self::{
    json::Json,
    name::{Function, function, process_name},
};

/// The deepest nesting that is read.
pub const MAX_DEPTH: usize = 128;

/// Why a text is no literal, and where it stops being one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiteralError {
    /// The byte at which it stands.
    pub offset: usize,
    line: usize,
    column: usize,
    message: String,
}

impl LiteralError {
    fn new(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let line = before.matches('\n').count() + 1;
        Self { offset, line, column, message: message.into() }
    }
}

impl fmt::Display for LiteralError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 1 {
            write!(f, "line {}, ", self.line)?;
        }
        write!(f, "character {}: {}", self.column, self.message)
    }
}

impl std::error::Error for LiteralError {}

/// Reads an Elixir literal of any type.
///
/// Sigils are `~s ~S ~c ~C ~w ~W ~D ~T ~N ~U`; ranges and `&Module.function/arity` are read too. A struct has the fields that
/// are written, without the defaults that its module knows.
///
/// # Errors
/// Where the text is no literal, or nested deeper than [`MAX_DEPTH`].
pub fn elixir(text: &str) -> Result<Term, LiteralError> {
    let mut cursor = Cursor::new(text);
    let term = elixir::value(&mut cursor)?;
    elixir::skip_space(&mut cursor);
    cursor.end()?;
    Ok(term)
}

/// Reads an Erlang literal of any type; a full stop may end it.
///
/// # Errors
/// As [`elixir()`].
pub fn erlang(text: &str) -> Result<Term, LiteralError> {
    let mut cursor = Cursor::new(text);
    let term = erlang::value(&mut cursor)?;
    erlang::skip_space(&mut cursor);
    if cursor.eat(".") {
        erlang::skip_space(&mut cursor);
    }
    cursor.end()?;
    Ok(term)
}

/// Erlang's syntax, which `Display` prints; see [`erlang()`].
///
/// ```
/// let term: etf::Term = "{ok, [1, 2.5 | tail]}".parse()?;
/// assert_eq!(term, etf::term!({ok, [1, 2.5 | tail]}));
/// # Ok::<(), etf::literal::LiteralError>(())
/// ```
impl FromStr for Term {
    type Err = LiteralError;

    fn from_str(text: &str) -> Result<Self, LiteralError> {
        erlang(text)
    }
}

/// Reads JSON: objects become maps with binary keys, strings binaries, `null` becomes `nil`.
///
/// Integers are read in full. Of a key that is there twice the last counts.
///
/// # Errors
/// As [`elixir()`].
pub fn json(text: &str) -> Result<Term, LiteralError> {
    let mut cursor = Cursor::new(text);
    let term = json::value(&mut cursor)?;
    json::skip_space(&mut cursor);
    cursor.end()?;
    Ok(term)
}
