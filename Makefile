# Needs python3, python3-venv and make; everything else goes into .venv, once, and again when setup.cfg changes.
PYTHON ?= python3
MINUTES ?= 10
VENV := .venv
# Two workers. A test file stays on one of them in the short run, which is mostly compiling kernels.
SPREAD := -n 2 --dist
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
DOCUMENTED := $(VENV)/.installed-docs

.PHONY: help demo test check soak docs lint types clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

demo: $(INSTALLED) ## train on touching handwritten digits, read unseen lines, draw a picture
	@$(RUN) -m factorgraph demo

test: $(INSTALLED) ## the test suite: small graphs with the compiler off, then everything; about 5 minutes
	@NUMBA_DISABLE_JIT=1 $(RUN) -m pytest -q -m "jitoff and not check"
	@$(RUN) -m pytest $(SPREAD) loadscope -m "not check"

check: $(INSTALLED) ## the long tests, and the property tests on ten times as many graphs; under 10 minutes
	@HYPOTHESIS_PROFILE=check $(RUN) -m pytest $(SPREAD) worksteal -m "check or hypothesis"

soak: $(INSTALLED) ## property tests on ever new random graphs for MINUTES=10, or until one fails
	@end=$$(( $$(date +%s) + 60 * $(MINUTES) )); \
	while [ $$(date +%s) -lt $$end ]; do \
	    HYPOTHESIS_PROFILE=soak $(RUN) -m pytest -q -x -m hypothesis || exit 1; \
	done

docs: $(DOCUMENTED) ## the documentation, its pictures made by what it shows: build/docs/index.html
	@$(RUN) -m sphinx -q -W --keep-going -b html docs build/docs
	@echo build/docs/index.html

lint: $(INSTALLED) ## style, by ruff
	@$(RUN) -m ruff check .

types: $(INSTALLED) ## type hints, by mypy
	@$(RUN) -m mypy

clean: ## remove what was generated, compiled kernels included; .venv stays
	@find . -path ./$(VENV) -prune -o -name __pycache__ -prune -exec rm -rf {} +
	@rm -rf build dist out docs/gallery docs/pictures *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache

$(INSTALLED): setup.cfg
	@if ! $(RUN) -m pip --version >/dev/null 2>&1; then \
	    $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	        sudo=$$([ "$$(id -u)" = 0 ] || echo 'sudo '); \
	        echo 'Python cannot make virtual environments here. Please run this line, then make again:' >&2; \
	        echo "$${sudo}apt-get install --yes python3-venv" >&2; \
	        exit 1; \
	    }; \
	    $(PYTHON) -m venv --clear $(VENV); \
	fi
	@echo 'Installing factorgraph and what it needs into $(VENV) (a minute or two, once) ...'
	@$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[plot,test]'
	@touch $@

$(DOCUMENTED): $(INSTALLED)
	@echo 'Installing what documentation needs into $(VENV) (once) ...'
	@$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@
