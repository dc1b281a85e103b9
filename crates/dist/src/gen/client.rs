//! Calling servers, as `gen_server:call/3` and its kin do.

use std::sync::Arc;
use std::time::Duration;

use etf::{EncodeError, Pid, Term};
use futures::FutureExt;
use futures::future::Either;
use tokio::time::{Instant, timeout_at};

use super::message;
use crate::error::SendError;
use crate::node::{Answer, Call, Destination, Node, Shared};
use crate::process::{Body, Exit, Process};

/// Why a call has no reply.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is no such process, or nobody has the name (`noproc`).
    #[error("there is no such process")]
    NoProcess,
    /// The server ended before it replied.
    #[error("the server ended: {}", .0.0)]
    Exit(Exit),
    /// The server's node cannot be reached, or was lost before the server replied
    /// (`noconnection`).
    #[error("no connection to the server's node")]
    NoConnection(#[source] Option<SendError>),
    /// The server did not reply within the time.
    #[error("the server did not reply within {0:?}")]
    Timeout(Duration),
    /// The request has no external form.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The request has no external form.
    #[cfg(feature = "serde")]
    #[error(transparent)]
    Serialize(#[from] etf::SerializeError),
    /// The reply is not what was expected.
    #[cfg(feature = "serde")]
    #[error("the reply is not what was expected: {0}")]
    Deserialize(#[from] etf::DeserializeError),
    /// What came instead of the reply cannot be one: it is malformed, over the limits, or has
    /// another tag than the call.
    #[error("the reply is none: {0}")]
    BadReply(String),
    /// The reply was taken by an earlier [`PendingCall::wait`].
    #[error("the call has ended")]
    Ended,
}

/// A request whose reply has not been taken: see [`Node::send_request`].
///
/// Dropping it ends the call. A reply that comes after that reaches nobody.
#[derive(Debug)]
pub struct PendingCall {
    call: Option<Call>,
    /// The reply as it came, while it is being read: who stops waiting for that may come back.
    reply: Option<Body>,
    shared: Arc<Shared>,
}

impl Node {
    /// Calls a generic server (`gen_server:call/3`) and waits for its reply, for ever when there is
    /// no `timeout`. The time includes connecting.
    ///
    /// The server may be of another node or of this one. A reply that comes after the time-out
    /// reaches nobody.
    ///
    /// ```no_run
    /// # async fn run(node: dist::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use dist::etf::term;
    ///
    /// let scorer = ("scorer", &"iex@127.0.0.1".parse()?);
    /// let score = node.call(scorer, term!({score, "a text"}), Some(Duration::from_secs(5))).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call(
        &self,
        to: impl Into<Destination>,
        request: Term,
        timeout: Option<Duration>,
    ) -> Result<Term, CallError> {
        self.shared.gen_call(&self.shared.self_pid, to.into(), request, timeout).await
    }

    /// Sends a server a request that it does not reply to (`gen_server:cast/2`).
    ///
    /// # Errors
    /// [`SendError`]. A server that does not exist is no error, as in Erlang.
    pub async fn cast(&self, to: impl Into<Destination>, request: Term) -> Result<(), SendError> {
        self.shared.send(&self.shared.self_pid, to.into(), message::cast(request)).await
    }

    /// Begins a call (`gen_server:send_request/2`): [`PendingCall::wait`] takes the reply.
    ///
    /// # Errors
    /// [`CallError::NoConnection`] and [`CallError::Encode`]. That there is no such process shows
    /// while waiting.
    pub async fn send_request(
        &self,
        to: impl Into<Destination>,
        request: Term,
    ) -> Result<PendingCall, CallError> {
        let call = self.shared.gen_request(&self.shared.self_pid, to.into(), request).await?;
        let call = Some(call);
        Ok(PendingCall { call, reply: None, shared: self.shared.clone() })
    }

    /// Stops a server, here or elsewhere, and waits until it has ended (`gen_server:stop/3`).
    ///
    /// # Errors
    /// [`CallError::Exit`] when it ends with another reason than the one asked for.
    pub async fn stop(
        &self,
        server: impl Into<Destination>,
        reason: Exit,
        timeout: Option<Duration>,
    ) -> Result<(), CallError> {
        let stopped = self.shared.gen_stop(server.into(), reason);
        within(timeout, stopped).await
    }
}

impl Process {
    /// As [`Node::call`], behind what this process has sent before. Other messages that arrive
    /// meanwhile stay in the mailbox.
    ///
    /// # Errors
    /// [`CallError`]. A process that calls itself would wait for ever, so it is told at once, by
    /// [`CallError::Exit`] with `calling_self`.
    pub async fn call(
        &self,
        to: impl Into<Destination>,
        request: Term,
        timeout: Option<Duration>,
    ) -> Result<Term, CallError> {
        self.parts().0.gen_call(self.pid(), to.into(), request, timeout).await
    }

    /// As [`Node::cast`].
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn cast(&self, to: impl Into<Destination>, request: Term) -> Result<(), SendError> {
        self.send(to, message::cast(request)).await
    }
}

impl PendingCall {
    /// The reply, waited for at most so long (`gen_server:wait_response/2`).
    ///
    /// # Errors
    /// [`CallError`]. After [`CallError::Timeout`], and when the wait was cancelled, the reply can be
    /// waited for again.
    pub async fn wait(&mut self, timeout: Option<Duration>) -> Result<Term, CallError> {
        let Some(call) = &mut self.call else { return Err(CallError::Ended) };
        let body = match self.reply.take() {
            Some(body) => body,
            None => {
                let answer = within(timeout, async { Ok(call.answer().await) }).await?;
                message_in(answer).inspect_err(|_| self.call = None)?
            }
        };
        let Some(call) = &self.call else { return Err(CallError::Ended) };
        // Only what is encoded may take long to read, and costs nothing to keep.
        if let Body::Encoded(raw, link) = &body {
            self.reply = Some(Body::Encoded(raw.clone(), link.clone()));
        }
        let read = self.shared.gen_reply_in(call, body).await;
        (self.call, self.reply) = (None, None);
        read
    }
}

impl Shared {
    /// Calls as one of our processes, or as the node itself: signals of one sender keep their order.
    pub(super) async fn gen_call(
        self: &Arc<Self>,
        from: &Pid,
        to: Destination,
        request: Term,
        timeout: Option<Duration>,
    ) -> Result<Term, CallError> {
        self.not_itself(from, &to)?;
        within(timeout, async {
            let mut call = self.gen_request(from, to, request).await?;
            let answer = call.answer().await;
            self.gen_answer(&call, answer).await
        })
        .await
    }

    /// As `gen:call/4`, which exits with `calling_self`.
    pub(super) fn not_itself(&self, from: &Pid, to: &Destination) -> Result<(), CallError> {
        let named = |name| {
            self.processes.by_name(name).is_some_and(|it| self.processes.ids.pid(it.id) == *from)
        };
        let is_itself = match to {
            Destination::Pid(pid) => pid == from,
            Destination::Name(name) => named(name),
            Destination::Remote { name, node } => *node == self.name && named(name),
            Destination::Alias(_) => false,
        };
        if is_itself { Err(CallError::Exit(Exit(Term::atom("calling_self")))) } else { Ok(()) }
    }

    pub(super) async fn gen_request(
        self: &Arc<Self>,
        from: &Pid,
        to: Destination,
        request: Term,
    ) -> Result<Call, CallError> {
        let call = self.begin_call(&to).await?;
        let message = message::call(self.self_pid.clone(), call.tag(), request);
        self.send(from, to, message).await?;
        Ok(call)
    }

    async fn gen_stop(self: &Arc<Self>, to: Destination, reason: Exit) -> Result<(), CallError> {
        let mut call = self.begin_call(&to).await?;
        // The answer to the question itself says nothing, and is not to end the call.
        let tag = Term::Reference(self.processes.ids.reference());
        let terminate = Term::Tuple(vec![Term::atom("terminate"), reason.0.clone()]);
        let message = message::system(self.self_pid.clone(), tag, terminate);
        self.send(&self.self_pid, to, message).await?;
        match call.answer().await {
            Answer::Down(down) if down == reason.0 => Ok(()),
            answer => self.gen_answer(&call, answer).await.map(drop),
        }
    }

    async fn gen_answer(&self, call: &Call, answer: Answer) -> Result<Term, CallError> {
        self.gen_reply_in(call, message_in(answer)?).await
    }

    /// The reply in a message `{Tag, Reply}`.
    async fn gen_reply_in(&self, call: &Call, body: Body) -> Result<Term, CallError> {
        let bad = |what: String| Err(CallError::BadReply(what));
        let message = match body.into_term_away(&self.limits.terms).await {
            Ok(message) => message,
            Err(error) => return bad(error.to_string()),
        };
        match message.into_tuple().map(<[Term; 2]>::try_from) {
            Ok(Ok([tag, reply])) if tag_reference(&tag) == Some(call.reference()) => Ok(reply),
            _ => bad("a message without the call's tag".to_owned()),
        }
    }
}

/// The message that ended a call, if one did.
pub(super) fn message_in(answer: Answer) -> Result<Body, CallError> {
    match answer {
        Answer::Reply(body) => Ok(body),
        Answer::Down(reason) if reason.is_atom("noproc") => Err(CallError::NoProcess),
        Answer::Down(reason) if reason.is_atom("noconnection") => {
            Err(CallError::NoConnection(None))
        }
        Answer::Down(reason) => Err(CallError::Exit(Exit(reason))),
        Answer::NotSpawned(reason) => Err(CallError::BadReply(reason.to_string())),
    }
}

/// The reference of a tag as we make it.
pub(super) fn tag_reference(tag: &Term) -> Option<&etf::Reference> {
    match tag {
        Term::ImproperList(tag) => tag.tail().as_reference(),
        _ => None,
    }
}

/// Does something within a time, which is for ever where there is none.
pub(super) fn within<T>(
    timeout: Option<Duration>,
    work: impl Future<Output = Result<T, CallError>>,
) -> impl Future<Output = Result<T, CallError>> {
    // A time beyond what the clock can tell is for ever.
    let until = timeout.and_then(|time| Some((time, Instant::now().checked_add(time)?)));
    match until {
        None => Either::Left(work),
        Some((time, until)) => Either::Right(
            timeout_at(until, work).map(move |done| done.unwrap_or(Err(CallError::Timeout(time)))),
        ),
    }
}

impl From<SendError> for CallError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Encode(error) => Self::Encode(error),
            error => Self::NoConnection(Some(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Weak, mpsc};

    use etf::{Atom, RawTerm, term};
    use futures::FutureExt;

    use super::*;
    use crate::{Cookie, Epmd, Listen};

    #[tokio::test]
    async fn a_process_that_calls_itself_is_told_so() {
        let node = Node::builder("a@127.0.0.1".parse().unwrap(), Cookie::new("c").unwrap());
        let node = node.listen(Listen::Off).epmd(Epmd::None).start().await.unwrap();
        let process = node.register("me").unwrap();
        for to in [process.pid().into(), Atom::from_static("me").into(), ("me", node.name()).into()]
        {
            let to: Destination = to;
            let called = process.call(to.clone(), term!(x), None).await.unwrap_err();
            assert!(matches!(&called, CallError::Exit(exit) if exit.0.is_atom("calling_self")));
            #[cfg(feature = "serde")]
            assert!(process.call_as::<()>(to, "x", None).await.is_err());
        }
    }

    #[test]
    fn a_large_reply_is_not_lost_to_who_stops_waiting_while_it_is_read() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        // One thread for what blocks, so that the test can hold it up.
        let runtime = runtime.max_blocking_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let node = Node::builder("a@127.0.0.1".parse().unwrap(), Cookie::new("c").unwrap());
            let node = node.listen(Listen::Off).epmd(Epmd::None).start().await.unwrap();
            let server = node.process().unwrap();
            let mut pending = node.send_request(server.pid(), term!(x)).await.unwrap();
            let call = pending.call.as_ref().unwrap();
            let items = Term::List(vec![term!(a); 1 << 20]);
            let reply = Term::Tuple(vec![call.tag(), items.clone()]);
            let reply = Body::Encoded(RawTerm::encode(&reply).unwrap(), Weak::new());
            node.shared.answer_call(call.reference(), reply).unwrap();

            let (go_on, held) = mpsc::channel::<()>();
            let holding = tokio::task::spawn_blocking(move || held.recv());
            for _ in 0..2 {
                assert!(pending.wait(None).now_or_never().is_none());
            }
            go_on.send(()).unwrap();
            assert_eq!(pending.wait(None).await.unwrap(), items);
            assert!(matches!(pending.wait(None).await, Err(CallError::Ended)));
            holding.await.unwrap().unwrap();
        });
    }
}
