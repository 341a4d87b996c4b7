# `make help` lists the targets. Each makes ready what it needs (scripts/bootstrap.sh) and says so.

BOOTSTRAP := sh scripts/bootstrap.sh
BIN := .venv/bin
JOBS ?= 2
PYTEST := CELERIAC_STOCK_PYTHON=$(CURDIR)/.venv-interop/bin/python $(BIN)/python -m pytest -n $(JOBS)

.PHONY: help demo test test-all test-faults check format bench profile clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 12

demo: ## start a worker on the embedded default, send tasks, show the results
	@$(BOOTSTRAP) package
	@$(BIN)/celeriac demo

test: ## run the whole suite against servers of its own (ARGS="-k name" to choose)
	@$(BOOTSTRAP) develop interop redis rabbitmq
	$(PYTEST) -m "not slow and not full" $(ARGS)

test-all: ## the same with the slow tests
	@$(BOOTSTRAP) develop interop redis rabbitmq
	$(PYTEST) -m "not full" $(ARGS)

test-faults: ## the fault tests in full length, some 90 minutes, figures in benchmarks/results/
	@$(BOOTSTRAP) develop redis rabbitmq
	FAULTS_FIGURES=benchmarks/results $(BIN)/python -m pytest -m full tests/faults $(ARGS)

check: ## format, lint, types, layers, sizes, spelling
	@$(BOOTSTRAP) develop
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_sizes.py
	$(BIN)/codespell

format: ## put the code in shape
	@$(BOOTSTRAP) develop
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: ## measure beside Celery, Dramatiq and huey in one run, figures in benchmarks/results/ (ARGS="--fast" for a short look)
	@$(BOOTSTRAP) develop interop bench redis rabbitmq
	CELERIAC_STOCK_PYTHON=$(CURDIR)/.venv-interop/bin/python $(BIN)/python -m benchmarks $(ARGS)

profile: ## sample where time goes: SCENARIO=enqueue|bulk|drain|results|latency|... (ARGS="--system celery")
	@$(BOOTSTRAP) develop interop bench redis rabbitmq
	CELERIAC_STOCK_PYTHON=$(CURDIR)/.venv-interop/bin/python $(BIN)/python -m benchmarks.profile $(or $(SCENARIO),drain) $(ARGS)

clean: ## remove the environments and every cache
	rm -rf .venv .venv-interop .venv-bench-* .cache .hypothesis .import_linter_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
