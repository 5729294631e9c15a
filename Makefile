# All commands of this repository; CI runs the same ones (.ci/run). `make` alone lists them.
#
#   PYTHON   the Python to make the environment with (3.11 or newer; found on PATH)
#   VENV     where the environment lives
#   ARGS     passed on: make test ARGS="tests/store -k claim", make demo ARGS="--jobs 200"
#   IMAGE    what `make cluster-load` gives to the test cluster: a tag, or an archive

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && exit; \
	done; echo python3)
VENV ?= .venv
NEWEST ?= 3.15
# Most tests wait for processes: two at a time take half as long. A file stays in one process.
PARALLEL ?= -n 2 --dist loadfile
ARGS ?=
IMAGE ?=

BIN := $(VENV)/bin
CLUSTER := $(BIN)/python -m tests.cluster
.PHONY: help demo test test-newest e2e faults cluster-up cluster-down cluster-load check lint types layers \
	format bench clean environment environment-newest

help: ## List the commands
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

demo: ## See it work: real jobs in forking workers, one killed half-way; nothing to set up
	@$(PYTHON) .ci/environment.py $(VENV) local
	@$(BIN)/forq demo $(ARGS)

test: ## Run the tests (real Redis, real processes)
	@$(PYTHON) .ci/environment.py $(VENV) dev
	@$(BIN)/pytest $(PARALLEL) $(ARGS)

test-newest: environment-newest ## Run the tests on the newest Python (NEWEST_PYTHON=path, else fetched on Debian)
	@.venv-newest/bin/pytest $(PARALLEL) $(ARGS)

e2e: ## Run the tests on Kubernetes, on the test cluster if it is up, else on one that ends with them
	@$(PYTHON) .ci/environment.py $(VENV) dev
	@$(CLUSTER) during $(BIN)/python -m tests.e2e.session $(ARGS)

faults: ## Kill, cut and corrupt, and count what is lost: nothing (ARGS="--long", docs/faults.md)
	@$(PYTHON) .ci/environment.py $(VENV) faults
	@$(BIN)/pytest -m faults $(PARALLEL) --durations=10 $(ARGS)

cluster-up: ## Bring up a real Kubernetes on this machine for tests (docs/test-cluster.md)
	@$(PYTHON) .ci/environment.py $(VENV) dev
	@$(CLUSTER) up

cluster-down: ## End it
	@$(PYTHON) .ci/environment.py $(VENV) dev
	@$(CLUSTER) down

cluster-load: ## Give it an image: make cluster-load IMAGE=localhost/forq-worker:test
	@$(PYTHON) .ci/environment.py $(VENV) dev
	@$(CLUSTER) load "$(IMAGE)"

check: lint types layers ## Run all static checks

lint: ## Check style and format (ruff)
	@$(PYTHON) .ci/environment.py $(VENV) dev
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: ## Check types (mypy --strict)
	@$(PYTHON) .ci/environment.py $(VENV) dev
	@$(BIN)/mypy

layers: ## Check who imports whom (import-linter)
	@$(PYTHON) .ci/environment.py $(VENV) dev
	@$(BIN)/lint-imports --no-logo

format: ## Format the code and fix what can be fixed safely
	@$(PYTHON) .ci/environment.py $(VENV) dev
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format

bench: ## Measure forq beside its peers and write docs/benchmarks.md (takes minutes; ARGS="--help")
	@$(PYTHON) .ci/environment.py $(VENV) bench
	@$(BIN)/python -m bench $(ARGS)

environment: ## Make .venv with all that development needs (the other commands do so themselves)
	@$(PYTHON) .ci/environment.py $(VENV) dev

environment-newest:
	@$(PYTHON) .ci/environment.py $(VENV) local
	@newest="$${NEWEST_PYTHON:-$$(PYTHON=$(BIN)/python .ci/newest-python $(NEWEST))}" && \
	test -n "$$newest" && "$$newest" .ci/environment.py .venv-newest dev

clean: ## Remove the environments and caches of this checkout
	rm -rf .venv .venv-newest .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
