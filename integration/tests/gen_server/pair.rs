//! A BEAM node that asks, and two that have the server: one of BEAM, one of Rust.

use anyhow::{Context, Result};
use dist::etf::Term;
use dist::{GenServer, Node, NodeName};
use integration::{Beam, World, name_of};
use tempfile::TempDir;

use super::scorer::Scorer;

const SCORER: &str = include_str!("../../erl/scorer.erl");

#[derive(Debug)]
pub struct Pair {
    _world: World,
    /// Who asks.
    pub asker: Beam,
    /// Who has the server in Erlang.
    pub beam: Beam,
    /// Who has the server in Rust.
    pub rust: Node,
    _sources: TempDir,
}

impl Pair {
    pub async fn new() -> Result<Self> {
        let world = World::new().await?;
        let sources = tempfile::tempdir()?;
        let source = sources.path().join("scorer.erl");
        std::fs::write(&source, SCORER)?;
        let (asker, beam) = tokio::try_join!(world.beam("asker"), world.beam("server"))?;
        let load = format!(
            "{{ok, scorer, B}} = compile:file(\"{}\", [binary]), \
             {{module, scorer}} = code:load_binary(scorer, \"scorer\", B), ok",
            source.display()
        );
        // Reports of servers that fail on purpose are of no use.
        let quiet = "logger:set_primary_config(level, none)";
        for node in [&asker, &beam] {
            node.eval(&load).await?;
            node.eval(quiet).await?;
        }
        let rust = world.node("rust")?.start().await?;
        // Hidden nodes are not in nodes(); connected they have to be.
        asker.eval(format!("true = net_kernel:connect_node('{}')", beam.name())).await?;
        rust.connect(&name_of(&asker)?).await?;
        Ok(Self { _world: world, asker, beam, rust, _sources: sources })
    }

    pub fn beam_name(&self) -> Result<NodeName> {
        name_of(&self.beam)
    }

    /// Starts the server anew on both sides.
    pub async fn fresh(&self) -> Result<()> {
        self.beam
            .eval(
                "case whereis(scorer) of undefined -> ok; \
                 P -> M = monitor(process, P), exit(P, kill), receive {'DOWN', M, _, _, _} -> ok end end, \
                 {ok, _} = gen_server:start({local, scorer}, scorer, 0, []), ok",
            )
            .await?;
        if let Some(pid) = self.rust.whereis("scorer") {
            let killer = self.rust.process()?;
            killer.exit(&pid, Term::atom("kill")).await;
        }
        Scorer::start_named(&self.rust, "scorer", (self.rust.clone(), Term::Int(0))).await?;
        Ok(())
    }

    /// What an expression gives with the server in Erlang, and with the one in Rust. `N` is the
    /// server's node in it, `S` the server, `P` its pid.
    pub async fn both(&self, expression: &str) -> Result<(String, String)> {
        self.fresh().await?;
        let beam = self.one(self.beam.name(), expression).await?;
        let rust = self.one(self.rust.name().as_str(), expression).await?;
        Ok((beam, rust))
    }

    async fn one(&self, node: &str, expression: &str) -> Result<String> {
        let code = format!(
            "N = '{node}', S = {{scorer, N}}, P = gen_server:call(S, pid), \
             Flush = fun F() -> receive M -> [M | F()] after 0 -> [] end end, \
             Run = fun() -> {expression} end, {{Run(), Flush()}}"
        );
        let result = self.asker.eval(&code).await.with_context(|| format!("on {node}"))?;
        Ok(result.replace(node, "NODE"))
    }

    /// Asserts that both are the same.
    pub async fn same(&self, expressions: &[&str]) -> Result<()> {
        for expression in expressions {
            let (beam, rust) = self.both(expression).await?;
            assert_eq!(rust, beam, "{expression}");
        }
        Ok(())
    }
}
