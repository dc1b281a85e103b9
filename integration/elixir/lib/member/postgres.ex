defmodule Member.Postgres do
  @moduledoc """
  As much of a Postgres client as `Member.StandIn` needs: protocol 3 over TCP, simple queries whose rows do not matter, and
  notifications. Authentication: trust, password, md5, SCRAM-SHA-256.
  """

  alias Member.Scram

  @timeout 5_000

  @doc "Connects and authenticates. The connection is passive until `activate/1`."
  def connect(options) do
    host = options |> Keyword.get(:hostname, "localhost") |> String.to_charlist()
    socket_options = [:binary, packet: :raw, active: false, nodelay: true, keepalive: true]

    with {:ok, socket} <- :gen_tcp.connect(host, Keyword.get(options, :port, 5432), socket_options, @timeout) do
      connection = %{socket: socket, buffer: ""}
      parameters = ["user", 0, options[:username], 0, "database", 0, options[:database], 0, 0]

      with :ok <- transmit(connection, [<<3::16, 0::16>>, parameters]),
           {:ok, connection} <- authenticate(connection, options, nil),
           {:ok, connection} <- until_ready(connection, nil) do
        {:ok, connection}
      else
        {:error, reason} ->
          close(connection)
          {:error, reason}
      end
    end
  end

  @doc "Runs one statement and drops its rows."
  def query(connection, sql) do
    with :ok <- transmit(connection, ?Q, [sql, 0]), do: until_ready(connection, nil)
  end

  @doc "From now on what arrives is sent to the calling process, as `:gen_tcp` does it."
  def activate(%{socket: socket}), do: :inet.setopts(socket, active: true)

  @doc "Divides what arrived into messages: `{:notification, payload}`, or `{type, body}` for the rest."
  def messages(connection, bytes), do: split(%{connection | buffer: connection.buffer <> bytes}, [])

  @doc "Closes the socket."
  def close(%{socket: socket}), do: :gen_tcp.close(socket)

  @doc "Quotes a name."
  def identifier(name), do: ~s(") <> String.replace(name, ~s("), ~s("")) <> ~s(")

  @doc "Quotes a string."
  def literal(string), do: "'" <> String.replace(string, "'", "''") <> "'"

  defp authenticate(connection, options, scram) do
    case receive_message(connection) do
      {:ok, {?R, <<0::32>>}, connection} ->
        {:ok, connection}

      {:ok, {?R, <<3::32>>}, connection} ->
        answer(connection, [options[:password], 0], options, nil)

      {:ok, {?R, <<5::32, salt::binary-size(4)>>}, connection} ->
        inner = hex(:crypto.hash(:md5, [options[:password], options[:username]]))
        answer(connection, ["md5", hex(:crypto.hash(:md5, [inner, salt])), 0], options, nil)

      {:ok, {?R, <<10::32, mechanisms::binary>>}, connection} ->
        if "SCRAM-SHA-256" in String.split(mechanisms, <<0>>) do
          {scram, first} = Scram.first(options[:password])
          answer(connection, ["SCRAM-SHA-256", 0, <<byte_size(first)::32>>, first], options, scram)
        else
          {:error, {:unknown_mechanisms, mechanisms}}
        end

      {:ok, {?R, <<11::32, challenge::binary>>}, connection} when scram != nil ->
        with {:ok, scram, final} <- Scram.final(scram, challenge), do: answer(connection, final, options, scram)

      {:ok, {?R, <<12::32, proof::binary>>}, connection} when scram != nil ->
        with :ok <- Scram.verify(scram, proof), do: authenticate(connection, options, nil)

      {:ok, {?E, body}, _} ->
        {:error, {:postgres, text(body)}}

      {:ok, {type, _}, _} ->
        {:error, {:unexpected, <<type>>}}

      {:error, reason} ->
        {:error, reason}
    end
  end

  defp answer(connection, body, options, scram) do
    with :ok <- transmit(connection, ?p, body), do: authenticate(connection, options, scram)
  end

  # A statement that failed is still followed by ReadyForQuery.
  defp until_ready(connection, failure) do
    case receive_message(connection) do
      {:ok, {?Z, _}, connection} -> if failure, do: {:error, failure}, else: {:ok, connection}
      {:ok, {?E, body}, connection} -> until_ready(connection, {:postgres, text(body)})
      {:ok, _, connection} -> until_ready(connection, failure)
      # A fatal error is followed by the end of the connection.
      {:error, reason} -> {:error, failure || reason}
    end
  end

  defp receive_message(connection) do
    case take(connection.buffer) do
      {message, rest} ->
        {:ok, message, %{connection | buffer: rest}}

      :incomplete ->
        with {:ok, bytes} <- :gen_tcp.recv(connection.socket, 0, @timeout),
             do: receive_message(%{connection | buffer: connection.buffer <> bytes})
    end
  end

  defp split(connection, found) do
    case take(connection.buffer) do
      {message, rest} -> split(%{connection | buffer: rest}, [readable(message) | found])
      :incomplete -> {Enum.reverse(found), connection}
    end
  end

  defp take(<<type, length::32, rest::binary>>) when byte_size(rest) >= length - 4 do
    size = length - 4
    <<body::binary-size(size), rest::binary>> = rest
    {{type, body}, rest}
  end

  defp take(_), do: :incomplete

  defp readable({?A, <<_pid::32, rest::binary>>}) do
    [_channel, payload, _] = String.split(rest, <<0>>)
    {:notification, payload}
  end

  defp readable(message), do: message

  defp transmit(connection, type, body) do
    :gen_tcp.send(connection.socket, [type, <<:erlang.iolist_size(body) + 4::32>>, body])
  end

  # The startup message alone has no type.
  defp transmit(connection, body) do
    :gen_tcp.send(connection.socket, [<<:erlang.iolist_size(body) + 4::32>>, body])
  end

  defp text(fields), do: for(<<?M, text::binary>> <- String.split(fields, <<0>>), do: text) |> List.first()

  defp hex(bytes), do: Base.encode16(bytes, case: :lower)
end
