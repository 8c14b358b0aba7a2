# Every target sets up what it needs in .venv. Another interpreter: make PYTHON=python3.12 test
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DOCS_READY := .venv/.docs
INSTALL := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
  $(BIN)/python -m pip install --quiet --disable-pip-version-check
RESULTS := .benchmarks/$(shell date +%Y-%m-%d-%H%M%S).json

.PHONY: help train test lint bench docs clean

help:
	@echo 'make train   train a CNN on the embedded digits'
	@echo 'make test    run the tests'
	@echo 'make lint    ruff and mypy'
	@echo 'make bench   run the benchmarks and print their table'
	@echo 'make docs    build the documentation into site/'
	@echo 'make clean   remove .venv, caches and build products'

train: $(READY)
	$(BIN)/fastnn train --dataset digits --model cnn

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY)
	@mkdir -p .benchmarks
	$(BIN)/python -m pytest benchmarks --benchmark-json=$(RESULTS)
	$(BIN)/python -m benchmarks.table $(RESULTS)

docs: $(DOCS_READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo 'site/index.html'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "fastnn needs Python 3.10 or newer, $(PYTHON) is " + sys.version.split()[0] + ": try make PYTHON=python3.x")'
	$(PYTHON) -m venv .venv
	$(INSTALL) --editable '.[dev]'
	@touch $@

$(DOCS_READY): $(READY)
	$(INSTALL) --editable '.[docs]'
	@touch $@

clean:
	rm -rf .venv build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
	find fastnn tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
