# Two commands do all: `make demo` and `make test`. They need Python >= 3.11 and nothing else.
PYTHON ?= python3
BIN := .venv/bin
# Python compiles each module once and keeps it, also where the environment forbids that: the tests start hundreds of processes.
export PYTHONDONTWRITEBYTECODE :=
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -q

.PHONY: help demo test browser long soak bench screenshots generate lint types imports compiled unit lock clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.venv/runtime: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "didflow needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	@test -x $(BIN)/python || { echo "creating .venv"; $(PYTHON) -m venv .venv; }
	@echo "installing from requirements.lock (hashes checked)"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: .venv/runtime requirements-dev.lock
	@echo "installing from requirements-dev.lock (hashes checked)"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

# Chromium itself comes from the system: `apt-get install chromium`.
.venv/browser: .venv/dev requirements-browser.lock
	@echo "installing from requirements-browser.lock (hashes checked)"
	@$(PIP) install --require-hashes -r requirements-browser.lock
	@touch $@

demo: .venv/runtime  ## the main job, on an embedded Valkey and a sandbox Wavix
	@$(BIN)/python -m producers.cli demo

test: .venv/dev  ## everything that must hold: lint, types, import rules, tests
	@$(MAKE) --no-print-directory -j 2 lint imports compiled
	@$(MAKE) --no-print-directory -j 2 types unit

generate: .venv/dev  ## write the synchronous client from the one for asyncio
	@$(BIN)/python -m tools.sync_client

lint: .venv/dev  ## ruff, spelling, and plain words in the pages; check only
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python -m tools.sync_client --check
	@$(BIN)/codespell
	@$(BIN)/codespell -D plain-words.txt *.md docs

types: .venv/dev  ## mypy --strict
	@$(BIN)/mypy

imports: .venv/dev  ## imports run one way
	@$(BIN)/lint-imports

# Else each of the processes that run the tests would do it for itself, at the same time. What can't be collected is for `unit` to report.
compiled: .venv/dev
	@$(BIN)/python -m pytest --collect-only -qq > /dev/null || true

unit: .venv/dev  ## the tests, but for the long ones
	@$(BIN)/python -m pytest -n 8 --dist loadfile --no-loadscope-reorder

.venv-client-generator/ready: requirements-client-generator.lock
	@test -x .venv-client-generator/bin/python || $(PYTHON) -m venv .venv-client-generator
	@echo "installing from requirements-client-generator.lock (hashes checked)"
	@.venv-client-generator/bin/python -m pip --disable-pip-version-check --no-input -q install --require-hashes -r requirements-client-generator.lock
	@touch $@

browser: .venv/browser  ## every story of the console in Chromium, also those that are too long for `make test`
	@DIDFLOW_BROWSER=required $(BIN)/python -m pytest -m "long or not long" tests/console/test_in_a_browser.py

long: .venv/dev .venv-client-generator/ready  ## the tests that are too long for `make test`: each wrong protocol is found out, larger failovers
	@$(BIN)/python -m pytest -m long

# Seconds of trouble, and which campaign; none: one at random, whose seed is printed.
SOAK_SECONDS ?= 600
SOAK_SEED ?=
# Profiles of the provider, with commas; none: drawn from the seed.
SOAK_PROFILES ?=

soak: .venv/dev  ## a fault campaign: everything goes wrong for SOAK_SECONDS (600); the summary goes into soak/
	@$(BIN)/python -m tests.campaign --seconds $(SOAK_SECONDS) $(if $(SOAK_SEED),--seed $(SOAK_SEED)) $(if $(SOAK_PROFILES),--profiles $(SOAK_PROFILES))

# Two environments: arq and SAQ need an older redis-py than didflow does.
.venv-bench/ready: requirements-bench.lock pyproject.toml
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@echo "installing from requirements-bench.lock (hashes checked)"
	@.venv-bench/bin/python -m pip --disable-pip-version-check --no-input -q install --require-hashes -r requirements-bench.lock
	@.venv-bench/bin/python -m pip --disable-pip-version-check --no-input -q install --no-deps --no-build-isolation -e .
	@touch $@

.venv-bench-arq/ready: requirements-bench-arq.lock
	@test -x .venv-bench-arq/bin/python || $(PYTHON) -m venv .venv-bench-arq
	@echo "installing from requirements-bench-arq.lock (hashes checked)"
	@.venv-bench-arq/bin/python -m pip --disable-pip-version-check --no-input -q install --require-hashes -r requirements-bench-arq.lock
	@touch $@

bench: .venv-bench/ready .venv-bench-arq/ready  ## measure jobs, a failover, the inventory and HTTP; writes docs/bench, about twenty minutes
	@.venv-bench/bin/python -m tests.bench.overhead
	@.venv-bench/bin/python -m tests.bench.failover
	@.venv-bench/bin/python -m tests.bench.inventory
	@.venv-bench/bin/python -m tests.bench.http

screenshots: .venv/browser  ## the pictures of docs/console.md (needs Chromium)
	@$(BIN)/python -m tests.console.screenshots

lock:  ## write all lock files (needs uv)
	uv pip compile pyproject.toml --extra local --extra http --group build --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header -o requirements.lock
	uv pip compile pyproject.toml --extra local --extra http --extra otel --group build --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header -o requirements-otel.lock
	uv pip compile pyproject.toml --extra local --extra http --extra otel --group build --group dev --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header -o requirements-dev.lock
	uv pip compile --group browser --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header -o requirements-browser.lock
	uv pip compile pyproject.toml --extra local --extra http --group build --group bench --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header -o requirements-bench.lock
	uv pip compile --group client-generator --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header -o requirements-client-generator.lock
	uv pip compile --group bench-arq --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header -o requirements-bench-arq.lock

clean:  ## remove the environment and caches
	rm -rf .venv .venv-bench .venv-bench-arq .venv-client-generator .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis .import_linter_cache soak
