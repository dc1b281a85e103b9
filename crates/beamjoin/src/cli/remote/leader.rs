//! The group leader of what a command starts on another node: what that prints comes out here.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use dist::{
    Mfa, Node, NodeName, Process, RpcOptions,
    etf::{Atom, Pid, Term, term},
};

/// The deepest nesting of characters that is read; OTP makes a level for each part of a format.
const MAX_DEPTH: usize = 128;

/// How the text of a request is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Unicode,
    Latin1,
}

/// Whether what was printed ends with a line.
#[derive(Debug, Clone)]
pub(super) struct LineStart(Arc<AtomicBool>);

impl LineStart {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// What must come before a line that is to stand alone.
    pub(super) fn separator(&self) -> &'static str {
        if self.0.load(Ordering::Relaxed) { "" } else { "\n" }
    }
}

/// Why a request is not done, as the requesting process is told.
type Refusal = Term;

/// Answers what processes ask of their group leader, until the process ends.
///
/// Text goes to stdout before it is acknowledged, and so before the result of whatever printed it. There is nothing to be read
/// here: `get_line` and its kin find the end of the file. Source: "The Erlang I/O Protocol" in the user's guide of stdlib.
pub(super) async fn lead(mut process: Process, node: Node, peer: NodeName, at: LineStart) {
    while let Some(message) = process.recv().await {
        let Ok(fields) = message.term.into_tuple() else { continue };
        let Ok([kind, Term::Pid(from), reply_as, request]) = <[Term; 4]>::try_from(fields) else {
            continue;
        };
        if !kind.is_atom("io_request") {
            continue;
        }
        let leader = Leader { node: &node, peer: &peer, from: &from, at: &at };
        let result = leader.answer(request).await.unwrap_or_else(|refusal| refusal);
        let reply = Term::Tuple(vec![Term::atom("io_reply"), reply_as, result]);
        // The requesting process may be gone.
        let _ = process.send(from, reply).await;
    }
}

/// One request, and what it takes to answer it.
struct Leader<'a> {
    node: &'a Node,
    peer: &'a NodeName,
    from: &'a Pid,
    at: &'a LineStart,
}

impl Leader<'_> {
    async fn answer(&self, request: Term) -> Result<Term, Refusal> {
        let requests = match request.as_tuple() {
            Some([many, Term::List(requests)]) if many.is_atom("requests") => requests.clone(),
            _ => vec![request],
        };
        let mut last = Term::atom("ok");
        for request in requests {
            last = self.one(&request).await?;
        }
        Ok(last)
    }

    async fn one(&self, request: &Term) -> Result<Term, Refusal> {
        let unknown = || error("request");
        let (word, rest) = match request {
            Term::Atom(word) => (word, [].as_slice()),
            Term::Tuple(fields) => match fields.split_first() {
                Some((Term::Atom(word), rest)) => (word, rest),
                _ => return Err(unknown()),
            },
            _ => return Err(unknown()),
        };
        let read = |encoding| read_encoding(encoding).ok_or_else(unknown);
        match (word.as_str(), rest) {
            // Requests without an encoding are of the time when all was Latin-1.
            ("put_chars", [chars]) => self.write(chars, Encoding::Latin1),
            ("put_chars", [encoding, chars]) => self.write(chars, read(encoding)?),
            ("put_chars", [Term::Atom(module), Term::Atom(function), Term::List(args)]) => {
                let chars = self.applied(module, function, args).await?;
                self.write(&chars, Encoding::Latin1)
            }
            (
                "put_chars",
                [encoding, Term::Atom(module), Term::Atom(function), Term::List(args)],
            ) => {
                let encoding = read(encoding)?;
                let chars = self.applied(module, function, args).await?;
                self.write(&chars, encoding)
            }
            ("get_line" | "get_chars" | "get_until" | "get_password", _) => Ok(Term::atom("eof")),
            ("getopts", []) => Ok(term!([{binary, true}, {encoding, unicode}])),
            ("setopts" | "get_geometry", [_]) => Err(error("enotsup")),
            _ => Err(unknown()),
        }
    }

    /// What a function makes that the process wants to print: it is of its node, and so is run there.
    async fn applied(
        &self,
        module: &Atom,
        function: &Atom,
        args: &[Term],
    ) -> Result<Term, Refusal> {
        if self.from.node != self.peer.as_str() {
            return Err(error("enotsup"));
        }
        let mfa = Mfa { module: module.clone(), function: function.clone(), args: args.to_vec() };
        let chars = self.node.rpc_with(self.peer, mfa, &RpcOptions::new()).await;
        chars.map_err(|_| Term::Tuple(vec![Term::atom("error"), Term::Atom(function.clone())]))
    }

    fn write(&self, chars: &Term, encoding: Encoding) -> Result<Term, Refusal> {
        let mut text = String::new();
        if append(chars, encoding, &mut text, 0).is_none() {
            return Err(error("put_chars"));
        }
        if !text.is_empty() {
            self.at.0.store(text.ends_with('\n'), Ordering::Relaxed);
        }
        if crate::cli::print(&text) { Ok(Term::atom("ok")) } else { Err(error("terminated")) }
    }
}

/// The text of `unicode:chardata()`; `None` when it is none.
fn append(chars: &Term, encoding: Encoding, text: &mut String, depth: usize) -> Option<()> {
    match chars {
        Term::Int(code) => text.push(char::from_u32(u32::try_from(*code).ok()?)?),
        Term::Binary(bytes) if encoding == Encoding::Unicode => {
            text.push_str(std::str::from_utf8(bytes).ok()?);
        }
        Term::Binary(bytes) => text.extend(bytes.iter().map(|byte| char::from(*byte))),
        _ if depth == MAX_DEPTH => return None,
        Term::List(items) => {
            items.iter().try_for_each(|item| append(item, encoding, text, depth + 1))?;
        }
        Term::ImproperList(list) => {
            let mut items = list.items().iter().chain([list.tail()]);
            items.try_for_each(|item| append(item, encoding, text, depth + 1))?;
        }
        _ => return None,
    }
    Some(())
}

fn read_encoding(encoding: &Term) -> Option<Encoding> {
    match encoding.as_atom()?.as_str() {
        "unicode" => Some(Encoding::Unicode),
        "latin1" => Some(Encoding::Latin1),
        _ => None,
    }
}

fn error(why: &'static str) -> Term {
    Term::Tuple(vec![Term::atom("error"), Term::atom(why)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(chars: Term, encoding: Encoding) -> Option<String> {
        let mut text = String::new();
        append(&chars, encoding, &mut text, 0).map(|()| text)
    }

    #[test]
    fn characters_of_every_form() {
        let chars = term!([97, [98, "é"], [] | "c"]);
        assert_eq!(text(chars.clone(), Encoding::Unicode).as_deref(), Some("abéc"));
        assert_eq!(text(chars, Encoding::Latin1).as_deref(), Some("abÃ©c"));
        assert_eq!(text(term!([26085]), Encoding::Unicode).as_deref(), Some("日"));
        for no_text in
            [term!(x), term!([a]), term!([(-1)]), term!([0xd800]), Term::from([255].as_slice())]
        {
            assert_eq!(text(no_text, Encoding::Unicode), None);
        }
        let deep = (0..1000).fold(term!([]), |inner, _| Term::List(vec![inner]));
        assert_eq!(text(deep, Encoding::Unicode), None);
    }
}
