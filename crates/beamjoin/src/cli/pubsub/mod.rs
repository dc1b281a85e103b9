//! `beamjoin pubsub`: a member of a `Phoenix.PubSub` for a while.
//!
//! It is a hidden node that listens nowhere, as those of `call` and `send`, but linked with every node of the cluster:
//! membership of process groups is told from node to node and not passed on.

mod args;
mod seeds;

use std::{process::ExitCode, time::Duration};

use dist::{Node, PubSub, PubSubError, PubSubEvent};

pub(crate) use self::args::{PubSubCommand, PublishArgs, TailArgs};
use self::{
    args::MemberArgs,
    seeds::{Seeds, takes_part},
};
use super::{
    config::Layers,
    exit::{DATA, Failure, TIMED_OUT, UNAVAILABLE, USAGE},
    remote::unreached,
    signals::Signals,
};

/// How often it is looked whether a node's members have come.
const POLL: Duration = Duration::from_millis(20);

impl PubSubCommand {
    pub(crate) fn member(&self) -> &MemberArgs {
        match self {
            Self::Tail(args) => &args.member,
            Self::Publish(args) => &args.member,
        }
    }
}

pub(crate) async fn tail(layers: Layers, args: TailArgs) -> Result<ExitCode, Failure> {
    let mut signals = Signals::watch()?;
    let tail = async {
        let mut seeds = Seeds::new(&layers, &args.member)?;
        let node = seeds.join(&layers).await?;
        let pubsub = start(&node, &args.member)?;
        let mut messages = pubsub.subscribe_all(&args.topics);
        let mut left = args.count.unwrap_or(u64::MAX);
        let mut keep_up = std::pin::pin!(seeds.keep_up(&node));
        while left > 0 {
            let event = tokio::select! {
                event = messages.next() => event,
                failure = &mut keep_up => return Err(failure),
            };
            match event {
                Some(PubSubEvent::Message(message)) => {
                    match message.term() {
                        Ok(term) => {
                            let text = args.output.on_topic(message.topic(), term);
                            if let Err(error) = super::write_away(text).await {
                                return super::unwritten(&error).map(|()| ExitCode::SUCCESS);
                            }
                        }
                        Err(error) => tracing::warn!(%error, "a message could not be read"),
                    }
                    left -= 1;
                }
                Some(PubSubEvent::Lagged(count)) => tracing::warn!(count, "messages were missed"),
                Some(_) => {}
                None => break,
            }
        }
        Ok(ExitCode::SUCCESS)
    };
    tokio::select! {
        result = tail => result,
        () = signals.stop() => Ok(ExitCode::SUCCESS),
    }
}

pub(crate) async fn publish(layers: Layers, args: PublishArgs) -> Result<ExitCode, Failure> {
    let message = args.input.read("the message", &args.message)?;
    if args.event.is_some() && message.as_map().is_none() {
        return Err(Failure::new(DATA, "the payload of an event must be a map"));
    }
    let publish = async {
        let mut seeds = Seeds::new(&layers, &args.member)?;
        let node = seeds.join(&layers).await?;
        let pubsub = start(&node, &args.member)?;
        met(&node).await;
        let members = pubsub.nodes();
        if members.is_empty() {
            let why = format!("no node that was reached takes part in {}", args.member.pubsub);
            return Err(Failure::new(UNAVAILABLE, why));
        }
        let sent = match &args.event {
            Some(event) => pubsub.broadcast_event(&args.topic, event, message).await,
            None => pubsub.broadcast(&args.topic, message).await,
        };
        sent.map_err(failed)?;
        for peer in node.nodes() {
            // The answer comes after the message has arrived.
            if members.iter().any(|member| member.as_str() == peer.name.as_str())
                && let Err(error) = node.ping(&peer.name).await
            {
                return Err(unreached(&peer.name, &error));
            }
        }
        Ok(ExitCode::SUCCESS)
    };
    match args.timeout.0 {
        None => publish.await,
        Some(time) => tokio::time::timeout(time, publish).await.unwrap_or_else(|_| {
            Err(Failure::new(TIMED_OUT, format!("the message was not published within {time:?}")))
        }),
    }
}

fn start(node: &Node, args: &MemberArgs) -> Result<PubSub, Failure> {
    PubSub::new(node, &args.pubsub).map_err(failed)
}

/// Waits until the members of every node that has any have come.
async fn met(node: &Node) {
    for peer in node.nodes() {
        if !takes_part(node, &peer.name).await {
            continue;
        }
        while node.is_connected(&peer.name)
            && !node.pg("Elixir.Phoenix.PubSub").is_some_and(|scope| {
                scope.nodes().iter().any(|known| known.as_str() == peer.name.as_str())
            })
        {
            tokio::time::sleep(POLL).await;
        }
    }
}

fn failed(error: PubSubError) -> Failure {
    let code = match &error {
        PubSubError::Name(_) => USAGE,
        PubSubError::Send(_) => DATA,
        _ => UNAVAILABLE,
    };
    Failure::new(code, error)
}
