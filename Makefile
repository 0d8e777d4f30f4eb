# Two commands set everything up: `make sweep` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
export RAY_AUTH_MODE ?= disabled

.PHONY: sweep test test-all test-chaos test-gpu test-cluster lint install wheel

sweep: .venv/installed
	$(BIN)/python run_sweep.py

test: .venv/tested
	$(BIN)/python -m pytest -q -n 2 -m "not slow and not chaos and not gpu and not cluster"

test-all: .venv/tested
	$(BIN)/python -m pytest -q -m "slow and not gpu"

# Random faults on a two-node cluster, for minutes; `python -m benchmarks.chaos` is the long version.
test-chaos: .venv/tested
	$(BIN)/python -m pytest -q -m chaos

# On a machine with a GPU; everywhere else they skip.
test-gpu: .venv/tested
	$(BIN)/python -m pytest -q -m gpu tests/gpu

# A real SLURM, hosts whose links are cut, pods, and the image's steps, on this machine, as root: apt-get
# install slurm-wlm munge debootstrap. An hour; on a machine that does something else Ray's servers may be
# too late.
test-cluster: .venv/tested
	$(BIN)/python -m pytest -q -rs -m cluster tests/deploy

lint: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache

install: .venv/installed

# For images and machines without this clone: dist/untuned-VERSION-py3-none-any.whl
wheel: .venv/installed
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "untuned needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/tested: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,lint]'
	touch $@
