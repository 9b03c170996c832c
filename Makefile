# The two commands for a newcomer: `make demo` and `make test`. Each sets up all that it needs in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# mlflow runs the `python` that stands first on the path.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY ?= true

.PHONY: demo test lint docs bench calibrate clean

demo: $(VENV)/.installed
	mlflow run . --env-manager local --experiment-name tweets
	@echo "Open the runs in a browser: $(BIN)/mlflow ui"

test: $(VENV)/.installed-dev lint
	OMP_NUM_THREADS=1 python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: $(VENV)/.installed-dev
	ruff check .
	ruff format --check .
	mypy

bench: $(VENV)/.installed-dev
	for file in tests/benchmarks/bench_*.py; do python -m tests.benchmarks.$$(basename $$file .py) || exit 1; done

calibrate: $(VENV)/.installed-dev
	python -m tests.stats.paired.calibration --write docs-table
	python -m tests.stats.simultaneous.calibration_joint > docs/statistics/calibration-joint.md
	python -m tests.judge.calibration_verdict > docs/statistics/calibration-verdict.md

docs: $(VENV)/.installed-docs
	python -m sphinx --fail-on-warning --keep-going --quiet docs site
	@echo "The documentation: site/index.html"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	python -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml | $(VENV)/bin/python
	python -m pip install --quiet --editable '.[docs]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) site .pytest_cache .mypy_cache .ruff_cache
