//! Being a generic server.

use etf::Term;

use super::Caller;
use super::message::Incoming;
use super::start::{self, ServerStartError};
use super::sys::{self, Sys};
use crate::node::Node;
use crate::process::{Exit, Process};
use etf::Pid;

/// A generic server, as OTP's `gen_server`: a process that other nodes call by its name or pid.
///
/// A callback that fails ends the server with that reason, which its links and monitors see, and
/// whoever waits for a reply. So does a panic, with the reason `{rust_panic, <<"what it said">>}`.
///
/// ```no_run
/// use dist::etf::{Term, term};
/// use dist::{Caller, Exit, GenServer, Process, Reply};
///
/// /// In Elixir: `GenServer.call({:scorer, :"rust@host"}, {:score, "a text"})`
/// struct Scorer;
///
/// impl GenServer for Scorer {
///     type Init = ();
///
///     async fn init((): (), _: &mut Process) -> Result<Self, Exit> {
///         Ok(Self)
///     }
///
///     async fn handle_call(&mut self, request: Term, _: &Caller, _: &mut Process) -> Result<Reply, Exit> {
///         match request.as_tuple() {
///             Some([score, Term::Binary(text)]) if score.is_atom("score") => Ok(Reply::Now(term!((text.len() as u64)))),
///             _ => Ok(Reply::Now(term!({error, badarg}))),
///         }
///     }
/// }
///
/// # async fn run(node: dist::Node) -> Result<(), dist::ServerStartError> {
/// Scorer::start_named(&node, "scorer", ()).await?;
/// # Ok(())
/// # }
/// ```
///
/// What OTP's `sys` asks of every server is answered without it: `suspend`, `resume`, `terminate`,
/// `get_status`, `statistics`, `log`, and `get_state` where [`GenServer::state`] tells one.
pub trait GenServer: Sized + Send + 'static {
    /// What a server is started with.
    type Init: Send + 'static;

    /// Makes the server. Who started it waits for this, and is given the error.
    fn init(
        init: Self::Init,
        process: &mut Process,
    ) -> impl Future<Output = Result<Self, Exit>> + Send;

    /// Replies to a call, now or later.
    fn handle_call(
        &mut self,
        request: Term,
        caller: &Caller,
        process: &mut Process,
    ) -> impl Future<Output = Result<Reply, Exit>> + Send;

    /// Takes a request that wants no reply. Unless written, it ends the server with
    /// `{bad_cast, Request}`, as Elixir's does.
    fn handle_cast(
        &mut self,
        request: Term,
        process: &mut Process,
    ) -> impl Future<Output = Result<(), Exit>> + Send {
        let _ = process;
        async { Err(Exit(Term::Tuple(vec![Term::atom("bad_cast"), request]))) }
    }

    /// Takes any other message: of a monitor, a link where exits are trapped, or plainly sent.
    /// Unless written, it is logged and forgotten.
    fn handle_info(
        &mut self,
        message: Term,
        process: &mut Process,
    ) -> impl Future<Output = Result<(), Exit>> + Send {
        let pid = process.pid().clone();
        async move {
            tracing::warn!(%pid, %message, "a message that the server does not know");
            Ok(())
        }
    }

    /// Called before the server ends by itself, by `sys:terminate`, or with its parent where exits
    /// are trapped. A panic, and an exit signal that is not trapped, end it without this.
    fn terminate(
        &mut self,
        reason: &Exit,
        process: &mut Process,
    ) -> impl Future<Output = ()> + Send {
        let _ = (reason, process);
        async {}
    }

    /// What `sys:get_state` shows; unless written it is told that there is nothing to show.
    fn state(&self) -> Option<Term> {
        None
    }

    /// Starts a server without a name and waits until it is made.
    ///
    /// # Errors
    /// [`ServerStartError`].
    fn start(
        node: &Node,
        init: Self::Init,
    ) -> impl Future<Output = Result<Pid, ServerStartError>> + Send {
        start::start::<Self>(node.shared.clone(), None, None, init)
    }

    /// Starts a server with a name, which is free again when the server ends.
    ///
    /// # Errors
    /// [`ServerStartError`].
    fn start_named(
        node: &Node,
        name: &str,
        init: Self::Init,
    ) -> impl Future<Output = Result<Pid, ServerStartError>> + Send {
        start::start::<Self>(node.shared.clone(), Some(name.to_owned()), None, init)
    }

    /// Starts a server that is linked to a process, its parent: when that ends, so does the server,
    /// with the same reason. An error of [`GenServer::init`] is returned and is no exit signal.
    ///
    /// # Errors
    /// [`ServerStartError`].
    fn start_link(
        parent: &Process,
        name: Option<&str>,
        init: Self::Init,
    ) -> impl Future<Output = Result<Pid, ServerStartError>> + Send {
        let shared = parent.parts().0.clone();
        let name = name.map(ToOwned::to_owned);
        start::start::<Self>(shared, name, Some(parent.pid().clone()), init)
    }
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// This is the reply.
    Now(Term),
    /// Whoever keeps a clone of the [`Caller`] replies.
    Later,
    /// This is the reply, and then the server ends.
    Stop(Term, Exit),
}

/// A server that runs.
#[derive(Debug)]
pub(super) struct Server<S> {
    pub(super) state: S,
    pub(super) process: Process,
    /// Who ends it by ending; itself where nobody does.
    pub(super) parent: Pid,
    /// Its name or pid, as `sys` shows it.
    pub(super) name: Term,
    pub(super) sys: Sys,
}

/// What follows a message.
pub(super) enum Next {
    Receive,
    Stop(Exit),
    ReplyAndStop(Caller, Term, Exit),
}

impl<S: GenServer> Server<S> {
    /// Serves until the end, whose reason it returns.
    pub(super) async fn run(&mut self) -> Exit {
        loop {
            let message = if self.sys.suspended {
                self.next_while_suspended().await
            } else {
                self.process.recv().await.map(|message| message.term)
            };
            // Ended from outside; the reason is known to the process.
            let Some(message) = message else { return Exit::normal() };
            let next = match self.handle(message).await {
                Ok(next) => next,
                Err(exit) => Next::Stop(exit),
            };
            match next {
                Next::Receive => {}
                Next::Stop(exit) => return self.stop(exit).await,
                Next::ReplyAndStop(caller, reply, exit) => {
                    let exit = self.stop(exit).await;
                    return match caller.reply(reply).await {
                        Ok(()) => exit,
                        Err(error) => error.into(),
                    };
                }
            }
        }
    }

    async fn handle(&mut self, message: Term) -> Result<Next, Exit> {
        if is_exit_of(&message, &self.parent) {
            let reason = message.into_tuple().ok().and_then(|mut fields| fields.pop());
            return Err(Exit(reason.unwrap_or(Term::NIL)));
        }
        if self.sys.is_watching() && !Incoming::is_system(&message) {
            self.sys.saw_in(&message);
        }
        match Incoming::parse(message) {
            Incoming::Call(from, request) => {
                let shared = self.process.parts().0.clone();
                let caller = Caller::new(from, self.process.pid().clone(), shared);
                return self.handle_call(request, caller).await;
            }
            Incoming::System(from, request) => {
                return Box::pin(sys::handle(self, from, request)).await;
            }
            Incoming::Cast(request) => {
                self.state.handle_cast(request, &mut self.process).await?;
            }
            Incoming::Info(message) => {
                self.state.handle_info(message, &mut self.process).await?;
            }
        }
        if self.sys.is_watching() {
            self.sys.saw_no_reply(self.state.state());
        }
        Ok(Next::Receive)
    }

    async fn handle_call(&mut self, request: Term, caller: Caller) -> Result<Next, Exit> {
        let reply = self.state.handle_call(request, &caller, &mut self.process).await?;
        if self.sys.is_watching() {
            match &reply {
                Reply::Now(reply) | Reply::Stop(reply, _) => {
                    self.sys.saw_out(reply, &caller, self.state.state());
                }
                Reply::Later => self.sys.saw_no_reply(self.state.state()),
            }
        }
        match reply {
            Reply::Now(reply) => caller.reply(reply).await?,
            Reply::Later => {}
            Reply::Stop(reply, exit) => return Ok(Next::ReplyAndStop(caller, reply, exit)),
        }
        Ok(Next::Receive)
    }

    /// Only `sys` and the parent are heard; everything else waits.
    async fn next_while_suspended(&mut self) -> Option<Term> {
        let parent = &self.parent;
        let heard = self.process.receive(|message| {
            let hears = Incoming::is_system(&message.term) || is_exit_of(&message.term, parent);
            if hears { Ok(message.term) } else { Err(message) }
        });
        heard.await
    }

    async fn stop(&mut self, exit: Exit) -> Exit {
        if !is_orderly(&exit.0) {
            let server = std::any::type_name::<S>();
            tracing::error!(server, name = %self.name, reason = %exit.0, "the server failed");
        }
        self.state.terminate(&exit, &mut self.process).await;
        exit
    }
}

/// Whether a message is `{'EXIT', Pid, Reason}` of this process.
fn is_exit_of(message: &Term, pid: &Pid) -> bool {
    match message.as_tuple() {
        Some([Term::Atom(exit), Term::Pid(from), _]) => *exit == "EXIT" && from == pid,
        _ => false,
    }
}

/// `normal`, `shutdown` or `{shutdown, _}`: no failure.
pub(super) fn is_orderly(reason: &Term) -> bool {
    match reason {
        Term::Atom(reason) => *reason == "normal" || *reason == "shutdown",
        Term::Tuple(fields) => {
            matches!(fields.as_slice(), [shutdown, _] if shutdown.is_atom("shutdown"))
        }
        _ => false,
    }
}
