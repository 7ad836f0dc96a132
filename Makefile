# Ristourne: `make` prints what can be made.

PORT ?= 8000
DATA ?= .ristourne
UV ?= uv
SUBSCRIPTIONS ?= 200000
export PORT DATA

.DEFAULT_GOAL := help
.PHONY: help up test torture check lock clean venv bench

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: venv ## start everything here: database, queue, mailbox, API, worker (PORT=8000 DATA=.ristourne)
	@.venv/bin/ristourne up

test: check ## every check, then every test, on servers of their own
	@bin/browser
	@.venv/bin/pytest -n logical --maxprocesses 4

torture: venv ## what `make test` does a little of, at length: a billing run and a settlement killed 50 times (KILLS=50), crowds at every cap (TRIES=30), histories of settling (HISTORIES=300), a storm of provider events (EVENTS=10000)
	@KILLS=$(or $(KILLS),50) .venv/bin/pytest -q -s tests/flows/test_bill_killed.py tests/flows/test_settle_killed.py
	@TRIES=$(or $(TRIES),30) .venv/bin/pytest -q tests/promotions/test_caps.py
	@LOST=$(or $(LOST),5000) .venv/bin/pytest -q -s tests/flows/test_lost_answers.py
	@EVENTS=$(or $(EVENTS),10000) .venv/bin/pytest -q tests/flows/test_provider_storm.py
	@HISTORIES=$(or $(HISTORIES),300) .venv/bin/pytest -q --timeout 3600 tests/flows/test_settling.py

bench: venv ## how fast, beside limits measured in the same run (SUBSCRIPTIONS=200000); docs/performance.md
	@.venv/bin/python -m bench billing --subscriptions $(SUBSCRIPTIONS)
	@.venv/bin/python -m bench signups
	@.venv/bin/python -m bench credit_notes
	@.venv/bin/python -m bench settlements
	@.venv/bin/python -m bench engine
	@.venv/bin/python -m bench rebates
	@.venv/bin/python -m bench evaluations

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
