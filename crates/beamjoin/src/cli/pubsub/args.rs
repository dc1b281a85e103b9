//! The arguments of `pubsub tail` and `pubsub publish`.

use clap::{Args, Subcommand};

use crate::cli::{
    args::{Given, PostgresArgs},
    exit,
    remote::{InputArgs, NodeArgs, OutputArgs, Time, time},
};

#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum PubSubCommand {
    /// Print what is broadcast on topics, until a signal comes
    Tail(Box<TailArgs>),
    /// Broadcast a message on a topic
    Publish(Box<PublishArgs>),
}

#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct TailArgs {
    /// The topics
    #[arg(required = true)]
    pub(crate) topics: Vec<String>,
    #[command(flatten)]
    pub(crate) member: MemberArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// End after this many messages
    #[arg(long, value_name = "COUNT")]
    pub(crate) count: Option<u64>,
}

#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct PublishArgs {
    /// The topic
    pub(crate) topic: String,
    /// The message, a literal
    #[arg(allow_negative_numbers = true)]
    pub(crate) message: String,
    #[command(flatten)]
    pub(crate) member: MemberArgs,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    /// Push an event of this name to the Phoenix channels of the topic; the message, a map, is its payload. Nodes without
    /// Phoenix cannot take it
    #[arg(long, value_name = "EVENT")]
    pub(crate) event: Option<String>,
    /// How long the nodes may take: milliseconds, or with a unit, such as 500ms, 2s or 1m; or infinity [default: 10s]
    #[arg(long, value_name = "TIME", default_value = "10s", hide_default_value = true, value_parser = time)]
    pub(crate) timeout: Time,
}

// Where the PubSub is. As documentation it would take the place of a command's own.
#[derive(Args)]
pub(crate) struct MemberArgs {
    /// The PubSub, as it is named in Elixir: MyApp.PubSub
    #[arg(long, value_name = "NAME")]
    pub(crate) pubsub: String,
    /// A node, base@host, whose cluster is meant; may be given more than once [default: who announces on the
    /// channel in Postgres]
    #[arg(long = "node", value_name = "NODE", help_heading = "Node")]
    pub(crate) nodes: Vec<String>,
    #[command(flatten)]
    pub(crate) node_args: NodeArgs,
    #[command(flatten)]
    postgres: PostgresArgs,
}

impl MemberArgs {
    pub(crate) fn given(&self) -> Vec<Given> {
        let mut given = self.node_args.given();
        given.extend(self.postgres.given());
        given
    }
}
