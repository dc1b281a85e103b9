//! A place in a text.

use crate::Atom;

use super::{LiteralError, MAX_DEPTH};

pub(super) type Read<T> = Result<T, LiteralError>;

pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Goes back to a place it has been at.
    pub(super) fn back_to(&mut self, at: usize) {
        self.at = at;
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The character after the next.
    pub(super) fn peek_second(&self) -> Option<char> {
        self.rest().chars().nth(1)
    }

    pub(super) fn looking_at(&self, token: &str) -> bool {
        self.rest().starts_with(token)
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Takes a token if it comes next.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let found = self.looking_at(token);
        if found {
            self.at += token.len();
        }
        found
    }

    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// An error where we stand.
    pub(super) fn fail<T>(&self, message: impl Into<String>) -> Read<T> {
        self.fail_at(self.at, message)
    }

    pub(super) fn fail_at<T>(&self, at: usize, message: impl Into<String>) -> Read<T> {
        Err(LiteralError::new(self.text, at, message))
    }

    /// An error that says what stands here instead of what should.
    pub(super) fn expected<T>(&self, what: &str) -> Read<T> {
        match self.peek() {
            Some(found) => self.fail(format!("expected {what}, found {}", shown(found))),
            None => self.fail(format!("expected {what}, and the text ends here")),
        }
    }

    pub(super) fn end(&self) -> Read<()> {
        if self.rest().is_empty() { Ok(()) } else { self.expected("the end") }
    }

    /// Reads something that is one level deeper.
    pub(super) fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth >= MAX_DEPTH {
            return self.fail(format!("nested deeper than {MAX_DEPTH}"));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// An atom that began at `at`.
    pub(super) fn atom(&self, at: usize, text: &str) -> Read<Atom> {
        Atom::new(text).or_else(|error| self.fail_at(at, error.to_string()))
    }
}

fn shown(c: char) -> String {
    match c {
        '`' => "a backtick".to_owned(),
        _ if c.is_control() || (c.is_whitespace() && c != ' ') => c.escape_debug().to_string(),
        _ => format!("`{c}`"),
    }
}
