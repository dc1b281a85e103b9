//! The functions of this node that others may call.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use etf::{Atom, Term};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::process::Process;

/// Functions that other nodes may call by `rpc` and `erpc`, and spawn: a table of module, name and
/// arity. What is not in it does not exist for them (`undef`), but for a few functions that reveal
/// nothing and that OTP itself calls: `erlang:node/0`, `nodes/0`, `nodes/1`, `whereis/1`,
/// `registered/0`, `is_process_alive/1`, `is_alive/0`, `self/0` and `system_info(otp_release)`.
///
/// Cheap to clone; every clone is the same table, which may change while the node runs. The arity
/// is the length of the array that the function takes.
///
/// ```
/// use dist::etf::{Term, term};
/// use dist::{Exports, Raise};
///
/// let exports = Exports::new();
/// exports.add("scorer", "score", |[document]: [Term; 1]| async move {
///     match document.as_str() {
///         Some(text) => Ok(term!({ok, (i64::try_from(text.len())?)})),
///         None => Err(Raise::badarg()),
///     }
/// });
/// ```
#[derive(Clone, Default)]
pub struct Exports(Arc<RwLock<HashMap<Key, Function>>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    module: Atom,
    function: Atom,
    arity: usize,
}

type Run = BoxFuture<'static, Result<Term, Raise>>;

/// A function as it is kept.
pub(super) type Function = Arc<dyn Fn(Process, Vec<Term>) -> Run + Send + Sync>;

/// An exception that a function raises in its caller.
#[derive(Debug, Clone, PartialEq)]
pub enum Raise {
    /// Of class `error`: what is wrong.
    Error(Term),
    /// Of class `exit`: why the process ends.
    Exit(Term),
    /// Of class `throw`.
    Throw(Term),
}

/// What an exported function may yield.
pub trait Returned {
    /// The value, or the exception.
    fn into_result(self) -> Result<Term, Raise>;
}

impl Exports {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets others call a function; one of the same module, name and arity is replaced.
    ///
    /// A module of Elixir's, `Scorer`, is called `Elixir.Scorer` here. The call runs in a process
    /// of its own, and goes on when its caller stops waiting. A panic is an exception too:
    /// `{rust_panic, <<"what it said">>}`.
    ///
    /// # Panics
    /// When a name has more than 255 characters.
    pub fn add<const N: usize, F, T>(&self, module: &'static str, function: &'static str, run: F)
    where
        F: Fn([Term; N]) -> T + Send + Sync + 'static,
        T: Future<Output: Returned> + Send + 'static,
    {
        self.add_process(module, function, move |_, args: [Term; N]| run(args));
    }

    /// As [`Exports::add`], for a function that needs the process it runs in: to receive messages,
    /// to be registered, or to link.
    ///
    /// # Panics
    /// When a name has more than 255 characters.
    pub fn add_process<const N: usize, F, T>(
        &self,
        module: &'static str,
        name: &'static str,
        run: F,
    ) where
        F: Fn(Process, [Term; N]) -> T + Send + Sync + 'static,
        T: Future<Output: Returned> + Send + 'static,
    {
        let function: Function = Arc::new(move |process, args| {
            // The table is keyed by the length, so it is the right one.
            match <[Term; N]>::try_from(args) {
                Ok(args) => run(process, args).map(Returned::into_result).boxed(),
                Err(_) => std::future::ready(Err(Raise::badarg())).boxed(),
            }
        });
        self.insert(module, name, N, function);
    }

    pub(super) fn insert(
        &self,
        module: &'static str,
        name: &'static str,
        arity: usize,
        function: Function,
    ) {
        let key =
            Key { module: Atom::from_static(module), function: Atom::from_static(name), arity };
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key, function);
    }

    /// Takes a function away; calls of it that run go on. False when there is none.
    pub fn remove(&self, module: &str, function: &str, arity: usize) -> bool {
        let (Ok(module), Ok(function)) = (Atom::new(module), Atom::new(function)) else {
            return false;
        };
        let key = Key { module, function, arity };
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&key).is_some()
    }

    /// The function for these arguments.
    pub(super) fn find(&self, module: &Atom, function: &Atom, arity: usize) -> Option<Function> {
        let key = Key { module: module.clone(), function: function.clone(), arity };
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }
}

impl fmt::Debug for Exports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let name = |key: &Key| format!("{}:{}/{}", key.module, key.function, key.arity);
        f.debug_list().entries(table.keys().map(name)).finish()
    }
}

impl Raise {
    /// The error `badarg`: an argument is not what it must be.
    #[must_use]
    pub fn badarg() -> Self {
        Self::Error(Term::atom("badarg"))
    }
}

impl<E: std::error::Error> From<E> for Raise {
    /// An error of Rust: `{rust_error, <<"what it says">>}`.
    fn from(error: E) -> Self {
        Self::Error(Term::Tuple(vec![Term::atom("rust_error"), Term::from(error.to_string())]))
    }
}

impl Returned for Term {
    fn into_result(self) -> Result<Term, Raise> {
        Ok(self)
    }
}

impl<V: Into<Term>, E: Into<Raise>> Returned for Result<V, E> {
    fn into_result(self) -> Result<Term, Raise> {
        self.map(Into::into).map_err(Into::into)
    }
}
