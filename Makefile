# Ristourne: `make` prints what can be made.

PORT ?= 8000
DATA ?= .ristourne
UV ?= uv
export PORT DATA

.DEFAULT_GOAL := help
.PHONY: help up test check lock clean venv

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: venv ## start everything here: database, queue, mailbox, API, worker (PORT=8000 DATA=.ristourne)
	@.venv/bin/ristourne up

test: check ## every check, then every test, on servers of their own
	@bin/browser
	@.venv/bin/pytest -n logical --maxprocesses 4

check: venv ## lint, format, types and the direction of imports
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

lock: ## choose the newest allowed packages again and write requirements.lock (needs uv)
	@$(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --python-version 3.11 --extra dev \
		--output-file requirements.lock pyproject.toml

clean: ## remove .venv and caches; the data of `make up` stays
	@rm -rf .venv .bootstrap.lock build dist *.egg-info
	@rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@bin/bootstrap
