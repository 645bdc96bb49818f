# The environment is .venv/, made from requirements.lock (every file pinned by hash). Nothing else is assumed
# but Python 3.11+ and make; uv is used when it is there because it is faster.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

help: ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "partywall needs Python 3.11 or newer; set PYTHON=…"; exit 1; }
	@echo "setting up .venv (once)"
	@if command -v uv >/dev/null 2>&1; then \
	    uv venv -q --allow-existing --python $(PYTHON) .venv && \
	    uv pip sync -q --python $(BIN)/python --require-hashes requirements.lock && \
	    uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
	    $(PYTHON) -m venv .venv && \
	    $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements.lock && \
	    $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@touch $(STAMP)

setup: $(STAMP) ## make the environment

demo: $(STAMP) ## two organisations, one gateway, real clients: who tried what and what they got
	@$(BIN)/partywall demo

check: $(STAMP) ## formatting, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(STAMP) ## every test
	$(BIN)/pytest -n auto

soak: $(STAMP) ## what takes minutes: 100,000 operations cancelled at random
	HYPOTHESIS_PROFILE=new $(BIN)/pytest -m soak --timeout 3600

bench: $(STAMP) ## CPU per request beside nginx, and more; writes docs/benchmarks.md
	$(BIN)/python -m bench

lock: ## pin the dependencies again (needs uv)
	uv pip compile -q --universal --generate-hashes pyproject.toml --all-extras --group dev -o requirements.lock

clean: ## remove what the targets made
	rm -rf .venv .partywall .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: help setup demo check test soak bench lock clean
