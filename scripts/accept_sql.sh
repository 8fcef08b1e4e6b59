#!/usr/bin/env bash
# Takes the results of a failed SQL test as what is expected from now on. Read them first.
# Usage: accept_sql.sh NAME...
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

for name in "$@"; do
    result=$RUN_DIR/clusters/test-sql-surface/regress/$name/results/$name.out
    [ -f "$result" ] || die "no result of $name: run cargo test -p easysync-tests --test sql_surface $name"
    mkdir -p "$ROOT/tests/pg_regress/expected"
    cp "$result" "$ROOT/tests/pg_regress/expected/$name.out"
done
