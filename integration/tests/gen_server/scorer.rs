//! The server of these tests, in Rust: the same as `erl/scorer.erl`.

use std::time::Duration;

use dist::etf::{Atom, Pid, Term, term};
use dist::{Caller, Exit, GenServer, Node, Process, Reply, ServerStartError};

#[derive(Debug)]
pub struct Scorer {
    node: Node,
    score: i64,
    watcher: Option<Pid>,
    kept: Option<Caller>,
    last: Term,
}

impl GenServer for Scorer {
    type Init = (Node, Term);

    async fn init((node, init): Self::Init, process: &mut Process) -> Result<Self, Exit> {
        let mut scorer =
            Self { node, score: 0, watcher: None, kept: None, last: Term::atom("none") };
        match init.as_tuple() {
            Some([fail, reason]) if fail.is_atom("fail") => return Err(Exit(reason.clone())),
            Some([score, Term::Pid(watcher)]) => {
                process.trap_exit(true);
                scorer.score = score.as_int().unwrap_or(0);
                scorer.watcher = Some(watcher.clone());
            }
            _ if init.is_atom("panic") => panic!("no init"),
            _ => scorer.score = init.as_int().unwrap_or(0),
        }
        Ok(scorer)
    }

    async fn handle_call(
        &mut self,
        request: Term,
        caller: &Caller,
        process: &mut Process,
    ) -> Result<Reply, Exit> {
        let (name, args) = head(&request);
        let reply = match (name, args) {
            ("echo", [term]) => term.clone(),
            ("add", [n]) => {
                self.score += n.as_int().unwrap_or(0);
                self.score.into()
            }
            ("pid", []) => process.pid().into(),
            ("never", []) => return Ok(Reply::Later),
            ("later", [ms, term]) => {
                let time = Duration::from_millis(ms.as_u64().unwrap_or(0));
                let (caller, term) = (caller.clone(), term.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    caller.reply(term).await
                });
                return Ok(Reply::Later);
            }
            ("hand_over", [Term::Pid(pid)]) => {
                process.send(pid, term!({handed, (caller.to_term())})).await?;
                return Ok(Reply::Later);
            }
            ("keep", []) => {
                self.kept = Some(caller.clone());
                return Ok(Reply::Later);
            }
            ("release", []) => {
                if let Some(kept) = self.kept.take() {
                    kept.reply(term!(kept)).await?;
                }
                term!(ok)
            }
            ("stop", [reason]) => return Err(Exit(reason.clone())),
            ("stop", [reason, reply]) => {
                return Ok(Reply::Stop(reply.clone(), Exit(reason.clone())));
            }
            ("trap", [trap]) => process.trap_exit(trap.is_atom("true")).into(),
            ("link", [Term::Pid(pid)]) => {
                process.link(pid).await;
                true.into()
            }
            ("watch", [Term::Pid(pid)]) => {
                self.watcher = Some(pid.clone());
                term!(ok)
            }
            ("last", []) => self.last.clone(),
            // What only Rust can do.
            ("panic", []) => panic!("out of cheese"),
            ("unencodable", []) => f64::NAN.into(),
            ("ask", [Term::Atom(name), request]) => {
                process.call(name.clone(), request.clone(), None).await?
            }
            _ => return Err(Exit(term!({bad_call, (request)}))),
        };
        Ok(Reply::Now(reply))
    }

    async fn handle_cast(&mut self, request: Term, process: &mut Process) -> Result<(), Exit> {
        match head(&request) {
            ("set", [n]) => self.score = n.as_int().unwrap_or(0),
            ("tell", [Term::Pid(pid), term]) => process.send(pid, term.clone()).await?,
            ("stop", [reason]) => return Err(Exit(reason.clone())),
            _ => return Err(Exit(term!({bad_cast, (request)}))),
        }
        Ok(())
    }

    async fn handle_info(&mut self, message: Term, process: &mut Process) -> Result<(), Exit> {
        match head(&message) {
            ("ping", [Term::Pid(pid)]) => {
                process.send(pid, term!({pong, (self.score)})).await?;
            }
            ("stop", [reason]) => return Err(Exit(reason.clone())),
            _ => self.last = message,
        }
        Ok(())
    }

    async fn terminate(&mut self, reason: &Exit, _: &mut Process) {
        if let Some(watcher) = &self.watcher {
            let message = term!({terminated, (self.score), (&reason.0)});
            self.node.send(watcher, message).await.ok();
        }
    }

    fn state(&self) -> Option<Term> {
        Some(term!({state, (self.score)}))
    }
}

impl Scorer {
    /// A second one on the same node.
    pub async fn start_named_other(node: &Node) -> Result<Pid, ServerStartError> {
        Self::start_named(node, "other", (node.clone(), Term::Int(0))).await
    }
}

/// `{Name, Args…}` or `Name`.
fn head(request: &Term) -> (&str, &[Term]) {
    match request {
        Term::Atom(name) => (name.as_str(), &[]),
        Term::Tuple(fields) => match fields.split_first() {
            Some((name, args)) => (name.as_atom().map_or("", Atom::as_str), args),
            None => ("", &[]),
        },
        _ => ("", &[]),
    }
}
