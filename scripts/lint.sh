#!/usr/bin/env bash
# Format and lints of every crate, warnings are errors.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

cd "$ROOT"
say "format"
cargo fmt --all -- --check
say "lints"
cargo clippy --workspace --all-targets --quiet -- -D warnings
"$ROOT/scripts/lint_sql.sh"
