# Reads encoded terms and says how Elixir prints them.
#
# Usage: elixir inspect.exs IN OUT
#
# IN: 4 bytes of length and an encoded term, again and again. OUT: what inspect/2 prints, without any limit, a line for each.

defmodule Inspect.Terms do
  def each(<<>>, _out), do: :ok

  def each(<<size::32, bytes::binary-size(size), rest::binary>>, out) do
    term = :erlang.binary_to_term(bytes)
    IO.puts(out, inspect(term, limit: :infinity, printable_limit: :infinity))
    each(rest, out)
  end
end

[input, output] = System.argv()
File.open!(output, [:write, :utf8], &Inspect.Terms.each(File.read!(input), &1))
