# Where things live, for every other script (sourced, never run).
#
#   ROOT      the checkout
#   TARGET    build products (kept outside the clone when CI is set, so that they survive it)
#   RUN_DIR   private Postgres, its data and logs: under TARGET, or under /var/lib where the
#             unprivileged user can't reach TARGET (a checkout in /root)
#   PG_USER   who runs Postgres when we are root (Debian's package makes it); empty: whoever calls
#   PG_PREFIX the private copy of Postgres that the extension is installed into

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PGRX_VERSION=0.18.0
RUST_VERSION=1.95.0
PG_MAJOR=${PG_MAJOR:-15}

if [ -n "${CI:-}" ]; then
    : "${CARGO_TARGET_DIR:=${XDG_CACHE_HOME:-$HOME/.cache}/easysync/target}"
    # A cache that outlives clones is only filled by incremental state, never helped by it.
    export CARGO_INCREMENTAL=0
    # Nobody looks at these builds with a debugger, and without its tables they link in half the time.
    export CARGO_PROFILE_DEV_DEBUG=0
fi
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
case $TARGET in /*) ;; *) TARGET=$ROOT/$TARGET ;; esac
export CARGO_TARGET_DIR=$TARGET

# rustup's own place, where the shell was not started by a login.
if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
    PATH=$HOME/.cargo/bin:$PATH
fi
export PATH=$TARGET/tools/bin:$PATH
export PGRX_HOME=$TARGET/pgrx

PG_USER=
[ "$(id -u)" != 0 ] || PG_USER=postgres

# Can the user that runs Postgres get to this directory (or its nearest parent that exists)?
reachable() {
    local dir=$1
    [ -n "$PG_USER" ] || return 0
    while [ ! -d "$dir" ]; do dir=$(dirname "$dir"); done
    setpriv --reuid="$PG_USER" --regid="$PG_USER" --clear-groups test -x "$dir" 2>/dev/null
}

RUN_DIR=${EASYSYNC_RUN_DIR:-}
if [ -z "$RUN_DIR" ]; then
    if reachable "$TARGET"; then
        RUN_DIR=$TARGET/dev
    else
        RUN_DIR=/var/lib/easysync-dev/$(printf %s "$TARGET" | sha256sum | cut -c1-12)
    fi
fi
PG_PREFIX=$RUN_DIR/pg$PG_MAJOR
PG_BIN=$PG_PREFIX/lib/postgresql/$PG_MAJOR/bin
# Benchmarks and torture have a copy of their own, with the optimised library in it.
PG_PREFIX_RELEASE=$PG_PREFIX-release
PG_BIN_RELEASE=$PG_PREFIX_RELEASE/lib/postgresql/$PG_MAJOR/bin
export PG_MAJOR

# The major version behind a pg_config, once its headers are proved to be there.
pg_major_of() {
    local pg_config=$1 major
    command -v "$pg_config" >/dev/null || die "no such program: $pg_config"
    major=$("$pg_config" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
    [ -e "$("$pg_config" --includedir-server)/postgres.h" ] ||
        die "the headers of Postgres $major are missing: install postgresql-server-dev-$major"
    printf '%s\n' "$major"
}

say() { printf '%s\n' "==> $*" >&2; }
die() { printf '%s\n' "error: $*" >&2; exit 1; }
