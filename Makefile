# What a stranger needs is `make demo` and `make test`: both make the virtual environment that they run in.
# Written for GNU make 3.81, which is what macOS has.

SHELL := /bin/sh
VENV := .venv
OLDEST := .venv-oldest
BIN := $(VENV)/bin

# The first Python that is new enough and able to make virtual environments. `make demo PYTHON=/path/to/python` overrides.
NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo "$$python" && break; done)

# What pytest leaves out; `make test SELECT=` leaves out nothing. `make test ARGS="-k copy"` adds to it.
SELECT ?= -m "not slow"
ARGS ?=
# Tests run in as many processes as there are cores, each with servers of its own; 0 for one, without processes beside it.
PROCESSES ?= logical
PARALLEL := -n $(PROCESSES) --maxprocesses 8 --dist worksteal
SLOWEST ?= 10
RUNS ?= 10
SEED ?= 1
LONGEST_MODULE := 400

.PHONY: help demo test check format venv test-oldest native test-native fuzz clean

help:
	@echo 'make demo         a table crosses into PostgreSQL on this machine, and is proved equal'
	@echo 'make test         the everyday tests (all but the slow ones), on all cores'
	@echo '                  SELECT= for the slow ones as well, ARGS="-k copy", PROCESSES=0 for one process'
	@echo 'make chaos        random histories of a sync and a cutover, kills and failing servers: RUNS=100 SEED=7'
	@echo 'make check        format, lint, types, import contracts, length of modules'
	@echo 'make format       put format and order of imports right'
	@echo 'make venv         make .venv with all that the tests and checks need'
	@echo 'make test-oldest  some tests with the oldest versions that pyproject.toml allows'
	@echo 'make native       build the native path into .venv; needs cargo'
	@echo 'make test-native  that, and the tests that it changes'
	@echo 'make clean        remove what these made'

demo: $(VENV)/.local
	$(BIN)/ashore demo $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(PARALLEL) $(SELECT) --durations=$(SLOWEST) $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@find src -name '*.py' -exec wc -l {} \; | awk '$$1 > $(LONGEST_MODULE) \
		{ print $$2 ": " $$1 " lines, and a module has at most $(LONGEST_MODULE)"; long = 1 } END { exit long }'

format: $(VENV)/.dev
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

venv: $(VENV)/.dev

# The oldest versions are pinned in constraints-oldest.txt; a test keeps that file and pyproject.toml equal.
test-oldest: $(OLDEST)/.dev
	$(OLDEST)/bin/python -m pytest $(PARALLEL) -m "not slow and not needs_debian_postgres and not needs_dynamodb_local" \
		-W default tests/unit tests/integration/test_local_postgres.py tests/integration/test_local_dynamodb.py $(ARGS)

# The native path, into the environment of the tests; `pip uninstall ashore-native` takes it out again.
native: $(VENV)/.dev
	@command -v cargo >/dev/null || { echo 'make native needs cargo. Debian and Ubuntu: apt install cargo.' \
		'macOS: brew install rust. Everything works without it, more slowly.'; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps ./native

# What the native path has a part in: its own tests (none of which may be missing), reading, loads, verification, sync.
NATIVE_TESTS := tests/unit/test_native_encoder.py tests/unit/test_native_hostile.py tests/integration/test_native_postgres.py \
	tests/integration/test_native_load.py
ALSO_NATIVE := tests/unit/test_dynamodb_export.py tests/integration/test_verify_export.py tests/integration/test_sync_laws.py
NATIVE_SELECT ?= needs_native and not slow
test-native: native
	cd native && cargo test --quiet --offline
	$(BIN)/python -m pytest -m '$(NATIVE_SELECT)' --durations=$(SLOWEST) $(NATIVE_TESTS) $(ARGS)
	$(BIN)/python -m pytest -m 'not slow' $(ALSO_NATIVE) $(ARGS)

# Mutated items on the native path, as many as one likes: make fuzz CASES=10000000 SEED=7
CASES ?= 100000
fuzz: native
	ASHORE_FUZZ_CASES=$(CASES) ASHORE_FUZZ_SEED=$(SEED) $(BIN)/python -m pytest -q -s --timeout 0 -m needs_native \
		tests/unit/test_native_hostile.py $(ARGS)

# Random histories, kills and failing servers of a sync and a cutover, as many as one likes: make chaos RUNS=10000 SEED=7
# The same seed makes up the same histories, and the same faults at the same pauses; what the machine does between is its own.
.PHONY: chaos
chaos: $(VENV)/.dev
	ASHORE_SEED=$(SEED) ASHORE_HISTORIES=$(RUNS) ASHORE_KILLS=$(RUNS) ASHORE_FAULTS=$(RUNS) \
		$(BIN)/python -m pytest -q -s -p no:randomly --timeout 0 --hypothesis-seed=$(SEED) \
		tests/integration/test_sync_interleavings.py tests/integration/test_sync_chaos.py \
		tests/integration/test_sync_killed.py tests/integration/test_sync_histories.py \
		tests/integration/test_cutover_killed.py tests/integration/test_cutover_histories.py $(ARGS)

# This one is there once its program is.
ifneq ($(wildcard tests/planted/run),)
.PHONY: planted
planted: $(VENV)/.dev
	$(BIN)/python tests/planted/run $(ARGS)
endif

clean:
	rm -rf native/target $(VENV) $(OLDEST) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# The stamps make set-up run again when what is to be installed has changed, and only then.
$(VENV)/.local: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[local]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[local,report,search,dev]'
	@touch $@ $(VENV)/.local

$(OLDEST)/.dev: pyproject.toml constraints-oldest.txt | $(OLDEST)/bin/python
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-oldest.txt -e '.[local,report,search,dev]'
	@touch $@

$(VENV)/bin/python $(OLDEST)/bin/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo 'Ashore needs Python 3.11 or newer, with its venv module; none was found on the path.'; \
		echo 'Debian and Ubuntu: apt install python3 python3-venv. macOS: brew install python@3.13.'; \
		echo 'Or name one: make demo PYTHON=/path/to/python3.13'; \
		exit 1; \
	fi
	"$(PYTHON)" -m venv $(@D)/..
