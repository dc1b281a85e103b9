//! Names of functions and processes.

use crate::Atom;

use super::{
    LiteralError,
    cursor::{Cursor, Read},
    elixir, erlang,
};

/// A function of a module, whatever its arity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The module: `'Elixir.Enum'` for Elixir's `Enum`.
    pub module: Atom,
    /// The function.
    pub name: Atom,
}

/// Reads the name of a function, in Elixir's form (`Enum.sum`, `:lists.sum`, `Kernel.+`) or in Erlang's (`lists:sum`,
/// `'Elixir.Enum':sum`).
///
/// # Errors
/// Where the text is no such name.
pub fn function(text: &str) -> Result<Function, LiteralError> {
    let mut cursor = Cursor::new(text);
    let (module, name) = match cursor.peek() {
        Some(':') => (elixir::colon_atom(&mut cursor)?, elixir::dot_function(&mut cursor)?),
        Some(c) if c.is_uppercase() => {
            let module = elixir::alias(&mut cursor)?;
            if cursor.peek() == Some(':') {
                return cursor.fail("a module of Elixir has a dot before the function: Enum.sum");
            }
            (module, elixir::dot_function(&mut cursor)?)
        }
        _ => {
            let module = erlang::atom(&mut cursor).or_else(|_| no_name(&cursor))?;
            if cursor.peek() == Some('.') {
                return cursor.fail("a module of Erlang is written as lists:sum or :lists.sum");
            }
            if !cursor.eat(":") {
                return cursor.expected(": and the name of a function");
            }
            (module, erlang::function(&mut cursor)?)
        }
    };
    match cursor.peek() {
        None => Ok(Function { module, name }),
        Some('(') => cursor.fail("arguments are given one by one after the name"),
        Some('/') => cursor.fail("the arity is not given: it is the number of arguments"),
        Some(_) => cursor.expected("the end"),
    }
}

fn no_name<T>(cursor: &Cursor<'_>) -> Read<T> {
    cursor.expected("the name of a function, such as Enum.sum or lists:sum")
}

/// Reads the name of a registered process: `MyApp.Server`, `:server`, `server` or `'a server'`.
///
/// # Errors
/// Where the text is no such name.
pub fn process_name(text: &str) -> Result<Atom, LiteralError> {
    let mut cursor = Cursor::new(text);
    let name = match cursor.peek() {
        Some(':') => elixir::colon_atom(&mut cursor)?,
        Some(c) if c.is_uppercase() => elixir::alias(&mut cursor)?,
        Some('\'' | 'a'..='z') => erlang::atom(&mut cursor)?,
        _ => return cursor.expected("the name of a process, such as MyApp.Server or :server"),
    };
    cursor.end()?;
    Ok(name)
}
