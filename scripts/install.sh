#!/usr/bin/env bash
# Builds for the server behind a pg_config and installs there.
# Usage: install.sh [PG_CONFIG]    (default: the pg_config in PATH)
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

pg_config=${1:-pg_config}
"$ROOT/scripts/setup.sh" --build-only
major=$(pg_major_of "$pg_config")
pg_config=$(command -v "$pg_config")

cd "$ROOT"
sudo=()
[ -w "$("$pg_config" --pkglibdir)" ] || sudo=(--sudo)
say "building for Postgres $major and installing into $("$pg_config" --pkglibdir)"
PGRX_PG_CONFIG_PATH=$pg_config cargo pgrx install --release "${sudo[@]}" --pg-config "$pg_config" \
    --no-default-features --features "pg$major"
cat <<EOF

Installed. Next, on the server:
  1. postgresql.conf:  shared_preload_libraries = 'easysync'    then restart Postgres
  2. in your database: create extension easysync;
  3. connect a shop:   see docs/tutorial/first-sync.md
EOF
