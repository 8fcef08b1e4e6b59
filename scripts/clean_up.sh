#!/usr/bin/env bash
# Stops the servers and simulators that tests left behind when they were interrupted, and deletes
# their clusters: only those below `clusters/test-*` of this checkout's own run directory.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

shopt -s nullglob
for dir in "$RUN_DIR"/clusters/test-*; do
    for file in "$dir"/data/postmaster.pid "$dir"/simulator.pid; do
        pid=$(head -n 1 "$file" 2>/dev/null) || continue
        # The number may belong to somebody else by now: ours work in this directory.
        case $(readlink "/proc/$pid/cwd" 2>/dev/null) in
            "$dir" | "$dir"/*) kill -QUIT "$pid" 2>/dev/null || true ;;
        esac
    done
    [ -e "$dir/keep" ] || rm -rf "$dir"
done
