#!/usr/bin/env bash
# Builds a tree to be unpacked at / of a server with the same Postgres, and a tarball of it.
# Usage: package.sh [PG_CONFIG]    (default: the pg_config in PATH, else Debian's)
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

pg_config=${1:-}
if [ -z "$pg_config" ]; then
    "$ROOT/scripts/setup.sh"
    pg_config=/usr/lib/postgresql/$PG_MAJOR/bin/pg_config
else
    "$ROOT/scripts/setup.sh" --build-only
fi
major=$(pg_major_of "$pg_config")
pg_config=$(command -v "$pg_config")
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
tree=$TARGET/release/easysync-$version-pg$major

cd "$ROOT"
rm -rf "$tree"
say "building for Postgres $major"
PGRX_PG_CONFIG_PATH=$pg_config cargo pgrx package --pg-config "$pg_config" --out-dir "$tree" \
    --no-default-features --features "pg$major"
tar -C "$tree" --owner=root --group=root -czf "$tree.tar.gz" .
say "packed $tree.tar.gz: unpack it at / of a server with Postgres $major"
printf '%s\n' "$tree.tar.gz"
