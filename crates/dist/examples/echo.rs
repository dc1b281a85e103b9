//! A node with one mailbox, `echo`, that sends back what it gets:
//!
//! ```text
//! cargo run -p dist --example echo -- rust@127.0.0.1 secret
//! erl -name x@127.0.0.1 -setcookie secret
//! 1> {echo, 'rust@127.0.0.1'} ! {self(), hello}, receive M -> M end.
//! ```

use dist::etf::{Term, term};
use dist::{Cookie, Node, Visibility};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("dist=debug").init();
    let mut args = std::env::args().skip(1);
    let (Some(name), Some(cookie)) = (args.next(), args.next()) else {
        return Err("usage: echo NAME@HOST COOKIE [visible]".into());
    };
    let visibility = if args.next().is_some() { Visibility::Visible } else { Visibility::Hidden };
    let builder = Node::builder(name.parse()?, Cookie::new(cookie)?);
    let node = builder.visibility(visibility).start().await?;
    let mut mailbox = node.register("echo")?;
    println!("ready at {:?}", node.listen_addr());
    while let Some(message) = mailbox.recv().await {
        println!("{}", message.term);
        if let Some([Term::Pid(from), term]) = message.term.as_tuple() {
            node.send(from, term!({echo, (term.clone())})).await?;
        }
    }
    Ok(())
}
