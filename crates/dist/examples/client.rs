//! Calls a `GenServer` of Elixir or Erlang and waits for its end:
//!
//! ```text
//! iex --name iex@127.0.0.1 --cookie secret
//! iex> defmodule Counter do
//!   use GenServer
//!   def init(n), do: {:ok, n}
//!   def handle_call({:add, m}, _, n), do: {:reply, n + m, n + m}
//! end
//! iex> GenServer.start(Counter, 41, name: :counter)
//! BEAMJOIN_COOKIE=secret cargo run -p dist --example client -- --name rust@127.0.0.1 counter iex@127.0.0.1
//! iex> GenServer.stop(:counter)
//! ```
//!
//! It calls with `{:add, 1}`, prints the reply or why there is none, and then the reason of the
//! server's end.

use std::time::Duration;

use dist::etf::{Atom, Term, term};
use dist::{CallError, Cookie, Node, NodeName};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [flag, name, server, peer] = args.as_slice() else {
        return Err("usage: client --name NAME@HOST SERVER NODE".into());
    };
    if flag != "--name" {
        return Err("the first argument is --name".into());
    }
    let cookie = Cookie::new(std::env::var("BEAMJOIN_COOKIE")?)?;
    let node = Node::builder(name.parse()?, cookie).start().await?;
    let server = (Atom::new(server)?, peer.parse::<NodeName>()?);

    let mut process = node.process()?;
    let monitor = process.monitor(server.clone()).await;
    match node.call(server, term!({add, 1}), Some(Duration::from_secs(5))).await {
        Ok(reply) => println!("reply {}", reply.elixir()),
        Err(CallError::NoProcess) => println!("nobody has that name"),
        Err(CallError::NoConnection(_)) => println!("the node cannot be reached"),
        Err(CallError::Timeout(time)) => println!("no reply within {time:?}"),
        Err(error) => println!("{error}"),
    }
    while let Some(message) = process.recv().await {
        if let Some([_, Term::Reference(of), _, _, reason]) = message.term.as_tuple()
            && *of == monitor
        {
            println!("down {}", reason.elixir());
            break;
        }
    }
    Ok(())
}
