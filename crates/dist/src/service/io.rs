//! The Erlang I/O protocol, seen from the device's side: what a process prints that has its group
//! leader here (`stdlib`, "The Erlang I/O Protocol").
//!
//! Text goes out; there is nothing to read, so every request for input is answered with `eof`.

mod format;
mod leader;

use etf::{Pid, Term};

pub(crate) use leader::answer_for_node;
pub use leader::{GroupLeader, Output, OutputBuffer};

use super::atom;

/// A request of some process.
#[derive(Debug)]
pub(crate) struct IoRequest {
    from: Pid,
    reply_as: Term,
    request: Term,
}

impl IoRequest {
    /// Reads `{io_request, From, ReplyAs, Request}`; gives the message back when it is none.
    pub(crate) fn parse(message: Term) -> Result<Self, Term> {
        match message.as_tuple() {
            Some([word, Term::Pid(_), _, _]) if word.is_atom("io_request") => {}
            _ => return Err(message),
        }
        match message.into_tuple().map(<[Term; 4]>::try_from) {
            Ok(Ok([_, Term::Pid(from), reply_as, request])) => Ok(Self { from, reply_as, request }),
            Ok(Ok(fields)) => Err(Term::Tuple(fields.into())),
            Ok(Err(fields)) => Err(Term::Tuple(fields)),
            Err(message) => Err(message),
        }
    }

    /// What to write, and who is to be told what. The answer has to wait until the text is
    /// written.
    pub(crate) fn serve(self) -> (String, Pid, Term) {
        let mut text = String::new();
        let result = match serve(&self.request, &mut text) {
            Ok(result) => result,
            Err(reason) => Term::Tuple(vec![atom("error"), atom(reason)]),
        };
        (text, self.from, Term::Tuple(vec![atom("io_reply"), self.reply_as, result]))
    }
}

/// The same reply for who could not print.
fn terminated(reply: Term) -> Term {
    let mut fields = reply.into_tuple().unwrap_or_default();
    fields.truncate(2);
    fields.push(Term::Tuple(vec![atom("error"), atom("terminated")]));
    Term::Tuple(fields)
}

/// A log event of a process whose group leader is ours, sent to `logger_proxy` (`logger.erl`).
pub(crate) fn log_event(message: &Term) -> bool {
    let (level, text) = match message.as_tuple() {
        Some([log, Term::Atom(level), form, args, _]) if log.is_atom("log") => {
            (level, format::format(form, args).unwrap_or_else(|| form.to_string()))
        }
        Some([log, Term::Atom(level), said, _]) if log.is_atom("log") => match said.as_tuple() {
            Some([Term::Atom(string), chars]) if *string == "string" => {
                let mut text = String::new();
                let read = format::chars(chars, false, &mut text);
                (level, read.map(|()| text).unwrap_or_else(|| chars.to_string()))
            }
            _ => (level, said.to_string()),
        },
        _ => return false,
    };
    tracing::info!(target: "dist::output", %level, "{text}");
    true
}

/// One request; what it writes is added to `out`.
fn serve(request: &Term, out: &mut String) -> Result<Term, &'static str> {
    let Some(fields) = request.as_tuple() else {
        return match request.as_atom().map(etf::Atom::as_str) {
            Some("getopts") => Ok(options()),
            _ => Err("request"),
        };
    };
    let Some((word, rest)) = fields.split_first() else { return Err("request") };
    let Some(word) = word.as_atom() else { return Err("request") };
    match (word.as_str(), rest) {
        ("put_chars", [encoding, chars]) => put(encoding, chars, out),
        ("put_chars", [encoding, module, function, args]) => {
            put(encoding, &call(module, function, args)?, out)
        }
        // The forms of before Unicode.
        ("put_chars", [chars]) => put(&atom("latin1"), chars, out),
        ("put_chars", [module, function, args]) => {
            put(&atom("latin1"), &call(module, function, args)?, out)
        }
        ("requests", [Term::List(requests)]) => {
            let mut last = atom("ok");
            for request in requests {
                last = serve(request, out)?;
                if matches!(last.as_tuple(), Some([error, _]) if error.is_atom("error")) {
                    break;
                }
            }
            Ok(last)
        }
        ("get_line" | "get_chars" | "get_until" | "get_password", _) => Ok(atom("eof")),
        ("get_geometry", [_]) | ("setopts", [_]) => Err("enotsup"),
        _ => Err("request"),
    }
}

/// `io:getopts/1`
fn options() -> Term {
    let pair = |name, value| Term::Tuple(vec![atom(name), atom(value)]);
    Term::List(vec![pair("binary", "true"), pair("encoding", "unicode")])
}

/// Adds characters, or nothing when some of them are none.
fn put(encoding: &Term, chars: &Term, out: &mut String) -> Result<Term, &'static str> {
    let latin1 = match encoding.as_atom().map(etf::Atom::as_str) {
        Some("latin1") => true,
        Some("unicode" | "utf8") => false,
        _ => return Err("put_chars"),
    };
    let mut text = String::new();
    format::chars(chars, latin1, &mut text).ok_or("put_chars")?;
    out.push_str(&text);
    Ok(atom("ok"))
}

/// What `Module:Function(Arguments)` yields, of those functions that `io` uses.
fn call(module: &Term, function: &Term, args: &Term) -> Result<Term, &'static str> {
    if !module.is_atom("io_lib") {
        return Err("put_chars");
    }
    let function = function.as_atom().map(etf::Atom::as_str);
    let text = match (function, args.as_list()) {
        (Some("format" | "fwrite"), Some([format, args])) => format::format(format, args),
        (Some("write"), Some([term])) => Some(format::write(term)),
        (Some("print"), Some([term])) => Some(term.to_string()),
        _ => None,
    };
    // What `io_lib` makes of wrong arguments is an exception in the device.
    text.map(Term::from).ok_or("format")
}

#[cfg(test)]
mod tests {
    use etf::{Atom, term};

    use super::*;

    fn served(request: Term) -> (String, Term) {
        let from = Pid { node: Atom::from_static("x@h"), id: 1, serial: 0, creation: 4 };
        let message = term!({io_request, (from.clone()), tag, (request)});
        let (text, to, reply) = IoRequest::parse(message).unwrap().serve();
        assert_eq!(to, from);
        let [io_reply, tag, result] = <[Term; 3]>::try_from(reply.into_tuple().unwrap()).unwrap();
        assert!(io_reply.is_atom("io_reply") && tag.is_atom("tag"));
        (text, result)
    }

    #[test]
    fn text_goes_out() {
        for request in [
            term!({put_chars, unicode, "hé\n"}),
            term!({put_chars, unicode, [104, [233 | "\n"]]}),
            term!({put_chars, latin1, (&b"h\xe9\n"[..])}),
            term!({put_chars, [104, 233, 10]}),
            term!({put_chars, unicode, io_lib, format, ["h~tsn"]}),
            term!({put_chars, unicode, io_lib, format, ["~ts~n", ["hé"]]}),
            term!({requests, [{put_chars, unicode, "h"}, {put_chars, unicode, [233, 10]}]}),
        ] {
            let (text, result) = served(request.clone());
            match text.as_str() {
                "hé\n" => assert_eq!(result, term!(ok), "{request}"),
                "" => assert_eq!(result, term!({error, format}), "{request}"),
                other => panic!("{request}: {other:?}"),
            }
        }
    }

    #[test]
    fn there_is_no_input_and_no_hang() {
        let none = String::new();
        for (request, expected) in [
            (term!({get_line, unicode, "? "}), term!(eof)),
            (term!({get_chars, unicode, "? ", 3}), term!(eof)),
            (term!({get_until, unicode, "? ", io_lib, fread, ["~d"]}), term!(eof)),
            (term!({get_geometry, columns}), term!({error, enotsup})),
            (term!({setopts, [binary]}), term!({error, enotsup})),
            (term!(getopts), term!([{binary, true}, {encoding, unicode}])),
            (term!({nonsense, 1}), term!({error, request})),
            (term!({}), term!({error, request})),
            (term!(17), term!({error, request})),
            (term!({put_chars, unicode, 17}), term!({error, put_chars})),
            (term!({put_chars, unicode, [a]}), term!({error, put_chars})),
            (term!({put_chars, unicode, lists, sum, [[1]]}), term!({error, put_chars})),
            (term!({requests, [{get_line, unicode, ""}]}), term!(eof)),
            (
                term!({requests, [{setopts, []}, {put_chars, unicode, "x"}]}),
                term!({error, enotsup}),
            ),
        ] {
            assert_eq!(served(request.clone()), (none.clone(), expected), "{request}");
        }
    }
}
