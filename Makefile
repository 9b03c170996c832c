# The two commands for a newcomer: `make demo` and `make test`. Each sets up all that it needs in .venv.
PYTHON ?= python3
VENV ?= .venv
# Which versions are installed: `locked` takes those of requirements/, by hash; `newest` and `lowest` take the two ends of
# what pyproject.toml allows. Give each an environment of its own: make test-fast VERSIONS=newest VENV=.venv-newest
VERSIONS ?= locked
GATE_VENV ?= .venv-gate
VLLM_VENV ?= .venv-vllm
BUILD_VENV ?= .venv-build
DIST ?= dist
BIN := $(VENV)/bin
# mlflow runs the `python` that stands first on the path.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY ?= true
# Python compiles a module when it is first imported: compiling all of them takes longer.
PIP := python -m pip install --quiet --disable-pip-version-check --no-compile
HASHED := --no-deps --require-hashes
# Files in the order of tests/conftest.py, which puts the longest first; xdist would put those of few tests last.
PYTEST := OMP_NUM_THREADS=1 python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# The files with tests that need vLLM; others may import what its environment does not have.
VLLM_TESTS := tests/engine/generation/test_vllm_decoder.py tests/models/endpoint/test_vllm_server.py \
  tests/workflows/rungs/test_vllm.py tests/project/test_benchmark_vllm.py
# `pytest -m` for the quick lane; tests/conftest.py says which tests are slow.
FAST := not slow and not smollm and not server and not browser

.PHONY: demo test test-fast test-weights test-lowest test-newest test-gate test-vllm test-faults coverage check docs wheel image test-image bench calibrate audit locks clean

demo: $(VENV)/.installed
	mlflow run . --env-manager local --experiment-name tweets
	@echo "Open the runs in a browser: $(BIN)/mlflow ui"

# Everything.
test: $(VENV)/.installed-dev check
	$(PYTEST)
	@test -e $(VLLM_VENV)/.installed || echo "Left out: tests with vLLM. \`make test-vllm\` sets up $(VLLM_VENV) for them (3.5 GB)."

# The quick lane: no language model with trained weights, no server, no browser, no simulation; under 90 s on two cores.
test-fast: $(VENV)/.installed-dev
	$(PYTEST) -m "$(FAST)"

# Models of some kilobytes (training, scoring, generation, serving) and all of the store.
test-weights: $(VENV)/.installed-dev
	$(PYTEST) -m "not smollm and not server and not browser" tests/engine tests/models tests/serving tests/store

test-lowest:
	$(MAKE) test-fast test-weights VERSIONS=lowest VENV=.venv-lowest

test-newest:
	$(MAKE) test-fast test-weights VERSIONS=newest VENV=.venv-newest

# Kills and a server that fails, over whole ladders and canaries. Numbers of a longer form: docs/security/faults.md.
test-faults: export MLBASELINE_TEST_KILLS ?= 2
test-faults: export MLBASELINE_TEST_AWAY_S ?= 0
test-faults: $(VENV)/.installed-dev
	$(PYTEST) tests/workflows/ladders/test_kills.py tests/workflows/ladders/test_unreliable_server.py \
	  tests/workflows/monitor/test_canary_action.py tests/workflows/monitor/test_end_to_end.py

# Verdicts, reports and imports in an environment of their own, which has no torch.
test-gate: $(VENV)/.installed-dev $(GATE_VENV)/.installed
	MLBASELINE_GATE_PYTHON=$(CURDIR)/$(GATE_VENV)/bin/python python -m pytest tests/workflows/ladders/test_light_environment.py
	@echo "$$(du -sm $(GATE_VENV) | cut -f1) MB"

# Generation by vLLM, endpoint rungs on its server and the sides of benchmarks, in an environment of their own: it brings
# its own torch. One process of it at a time. Each start takes half a minute on idle cores. The benchmarks themselves use
# this environment where it is there.
test-vllm: $(VLLM_VENV)/.installed
	OMP_NUM_THREADS=1 $(VLLM_VENV)/bin/python -m pytest -m vllm $(VLLM_TESTS)

coverage: $(VENV)/.installed-dev
	$(PYTEST) --cov --cov-report=term:skip-covered --cov-report=xml --cov-report=html

check: $(VENV)/.installed-dev
	ruff check .
	ruff format --check .
	mypy

docs: $(VENV)/.installed-dev
	python -m sphinx --fail-on-warning --keep-going --quiet docs site
	@echo "The documentation: site/index.html"

# The wheel and the sdist. The image is of the wheel, without torch; it needs Docker, or Podman as DOCKER=podman.
wheel:
	$(PYTHON) -m venv --clear $(BUILD_VENV)
	$(BUILD_VENV)/bin/$(PIP) 'hatchling>=1.26'
	rm -f $(DIST)/mlbaseline-*
	$(BUILD_VENV)/bin/python -m hatchling build -d $(DIST)

DOCKER ?= docker
image: wheel
	$(DOCKER) build --tag mlbaseline .

# The commands of the Dockerfile in a folder of their own, where there is no Docker; installs 740 MB.
test-image: $(VENV)/.installed-dev
	MLBASELINE_TEST_IMAGE=1 python -m pytest tests/project/test_wheel.py

# One JSON file for each benchmark, under the name of the commit.
bench: $(VENV)/.installed-dev
	for file in $$(find tests/benchmarks -name 'bench_*.py' | sort); do \
	  python -m $$(echo $${file%.py} | tr / .) --json benchmarks || exit 1; done

calibrate: $(VENV)/.installed-dev
	python -m tests.stats.paired.calibration --write docs-table
	python -m tests.stats.simultaneous.calibration_joint > docs/statistics/calibration-joint.md
	python -m tests.stats.calibration_single > docs/statistics/calibration-single.md
	python -m tests.stats.paired.calibration_judged > docs/statistics/calibration-judged.md
	python -m tests.judge.calibration_looks > docs/statistics/calibration-looks.md
	python -m tests.judge.calibration_verdict > docs/statistics/calibration-verdict.md
	python -m tests.monitor.calibration_monitoring > docs/statistics/calibration-monitoring.md

# Known vulnerabilities of the locked packages.
audit: $(VENV)/.installed-dev
	$(PIP) pip-audit
	python -m pip_audit --strict --disable-pip --require-hashes -r requirements/dev.txt
	python -m pip_audit --strict --disable-pip --require-hashes -r requirements/gate.txt
	python -m pip_audit --strict --disable-pip --no-deps -r requirements/torch.txt

locks: $(VENV)/.installed-dev
	$(PIP) uv
	python requirements/lock.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml requirements/base.txt requirements/torch.txt | $(VENV)/bin/python
ifeq ($(VERSIONS),locked)
	$(PIP) $(HASHED) -r requirements/base.txt
	$(PIP) -r requirements/torch.txt
	$(PIP) --no-deps --editable .
else ifeq ($(VERSIONS),lowest)
	$(PIP) --no-deps -r requirements/lowest.txt
	$(PIP) --no-deps --editable .
else
	$(PIP) --editable .
endif
	touch $@

$(VENV)/.installed-dev: requirements/dev.txt requirements/lowest.txt $(VENV)/.installed
ifeq ($(VERSIONS),locked)
	$(PIP) $(HASHED) -r requirements/dev.txt
	python -m pip check
else ifeq ($(VERSIONS),newest)
	$(PIP) --editable '.[dev]'
endif
	touch $@

$(GATE_VENV)/.installed: pyproject.toml requirements/gate.txt
	$(PYTHON) -m venv --clear $(GATE_VENV)
	$(GATE_VENV)/bin/$(PIP) $(HASHED) -r requirements/gate.txt
	$(GATE_VENV)/bin/python -m pip check
	$(GATE_VENV)/bin/$(PIP) --no-deps .
	touch $@

# Without the three packages at the end: they are built for another torch, and vLLM imports them where they are.
$(VLLM_VENV)/.installed: pyproject.toml requirements/vllm.txt
	$(PYTHON) -m venv --clear $(VLLM_VENV)
	$(VLLM_VENV)/bin/$(PIP) -r requirements/vllm.txt
	$(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM_VENV)/bin/$(PIP) --editable .
	touch $@

clean:
	rm -rf $(VENV) $(GATE_VENV) $(VLLM_VENV) $(BUILD_VENV) dist .venv-lowest .venv-newest site htmlcov coverage.xml .coverage* .pytest_cache .mypy_cache .ruff_cache .calibration
