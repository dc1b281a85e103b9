//! Functions in Rust that any node of the cluster calls:
//!
//! ```text
//! BEAMJOIN_COOKIE=secret cargo run -p dist --example rpc_worker -- --name rust@127.0.0.1
//! iex --name iex@127.0.0.1 --cookie secret
//! iex> :erpc.call(:"rust@127.0.0.1", :scorer, :score, ["three short words"])
//! {:ok, 3}
//! ```

use std::time::Duration;

use dist::etf::{Term, term};
use dist::{Cookie, Exports, Node, Process, Raise};

/// How many words the document has.
async fn score([document]: [Term; 1]) -> Result<Term, Raise> {
    let text = document.as_str().ok_or_else(Raise::badarg)?;
    let words = i64::try_from(text.split_whitespace().count())?;
    Ok(term!({ok, (words)}))
}

/// For `Node.spawn_link(node, :scorer, :loop, [])`: answers every message with the score of it.
async fn serve(mut process: Process, []: [Term; 0]) -> Result<Term, Raise> {
    while let Some(message) = process.recv().await {
        if let Some(from) = message.from {
            process.send(from, score([message.term]).await?).await?;
        }
    }
    Ok(term!(ok))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some("--name"), Some(name)) = (args.next().as_deref(), args.next()) else {
        return Err("usage: rpc_worker --name NAME@HOST".into());
    };
    let exports = Exports::new();
    exports.add("scorer", "score", score);
    exports.add_process("scorer", "loop", serve);
    exports.add("scorer", "wait", |[milliseconds]: [Term; 1]| async move {
        let time = milliseconds.as_u64().ok_or_else(Raise::badarg)?;
        tokio::time::sleep(Duration::from_millis(time)).await;
        Ok::<_, Raise>(term!(ok))
    });
    let cookie = Cookie::new(std::env::var("BEAMJOIN_COOKIE")?)?;
    let node = Node::builder(name.parse()?, cookie).exports(exports).start().await?;
    // The name, for `Process.monitor({:scorer, node})`; it runs until it is told to stop.
    let mut scorer = node.register("scorer")?;
    println!("ready");
    while scorer.recv().await.is_some_and(|message| !message.term.is_atom("stop")) {}
    node.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
