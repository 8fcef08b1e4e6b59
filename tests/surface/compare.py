#!/usr/bin/env python3
"""Compares an installed surface with the contract, fact by fact.

    compare.py DATABASE CONTRACT_DATABASE

DATABASE has the extension (or the files of sql/) and a hub in schema commerce; CONTRACT_DATABASE is
empty: contract.sql is loaded there. Both are reached as psql reaches them (PGHOST, PGPORT, PGUSER).
Prints what differs and ends with 1 when anything does. Parts in not_built.txt must be absent.
"""
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent


def psql(database, *arguments):
    done = subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", database, *arguments],
                          capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"psql -d {database} {' '.join(arguments)}:\n{done.stderr}")
    return done.stdout


def facts(database):
    found = set()
    for line in psql(database, "-f", str(HERE / "catalogue.sql")).splitlines():
        name, _, fact = line.partition("\t")
        found.add((name, fact))
    return found


def main():
    database, contract_database = sys.argv[1:]
    psql(contract_database, "-f", str(HERE / "contract.sql"))
    not_built = {line.strip() for line in (HERE / "not_built.txt").read_text().splitlines()
                 if line.strip() and not line.startswith("#")}
    installed = facts(database)
    contract = facts(contract_database)
    unknown = not_built - {name for name, _ in contract}
    early = sorted(name for name, _ in installed if name in not_built)
    wanted = {f for f in contract if f[0] not in not_built}
    # The worker's role and what it is granted are ours, not the contract's.
    extra = {f for f in installed - contract if "easysync_worker" not in f[1] and f[0] not in not_built}
    problems = [f"missing  {fact}" for _, fact in sorted(wanted - installed)]
    problems += [f"extra    {fact}" for _, fact in sorted(extra)]
    problems += [f"not_built.txt names what is built: {name}" for name in sorted(set(early))]
    problems += [f"not_built.txt names what the contract has not: {name}" for name in sorted(unknown)]
    if len(wanted) < 100:
        problems.append(f"only {len(wanted)} facts compared: the catalogue query finds too little")
    print("\n".join(problems) if problems else f"surface: {len(wanted)} facts as in the contract")
    sys.exit(1 if problems else 0)


main()
