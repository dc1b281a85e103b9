defmodule Member.Scram do
  @moduledoc "The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding. Pure but for the nonce."

  @no_channel_binding "n,,"

  @doc "The state and the client's first message."
  def first(password) do
    nonce = Base.encode64(:crypto.strong_rand_bytes(18))
    # Postgres takes the user from the startup message.
    bare = "n=,r=" <> nonce
    {%{password: password, nonce: nonce, bare: bare, signature: nil}, @no_channel_binding <> bare}
  end

  @doc "The client's answer to the server's challenge."
  def final(state, challenge) do
    with %{"r" => nonce, "s" => salt, "i" => iterations} <- attributes(challenge),
         true <- String.starts_with?(nonce, state.nonce) do
      salted = stretch(state.password, Base.decode64!(salt), String.to_integer(iterations))
      without_proof = "c=" <> Base.encode64(@no_channel_binding) <> ",r=" <> nonce
      message = Enum.join([state.bare, challenge, without_proof], ",")

      client_key = hmac(salted, "Client Key")
      proof = :crypto.exor(client_key, hmac(:crypto.hash(:sha256, client_key), message))
      signature = hmac(hmac(salted, "Server Key"), message)
      {:ok, %{state | signature: signature}, without_proof <> ",p=" <> Base.encode64(proof)}
    else
      _ -> {:error, :malformed_challenge}
    end
  end

  @doc "Whether the server knows the password too."
  def verify(state, proof) do
    case attributes(proof) do
      %{"v" => signature} -> if Base.decode64!(signature) == state.signature, do: :ok, else: {:error, :wrong_signature}
      _ -> {:error, :malformed_proof}
    end
  end

  defp attributes(message) do
    for part <- String.split(message, ","), into: %{} do
      <<name::binary-size(1), "=", value::binary>> = part
      {name, value}
    end
  end

  # PBKDF2 with one block; written out because OTP has it only since 24.2.
  defp stretch(password, salt, iterations) do
    first = hmac(password, [salt, <<1::32>>])
    stretch(password, first, first, iterations - 1)
  end

  defp stretch(_, _, sum, 0), do: sum

  defp stretch(password, last, sum, left) do
    next = hmac(password, last)
    stretch(password, next, :crypto.exor(sum, next), left - 1)
  end

  defp hmac(key, message), do: :crypto.mac(:hmac, :sha256, key, message)
end
