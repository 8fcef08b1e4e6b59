#!/usr/bin/env bash
# Builds the extension and installs it into the private copy of Postgres.
# Usage: install_private.sh [--release]
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

cd "$ROOT"
# In its own process group's output only on failure: pgrx repeats the whole build log.
log=$TARGET/dev/install.log
say "building and installing the extension ${1:-}"
if ! cargo pgrx install --pg-config "$PG_BIN/pg_config" "$@" --no-default-features \
    --features "pg$PG_MAJOR" >"$log" 2>&1; then
    cat "$log" >&2
    die "the extension was not built"
fi
chmod -R a+rX "$PG_PREFIX"
