# make search   a hyperparameter search on real images, from a clean clone
# make test     lint, type check, tests (what CI runs)
# make test-all the same with the tests that take minutes
# make docs     the tables of parameters and options in docs/, and the site of the documentation in site/
# make bench    the measurements in benchmarks/ (hours on two cores)

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
PYTEST := $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: search test test-all lint format bench docs clean

search: $(VENV)/.installed
	$(BIN)/python launch/search.py --space genifer.yaml

test: lint
	$(PYTEST) -m "not slow"

test-all: lint
	$(PYTEST)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/ladder.py
	$(BIN)/python benchmarks/exemplars.py
	$(BIN)/python benchmarks/gain.py
	$(BIN)/python benchmarks/sharing.py
	$(BIN)/python benchmarks/throughput.py

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/_make_parameters.py
	$(BIN)/python docs/_make_methods.py
	$(BIN)/python docs/_make_options.py
	$(BIN)/mkdocs build --quiet --strict

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -c constraints.txt -e ".[dev]"
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist site *.egg-info
