#!/usr/bin/env bash
# Builds for another major version of Postgres and runs the end-to-end smoke tests on it, where
# this machine has that version with its headers.
# Usage: try_other_postgres.sh [14|16|17|18 ...]    (default: every version found)
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

versions=("$@")
if [ ${#versions[@]} -eq 0 ]; then
    for dir in /usr/lib/postgresql/*/bin/pg_config; do
        [ -x "$dir" ] || continue
        major=$(basename "$(dirname "$(dirname "$dir")")")
        [ "$major" = 15 ] || versions+=("$major")
    done
fi
[ ${#versions[@]} -gt 0 ] || {
    say "no other version of Postgres in /usr/lib/postgresql: nothing to try"
    exit 0
}
base=$RUN_DIR
for major in "${versions[@]}"; do
    [ -x "/usr/lib/postgresql/$major/bin/postgres" ] || die "Postgres $major isn't installed"
    pg_major_of "/usr/lib/postgresql/$major/bin/pg_config" >/dev/null
    say "Postgres $major"
    # Clusters of another version need a place and a template of their own. The harness reads the
    # environment file, which is put back afterwards.
    (
        export PG_MAJOR=$major EASYSYNC_RUN_DIR=$base/other-$major
        trap 'cp "$TARGET/dev/environment.before" "$TARGET/dev/environment"' EXIT
        cp "$TARGET/dev/environment" "$TARGET/dev/environment.before"
        "$ROOT/scripts/setup.sh"
        "$ROOT/scripts/install_private.sh"
        cd "$ROOT"
        cargo build --quiet -p simulator
        cargo test -p easysync-tests --test first_sync
    )
done
