#!/bin/bash
# Tries sql/*.sql on a server without the library: a scratch cluster whose `easysync` extension is these
# files with doubles.sql in the place of the library's functions. Needs Postgres 15, psql and python3.
# As root the server runs as $SERVER_USER (default postgres). Usage: tests/sql_only/run.sh [keep]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
bin=$(${PG_CONFIG:-/usr/lib/postgresql/15/bin/pg_config} --bindir)
share=$(${PG_CONFIG:-/usr/lib/postgresql/15/bin/pg_config} --sharedir)
lib=$(${PG_CONFIG:-/usr/lib/postgresql/15/bin/pg_config} --pkglibdir)
work=$(mktemp -d)
server_user=${SERVER_USER:-postgres}
as_postgres() { if [ "$(id -u)" = 0 ]; then setpriv --reuid="$server_user" --regid="$server_user" --clear-groups "$@"; else "$@"; fi; }
stop() { as_postgres "$work$bin/pg_ctl" -D "$work/data" -m immediate stop >/dev/null 2>&1 || true; [ "${1:-}" = keep ] || rm -rf "$work"; }
trap 'stop' EXIT

# A copy of the server's tree: it finds its share directory by its own place, so that the extension can
# be installed without touching the system.
mkdir -p "$work$bin" "$work$share" "$work$lib"
cp -r "$bin/." "$work$bin/"; cp -r "$share/." "$work$share/"; cp -r "$lib/." "$work$lib/"
[ "$(id -u)" != 0 ] || chown -R "$server_user:" "$work"
chmod 755 "$work"

{
    cat "$root/sql/00_schemas_roles.sql" "$here/doubles.sql"
    for file in "$root"/sql/[1-9]*.sql; do cat "$file"; done
    cat "$here/after_install.sql"
} > "$work$share/extension/easysync--0.3.0.sql"
printf "default_version = '0.3.0'\nrelocatable = false\nsuperuser = true\ntrusted = true\n" > "$work$share/extension/easysync.control"

export PGHOST=$work PGPORT=54329 PGUSER=postgres PGDATABASE=postgres
cd "$work"
as_postgres "$work$bin/initdb" -D "$work/data" -A trust -U postgres >/dev/null
as_postgres "$work$bin/pg_ctl" -w -D "$work/data" -l "$work/log" \
    -o "-p $PGPORT -k $work -c listen_addresses='' -c fsync=off -c max_wal_senders=2" start >/dev/null

fail=0
sql() { psql -Xq -v ON_ERROR_STOP=1 "$@"; }
export bin="$work$bin" here work
for test in "$here"/cases/*${ONLY:-}*; do
    name=$(basename "$test")
    psql -Xqc "drop database if exists test" -c "create database test" 2>/dev/null
    # Roles are the cluster's: a case starts from those of the extension alone.
    psql -XqAtc "select format('drop owned by %1\$I; drop role %1\$I', rolname) from pg_roles where rolname like 'case\\_%'" | psql -Xq 2>/dev/null
    rm -f "$work/run"
    if case "$test" in
        *.sql) sql -d test -v assert="$here/assert.sql" -c 'set client_min_messages = warning' -f "$here/assert.sql" -f "$test" > "$work/out" 2>&1 ;;
        *.sh) bash -euo pipefail "$test" > "$work/out" 2>&1 ;;
       esac
    then echo "ok      ${name%.*}"
    else fail=1; echo "FAILED  ${name%.*}"; cat "$work/out" "$work/run" 2>/dev/null | tail -25 | sed 's/^/        /'
    fi
done
exit $fail
