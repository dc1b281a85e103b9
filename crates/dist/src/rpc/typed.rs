//! Types of Rust as arguments and results.

use std::sync::Arc;
use std::time::Duration;

use etf::{Term, from_term, to_term};
use futures::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::exports::Function;
use super::{ErpcError, Exports, Mfa, Raise, RpcError, RpcOptions};
use crate::name::NodeName;
use crate::node::Node;
use crate::work;

/// The arguments of an exported function: a tuple of up to eight types, one for each argument.
pub trait Arguments: DeserializeOwned + Send + 'static {
    /// How many there are.
    const ARITY: usize;
}

impl Node {
    /// As [`Node::rpc`], with arguments and a result of types of Rust, in the shapes of [`etf::to_bytes`]. The arguments are a
    /// tuple, or a list.
    ///
    /// ```no_run
    /// # async fn run(node: dist::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let iex = "iex@127.0.0.1".parse()?;
    /// let parts: Vec<String> =
    ///     node.rpc_as(&iex, "Elixir.String", "split", &("a,b", ","), std::time::Duration::from_secs(5)).await?;
    /// assert_eq!(parts, ["a", "b"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RpcError`]; [`RpcError::Deserialize`] when the result is another.
    pub async fn rpc_as<R: DeserializeOwned + Send + 'static>(
        &self,
        target: &NodeName,
        module: &str,
        function: &str,
        args: &(impl Serialize + ?Sized),
        time: impl Into<Option<Duration>>,
    ) -> Result<R, RpcError> {
        let args = match to_term(args)? {
            Term::Tuple(args) | Term::List(args) => args,
            // `()`: no arguments.
            other if other.is_atom("nil") => Vec::new(),
            other => {
                let what = format!("the arguments are a tuple or list, not {other}");
                return Err(ErpcError::BadArgument(what).into());
            }
        };
        let mfa = Mfa::new(module, function, args)?;
        let result = self.rpc_with(target, mfa, &RpcOptions::new().timeout(time)).await?;
        if work::is_large(&result) {
            return Ok(work::away(move || from_term(&result)).await?);
        }
        Ok(from_term(&result)?)
    }
}

impl Exports {
    /// As [`Exports::add`], for a function of types of Rust: its arguments are a tuple, of one
    /// `(x,)`, and its result is what serde makes of it. Other arguments are an error of the caller's, `{badarg, <<"what was
    /// expected">>}`.
    ///
    /// ```
    /// use dist::etf::Atom;
    /// use dist::{Exports, Raise};
    /// use serde::{Deserialize, Serialize};
    ///
    /// /// `%{text: "…", language: :en}`, with keys of either kind
    /// #[derive(Deserialize)]
    /// struct Document {
    ///     text: String,
    ///     language: Atom,
    /// }
    ///
    /// #[derive(Serialize)]
    /// struct Score {
    ///     words: usize,
    /// }
    ///
    /// let exports = Exports::new();
    /// exports.add_as("scorer", "score", |(document, most): (Document, usize)| async move {
    ///     let words = document.text.split_whitespace().count().min(most);
    ///     Ok::<_, Raise>(Score { words })
    /// });
    /// ```
    ///
    /// # Panics
    /// When a name has more than 255 characters.
    pub fn add_as<A, F, T, V, E>(&self, module: &'static str, name: &'static str, run: F)
    where
        A: Arguments,
        F: Fn(A) -> T + Send + Sync + 'static,
        T: Future<Output = Result<V, E>> + Send + 'static,
        V: Serialize,
        E: Into<Raise>,
    {
        let function: Function = Arc::new(move |_, args| {
            let args = match from_term::<A>(&Term::Tuple(args)) {
                Ok(args) => args,
                Err(error) => {
                    let reason = Term::Tuple(vec![Term::atom("badarg"), error.to_string().into()]);
                    return std::future::ready(Err(Raise::Error(reason))).boxed();
                }
            };
            let running = run(args);
            async move {
                let value = running.await.map_err(Into::into)?;
                to_term(&value).map_err(Into::into)
            }
            .boxed()
        });
        self.insert(module, name, A::ARITY, function);
    }
}

macro_rules! arguments {
    ($($type:ident)*) => {
        impl<$($type: DeserializeOwned + Send + 'static),*> Arguments for ($($type,)*) {
            const ARITY: usize = [$(stringify!($type)),*].len();
        }
    };
}

impl Arguments for () {
    const ARITY: usize = 0;
}

arguments!(A);
arguments!(A B);
arguments!(A B C);
arguments!(A B C D);
arguments!(A B C D E);
arguments!(A B C D E F);
arguments!(A B C D E F G);
arguments!(A B C D E F G H);
