#!/bin/sh
# Builds the command inside its image's first stage.
#   build.sh dependencies   with every crate of the workspace empty
#   build.sh beamjoin       with the real sources, into /beamjoin
set -eu

# Static against glibc: since 2.34 it resolves names through files and DNS without loading anything at run time.
# The target is named so that the flag does not reach build scripts and macros.
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="-C target-feature=+crt-static"

# Benchmarks and tests that a manifest lists by name are not copied.
sed -i '/^\[\[\(bench\|test\|example\)\]\]/,/^$/d' crates/*/Cargo.toml integration/Cargo.toml integration/bench/Cargo.toml

case $1 in
dependencies)
    for crate in crates/* integration integration/bench; do
        mkdir -p "$crate/src"
        : >"$crate/src/lib.rs"
    done
    mkdir -p integration/src/xtask
    for main in crates/beamjoin/src/main.rs integration/src/xtask/main.rs; do
        echo 'fn main() {}' >"$main"
    done
    cargo build --release --locked --package beamjoin --target "$host"
    ;;
beamjoin)
    # The copied files may be older than the empty ones that were built.
    find crates -name '*.rs' -exec touch {} +
    cargo build --release --locked --package beamjoin --target "$host"
    cp "target/$host/release/beamjoin" /beamjoin
    ;;
esac
