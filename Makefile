# The two commands to know are `make run` and `make test`; each does all the set-up it needs, and nothing twice.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Many short programs run here: the modules that each needs are compiled once, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PYTEST_OPTIONS ?=
# Two processes, each with servers, ports and folders of its own; a file stays in one, and tests/conftest.py has put the long ones first.
IN_TWO := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help run demo test test-quick fuzz kills docs lint format venv system-packages test-packages clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: ## Set everything up and start the service with this machine as its first host (Ctrl-C ends it)
	@exec scripts/run

demo: ## Show the main job against the running service: a real guest created, booted, seen and deleted
	@exec $(BIN)/python scripts/demo.py

test: test-packages venv ## Run all tests, with everything real that this machine can offer
	@$(BIN)/pytest $(IN_TWO) --durations 30 $(PYTEST_OPTIONS)

test-quick: venv ## Run the tests that need neither a hypervisor nor PostgreSQL, in less than three minutes
	@$(BIN)/pytest $(IN_TWO) -m "not slow and not needs_libvirt and not needs_postgresql" $(PYTEST_OPTIONS)

fuzz: venv ## Send the service many more generated requests than `make test` does (HF_FUZZ times as many; about half an hour)
	@HF_FUZZ=$${HF_FUZZ:-20} $(BIN)/pytest --timeout 0 tests/api/fuzz $(PYTEST_OPTIONS)

kills: venv ## Kill the worker at every point of starts and changes of media on libvirt, of which `make test` sees a few (about an hour)
	@HF_KILLS=each $(BIN)/pytest --timeout 0 tests/crash/test_libvirt_starts_killed.py $(PYTEST_OPTIONS)

docs: venv ## Build the documentation into docs/_build (open docs/_build/index.html)
	@$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build

bench: venv ## Measure the budgets of docs/performance.md, in less than ten minutes; best on a machine that does nothing else
	@$(BIN)/python bench/run.py

lint: venv ## Check style, types, layers and scripts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/lint-imports
	@grep -rIlE '^#!.*\bbash\b' .ci scripts tests/testbed | xargs $(BIN)/shellcheck --severity=warning

format: venv ## Let ruff rewrite what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

venv: ## Make .venv with all five distributions and the tools for development
	@scripts/venv develop

system-packages: ## Install what a libvirt host needs (as root, with apt-get; elsewhere it says so)
	@scripts/system-packages run

test-packages:
	@scripts/system-packages test

clean: ## Remove what was built here (.venv stays; the service's data is elsewhere and stays too)
	@rm -rf build dist docs/_build docs/reference/generated .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
