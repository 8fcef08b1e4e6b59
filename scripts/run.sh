#!/usr/bin/env bash
# Prepares what a program of the tests package needs, then becomes that program.
# Usage: run.sh [--release] demo|dev|bench|torture [arguments]
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

profile=()
if [ "${1:-}" = --release ]; then profile=(--release); shift; fi
program=$1
shift

cd "$ROOT"
# These only look at what runs already.
case "$program ${1:-}" in
    "dev down" | "dev url" | "dev psql")
        [ -x "$TARGET/debug/dev" ] || die "no development server: make up starts one"
        exec "$TARGET/debug/dev" "$@" ;;
esac

"$ROOT/scripts/setup.sh"
. "$ROOT/scripts/env.sh"
"$ROOT/scripts/install_private.sh" "${profile[@]}"
say "building the simulators and $program"
cargo build --quiet "${profile[@]}" -p simulator
cargo build --quiet "${profile[@]}" -p easysync-tests --bin "$program"
# A part of it is a program of its own, on a simulated clock.
[ "$program" != bench ] || cargo build --quiet "${profile[@]}" -p engine --example backfill
directory=debug
[ ${#profile[@]} -eq 0 ] || directory=release
exec "$TARGET/$directory/$program" "$@"
