//! Types of Rust as requests, replies and messages.

use std::time::Duration;

use etf::{DeserializeError, EncodeError, Pid, SerializeError, Term, from_term, to_term};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::{message_in, tag_reference, within};
use super::{CallError, Caller, Reply};
use crate::error::SendError;
use crate::node::{Destination, Node, Shared};
use crate::process::{Message, Process};

impl Node {
    /// As [`Node::call`], with a request and a reply of types of Rust, in the shapes of [`etf::to_bytes`]. The reply is read
    /// straight from the bytes that came.
    ///
    /// ```no_run
    /// use serde::{Deserialize, Serialize};
    ///
    /// /// `{:score, "a text"}`
    /// #[derive(Serialize)]
    /// #[serde(rename_all = "snake_case")]
    /// enum Request<'a> {
    ///     Score(&'a str),
    /// }
    ///
    /// /// `%{words: 2, language: :en}`
    /// #[derive(Deserialize)]
    /// struct Score {
    ///     words: u32,
    ///     language: dist::etf::Atom,
    /// }
    ///
    /// # async fn run(node: dist::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let scorer = ("scorer", &"iex@127.0.0.1".parse()?);
    /// let time = std::time::Duration::from_secs(5);
    /// let score: Score = node.call_as(scorer, &Request::Score("a text"), Some(time)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// `Result<T, E>` as a reply is `{:ok, t}` or `{:error, e}`.
    ///
    /// # Errors
    /// [`CallError`]; [`CallError::Deserialize`] when the reply is another.
    pub async fn call_as<R: DeserializeOwned + Send + 'static>(
        &self,
        to: impl Into<Destination>,
        request: &(impl Serialize + ?Sized),
        timeout: Option<Duration>,
    ) -> Result<R, CallError> {
        let request = to_term(request)?;
        call_as(&self.shared, &self.shared.self_pid, to.into(), request, timeout).await
    }

    /// As [`Node::cast`], with a request of a type of Rust.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn cast_as(
        &self,
        to: impl Into<Destination>,
        request: &(impl Serialize + ?Sized),
    ) -> Result<(), SendError> {
        let request = to_term(request)?;
        self.cast(to, request).await
    }

    /// As [`Node::send`], with a message of a type of Rust.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send_as(
        &self,
        to: impl Into<Destination>,
        message: &(impl Serialize + ?Sized),
    ) -> Result<(), SendError> {
        let message = to_term(message)?;
        self.send(to, message).await
    }
}

impl Process {
    /// As [`Node::call_as`].
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call_as<R: DeserializeOwned + Send + 'static>(
        &self,
        to: impl Into<Destination>,
        request: &(impl Serialize + ?Sized),
        timeout: Option<Duration>,
    ) -> Result<R, CallError> {
        let request = to_term(request)?;
        call_as(self.parts().0, self.pid(), to.into(), request, timeout).await
    }

    /// As [`Process::cast`], with a request of a type of Rust.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn cast_as(
        &self,
        to: impl Into<Destination>,
        request: &(impl Serialize + ?Sized),
    ) -> Result<(), SendError> {
        let request = to_term(request)?;
        self.cast(to, request).await
    }

    /// As [`Process::send`], with a message of a type of Rust.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send_as(
        &self,
        to: impl Into<Destination>,
        message: &(impl Serialize + ?Sized),
    ) -> Result<(), SendError> {
        let message = to_term(message)?;
        self.send(to, message).await
    }
}

impl Message {
    /// The message as a value of a type of Rust; see [`etf::from_term`].
    ///
    /// # Errors
    /// When it is another.
    pub fn read_as<T: DeserializeOwned>(&self) -> Result<T, DeserializeError> {
        from_term(&self.term)
    }
}

impl Reply {
    /// A value of a type of Rust as the reply, now. Requests are read with [`etf::from_term`]:
    ///
    /// ```
    /// use dist::etf::{Term, from_term};
    /// use dist::{Caller, Exit, GenServer, Process, Reply};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Deserialize)]
    /// #[serde(rename_all = "snake_case")]
    /// enum Request {
    ///     Score(String),
    ///     Reset,
    /// }
    ///
    /// #[derive(Serialize)]
    /// struct Score {
    ///     words: usize,
    /// }
    ///
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
    ///         match from_term(&request) {
    ///             Ok(Request::Score(text)) => Ok(Reply::of(&Score { words: text.split_whitespace().count() })?),
    ///             Ok(Request::Reset) => Ok(Reply::of(&Ok::<(), ()>(()))?),
    ///             Err(error) => Ok(Reply::of(&Err::<(), _>(error.to_string()))?),
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// When the value has no external form.
    pub fn of(reply: &(impl Serialize + ?Sized)) -> Result<Self, SerializeError> {
        to_term(reply).map(Self::Now)
    }
}

impl Caller {
    /// As [`Caller::reply`], with a value of a type of Rust.
    ///
    /// # Errors
    /// When the reply has no external form.
    pub async fn reply_as(self, reply: &(impl Serialize + ?Sized)) -> Result<(), SerializeError> {
        let reply = to_term(reply)?;
        self.reply(reply).await.map_err(|error: EncodeError| error.into())
    }
}

async fn call_as<R: DeserializeOwned + Send + 'static>(
    shared: &std::sync::Arc<Shared>,
    from: &Pid,
    to: Destination,
    request: Term,
    timeout: Option<Duration>,
) -> Result<R, CallError> {
    shared.not_itself(from, &to)?;
    within(timeout, async {
        let mut call = shared.gen_request(from, to, request).await?;
        let message = message_in(call.answer().await)?;
        let (tag, reply): (Term, R) = message.into_value(&shared.limits.terms).await?;
        if tag_reference(&tag) == Some(call.reference()) {
            Ok(reply)
        } else {
            Err(CallError::BadReply("a message without the call's tag".to_owned()))
        }
    })
    .await
}
