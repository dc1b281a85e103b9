//! `beamjoin send` and `beamjoin gen-call`

use std::process::ExitCode;

use dist::etf::literal;
use dist::{
    CallError, Destination,
    etf::{Atom, Term},
};

use super::{
    GenCallArgs, Problem, Remote, SendArgs, args::shown, exception::Exception, unreached, within,
};
use crate::cli::{
    config::Layers,
    exit::{DATA, Failure, REMOTE, TIMED_OUT, UNAVAILABLE, USAGE},
};

pub(crate) async fn send(layers: Layers, args: SendArgs) -> Result<ExitCode, Failure> {
    let name = process_name(&args.name)?;
    let message = args.input.read("the message", &args.message)?;
    within(&layers, &args.node, args.timeout, async |remote| {
        let (erlang, whereis) = (Atom::from_static("erlang"), Atom::from_static("whereis"));
        let found = remote.rpc(erlang, whereis, vec![Term::Atom(name.clone())]).await?;
        if found.is_atom("undefined") {
            return Err(remote.nobody(&name));
        }
        let to = remote.named(name);
        let failed = |failure| Err(Problem::Failed(failure));
        if let Err(error) = remote.node.send(to, message).await {
            return failed(remote.unsent(&error));
        }
        // The answer comes after the message has arrived.
        match remote.node.ping(&remote.peer).await {
            Ok(()) => Ok(String::new()),
            Err(error) => failed(unreached(&remote.peer, &error)),
        }
    })
    .await
}

pub(crate) async fn gen_call(layers: Layers, args: GenCallArgs) -> Result<ExitCode, Failure> {
    let name = process_name(&args.name)?;
    let request = args.input.read("the request", &args.request)?;
    within(&layers, &args.node, args.timeout, async |remote| {
        match remote.node.call(remote.named(name.clone()), request, None).await {
            Ok(reply) => Ok(args.output.print(&reply)),
            Err(error) => Err(remote.not_called(&name, error)),
        }
    })
    .await
}

fn process_name(text: &str) -> Result<Atom, Failure> {
    literal::process_name(text).map_err(|error| {
        Failure::new(USAGE, format!("{} is no name of a process: {error}", shown(text)))
    })
}

impl Remote {
    fn named(&self, name: Atom) -> Destination {
        Destination::Remote { name, node: self.peer.clone() }
    }

    fn nobody(&self, name: &Atom) -> Problem {
        let name = Term::Atom(name.clone());
        let why = format!("no process of {} is registered as {}", self.peer, name.elixir());
        Problem::Failed(Failure::new(UNAVAILABLE, why))
    }

    fn not_called(&self, name: &Atom, error: CallError) -> Problem {
        let failed = |code, why: String| Problem::Failed(Failure::new(code, why));
        match error {
            CallError::NoProcess => self.nobody(name),
            CallError::Exit(exit) => Problem::Raised(Exception::exit(exit.0)),
            CallError::NoConnection(Some(error)) => Problem::Failed(self.unsent(&error)),
            CallError::NoConnection(None) => self.lost(),
            CallError::Timeout(_) => failed(TIMED_OUT, error.to_string()),
            CallError::Encode(error) => failed(DATA, error.to_string()),
            error => failed(REMOTE, error.to_string()),
        }
    }
}
