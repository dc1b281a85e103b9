defmodule Member do
  @moduledoc """
  A member of a cluster that is formed through Postgres: a BEAM node with a libcluster_postgres strategy and nothing else.

  Where the published `libcluster_postgres` was compiled in, that runs; otherwise `Member.StandIn`, which does the same on
  the wire. The options are libcluster_postgres' own: `hostname`, `port`, `username`, `password`, `database`,
  `channel_name`, `heartbeat_interval`.
  """

  use Supervisor

  @published LibclusterPostgres.Strategy

  @doc "Starts the member with the options in the environment, says which strategy runs, and never returns."
  def run do
    options = from_environment()
    {:ok, supervisor} = start(options)
    IO.puts("#{node()} runs #{describe(strategy())} on channel #{inspect(options[:channel_name])}")

    :ok = :net_kernel.monitor_nodes(true, node_type: :all)
    monitor = Process.monitor(supervisor)
    report(monitor)
  end

  @doc "Starts the strategy under a supervisor."
  def start(options) do
    {:ok, _} = Application.ensure_all_started(:crypto)

    if strategy() == @published do
      {:ok, _} = Application.ensure_all_started(:libcluster)
      {:ok, _} = Application.ensure_all_started(:postgrex)
    end

    # Not linked to the caller: who starts a member over rpc goes away at once.
    with {:ok, supervisor} <- Supervisor.start_link(__MODULE__, options, name: __MODULE__) do
      Process.unlink(supervisor)
      {:ok, supervisor}
    end
  end

  @doc "The strategy that runs: the published one where it was compiled in."
  def strategy do
    if Code.ensure_loaded?(@published), do: @published, else: Member.StandIn
  end

  @impl true
  def init(options) do
    child =
      if strategy() == @published do
        topologies = [member: [strategy: @published, config: options]]
        {Cluster.Supervisor, [topologies, [name: Member.ClusterSupervisor]]}
      else
        {Member.StandIn, options}
      end

    # The published strategy ends while Postgres is away; a member outlives that.
    Supervisor.init([child], strategy: :one_for_one, max_restarts: 1_000, max_seconds: 5)
  end

  defp describe(@published), do: "libcluster_postgres #{version(:libcluster_postgres)}"
  defp describe(Member.StandIn), do: "the stand-in for libcluster_postgres"

  defp version(application) do
    Application.load(application)
    Application.spec(application, :vsn)
  end

  defp report(monitor) do
    receive do
      {:nodeup, name, info} ->
        IO.puts("nodeup #{name} #{info[:node_type]}")
        report(monitor)

      {:nodedown, name, info} ->
        IO.puts("nodedown #{name} #{info[:node_type]}")
        report(monitor)

      {:DOWN, ^monitor, :process, _, reason} ->
        IO.puts("the strategy's supervisor ended: #{inspect(reason)}")
        System.halt(1)
    end
  end

  defp from_environment do
    [
      hostname: System.get_env("CLUSTER_HOSTNAME", "localhost"),
      port: integer("CLUSTER_PORT", "5432"),
      username: System.get_env("CLUSTER_USERNAME", "postgres"),
      password: System.get_env("CLUSTER_PASSWORD", "postgres"),
      database: System.get_env("CLUSTER_DATABASE", "postgres"),
      channel_name: System.get_env("CLUSTER_CHANNEL_NAME", "cluster"),
      heartbeat_interval: integer("CLUSTER_HEARTBEAT_INTERVAL", "5000")
    ]
  end

  defp integer(variable, default), do: variable |> System.get_env(default) |> String.to_integer()
end
