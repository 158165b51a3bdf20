# The verbs of this repository. `make` alone lists them.
SHELL := /bin/sh
# Processes come and go by the hundred in the tests: each would compile all of its modules again.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
COMPONENTS := $(BIN)/python infra/local/components.py
CLIENTS := ccxt python-binance freqtrade
DATA ?= data
CLUSTER ?= /var/tmp/outcry-cluster
PORT ?= 8080
FAULTS ?= 100
ORDERS ?= 5000
SEED ?= 1
ONLY ?=

.PHONY: help setup setup-test builds components clients up demo verify test test-cluster test-long faults bench bench-cluster compile lint format lock clean

help:  ## Show what can be asked for
	@echo "Outcry, an exchange you run yourself. First: make up"
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup:
	@sh infra/local/venv.sh "$(VENV)" run own

setup-test: setup
	@sh infra/local/venv.sh "$(VENV)" test own

clients: setup-test
	@for name in $(CLIENTS); do sh infra/local/venv.sh "$(CURDIR)/.venv-clients/$$name" client-$$name; done

builds: setup-test compile
	@sh infra/local/pythons.sh "$(CURDIR)/.venv-pythons"

components: setup-test
	@$(COMPONENTS) install || [ "$$CI" != true ]

up: setup  ## Start the exchange: one process, one SQLite file, demo accounts, a simulated market, a page to look at
	@$(BIN)/outcry up --data "$(DATA)" --port $(PORT)

cluster: setup components  ## Run a cluster here: real Kafka, PostgreSQL and Redis, 2 api, 2 engine, 1 stream, a simulated market
	@$(BIN)/python infra/local/cluster.py "$(CLUSTER)" --port $(PORT)

verify: setup  ## Prove the invariants on the data directory, running or stopped
	@$(BIN)/outcry verify --data "$(DATA)"

test: setup-test builds components clients  ## Pass the tests in their short forms (under 10 minutes on 2 cores)
	@TMPDIR="$$(sh infra/local/scratch.sh)" $(COMPONENTS) run $(BIN)/pytest -m "not long and not kubernetes" -n 2 --dist worksteal

test-cluster: setup-test  ## Pass the tests that need Kubernetes, on the cluster that KUBECONFIG names (docs/how-to/test-cluster.md)
	@$(BIN)/pytest -m "kubernetes and not long" -s $(if $(ONLY),-k "$(ONLY)") operators/tests/test_cluster.py charts/tests/real

test-long: setup-test builds components clients  ## Pass the tests in their full sizes (hours)
	@OUTCRY_TEST_LONG=1 $(COMPONENTS) run $(BIN)/pytest -m "not kubernetes" --timeout 7200

faults: setup-test components  ## Strike a cluster here with faults under load; prints a reliability card (FAULTS, ORDERS, SEED)
	@$(BIN)/python load-tests/faults.py --faults "$(FAULTS)" --orders "$(ORDERS)" --seed "$(SEED)"

bench: setup-test compile  ## Measure the core, the whole order path and memory; prints one report
	@sh infra/local/venv.sh "$(CURDIR)/.venv-bench" bench
	@$(BIN)/python load-tests/bench.py

bench-cluster: setup-test components  ## Measure a cluster on real Kafka, PostgreSQL and Redis, its limit beside it
	@$(BIN)/python load-tests/bench_cluster.py

compile: setup-test  ## Build the compiled core into .venv-compiled
	@sh infra/local/compiled.sh "$(CURDIR)/.venv-compiled"

lint: setup-test  ## Check style, types, imports and the house rules
	@$(BIN)/pytest -q services/tests/test_house.py

format: setup-test  ## Rewrite the code in the house format
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

lock: setup-test  ## Pin every requirement again, with hashes
	@for name in run operator otel confluent compile test client-ccxt client-python-binance client-freqtrade bench; do \
	  $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links -o requirements/$$name.txt requirements/$$name.in || exit 1; done

clean:  ## Remove environments and caches (never the data directory)
	@rm -rf .venv .venv-clients .venv-compiled .venv-bench .venv-pythons build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
