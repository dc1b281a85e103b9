defmodule Member.StandIn do
  @moduledoc """
  What libcluster_postgres 0.2.0 does as seen from outside, for machines that cannot fetch it: two connections, `LISTEN` on
  one, on the other `NOTIFY` with the bare node name at once and then every `heartbeat_interval` milliseconds; a name that
  is heard and not yet connected, hidden nodes included, is dialled from this process, which does nothing else meanwhile.

  One difference: it connects again when Postgres went away, where the published one ends and leaves that to its
  supervisor.
  """

  use GenServer

  alias Member.Postgres

  @retry 500

  def start_link(options), do: GenServer.start_link(__MODULE__, options)

  @impl true
  def init(options) do
    options = Keyword.put_new(options, :heartbeat_interval, 5_000)
    {:ok, %{options: options, sender: nil, listener: nil, heartbeat: nil}, {:continue, :connect}}
  end

  @impl true
  def handle_continue(:connect, state) do
    channel = Postgres.identifier(state.options[:channel_name])

    with {:ok, sender} <- Postgres.connect(state.options),
         {:ok, listener} <- Postgres.connect(state.options),
         {:ok, listener} <- Postgres.query(listener, "LISTEN " <> channel),
         :ok <- Postgres.activate(listener) do
      IO.puts("connected to Postgres")
      {:noreply, beat(%{state | sender: sender, listener: listener}, 0)}
    else
      {:error, reason} -> {:noreply, retry(state, reason)}
    end
  end

  @impl true
  def handle_info(:connect, state), do: {:noreply, state, {:continue, :connect}}

  def handle_info({:heartbeat, reference}, %{heartbeat: reference} = state) do
    sql = "NOTIFY #{Postgres.identifier(state.options[:channel_name])}, #{Postgres.literal(Atom.to_string(node()))}"

    case Postgres.query(state.sender, sql) do
      {:ok, sender} -> {:noreply, beat(%{state | sender: sender}, state.options[:heartbeat_interval])}
      {:error, reason} -> {:noreply, retry(state, reason)}
    end
  end

  # A heartbeat of a connection that is gone.
  def handle_info({:heartbeat, _}, state), do: {:noreply, state}

  def handle_info({:tcp, socket, bytes}, %{listener: %{socket: socket}} = state) do
    {messages, listener} = Postgres.messages(state.listener, bytes)
    Enum.each(messages, &heard/1)
    {:noreply, %{state | listener: listener}}
  end

  def handle_info({:tcp_closed, socket}, %{listener: %{socket: socket}} = state) do
    {:noreply, retry(state, :closed)}
  end

  def handle_info({:tcp_error, socket, reason}, %{listener: %{socket: socket}} = state) do
    {:noreply, retry(state, reason)}
  end

  # What an earlier listener's socket had left.
  def handle_info(_, state), do: {:noreply, state}

  defp heard({:notification, payload}) do
    name = String.to_atom(payload)

    if name != node() and name not in :erlang.nodes(:connected) do
      case :net_kernel.connect_node(name) do
        true -> IO.puts("connected to #{name}")
        _ -> IO.puts("unable to connect to #{name}")
      end
    end
  end

  defp heard(_), do: :ok

  defp beat(state, delay) do
    reference = make_ref()
    Process.send_after(self(), {:heartbeat, reference}, delay)
    %{state | heartbeat: reference}
  end

  defp retry(state, reason) do
    IO.puts("no Postgres: #{inspect(reason)}")
    for connection <- [state.sender, state.listener], connection, do: Postgres.close(connection)
    Process.send_after(self(), :connect, @retry)
    %{state | sender: nil, listener: nil, heartbeat: nil}
  end
end
