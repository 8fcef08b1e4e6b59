#!/usr/bin/env bash
# What a linter for extension scripts (pgspot) finds in ours, file by file, each with the search_path
# that the first one sets. Everything it finds has to be in the list below, with its reason; what is in
# the list and found no more has to go from there.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

venv=$TARGET/tools/pgspot-0.9.4
if [ ! -e "$venv/ready" ]; then
    say "installing pgspot into $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check pgspot==0.9.4 pglast==7.21
    touch "$venv/ready"
fi

# file, code, what. The reasons:
#   00  a schema that somebody else owns is refused by the block before it; pgrx needs the schema beforehand.
#   15  the ledger outlives the extension, so it may be there; 00 refuses one of another owner.
#   60, 65, 68, 70  pgspot's parser of PL/pgSQL has no catalogue: a variable of a table's row type and
#       a qualified parameter are unknown to it. It stops there, so these files are read without their
#       PL/pgSQL; the attack test `catalogue` holds that every function of ours pins search_path.
#   64  run() commits, and a procedure that does can't carry SET. It has its caller's rights, not ours.
expected() {
    cat <<'LIST'
00_schemas_roles PS010 easysync_internal
15_ledger PS012 easysync_ledger.links
15_ledger PS012 easysync_ledger.sync_requests
15_ledger PS014 links_created_by
15_ledger PS014 links_of_row
15_ledger PS014 links_pending
15_ledger PS014 links_present
15_ledger PS014 sync_requests_open
60_connections unread
64_run PS001
64_run PS005 easysync.run(entity
65_failures unread
68_confirm unread
70_schedules unread
LIST
}

found() {
    local file name out
    for file in "$ROOT"/sql/*.sql; do
        name=$(basename "$file" .sql)
        out=$( (echo 'set local search_path = pg_catalog, pg_temp;'; cat "$file") | "$venv/bin/pgspot" 2>&1) || true
        # An error of the linter itself, a traceback too, is no clean bill.
        if ! grep -q '^ *Errors: ' <<<"$out" || grep -qE 'syntax error|is not a known variable' <<<"$out"; then
            echo "$name unread"
            out=$( (echo 'set local search_path = pg_catalog, pg_temp;'; cat "$file") | "$venv/bin/pgspot" --no-plpgsql 2>&1) || true
            grep -q '^ *Errors: ' <<<"$out" || echo "$name unreadable"
        fi
        # Operators by their code alone: the text of each is the code's, and changes with it.
        sed -nE "s/^(PS001): .*/$name \1/p; /^PS001/d; s/^(PS[0-9]+): [^:]*: ([^ ]+).*/$name \1 \2/p" <<<"$out"
    done | sort -u
}

say "SQL: rights and names (pgspot)"
if ! diff <(expected | LC_ALL=C sort -u) <(found | LC_ALL=C sort -u); then
    echo "pgspot: < expected, > found. Mend what is new, or list it in scripts/lint_sql.sh with its reason." >&2
    exit 1
fi
