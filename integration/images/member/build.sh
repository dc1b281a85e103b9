#!/bin/sh
# Compiles the member with the published libcluster_postgres, or without it where hex cannot be reached.
set -eu

if timeout 120 mix local.hex --force && timeout 120 mix local.rebar --force && timeout 300 mix deps.get; then
    mix compile
else
    echo "hex cannot be reached: compiling with the stand-in for libcluster_postgres"
    rm -rf deps _build mix.lock
    mkdir -p "_build/$MIX_ENV/lib/member/ebin"
    elixirc -o "_build/$MIX_ENV/lib/member/ebin" lib/member.ex lib/member/*.ex
fi
