defmodule Member.MixProject do
  use Mix.Project

  def project do
    [
      app: :member,
      version: "0.1.0",
      elixir: "~> 1.10",
      deps: deps()
    ]
  end

  def application do
    [extra_applications: [:logger, :crypto]]
  end

  # Without these (no hex at build time) the sources compile with plain elixirc, and Member runs its own strategy.
  defp deps do
    [
      {:libcluster, "~> 3.3"},
      {:libcluster_postgres, "~> 0.2.0"},
      {:postgrex, ">= 0.19.0"}
    ]
  end
end
