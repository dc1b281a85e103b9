//! An Erlang distribution node to embed in a Rust program.
//!
//! A [`Node`] is a member of a cluster of Erlang or Elixir nodes: it dials and is dialled, answers
//! what every node must answer, and stays connected for months. [`Node::register`] gives a
//! [`Process`] that any process of the cluster can send to, and [`Node::send`] sends to any process
//! of the cluster.
//!
//! ```no_run
//! use dist::{Cookie, Node};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::builder("rust@127.0.0.1".parse()?, Cookie::new("secret")?).start().await?;
//! node.connect(&"iex@127.0.0.1".parse()?).await?;
//! let mut mailbox = node.register("scorer")?;
//! while let Some(message) = mailbox.recv().await {
//!     println!("{}", message.term);
//!     if let Some(from) = message.from {
//!         node.send(from, etf::term!({ok, "got it"})).await?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What it does not do: it is no Erlang virtual machine, and it runs no BEAM code. A cookie is not
//! encryption: whoever has it can do everything on every node of the cluster, and without
//! TLS (the feature `tls`, `NodeBuilder::tls`) everything travels in the clear.
//!
//! Sources: the chapters `erl_dist_protocol` and `erl_ext_dist` of OTP's documentation, and OTP's
//! `dist.c`, `dist_util.erl`, `net_kernel.erl` and `erl_epmd.erl`.

mod cookie;
pub mod epmd;
mod error;
mod flags;
#[doc(hidden)]
pub mod fuzz;
mod r#gen;
pub mod handshake;
mod key;
mod link;
mod name;
mod node;
mod process;
mod rpc;
mod service;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
mod wire;
mod work;

pub use cookie::{Cookie, CookieError, CookieWarning};
pub use error::{ConnectError, DownReason, RegisterError, SendError, StartError};
pub use flags::{FlagName, Flags};
pub use r#gen::{
    CallError, Caller, ChildSpec, GenServer, Intensity, PendingCall, Reply, Restart,
    ServerStartError, Shutdown, Supervisor,
};
pub use link::LinkCounters;
pub use name::{NodeName, NodeNameError};
pub use node::{
    Destination, Epmd, Limits, Listen, MailboxStats, Node, NodeBuilder, NodeCounts, NodeEvent,
    NodeEvents, NodeMonitor, NodeStats, Peer, PeerStats, Pong, Probe, Visibility, is_private,
};
pub use process::{AliasMode, Exit, Message, Outcome, Process, ProcessKind};
#[cfg(feature = "serde")]
pub use rpc::Arguments;
pub use rpc::{
    ErpcError, Exports, Mfa, Raise, Returned, RpcError, RpcOptions, SpawnError, SpawnOptions,
};
pub use service::{
    ConflictMethod, Global, GlobalError, GlobalLock, GroupLeader, Output, OutputBuffer, PgCounts,
    PgError, PgEvent, PgMonitor, PgScope,
};
#[cfg(feature = "pubsub")]
pub use service::{
    PubSub, PubSubBuilder, PubSubCounts, PubSubError, PubSubEvent, PubSubMessage, SocketBroadcast,
    Subscription,
};
#[cfg(feature = "tls")]
pub use tls::{TlsConfig, TlsConfigError, TlsFailure};

pub use etf;

/// The example of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
