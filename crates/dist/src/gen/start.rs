//! Starting a server and telling the starter how that went (`gen.erl`, `proc_lib.erl`).

use std::any::TypeId;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use etf::{Atom, Pid, Term};
use futures::FutureExt;
use tokio::sync::oneshot;

use super::server::Server;
use super::sys::Sys;
use super::{GenServer, Supervisor};
use crate::error::RegisterError;
use crate::node::Shared;
use crate::process::{Exit, Process, ProcessKind, panicked};

/// Why a server was not started.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerStartError {
    /// Another process has the name (`{already_started, Pid}`).
    #[error("already started as {0}")]
    AlreadyStarted(Pid),
    /// The name cannot be given.
    #[error(transparent)]
    Register(RegisterError),
    /// [`GenServer::init`] failed or panicked, or the process was ended before it was done.
    #[error("not initialised: {}", .0.0)]
    Init(Exit),
    /// The node is shutting down.
    #[error("this node is shutting down")]
    ShuttingDown,
}

impl ServerStartError {
    /// As `start` functions of OTP return it in `{error, Reason}`.
    pub(super) fn into_reason(self) -> Term {
        match self {
            Self::AlreadyStarted(pid) => {
                Term::Tuple(vec![Term::atom("already_started"), Term::Pid(pid)])
            }
            Self::Register(error) => Exit::from(error).0,
            Self::Init(exit) => exit.0,
            Self::ShuttingDown => Term::atom("shutdown"),
        }
    }
}

type Started = Result<(), ServerStartError>;

/// Starts a server and waits for its `init`.
pub(super) async fn start<S: GenServer>(
    shared: Arc<Shared>,
    name: Option<String>,
    parent: Option<Pid>,
    init: S::Init,
) -> Result<Pid, ServerStartError> {
    let (tell, told) = oneshot::channel();
    let (reveal, revealed) = oneshot::channel();
    let supervisor = TypeId::of::<S>() == TypeId::of::<Supervisor>();
    let kind = if supervisor { ProcessKind::Supervisor } else { ProcessKind::GenServer };
    let pid = shared.spawn_related(
        |inner, _| inner.set_kind(kind),
        move |process| async move {
            let _ = reveal.send(process.parts().1.clone());
            let mut server = match begin::<S>(process, name, parent, init).await {
                Ok(server) => server,
                Err((error, process)) => return fail(error, process, tell),
            };
            // The starter may not be waiting any more; the server was started all the same.
            let _ = tell.send(Ok(()));
            server.run().await
        },
    );
    let pid = pid.ok_or(ServerStartError::ShuttingDown)?;
    match told.await {
        Ok(started) => started.map(|()| pid),
        Err(_) => {
            let reason = revealed.await.ok().and_then(|process| process.end_reason());
            let reason = reason.unwrap_or_else(|| Term::atom("killed"));
            Err(ServerStartError::Init(Exit(reason)))
        }
    }
}

async fn begin<S: GenServer>(
    mut process: Process,
    name: Option<String>,
    parent: Option<Pid>,
    init: S::Init,
) -> Result<Server<S>, (ServerStartError, Process)> {
    if let Some(parent) = &parent {
        process.link(parent).await;
    }
    let known_as = match name {
        Some(name) => match register(&process, &name) {
            Ok(name) => Term::Atom(name),
            Err(error) => {
                unlink(&process, parent.as_ref()).await;
                return Err((error, process));
            }
        },
        None => Term::Pid(process.pid().clone()),
    };
    // What is half made is dropped with the panic.
    let made = AssertUnwindSafe(S::init(init, &mut process)).catch_unwind().await;
    match made.unwrap_or_else(|panic| Err(Exit(panicked(&*panic)))) {
        Ok(state) => {
            let parent = parent.unwrap_or_else(|| process.pid().clone());
            Ok(Server { state, process, parent, name: known_as, sys: Sys::default() })
        }
        Err(exit) => {
            unlink(&process, parent.as_ref()).await;
            Err((ServerStartError::Init(exit), process))
        }
    }
}

/// The name and the pid are free before the starter hears of it, so that it can try again at once.
fn fail(error: ServerStartError, process: Process, tell: oneshot::Sender<Started>) -> Exit {
    let exit = match &error {
        ServerStartError::Init(exit) => exit.clone(),
        _ => Exit::normal(),
    };
    process.stop(&exit);
    let _ = tell.send(Err(error));
    exit
}

async fn unlink(process: &Process, parent: Option<&Pid>) {
    if let Some(parent) = parent {
        process.unlink(parent).await;
    }
}

fn register(process: &Process, name: &str) -> Result<Atom, ServerStartError> {
    let (shared, _) = process.parts();
    let atom = Atom::new(name)
        .map_err(|error| ServerStartError::Register(RegisterError::Invalid(name.into(), error)))?;
    process.register(name).map_err(|error| match error {
        RegisterError::Taken(_) => match shared.processes.by_name(&atom) {
            Some(other) => ServerStartError::AlreadyStarted(shared.processes.ids.pid(other.id)),
            None => ServerStartError::Register(error),
        },
        error => ServerStartError::Register(error),
    })?;
    Ok(atom)
}
