# make demo   set up, simulate, train, reconstruct raw files, evaluate: pictures and a table in demo/
# make test   set up, run the tests
# make lint   set up, ruff and mypy
# make docs   set up, run the gallery, write the site into build/docs
# make dist   set up, build wheel and source archive into dist/, check them
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Where the environment forbids bytecode, each of many processes would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint docs dist setup clean
.DEFAULT_GOAL := test

# Torch comes first and alone, so that its build (CPU or CUDA) is kept by what follows.
$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "mrirecon needs Python 3.11 or newer, found %d.%d; set PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: $(VENV)/ready

demo: setup
	$(BIN)/python data_scripts/demo.py demo

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx --jobs auto --fail-on-warning --keep-going docs build/docs

dist: setup
	rm -rf dist
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build twine
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

clean:
	rm -rf $(VENV) build demo outputs
