defmodule Member do
  @moduledoc """
  A member of a cluster that is formed through Postgres: a BEAM node with a libcluster_postgres strategy, and
  `Member.PubSub` in the place of Phoenix.PubSub.

  Where the published `libcluster_postgres` was compiled in, that runs; otherwise `Member.StandIn`, which does the same on
  the wire. The options are libcluster_postgres' own: `hostname`, `port`, `username`, `password`, `database`,
  `channel_name`, `heartbeat_interval`.
  """

  use GenServer

  @published LibclusterPostgres.Strategy
  @pause 1_000
  @pubsub Demo.PubSub
  @topic "demo"

  @doc "Starts the member with the options in the environment, says which strategy runs, and never returns."
  def run do
    options = from_environment()
    {:ok, member} = start(options)
    IO.puts("#{node()} runs #{describe()} on channel #{inspect(options[:channel_name])}")

    {:ok, _} = Member.PubSub.start(name: @pubsub, pool_size: integer("PUBSUB_POOL_SIZE", "1"))
    :ok = Member.PubSub.subscribe(@pubsub, @topic)
    :ok = :net_kernel.monitor_nodes(true, node_type: :all)
    report(Process.monitor(member))
  end

  @doc "Starts the strategy, and again whenever it ends."
  def start(options) do
    {:ok, _} = Application.ensure_all_started(:crypto)

    if strategy() == @published do
      {:ok, _} = Application.ensure_all_started(:libcluster)
      {:ok, _} = Application.ensure_all_started(:postgrex)
    end

    # Not linked to the caller: who starts a member from elsewhere goes away at once.
    GenServer.start(__MODULE__, options, name: __MODULE__)
  end

  @doc "The strategy that runs: the published one where it was compiled in."
  def strategy do
    if Code.ensure_loaded?(@published), do: @published, else: Member.StandIn
  end

  @doc "The strategy that runs, for people."
  def describe, do: describe(strategy())

  @impl true
  def init(options) do
    Process.flag(:trap_exit, true)
    {:ok, options, {:continue, :start}}
  end

  @impl true
  def handle_continue(:start, options) do
    {:ok, _} = start_strategy(strategy(), options)
    {:noreply, options}
  end

  # The published strategy may end while Postgres is away; a member outlives that.
  @impl true
  def handle_info({:EXIT, _, reason}, options) do
    IO.puts("the strategy ended: #{inspect(reason)}")
    Process.send_after(self(), :start, @pause)
    {:noreply, options}
  end

  def handle_info(:start, options), do: {:noreply, options, {:continue, :start}}

  defp start_strategy(@published, options) do
    topologies = [member: [strategy: @published, config: options]]
    # By a name that the compiler does not look for.
    Module.concat(Cluster, Supervisor).start_link([topologies, [name: Member.ClusterSupervisor]])
  end

  defp start_strategy(Member.StandIn, options), do: Member.StandIn.start_link(options)

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
        IO.puts("the member ended: #{inspect(reason)}")
        System.halt(1)

      message ->
        IO.puts("heard on #{@topic}: #{inspect(message)}")
        report(monitor)
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
