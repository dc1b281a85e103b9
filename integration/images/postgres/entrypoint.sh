#!/bin/sh
# Makes the database on the first start, then becomes the server.
set -eu

bin=$(echo /usr/lib/postgresql/*/bin)
user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    secret=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" >"$secret"
    "$bin/initdb" --pgdata="$PGDATA" --username="$user" --pwfile="$secret" --auth=scram-sha-256 --encoding=UTF8
    rm "$secret"
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    if [ "$database" != postgres ]; then
        echo "CREATE DATABASE \"$database\"" | "$bin/postgres" --single -D "$PGDATA" postgres
    fi
fi

exec "$bin/postgres" -D "$PGDATA" -c listen_addresses='*' "$@"
