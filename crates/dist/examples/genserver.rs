//! A `GenServer` in Rust that Elixir calls; what it does not know crashes it, as in Elixir:
//!
//! ```text
//! BEAMJOIN_COOKIE=secret cargo run -p dist --example genserver -- --name rust@127.0.0.1
//! iex --name iex@127.0.0.1 --cookie secret
//! iex> GenServer.call({:scorer, :"rust@127.0.0.1"}, {:score, "hello world"})
//! {:ok, 2}
//! ```

use dist::etf::{Term, term};
use dist::{
    Caller, ChildSpec, Cookie, Exit, GenServer, Intensity, Node, Process, Reply, Supervisor,
};

/// Counts words, and how often it was asked.
struct Scorer(u64);

impl GenServer for Scorer {
    type Init = ();

    async fn init((): (), _: &mut Process) -> Result<Self, Exit> {
        Ok(Self(0))
    }

    async fn handle_call(
        &mut self,
        request: Term,
        _: &Caller,
        _: &mut Process,
    ) -> Result<Reply, Exit> {
        match request.as_tuple() {
            Some([score, Term::Binary(text)]) if score.is_atom("score") => {
                self.0 += 1;
                let words = String::from_utf8_lossy(text).split_whitespace().count();
                Ok(Reply::Now(term!({ok, (words as u64)})))
            }
            _ => Err(Exit(term!({bad_call, (request)}))),
        }
    }

    fn state(&self) -> Option<Term> {
        Some(self.0.into())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some("--name"), Some(name)) = (args.next().as_deref(), args.next()) else {
        return Err("usage: genserver --name NAME@HOST".into());
    };
    let cookie = Cookie::new(std::env::var("BEAMJOIN_COOKIE")?)?;
    let node = Node::builder(name.parse()?, cookie).start().await?;
    let scorer = ChildSpec::server::<Scorer>("scorer", || ());
    Supervisor::start_named(&node, "scorers", (Intensity::default(), vec![scorer])).await?;
    println!("ready");
    std::future::pending().await
}
