# The human's interface. `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
FACTORY := $(BIN)/factory
READY := .venv/ready
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode

.DEFAULT_GOAL := help
# Thousands of programs start in a run of the tests: none compiles its modules again.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help setup demo test suite test-long prove lint soak soak-kills conformance coverage bench agent-session up down lock wheel clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Install everything that the other targets need

demo: $(READY) ## Watch one issue travel from open to deployed (YES=1 lets the account rehearsal decide)
	@$(FACTORY) demo $(if $(YES),--yes)

test: $(READY) ## Check style, types and structure, and run the tests in parallel (SEED=n draws rows)
	@$(BIN)/python tests/budget.py "make test" -- $(MAKE) --no-print-directory lint suite

suite: $(READY)
	@$(BIN)/python -m pytest -n 4 --dist worksteal --durations=20 --durations-min=1 $(ARGS)

test-long: $(READY) ## Run the tests that take minutes or need the coding agents (`factory setup --agents`)
	@$(BIN)/python -m pytest -n 4 --dist load --maxschedchunk 1 --durations=20 --durations-min=1 -m long $(ARGS)

prove: $(READY) ## Do the main job on a real GitLab and Cloudflare, and delete everything (URL=… ARGS=…, see docs/gitlab.md)
	@$(FACTORY) prove $(URL) $(ARGS)

lint: $(READY) ## Check style, dead code, types and import floors
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/vulture
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > .venv/lint-imports.log || (cat .venv/lint-imports.log; false)

soak: $(READY) ## Run every row of every matrix, seed defects in the deciders, and let 300 appends to the evidence fail (SEED=n LIMIT=n)
	@$(BIN)/python -m tests.soak $(if $(SEED),--seed $(SEED)) $(if $(LIMIT),--limit $(LIMIT))

soak-kills: $(READY) ## Kill the parts of demos at random moments on a busy machine (SEED=n RUNS=10; an hour)
	@$(BIN)/python -m tests.soak.kills $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS))

conformance: $(READY) ## Run python-gitlab's and gitlabform's own tests against the loopback GitLab; let others' programs verify a bundle
	@code=0; $(BIN)/python -m tests.outside.evidence || code=1; for suite in api cli gitlabform; do $(BIN)/python -m tests.outside --suite $$suite $(ARGS) || code=1; done; exit $$code

coverage: $(READY) ## Measure which lines of the toolkit the tests of `make test` run; fails below the floor
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run --rcfile=tests/coverage.ini -m pytest -n 4 --dist worksteal $(ARGS)
	@$(BIN)/coverage combine --quiet --rcfile=tests/coverage.ini
	@$(BIN)/coverage report --rcfile=tests/coverage.ini

bench: $(READY) ## Measure start-up against bare baselines in the same run, and the job time of a shipped change
	@$(BIN)/python -m tests.bench

agent-session: $(READY) ## Work on an issue with an agent, in its own interface (ISSUE=n AGENT=name pick)
	@$(FACTORY) work --once --interactive $(if $(ISSUE),--issue $(ISSUE)) $(if $(AGENT),--agent $(AGENT))

up: $(READY) ## Start the embedded GitLab, Cloudflare and runner
	@$(FACTORY) up

down: $(READY) ## Stop them
	@$(FACTORY) down

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --only-binary :all: --no-binary python-terraform --emit-build-options
lock: $(READY) ## Lock the Python packages again, at their newest versions
	@$(COMPILE) --group dev -o requirements.lock pyproject.toml
	@$(COMPILE) --constraint requirements.lock -o factory/defaults/requirements.lock pyproject.toml

wheel: $(READY) ## Pack the factory as a wheel in dist/, for `uv tool install`
	@$(BIN)/python -c 'from pathlib import Path; from factory.operations.repository import toolkit_wheel as w; Path("dist").mkdir(exist_ok=True); print(Path("dist", w.name()).write_bytes(w.pack()) and f"dist/{w.name()}")'

clean: ## Remove what setup installed; instances' state stays
	@rm -rf .venv .tools/node_modules .tools/bin .tools/agents/node_modules .tools/agents/bin

# One file says that the installation is complete: it is made last, and again when a lock file changes.
$(READY): requirements.lock requirements-uv.lock requirements-node.lock requirements-terraform.lock pyproject.toml .tools/package-lock.json
	@command -v $(PYTHON) > /dev/null || { echo "python3 is missing. Debian, Ubuntu: apt-get install python3 python3-venv"; exit 10; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12"; exit 10; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { echo "Python's venv is missing. Debian, Ubuntu: apt-get install python3-venv"; exit 10; }
	@command -v git > /dev/null || { echo "git is missing. Debian, Ubuntu: apt-get install git"; exit 10; }
	@echo "installing Python packages into .venv (once) …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@$(UV) --require-hashes --no-build-isolation-package python-terraform -r requirements.lock
	@$(UV) --no-deps --no-build-isolation --editable .
	@$(FACTORY) setup
	@$(BIN)/python -m pytest --version --version > /dev/null  # its plugins, compiled once
	@touch $(READY)
