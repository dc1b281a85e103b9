//! What the other side raised.

use std::io::Write;

use dist::etf::{Atom, Term};

use super::{BANNER_TIME, Remote};

/// An exception of another node.
pub(super) struct Exception {
    kind: Kind,
    reason: Term,
    stack: Term,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Error,
    Exit,
    Throw,
    /// The reason is how it is printed.
    Words,
}

impl Exception {
    pub(super) fn error(reason: Term, stack: Term) -> Self {
        Self { kind: Kind::Error, reason, stack }
    }

    pub(super) fn exit(reason: Term) -> Self {
        Self { kind: Kind::Exit, reason, stack: Term::NIL }
    }

    pub(super) fn throw(value: Term) -> Self {
        Self { kind: Kind::Throw, reason: value, stack: Term::NIL }
    }

    pub(super) fn in_words(words: String) -> Self {
        Self { kind: Kind::Words, reason: words.into(), stack: Term::NIL }
    }

    /// Whether this function is what there is not.
    pub(super) fn is_undefined(&self, module: &str, function: &str) -> bool {
        self.kind == Kind::Error
            && self.reason.is_atom("undef")
            && self.first_frame().is_some_and(|[m, f, _]| m.is_atom(module) && f.is_atom(function))
    }

    /// Prints it on stderr as Elixir does: by the node itself where it has Elixir, and else by what we know.
    pub(super) async fn report(self, remote: &Remote) {
        let text = match self.asked_of(remote).await {
            Some(text) => text,
            None => self.banner(),
        };
        // Nobody is left to be told if stderr is closed; the code says it still.
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// `Exception.format_banner/3`, which knows the messages of all exceptions of its node.
    async fn asked_of(&self, remote: &Remote) -> Option<String> {
        let kind = match self.kind {
            Kind::Error => "error",
            Kind::Exit => "exit",
            Kind::Throw => "throw",
            Kind::Words => return None,
        };
        let args = vec![Term::atom(kind), self.reason.clone(), self.stack.clone()];
        let banner =
            remote.node.rpc(&remote.peer, "Elixir.Exception", "format_banner", args, BANNER_TIME);
        banner.await.ok()?.as_str().map(str::to_owned)
    }

    /// In the words of Elixir's own exceptions (`Exception.normalize/3`).
    fn banner(&self) -> String {
        let reason = self.reason.elixir();
        match self.kind {
            Kind::Words => self.reason.as_str().unwrap_or_default().to_owned(),
            Kind::Exit => format!("** (exit) {}", exit_in_elixir(&self.reason)),
            Kind::Throw => format!("** (throw) {reason}"),
            Kind::Error => {
                let (name, message) = self.in_elixir();
                format!("** ({name}) {message}")
            }
        }
    }

    fn in_elixir(&self) -> (String, String) {
        let known = |name: &str, message: String| (name.to_owned(), message);
        let function = || self.first_frame().map(frame).unwrap_or_default();
        if let Some(map) = self.reason.as_map()
            && let Some(name) = map.get_atom("__struct__")
        {
            let message = map.get_atom("message").and_then(Term::as_str);
            let message = message.map_or_else(|| self.reason.elixir().to_string(), str::to_owned);
            return known(&name.elixir().to_string(), message);
        }
        match self.reason.as_atom().map(Atom::as_str) {
            Some("undef") => {
                return known(
                    "UndefinedFunctionError",
                    format!("function {} is undefined or private", function()),
                );
            }
            Some("function_clause") => {
                let message = format!("no function clause matching in {}", function());
                return known("FunctionClauseError", message);
            }
            Some("badarg") => return known("ArgumentError", "argument error".to_owned()),
            Some("system_limit") => {
                let message = "a system limit has been reached";
                return known("SystemLimitError", message.to_owned());
            }
            Some("badarith") => {
                let message = "bad argument in arithmetic expression";
                return known("ArithmeticError", message.to_owned());
            }
            _ => {}
        }
        if let Some([Term::Atom(word), value]) = self.reason.as_tuple() {
            let value = value.elixir();
            let (name, message) = match word.as_str() {
                "badarg" => ("ArgumentError", format!("argument error: {value}")),
                "badmatch" => ("MatchError", format!("no match of right hand side value: {value}")),
                "case_clause" => ("CaseClauseError", format!("no case clause matching: {value}")),
                "try_clause" => ("TryClauseError", format!("no try clause matching: {value}")),
                "badkey" => ("KeyError", format!("key {value} not found")),
                "badmap" => ("BadMapError", format!("expected a map, got: {value}")),
                "badfun" => ("BadFunctionError", format!("expected a function, got: {value}")),
                _ => ("ErlangError", format!("Erlang error: {}", self.reason.elixir())),
            };
            return known(name, message);
        }
        known("ErlangError", format!("Erlang error: {}", self.reason.elixir()))
    }

    /// Module, function, and arity or arguments.
    fn first_frame(&self) -> Option<&[Term; 3]> {
        self.stack.as_list()?.first()?.as_tuple()?.first_chunk()
    }
}

/// The reason of an exit in words (`Exception.format_exit/1`), where it is one of those that there are words for.
fn exit_in_elixir(reason: &Term) -> String {
    let words = match reason.as_atom().map(Atom::as_str) {
        Some(word @ ("normal" | "shutdown" | "killed")) => word,
        Some("noconnection") => "no connection",
        Some("timeout") => "time out",
        Some("calling_self") => "process attempted to call itself",
        Some("noproc") => {
            "no process: the process is not alive or there's no process currently associated with the given name, \
             possibly because its application isn't started"
        }
        _ => {
            return match reason.as_tuple() {
                Some([word, value]) if word.is_atom("shutdown") => {
                    format!("shutdown: {}", value.elixir())
                }
                Some([word, Term::Atom(node)]) if word.is_atom("nodedown") => {
                    format!("no connection to {}", node.as_str())
                }
                _ => reason.elixir().to_string(),
            };
        }
    };
    words.to_owned()
}

/// `:lists.foo/1`
fn frame([module, function, arity]: &[Term; 3]) -> String {
    let arity = arity.as_list().map_or_else(|| arity.to_string(), |args| args.len().to_string());
    match function.as_atom() {
        Some(name) => format!("{}.{}/{arity}", module.elixir(), name.as_str()),
        None => format!("{}.{function}/{arity}", module.elixir()),
    }
}

#[cfg(test)]
mod tests {
    use dist::etf::term;

    use super::*;

    #[test]
    fn without_elixir_in_its_words() {
        let stack = || term!([{lists, foo, [1, 2], []}]);
        let exception = term!(#{(Atom::from_static("__struct__")) => (Atom::from_static("Elixir.RuntimeError")), message => "x"});
        for (exception, expected) in [
            (
                Exception::error(term!(undef), stack()),
                "** (UndefinedFunctionError) function :lists.foo/2 is undefined or private",
            ),
            (
                Exception::error(term!(function_clause), term!([{lists, sum, 2, []}])),
                "** (FunctionClauseError) no function clause matching in :lists.sum/2",
            ),
            (Exception::error(term!(badarg), stack()), "** (ArgumentError) argument error"),
            (
                Exception::error(term!(badarith), term!([])),
                "** (ArithmeticError) bad argument in arithmetic expression",
            ),
            (
                Exception::error(term!({badmatch, 1}), term!([])),
                "** (MatchError) no match of right hand side value: 1",
            ),
            (Exception::error(term!(boom), term!(odd)), "** (ErlangError) Erlang error: :boom"),
            (Exception::error(exception, term!([])), "** (RuntimeError) x"),
            (
                Exception::error(term!({badarg, x}), stack()),
                "** (ArgumentError) argument error: :x",
            ),
            (
                Exception::error(term!(system_limit), stack()),
                "** (SystemLimitError) a system limit has been reached",
            ),
            (Exception::error(term!({badkey, a}), stack()), "** (KeyError) key :a not found"),
            (
                Exception::error(term!({badmap, 1}), stack()),
                "** (BadMapError) expected a map, got: 1",
            ),
            (
                Exception::error(term!({badfun, 1}), stack()),
                "** (BadFunctionError) expected a function, got: 1",
            ),
            (
                Exception::error(term!({try_clause, 1}), stack()),
                "** (TryClauseError) no try clause matching: 1",
            ),
            (
                Exception::error(term!({nocatch, 1}), stack()),
                "** (ErlangError) Erlang error: {:nocatch, 1}",
            ),
            (Exception::exit(term!(killed)), "** (exit) killed"),
            (Exception::exit(term!(normal)), "** (exit) normal"),
            (Exception::exit(term!(noconnection)), "** (exit) no connection"),
            (Exception::exit(term!(timeout)), "** (exit) time out"),
            (
                Exception::exit(term!(noproc)),
                "** (exit) no process: the process is not alive or there's no process currently associated with the \
                 given name, possibly because its application isn't started",
            ),
            (Exception::exit(term!({shutdown, {a, 1}})), "** (exit) shutdown: {:a, 1}"),
            (
                Exception::exit(term!({nodedown, (Atom::from_static("a@b"))})),
                "** (exit) no connection to a@b",
            ),
            (Exception::exit(term!({nodedown, 1})), "** (exit) {:nodedown, 1}"),
            (Exception::exit(term!(other)), "** (exit) :other"),
            (Exception::throw(term!({a, 1})), "** (throw) {:a, 1}"),
        ] {
            assert_eq!(exception.banner(), expected);
        }
    }
}
