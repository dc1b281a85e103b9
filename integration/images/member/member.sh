#!/bin/sh
# member.sh run          runs the member as $NODE_BASE@<the container's address>, as Elixir releases in containers are named
# member.sh eval CODE    evaluates Elixir code on the running member, from a hidden node beside it
set -eu

host=$(hostname -i | cut -d' ' -f1)
node=${NODE_BASE:-base}@$host

# In the cookie file, so that it is on no command line.
umask 077
[ -f "$HOME/.erlang.cookie" ] || printf '%s' "$RELEASE_COOKIE" >"$HOME/.erlang.cookie"

case $1 in
run) exec elixir --name "$node" -pa "/member/_build/$MIX_ENV/lib/*/ebin" -e 'Member.run()' ;;
eval) exec elixir --name "eval-$$@$host" --hidden --rpc-eval "$node" "$2" ;;
*) echo "usage: member.sh run | eval CODE" >&2; exit 64 ;;
esac
