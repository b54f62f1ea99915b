# Everything goes through `make`: nothing has to be installed before but make and a Python.
# Written for GNU make 3.81, which is what macOS has: no grouped targets, no .ONESHELL.

SHELL := /bin/sh
bin := .venv/bin
tests :=

# A developer's own settings must change neither where things are installed nor what is locked.
# Index settings (PIP_INDEX_URL, UV_DEFAULT_INDEX) stay: a mirror may be the only way out.
unexport PIP_FIND_LINKS PIP_PREFIX PIP_TARGET PIP_USER PYTHONHOME PYTHONPATH
unexport UV_CONSTRAINT UV_FIND_LINKS UV_OVERRIDE UV_PROJECT_ENVIRONMENT UV_PYTHON UV_SYSTEM_PYTHON VIRTUAL_ENV
# Tests start some thousand processes: without byte code each would compile every module that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup check test demo bench bench-peers lock clean

help: ## say what can be made
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

setup: .venv/.ready ## make .venv with the locked tools and the project in it

.venv/.ready: pyproject.toml requirements/dev.txt scripts/setup
	@scripts/setup

check: setup ## lint, formatting, types and the direction of imports
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/lint-imports

test: check .venv-client/.locked .venv-graph/.locked ## check, then all tests (some: make test tests=tests/store)
	$(bin)/pytest $(tests)

demo: setup ## see Holdfast work, in a minute
	$(bin)/holdfast demo --serve

bench: setup ## the small measurements
	$(bin)/python -m bench --small

bench-peers: .venv-peers/.locked ## make .venv-peers, which holds what Holdfast is measured against

.venv-client/.locked: tests/api/client-requirements.txt | setup
	@scripts/environment .venv-client $<

# A machine that it is not made for does without it; the tests then say so.
.venv-graph/.locked: tests/support/bolt-requirements.txt | setup
	@scripts/environment .venv-graph $< || echo "no server for the tests of the graph on Neo4j"

.venv-peers/.locked: bench/peers/requirements.txt | setup
	@scripts/environment .venv-peers $<

# Without hosts, so that the file is the same from any mirror.
lock: ## resolve pyproject.toml anew into requirements/dev.txt
	@[ -x $(bin)/uv ] || $(MAKE) setup
	$(bin)/uv pip compile --quiet --no-config --universal --upgrade --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	    --python-version 3.11 --all-extras --group dev --output-file requirements/dev.txt pyproject.toml

clean: ## remove what make has made
	rm -rf .venv .venv-client .venv-graph .venv-peers .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
