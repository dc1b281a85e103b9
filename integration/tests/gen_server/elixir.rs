//! A server in Rust, called from Elixir.

use anyhow::Result;
use dist::GenServer;
use dist::etf::Term;
use integration::{Beam, World};

use super::scorer::Scorer;

#[tokio::test]
async fn elixir_calls_a_server_in_rust_as_its_own() -> Result<()> {
    let world = World::new().await?;
    let beam = Beam::start(world.beam_options("iex").elixir()).await?;
    let own = r#"
        defmodule Scorer do
          use GenServer
          def init(n), do: {:ok, n}
          def handle_call({:echo, term}, _from, n), do: {:reply, term, n}
          def handle_call({:add, m}, _from, n), do: {:reply, n + m, n + m}
          def handle_call(:never, _from, n), do: {:noreply, n}
          def handle_call({:stop, reason}, _from, n), do: {:stop, reason, n}
          def handle_cast({:set, n}, _), do: {:noreply, n}
        end
        {:ok, _} = GenServer.start(Scorer, 0, name: :scorer)
        :logger.set_primary_config(:level, :none)
    "#;
    beam.elixir(own).await?;
    let rust = world.node("rust")?.start().await?;
    Scorer::start_named(&rust, "scorer", (rust.clone(), Term::Int(0))).await?;
    for code in [
        r#"GenServer.call(s, {:echo, %{"text" => [1, :a, nil, 1.5, 'charlist', "ü"], date: ~D[2026-11-23]}})"#,
        "GenServer.cast(s, {:set, 41}); GenServer.call(s, {:add, 1})",
        "try do GenServer.call(s, :never, 50) catch :exit, {reason, _} -> reason end",
        "try do GenServer.call({:nobody, n}, :x) catch :exit, {reason, _} -> reason end",
        "{replies, bad} = GenServer.multi_call([n], :scorer, {:add, 1}); {Keyword.values(replies), bad}",
        "ref = Process.monitor(s); try do GenServer.call(s, {:stop, {:bad, :thing}}) catch :exit, {reason, _} -> {reason, receive do {:DOWN, ^ref, :process, {:scorer, ^n}, why} -> why end} end",
    ] {
        let run = |node: &str| format!("n = :\"{node}\"; s = {{:scorer, n}}; {code}");
        let expected = beam.elixir(run(beam.name())).await?;
        let shown = beam.elixir(run(rust.name().as_str())).await?;
        assert_eq!(shown, expected, "{code}");
    }
    Scorer::start_named(&rust, "scorer", (rust.clone(), Term::Int(5))).await?;
    let state = format!(":sys.get_state({{:scorer, :\"{}\"}})", rust.name());
    assert_eq!(beam.elixir(state).await?, "{:state, 5}");
    let stop = format!("GenServer.stop({{:scorer, :\"{}\"}})", rust.name());
    assert_eq!(beam.elixir(stop).await?, ":ok");
    assert_eq!(rust.counts().processes, 0);
    Ok(())
}
