# dlcompile: `make` shows what there is. Needs python3 (3.10 or newer) with its venv module, and a C compiler; pip does the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
# xdist pays where there are processors to share; the tests are as good without it (make test WORKERS=0)
WORKERS ?= 2
# what an installed checkout depends on: when one of these changes, it is installed again
SOURCES := pyproject.toml setup.py dlcompile/runtime/_call.pyx dlcompile/runtime/abi.py csrc/dlc_model.h
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet --prefer-binary

export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help demo test bench docs clean distclean check-machine

help:  ## show this
	@echo "make TARGET, where TARGET is"
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  \1\t/' | expand -t 14

demo: $(VENV)/.demo  ## train a digit classifier, compile it, run it from Python and from C
	@$(BIN)/python examples/digits_demo.py --build build

test: $(VENV)/.test  ## run the tests (PYTEST_ARGS="-k name" for some of them)
	$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

bench: $(VENV)/.bench  ## time models beside ONNX Runtime: make bench MODELS="a.onnx b.onnx"
	@test -n "$(MODELS)" || { echo 'name the models: make bench MODELS="a.onnx directory/"' >&2; exit 2; }
	$(BIN)/python benchmarks/compare.py $(MODELS)

docs: $(VENV)/.ready  ## write the page that is made from the code, docs/operators.md
	$(BIN)/python docs/make_pages.py

clean:  ## remove what was built, keep the environment
	rm -rf build dist *.egg-info .pytest_cache .hypothesis .ruff_cache dlcompile/_csrc
	rm -f dlcompile/runtime/_call*.so dlcompile/runtime/_call.c dlcompile/runtime/_abi.py $(VENV)/.ready
	find dlcompile tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## remove the environment as well
	rm -rf $(VENV)

# -- the environment: one stamp for each set of packages, so that a second run installs nothing -------------------------------
check-machine:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found: install it (Debian, Ubuntu: apt install python3 python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "$$($(PYTHON) --version) is too old: 3.10 or newer is needed; name another with make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@sh -c 'for c in "$${CC:-cc}" gcc clang; do command -v $${c%% *} >/dev/null && exit 0; done; exit 1' || \
	  { echo "no C compiler was found (Debian, Ubuntu: apt install gcc libc6-dev)" >&2; exit 1; }

$(BIN)/python: | check-machine
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.ready: $(SOURCES) | $(BIN)/python
	@echo "installing dlcompile into $(VENV)"
	@$(PIP) -e .
	@$(BIN)/python -c 'import dlcompile.runtime._call' 2>/dev/null || \
	  echo "note: the Cython call path was not built (Debian, Ubuntu: apt install python3-dev); calls from Python take some microseconds more"
	@touch $@

$(VENV)/.demo $(VENV)/.test $(VENV)/.bench: $(VENV)/.%: $(VENV)/.ready
	@echo "installing what 'make $*' needs into $(VENV)"
	@$(PIP) -e '.[$*]'
	@touch $@
