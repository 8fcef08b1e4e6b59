# The verbs of this project. Each target prepares what it needs, on a fresh Debian 12 with Rust.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint up down psql url bench bench-peers torture install package

# No backtraces in a server that we start: pgrx would put them into error details.
unexport RUST_BACKTRACE
unexport RUST_LIB_BACKTRACE
# Make's own job slots are not for cargo inside the scripts.
MAKEFLAGS += --no-print-directory

help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Sync a recorded shop into Postgres and into five companies' books, twice; checks every figure
	@scripts/run.sh demo

test: ## Format, lints, unit tests, SQL tests and end-to-end tests; everything CI runs
	@scripts/test.sh

lint: ## Format and lints only
	@scripts/setup.sh && scripts/lint.sh

up: ## Start a private development server (database easysync_dev) with simulated platforms
	@scripts/run.sh dev up

down: ## Stop what `make up` started
	@scripts/run.sh dev down

url: ## Print the development server's connection string, and nothing else
	@scripts/run.sh dev url

psql: ## Open psql on the development server
	@scripts/run.sh dev psql

bench: ## Measure throughput and idle cost; prints `name value unit target`
	@scripts/run.sh --release bench

bench-peers: ## The same with the peers (PL/Python loader, dlt) side by side
	@scripts/bench_peers.sh

torture: ## Kill things at random points and compare: make torture SEED=1 POINTS=500 ONLY=pushes
	@scripts/run.sh --release torture $(if $(SEED),--seed $(SEED)) $(if $(POINTS),--points $(POINTS)) \
		$(if $(ONLY),--only $(ONLY))

install: ## Install into your server: make install PG_CONFIG=/usr/lib/postgresql/15/bin/pg_config
	@scripts/install.sh "$(PG_CONFIG)"

package: ## Build an installable tree under target/release: make package [PG_CONFIG=...]
	@scripts/package.sh "$(PG_CONFIG)"
