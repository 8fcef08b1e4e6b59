#!/usr/bin/env bash
# Builds the extension and installs it into the private copy of Postgres.
# Usage: install_private.sh [--release]
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

bin=$PG_BIN
[ "${1:-}" != --release ] || bin=$PG_BIN_RELEASE

cd "$ROOT"
# pgrx tells a lot: shown only when it fails.
log=$TARGET/dev/install${1:-}.log
say "building and installing the extension ${1:-}"
if ! cargo pgrx install --pg-config "$bin/pg_config" "$@" --no-default-features \
    --features "pg$PG_MAJOR" >"$log" 2>&1; then
    cat "$log" >&2
    die "the extension was not built"
fi
# Of this copy only: the other one may not be there.
chmod -R a+rX "${bin%/lib/postgresql/*}"
