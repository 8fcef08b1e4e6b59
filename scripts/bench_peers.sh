#!/usr/bin/env bash
# `make bench-peers`: prepares the peers, then runs the benchmark with them side by side.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

"$ROOT/scripts/setup.sh"
. "$ROOT/scripts/env.sh"
package=postgresql-plpython3-$PG_MAJOR
if [ ! -e "/usr/lib/postgresql/$PG_MAJOR/lib/plpython3.so" ]; then
    sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    say "installing $package"
    "${sudo[@]}" apt-get update -q
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$package"
fi
cp -u "/usr/lib/postgresql/$PG_MAJOR/lib/plpython3.so" "$PG_PREFIX_RELEASE/lib/postgresql/$PG_MAJOR/lib/"
cp -u "/usr/share/postgresql/$PG_MAJOR/extension/"plpython3u* \
    "$PG_PREFIX_RELEASE/share/postgresql/$PG_MAJOR/extension/"
venv=$TARGET/peers
if [ ! -e "$venv/ready" ]; then
    say "installing dlt into $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check 'dlt[postgres]==1.31.0'
    touch "$venv/ready"
fi
exec "$ROOT/scripts/run.sh" --release bench --peers "$@"
