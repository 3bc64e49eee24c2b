# Needs Python >= 3.11 with pip, and make. Everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check
COMPILE := $(BIN)/pip-compile --quiet --strip-extras --allow-unsafe --all-build-deps --generate-hashes \
  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header
SEEDS ?= 300
DEPTH ?= 4
# Tests wait for processes more than they compute: more of them at a time than there are cores.
WORKERS ?= 4
# Whole nights and whole processes. `make test` is to be done in minutes.
SLOW := $(addprefix tests/,kills screen simulation)
# What `make coverage` runs: all but the tests of commands, screens and kills as processes, and nights.
IN_PROCESS := $(addprefix tests/,api cloud engine inventory observers plan policy report simulator store tui)

.PHONY: demo test test-slow test-tools test-openstack check coverage nox hooks bench sim model man test-wheel lock clean

demo: $(VENV)/.runtime  ## back up a simulated fleet of 600 volumes
	$(BIN)/vbsbatch demo

test: $(VENV)/.ready  ## every test but those of test-slow, test-wheel and test-openstack
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(addprefix --ignore=,$(SLOW))

test-slow: $(VENV)/.ready  ## simulated nights, real kills, and the screen in a terminal: five minutes
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(SLOW)

test-tools: $(VENV)/.ready  ## tmux, Chromium, Prometheus and restic, for tests (root, apt)
	$(BIN)/python -m tests.screen

test-openstack: $(VENV)/.ready  ## the real commands against a real Keystone and Cinder (root, apt)
	$(BIN)/python -m tests.openstack

check: $(VENV)/.ready  ## lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

coverage: $(VENV)/.ready  ## coverage of the tests that run in one process: about eight minutes of CPU
	$(BIN)/python -m pytest $(IN_PROCESS) --numprocesses $(WORKERS) --dist worksteal --cov --cov-report=term:skip-covered

nox: $(VENV)/.ready  ## check and test on each Python 3.11 to 3.13 that is installed
	$(BIN)/nox

hooks: $(VENV)/.ready  ## run ruff, mypy and lint-imports before each commit
	$(BIN)/pre-commit install

bench: $(VENV)/.ready  ## every figure of docs/benchmarks.md, measured here
	$(BIN)/python -m benchmarks

sim: $(VENV)/.ready  ## SEEDS=10000: simulated nights in virtual time
	VBSBATCH_SEEDS=$(SEEDS) $(BIN)/python -m pytest tests/simulation

model: $(VENV)/.ready  ## DEPTH=5: every small night of so many steps, in virtual time
	$(BIN)/python -m tests.model --depth $(DEPTH)

# What vbsbatch needs to run. --no-compile: a third of the time; Python compiles a module when it is first imported.
$(VENV)/.runtime: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vbsbatch needs Python 3.11 or newer")'
	@echo "Installing vbsbatch into $(VENV). The first time this takes about half a minute."
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --no-compile --require-hashes -r requirements.lock
	$(INSTALL) --no-compile --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.ready: requirements-dev.lock $(VENV)/.runtime
	@echo "Installing the tools of development into $(VENV). The first time this takes about a minute and a half."
	$(INSTALL) --quiet --require-hashes -r requirements-dev.lock
	@touch $@

man: $(VENV)/.ready  ## renew man/ from the help of the commands
	$(BIN)/python -m tests.docs.man_pages

test-wheel: $(VENV)/.ready  ## the wheel as pip, pipx and uv install it
	$(BIN)/python -m pytest tests/wheel/installs.py

lock: $(VENV)/.ready  ## renew both lock files from pyproject.toml
	$(INSTALL) --quiet pip-tools
	$(COMPILE) --extra dev --output-file requirements-dev.lock pyproject.toml
	$(COMPILE) --constraint requirements-dev.lock --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) .nox .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.*
