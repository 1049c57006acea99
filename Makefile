# Everything a developer or a continuous-integration job does, by one word each.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= auto
# Neighbours stay with one worker, and share what is started for them; who is done takes from others.
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal

.PHONY: help demo up test check lint types imports contracts unit coverage frameworks generate docs bench clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 20

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable '.[server,demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable '.[server,demo,dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo ## Install, start everything, play the main job, stop
	$(BIN)/studbook demo

up: $(VENV)/.demo ## Install and start everything; stays up until Ctrl-C
	$(BIN)/studbook up

test: check ## All checks and all tests
	$(PYTEST)

check: lint types imports contracts ## Everything that needs no server

lint: $(VENV)/.dev ## Format and lint
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .

types: $(VENV)/.dev ## Static types, strictly
	$(BIN)/mypy

imports: $(VENV)/.dev ## Imports point one way
	$(BIN)/lint-imports --no-cache

contracts: $(VENV)/.dev ## Contracts keep their rules; stubs and reference are what they give
	$(BIN)/python scripts/generate_stubs.py --check
	$(BIN)/buf format protos --diff --exit-code
	$(BIN)/buf lint build/studbook.binpb --config buf.yaml
	PATH=$(BIN):$$PATH scripts/check_breaking
	$(BIN)/python scripts/generate_reference.py --check
	$(BIN)/python scripts/generate_settings.py --check

unit: $(VENV)/.dev ## Tests that start no process
	$(PYTEST) tests/contract tests/unit

coverage: $(VENV)/.dev ## All tests, with coverage; takes nearly twice as long
	$(BIN)/coverage erase
	$(PYTEST) --cov --cov-report=term:skip-covered

frameworks: $(VENV)/.dev ## Test with PyTorch, Lightning and notebooks, which takes installing them
	$(BIN)/pip install --quiet --editable '.[server,demo,dev,frameworks]'
	$(PYTEST) tests/frameworks

generate: $(VENV)/.dev ## Renew stubs and reference after a change of protos/
	$(BIN)/python scripts/generate_stubs.py
	$(BIN)/python scripts/generate_reference.py
	$(BIN)/python scripts/generate_settings.py

bench: $(VENV)/.dev ## Measure; prints JSON
	$(BIN)/python -m bench

clean: ## Remove what the other targets made
	rm -rf $(VENV) build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
