//! Group leaders: who gets what a process prints.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use etf::{Pid, Term};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{IoRequest, terminated};
use crate::link::Link;
use crate::node::{Node, Shared};
use crate::process::{Exit, Process};
use crate::wire::control::Control;

/// Where printed text goes.
pub struct Output(Kind);

enum Kind {
    Writer(Pin<Box<dyn AsyncWrite + Send>>),
    Function(Box<dyn FnMut(&str) + Send>),
}

/// Text that was printed, as it grows.
#[derive(Debug, Clone, Default)]
pub struct OutputBuffer(Arc<Mutex<String>>);

/// A process that takes what processes of other nodes print, for as long as this is kept: give its
/// pid to [`RpcOptions::group_leader`](crate::RpcOptions::group_leader).
///
/// It has no input: whoever reads a line from it is told that there is none (`eof`).
#[derive(Debug)]
pub struct GroupLeader {
    pid: Pid,
    shared: Arc<Shared>,
}

impl Output {
    /// To our own standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::writer(tokio::io::stdout())
    }

    /// To a writer; each piece is flushed before whoever printed it goes on.
    pub fn writer(writer: impl AsyncWrite + Send + 'static) -> Self {
        Self(Kind::Writer(Box::pin(writer)))
    }

    /// Into memory, without a bound.
    #[must_use]
    pub fn buffer() -> (Self, OutputBuffer) {
        let buffer = OutputBuffer::default();
        let filled = buffer.clone();
        let output = Self::function(move |text| {
            filled.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
        });
        (output, buffer)
    }

    /// To the log, at level info under the target `dist::output`: where everything goes for which
    /// no group leader was given.
    #[must_use]
    pub fn tracing() -> Self {
        Self::function(log)
    }

    /// To a function. It must not block.
    pub fn function(function: impl FnMut(&str) + Send + 'static) -> Self {
        Self(Kind::Function(Box::new(function)))
    }

    async fn write(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        match &mut self.0 {
            Kind::Function(function) => function(text),
            Kind::Writer(writer) => {
                writer.write_all(text.as_bytes()).await?;
                writer.flush().await?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Writer(_) => "Output::writer",
            Kind::Function(_) => "Output::function",
        })
    }
}

impl OutputBuffer {
    /// What was printed so far; it is kept no longer.
    #[must_use]
    pub fn take(&self) -> String {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl GroupLeader {
    /// The pid to give to others.
    #[must_use]
    pub fn pid(&self) -> &Pid {
        &self.pid
    }
}

impl Node {
    /// Starts a group leader; `None` once the node is shutting down.
    ///
    /// ```no_run
    /// # async fn run(node: dist::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use dist::etf::term;
    /// use dist::{Mfa, Output, RpcOptions};
    ///
    /// let leader = node.group_leader(Output::stdout()).ok_or("shutting down")?;
    /// let options = RpcOptions::new().group_leader(leader.pid());
    /// let hello = Mfa::new("io", "put_chars", vec![term!("hello\n")])?;
    /// node.rpc_with(&"iex@127.0.0.1".parse()?, hello, &options).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn group_leader(&self, output: Output) -> Option<GroupLeader> {
        let running = self.shared.clone();
        let pid = self.shared.spawn(move |process| run(running, process, output))?;
        Some(GroupLeader { pid, shared: self.shared.clone() })
    }
}

impl Drop for GroupLeader {
    fn drop(&mut self) {
        if let Some(process) = self.shared.processes.by_pid(&self.pid) {
            self.shared.end_process(&process, &Term::atom("shutdown"));
        }
    }
}

async fn run(shared: Arc<Shared>, mut process: Process, mut output: Output) -> Exit {
    while let Some(message) = process.recv().await {
        // Whatever else is sent to it is nothing that it could do anything with.
        let Ok(request) = IoRequest::parse(message.term) else { continue };
        let (text, to, reply) = request.serve();
        match output.write(&text).await {
            Ok(()) => tell(&shared, process.pid(), to, reply),
            Err(error) => {
                tracing::warn!(%error, "what was printed cannot be written");
                tell(&shared, process.pid(), to, terminated(reply));
                return Exit(Term::atom("terminated"));
            }
        }
    }
    Exit::normal()
}

/// Answers a request that came to the node itself.
pub(crate) fn answer_for_node(shared: &Shared, request: IoRequest) {
    let (text, to, reply) = request.serve();
    log(&text);
    tell(shared, &shared.self_pid, to, reply);
}

/// Who asked is connected, or has gone; nobody is dialled for it.
fn tell(shared: &Shared, from: &Pid, to: Pid, reply: Term) {
    if let Some(process) = shared.processes.by_pid(&to) {
        shared.deliver_term(&process, Some(from.clone()), reply);
    } else if let Some(link) = shared.links.link(&to.node) {
        send(&link, from, to, &reply);
    }
}

fn send(link: &Link, from: &Pid, to: Pid, reply: &Term) {
    link.answer(&Control::send(from.clone(), to, link.flags), Some(reply));
}

fn log(text: &str) {
    for line in text.lines() {
        tracing::info!(target: "dist::output", "{line}");
    }
}
