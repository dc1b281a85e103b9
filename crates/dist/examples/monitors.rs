//! Watches a process of a BEAM node, and can be watched and linked to by any:
//!
//! ```text
//! iex --name iex@127.0.0.1 --cookie secret
//! iex> Process.register(self(), :shell)
//! BEAMJOIN_COOKIE=secret cargo run -p dist --example monitors -- --name rust@127.0.0.1 shell iex@127.0.0.1
//! iex> ref = Process.monitor({:watched, :"rust@127.0.0.1"})
//! iex> send({:watched, :"rust@127.0.0.1"}, :stop)
//! iex> flush()
//! {:DOWN, ref, :process, {:watched, :"rust@127.0.0.1"}, {:shutdown, :asked}}
//! ```
//!
//! It prints the `DOWN` message of what it watches and every exit signal it gets.

use dist::etf::{Atom, term};
use dist::{Cookie, Exit, Node, NodeName};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [flag, name, target, peer] = args.as_slice() else {
        return Err("usage: monitors --name NAME@HOST PROCESS NODE".into());
    };
    if flag != "--name" {
        return Err("the first argument is --name".into());
    }
    let cookie = Cookie::new(std::env::var("BEAMJOIN_COOKIE")?)?;
    let node = Node::builder(name.parse()?, cookie).start().await?;

    let mut watched = node.register("watched")?; // traps exits
    watched.monitor((Atom::new(target)?, peer.parse::<NodeName>()?)).await;
    println!("ready");
    while let Some(message) = watched.recv().await {
        println!("{}", message.term.elixir());
        if message.term.is_atom("stop") {
            watched.stop(&Exit(term!({shutdown, asked})));
            node.shutdown(std::time::Duration::from_secs(5)).await;
            break;
        }
    }
    Ok(())
}
