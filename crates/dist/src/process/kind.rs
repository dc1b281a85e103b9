//! What a process is there for.

/// What a process is there for: mailboxes are counted by it ([`Node::stats`](crate::Node::stats)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ProcessKind {
    /// The program's own: of [`Node::process`](crate::Node::process), [`Node::register`](crate::Node::register) and
    /// [`Node::spawn`](crate::Node::spawn).
    Process,
    /// A [`GenServer`](crate::GenServer).
    GenServer,
    /// A [`Supervisor`](crate::Supervisor).
    Supervisor,
    /// It runs an exported function, for `rpc`, `erpc` or `spawn` of another node or this one.
    Rpc,
    /// `global_name_server`.
    Global,
    /// A scope of process groups, or a part of a `Phoenix.PubSub`: it has no mailbox.
    Service,
}

impl ProcessKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Process, Self::GenServer, Self::Supervisor, Self::Rpc, Self::Global, Self::Service];

    /// One word for it, such as `gen_server`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::GenServer => "gen_server",
            Self::Supervisor => "supervisor",
            Self::Rpc => "rpc",
            Self::Global => "global",
            Self::Service => "service",
        }
    }
}
