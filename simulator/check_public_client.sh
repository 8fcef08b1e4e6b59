#!/bin/bash
# Checks the simulated WooCommerce shop with the public client for Python, so that the simulator is
# held to something else than our own connector. Makes a virtual environment under target/ when
# there is none. Usage: simulator/check_public_client.sh
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
venv=$target/public-client
if [ ! -e "$venv/ready" ]; then
    # What an earlier try left half made may be of another Python.
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check 'woocommerce==3.0.0'
    touch "$venv/ready"
fi
cargo build --quiet -p simulator
work=$(mktemp -d "$target/public-client-run.XXXXXX")
state=$work/simulators.json
"$target/debug/simulator" --state-file "$state" --deliver-to-loopback >"$work/log" 2>&1 &
simulator=$!
trap 'kill "$simulator" 2>/dev/null || true; wait "$simulator" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do
    [ -e "$state" ] && break
    kill -0 "$simulator" 2>/dev/null || { cat "$work/log"; exit 1; }
    sleep 0.1
done
"$venv/bin/python" simulator/tests/python/public_client.py "$state"
kill -TERM "$simulator"
wait "$simulator"
echo "the public client is content, and the simulator left on SIGTERM"
