#!/usr/bin/env bash
# Everything that has to hold before a change lands. Ends with one line that counts the tests.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

if [ -z "${EASYSYNC_TEST_LOCKED:-}" ]; then
    "$ROOT/scripts/setup.sh"
    . "$ROOT/scripts/env.sh"
    # One run at a time in a place: the extension that is tested is installed there. The lock is not
    # handed on to the servers that tests start.
    EASYSYNC_TEST_LOCKED=1 exec flock --close "$RUN_DIR/test.lock" "$0"
fi
"$ROOT/scripts/clean_up.sh"
trap '"$ROOT/scripts/clean_up.sh"' EXIT
"$ROOT/scripts/lint.sh"

cd "$ROOT"
log=$TARGET/dev/test.log
failed=0
run_tests() {
    "$@" 2>&1 | tee -a "$log" || failed=1
}
: >"$log"

say "engine and simulators"
run_tests cargo test --no-fail-fast -p engine -p simulator
say "the simulated shop through the public Python client"
run_tests simulator/check_public_client.sh
say "the simulated QuickBooks through two public clients"
run_tests simulator/check_public_quickbooks.sh
"$ROOT/scripts/install_private.sh"
say "SQL surface and end to end"
cargo build --quiet -p simulator
run_tests cargo test --no-fail-fast -p easysync-tests

# The lines of libtest ("test result: ok. 12 passed; 0 failed; 0 ignored; ...").
awk -v failed=$failed '
    /^test result:/ { passed += $4; broken += $6; ignored += $8 }
    END {
        printf "summary: %d tests passed, %d failed, %d ignored\n", passed, broken, ignored
        if (failed || broken || passed == 0) exit 1
    }' "$log"
