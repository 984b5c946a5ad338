# vsr-kit in two commands: `make run` and `make test`. Every target is also a `vsr` command once the environment exists.
#   make run                      the main job: notebooks 00-04 on the embedded miniature; look at site/index.html
#   make run PYTHON=python3.12    with another Python (3.11-3.13)
#   make run PIP_ARGS="..."       extra arguments for pip, say an index with smaller torch wheels
#   make train ARGS="--steps 20"  arguments of the vsr command behind a target

PYTHON   ?= python3
VENV     ?= .venv
PIP_ARGS ?=
ARGS     ?=

BIN   := $(VENV)/bin
STAMP := $(VENV)/.ready
VSR   := $(BIN)/vsr

.DEFAULT_GOAL := help
.PHONY: help env run course test lab wheel build fetch score preflight ask pretrain bridge eval plan train stop doctor merge push export explain-gap report reproduce claims bench real check lint clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -5
	@echo "targets: env run course test lab wheel build fetch score preflight ask pretrain bridge eval plan train stop doctor merge push export explain-gap report reproduce claims bench real check lint clean"

# The stamp is written last: an interrupted installation is taken up again. A .venv whose Python went away is made anew.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "vsr-kit is tested on Python 3.11 to 3.13; $(PYTHON) is %d.%d. Name another one: make PYTHON=python3.12 ..." % v)'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing into $(VENV) (minutes the first time: torch alone is a few hundred MB or more)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e ".[lab,test]"
	@touch $(STAMP)

env: $(STAMP)

run course lab build fetch score preflight ask pretrain bridge eval plan train stop doctor merge push export explain-gap report reproduce claims: $(STAMP)
	$(VSR) $@ $(ARGS)

# Beside the package, in the checkout only.
bench: $(STAMP)
	$(BIN)/python -m benchmarks $(ARGS)

# A checkpoint of Qwen2-VL-2B's full shape with random weights, asked and trained for one step: minutes, 12 GB, no GPU.
real: $(STAMP)
	$(BIN)/python -m tests.full_shape $(ARGS)

# For Colab, Kaggle or any other Python: the first cell of every notebook finds a wheel and installs it.
wheel: $(STAMP)
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@ls -lh dist/*.whl

# One thread in tests: with other work on the machine, OpenMP threads spin, and a step takes ten times as long.
test: export OMP_NUM_THREADS ?= 1
test: $(STAMP) lint
	$(VSR) test $(ARGS)

# What can be known in a minute or so: style, types, the laws of the house, and all tests that load no model.
check: export OMP_NUM_THREADS ?= 1
check: $(STAMP) lint
	$(VSR) test -m "not slow and not model" $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check vsr_kit tests benchmarks
	$(BIN)/mypy

clean:
	rm -rf $(VENV) site build dist .pytest_cache .ruff_cache .hypothesis
