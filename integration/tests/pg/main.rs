//! Process groups and `Phoenix.PubSub` among BEAM nodes and a Rust node.

mod bad_input;
mod cli;
mod forms;
mod groups;
mod losses;
mod members;
mod pubsub;
