//! The examples `genserver` and `client`, run as they are.

use anyhow::Result;
use integration::{Beam, Example, World, unique};

#[tokio::test]
async fn elixir_calls_the_example_server_and_sees_it_come_back() -> Result<()> {
    let world = World::new().await?;
    let beam = Beam::start(world.beam_options("iex").elixir()).await?;
    let name = format!("{}@127.0.0.1", unique("rust"));
    let mut example = Example::start("genserver", &["--name", &name], &world)?;
    example.line("ready").await?;
    let scorer = format!("scorer = {{:scorer, :\"{name}\"}}; ");
    let run = async |code: &str| beam.elixir(format!("{scorer}{code}")).await;
    assert_eq!(run("GenServer.call(scorer, {:score, \"hello world\"})").await?, "{:ok, 2}");
    assert_eq!(run(":sys.get_state(scorer)").await?, "1");
    let crash = "ref = Process.monitor(scorer); {:EXIT, {why, _}} = catch_exit = try do GenServer.call(scorer, :what) catch :exit, e -> {:EXIT, e} end; _ = catch_exit; {why, receive do {:DOWN, ^ref, _, _, r} -> r end}";
    assert_eq!(run(crash).await?, "{{:bad_call, :what}, {:bad_call, :what}}");
    let back = format!(
        "lists:member(true, [try gen_server:call({{scorer, '{name}'}}, {{score, <<\"a b c\">>}}) =:= {{ok, 3}} catch exit:_ -> false end])"
    );
    beam.eval_until(integration::SOON, back, "true").await?;
    assert_eq!(run(":sys.get_state(scorer)").await?, "1");
    let children =
        format!("Supervisor.which_children({{:scorers, :\"{name}\"}}) |> Enum.map(&elem(&1, 0))");
    assert_eq!(beam.elixir(children).await?, "[:scorer]");
    Ok(())
}

#[tokio::test]
async fn the_example_client_calls_an_elixir_server_and_sees_its_end() -> Result<()> {
    let world = World::new().await?;
    let beam = Beam::start(world.beam_options("iex").elixir()).await?;
    let server = r#"
        defmodule Counter do
          use GenServer
          def init(n), do: {:ok, n}
          def handle_call({:add, m}, _from, n), do: {:reply, {:ok, n + m}, n + m}
        end
        {:ok, _} = GenServer.start(Counter, 41, name: :counter)
    "#;
    beam.elixir(server).await?;
    let name = format!("{}@127.0.0.1", unique("rust"));
    let args = ["--name", &name, "counter", beam.name()];
    let mut example = Example::start("client", &args, &world)?;
    example.line("reply {:ok, 42}").await?;
    beam.elixir("GenServer.stop(:counter, {:shutdown, :enough})").await?;
    example.line("down {:shutdown, :enough}").await?;
    example.ends_well().await?;
    let mut example = Example::start("client", &args, &world)?;
    example.line("nobody has that name").await?;
    example.line("down :noproc").await?;
    example.ends_well().await
}
