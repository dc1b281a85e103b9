defmodule Member.PubSub do
  @moduledoc """
  What Phoenix.PubSub does as seen from other nodes, for machines that cannot fetch it: a pool of processes, each in a
  group of the scope `Phoenix.PubSub` of `:pg` and registered under the group's name; broadcasts to every other node's
  processes of one group, chosen by the sender.

  Where a message names the dispatcher `Phoenix.PubSub`, which is not here, it goes to all subscribers but its sender.
  """

  use Supervisor

  @scope Phoenix.PubSub
  @dispatcher Phoenix.PubSub

  @doc "Starts one with `:name`, `:pool_size` and `:broadcast_pool_size`, as Phoenix.PubSub takes them."
  def start_link(options) do
    name = Keyword.fetch!(options, :name)
    Supervisor.start_link(__MODULE__, options, name: Module.concat(name, "Supervisor"))
  end

  @doc "As `start_link/1`, without the link."
  def start(options) do
    {:ok, pid} = start_link(options)
    Process.unlink(pid)
    {:ok, pid}
  end

  @impl true
  def init(options) do
    name = Keyword.fetch!(options, :name)
    size = Keyword.get(options, :pool_size, 1)
    # Unsupervised, so that one that crashed is seen to have.
    :pg.start(@scope)
    [_ | others] = for number <- 1..size, do: :"#{adapter(name)}_#{number}"
    groups = [adapter(name) | others]
    broadcast = Enum.take(groups, Keyword.get(options, :broadcast_pool_size, size))
    :persistent_term.put(adapter(name), List.to_tuple(broadcast))

    workers = for group <- groups, do: Supervisor.child_spec({Member.PubSub.Worker, {name, group}}, id: group)
    Supervisor.init([{Registry, keys: :duplicate, name: name} | workers], strategy: :one_for_one)
  end

  def subscribe(name, topic), do: with({:ok, _} <- Registry.register(name, topic, nil), do: :ok)

  def unsubscribe(name, topic), do: Registry.unregister(name, topic)

  def broadcast(name, topic, message, dispatcher \\ @dispatcher), do: send_all(name, :none, topic, message, dispatcher)

  def broadcast_from(name, from, topic, message, dispatcher \\ @dispatcher),
    do: send_all(name, from, topic, message, dispatcher)

  def direct_broadcast(node, name, topic, message, dispatcher \\ @dispatcher) do
    send({group(name), node}, {:forward_to_local, topic, message, dispatcher})
    :ok
  end

  def local_broadcast(name, topic, message, dispatcher \\ @dispatcher), do: local(name, :none, topic, message, dispatcher)

  @doc false
  def local(name, from, topic, message, dispatcher) do
    module = if dispatcher == @dispatcher, do: __MODULE__, else: dispatcher
    Registry.dispatch(name, topic, {module, :dispatch, [from, message]})
  end

  @doc false
  def dispatch(entries, from, message) do
    for {pid, _} <- entries, pid != from, do: send(pid, message)
    :ok
  end

  defp send_all(name, from, topic, message, dispatcher) do
    for pid <- :pg.get_members(@scope, group(name)), node(pid) != node() do
      send(pid, {:forward_to_local, topic, message, dispatcher})
    end

    local(name, from, topic, message, dispatcher)
  end

  defp group(name) do
    groups = :persistent_term.get(adapter(name))
    elem(groups, :erlang.phash2(self(), tuple_size(groups)))
  end

  defp adapter(name), do: Module.concat(name, "Adapter")
end

defmodule Member.PubSub.Worker do
  @moduledoc false

  use GenServer

  def start_link({name, group}), do: GenServer.start_link(__MODULE__, {name, group}, name: group)

  @impl true
  def init({name, group}) do
    :ok = :pg.join(Phoenix.PubSub, group, self())
    {:ok, name}
  end

  @impl true
  def handle_info({:forward_to_local, topic, message, dispatcher}, name) do
    Member.PubSub.local(name, :none, topic, message, dispatcher)
    {:noreply, name}
  end

  def handle_info(_, name), do: {:noreply, name}
end
