//! The example `rpc_worker`, run as it is and called from Elixir.

use anyhow::Result;
use integration::{Beam, Example, World, unique};

#[tokio::test]
async fn elixir_calls_and_spawns_the_functions_of_the_example() -> Result<()> {
    let world = World::new().await?;
    let beam = Beam::start(world.beam_options("iex").elixir()).await?;
    let name = format!("{}@127.0.0.1", unique("rust"));
    let mut example = Example::start("rpc_worker", &["--name", &name], &world)?;
    example.line("ready").await?;
    let run = async |code: &str| beam.elixir(format!("rust = :\"{name}\"; {code}")).await;
    for (code, result) in [
        (":erpc.call(rust, :scorer, :score, [\"three short words\"])", "{:ok, 3}"),
        (":rpc.call(rust, :scorer, :score, [\"\"])", "{:ok, 0}"),
        (
            "try do :erpc.call(rust, :scorer, :score, [:no]) rescue e in ErlangError -> e.original end",
            "{:exception, :badarg, [{:scorer, :score, 1, []}]}",
        ),
        (
            ":rpc.call(rust, :scorer, :nosuch, [1])",
            "{:badrpc, {:EXIT, {:undef, [{:scorer, :nosuch, [1], []}]}}}",
        ),
        (":rpc.call(rust, :scorer, :wait, [60_000], 50)", "{:badrpc, :timeout}"),
        (":erpc.multicall([rust, node()], :erlang, :is_alive, [])", "[ok: true, ok: true]"),
        (
            "pid = Node.spawn_link(rust, :scorer, :loop, []); send(pid, \"a b\")
             receive do said -> Process.unlink(pid); Process.exit(pid, :kill); said end",
            "{:ok, 2}",
        ),
        (
            "{pid, ref} = Node.spawn_monitor(rust, :scorer, :loop, []); send(pid, :no_document)
             receive do {:DOWN, ^ref, :process, ^pid, why} -> why end",
            "{:badarg, [{:scorer, :loop, 0, []}]}",
        ),
        (
            "ref = Process.monitor({:scorer, rust}); send({:scorer, rust}, :stop)
             receive do {:DOWN, ^ref, :process, {:scorer, ^rust}, why} -> why end",
            ":shutdown",
        ),
    ] {
        assert_eq!(run(code).await?, result, "{code}");
    }
    example.ends_well().await
}
