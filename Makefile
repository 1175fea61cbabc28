# The two main commands are `make demo` and `make test`. Each target ends with one summary line.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Every version is pinned here, so a constraint file from the machine's pip configuration must not interfere.
PIP := PIP_CONSTRAINT=/dev/null $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-warn-script-location
export OMP_NUM_THREADS ?= 1
export PREFECT_SERVER_ANALYTICS_ENABLED ?= false
export DO_NOT_TRACK ?= 1

.PHONY: setup demo test test-all check reference site wheel bench chaos hosts rehearsal lock clean help
help:
	@echo "make demo   set up, then videos -> mask dataset -> LoRA training -> videos from masks -> scores, under Prefect (V=1: all events)"
	@echo "make test   set up, then the default test suite (CPU, offline)"
	@echo "make check  ruff, format, mypy, import-linter"
	@echo "make reference  docs/reference from the code"
	@echo "make site   build/site/index.html, the docs as a website"
	@echo "make wheel  dist/mvideo-*.whl, to install without a checkout"
	@echo "make bench  measurements into build/bench/*.json        make chaos  50 random kill -9, same dataset"
	@echo "make hosts  two hosts in network namespaces, one of them lost midway; as root"
	@echo "make rehearsal  full-size models with random weights through every stage; FOLDER=your videos"

setup: $(READY)

$(READY): constraints.txt requirements/unofficial.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v=sys.version_info[:2]; sys.exit(0 if v in ((3,11),(3,12)) else f"Python 3.11 or 3.12 is needed, {v} found; set PYTHON=")'
	@$(PYTHON) -m venv $(VENV) || { echo "cannot create $(VENV): on Debian and Ubuntu install python3.11-venv"; exit 1; }
	@echo "setting up $(VENV) (torch and friends, a few minutes) ..."
	@grep -E '^(setuptools|wheel)==' constraints.txt > $(VENV)/build-tools.txt && $(PIP) -r $(VENV)/build-tools.txt
	@$(PIP) --no-deps -r constraints.txt
	@SAM2_BUILD_CUDA=0 $(PIP) --no-deps --no-build-isolation --require-hashes -r requirements/unofficial.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: setup
	@$(BIN)/python -m mvideo.deployments.demo $(if $(V),-v)

test: setup
	@$(BIN)/python -m tests.suite

test-all: setup
	@$(BIN)/python -m pytest -m "not gpu and not multi_gpu and not weights and not vbench"

check: setup
	@$(BIN)/python -m tests.lint

reference: setup
	@$(BIN)/python -m tests.reference

site: build/site-venv/.ready
	@NO_MKDOCS_2_WARNING=1 build/site-venv/bin/mkdocs build > build/site.log 2>&1 || { grep -v ^INFO build/site.log; exit 1; }
	@echo "build/site/index.html written"

build/site-venv/.ready: requirements/docs.txt
	@$(PYTHON) -m venv build/site-venv
	@PIP_CONSTRAINT=/dev/null build/site-venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/docs.txt
	@touch $@

wheel: setup
	@rm -rf build/lib build/bdist.*  # setuptools would package leftovers of earlier builds
	@PIP_CONSTRAINT=/dev/null $(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@rm -rf build/lib build/bdist.* && ls dist/mvideo-*.whl

bench: setup
	@$(BIN)/python -m benchmarks.data
	@$(BIN)/python -m benchmarks.train
	@$(BIN)/python -m benchmarks.train_overhead
	@$(BIN)/python -m benchmarks.generation

chaos: setup
	@$(BIN)/python -m benchmarks.chaos

hosts: setup build/hosts/.ready
	@PYTHONPATH=$(CURDIR)/build/hosts $(BIN)/python -m pytest -s -m slow tests/e2e/test_hosts.py tests/mvideo_core/store/test_lease.py

build/hosts/.ready: requirements/hosts.txt
	@$(PIP) --no-deps --target build/hosts -r requirements/hosts.txt && touch $@

rehearsal: setup
	@$(BIN)/python -m benchmarks.rehearsal $(if $(FOLDER),--folder $(FOLDER))

lock:
	@$(BIN)/python -m pip freeze --exclude-editable | grep == | grep -vE '^(sam2|groundingdino-py)==' > constraints.new
	@echo "constraints.new written: compare it with constraints.txt, keep setuptools and wheel"

clean:
	rm -rf build .pytest_cache .ruff_cache .mypy_cache
