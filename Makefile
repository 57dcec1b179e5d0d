# Seatrial. `make help` says what there is.
PRESET ?= smoke
ARGS ?=
NAMES ?=
TIMES ?= 200
PYTHON ?=
UV ?= uv
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CANDIDATES := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python)

.DEFAULT_GOAL := help
.PHONY: help setup run test test-cluster-soak prove lint snapshots screenshots bench constraints

# The stamp holds the path it was made for: an environment that was moved or copied is made anew.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' Makefile

setup: $(STAMP) ## make .venv from the pinned constraints (PYTHON=... picks the interpreter)

$(STAMP): pyproject.toml constraints.txt
	@python=; for candidate in $(CANDIDATES); do \
	  if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "seatrial needs Python 3.11 or newer; none of these is: $(CANDIDATES). Install one, or name it: make setup PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi; \
	if [ "$$(cat $(STAMP) 2>/dev/null)" != "$(CURDIR)" ] || ! $(BIN)/python -c '' 2>/dev/null; then \
	  echo "making $(VENV) with $$($$python --version)" >&2; \
	  $$python -m venv --clear $(VENV) || { \
	    echo "could not make $(VENV); on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	fi
	@echo "installing what constraints.txt pins" >&2
	@$(PIP) install --require-hashes --requirement constraints.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@printf '%s\n' "$(CURDIR)" > $(STAMP)

run: setup ## run a preset: make run PRESET=smoke ARGS="--seed 7"
	@$(BIN)/seatrial run $(PRESET) $(ARGS)

test: setup ## the tests but for the long proofs, on two workers
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-cluster-soak: setup ## the cluster's tests 200 times (TIMES=n), each time in another order
	$(BIN)/python -m tests.soak --times $(TIMES) tests/unit/cluster $(ARGS)

prove: setup ## the long proofs, two at a time
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile --timeout 900 $(ARGS)

lint: setup ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

snapshots: setup ## new pictures of the dashboard for its tests: look at what differs before you commit it
	$(BIN)/python -m pytest -q --renew-snapshots tests/tui/app/test_snapshots.py

screenshots: setup ## new pictures and tables of keys for docs/, from runs that take place for them: two minutes
	$(BIN)/python -m docs.keys
	$(BIN)/python -m docs.screenshots

bench: setup ## measure: make bench, or make bench NAMES="ledger journal"
	$(BIN)/python -m tests.bench $(NAMES)

constraints: ## renew constraints.txt (needs uv; UPGRADE=1 takes newer versions)
	$(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
	  --no-emit-find-links $(if $(UPGRADE),--upgrade) --group dev --quiet --output-file constraints.txt pyproject.toml
