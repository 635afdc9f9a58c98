# Build and test commands; `make` lists them. Users need only `demo` and `test`; the others are for developers.

VENV := .venv
PYTHON := python3
RUN := $(VENV)/bin/python
CORE_FILES := $(wildcard csrc/*.[ch] csrc/*/*.[ch] csrc/*/*.inc)
C_FILES := $(CORE_FILES) $(wildcard pygrad/bench/*.[ch] tests/c/*.[ch])
CORE := $(CORE_FILES) $(wildcard csrc/*.def csrc/*/*.def) build_ffi.py setup.py pyproject.toml

.PHONY: help demo serve test test-all test-cffi test-native bench lint format docs pictures notebooks dist sanitize memcheck fuzz cross coverage trust always clean
.DELETE_ON_ERROR:

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.demo  ## train micrograd's demo in C and race plain Python: ten seconds; `make demo OPTIONS=--full`
	@$(RUN) examples/moons.py $(OPTIONS)

test: $(VENV)/.test  ## run tests of everything, with a tenth of the random examples: two minutes on two cores
	@echo "This takes about two minutes on two cores; make test-all runs all tests, in a quarter of an hour."
	PYGRAD_TESTS=quick $(RUN) -m pytest --numprocesses 2 --dist worksteal --quiet
	$(MAKE) -C tests/c unit

test-all: $(VENV)/.test  ## run all tests: a quarter of an hour
	@echo "This takes a quarter of an hour; make test runs a part, in about two minutes."
	$(RUN) -m pytest
	$(MAKE) -C tests/c unit

# Those files whose tests do not compile thousands of programs, for which tests/program/test_native.py draws its own.
NATIVE := arguments calls concurrency derivatives parameters refusals
test-native: $(VENV)/.test  ## run tests of programs on native code
	PYGRAD_BACKEND=native PYGRAD_CACHE_DIR=$(abspath build/native) $(RUN) -m pytest $(NATIVE:%=tests/program/test_%.py) \
	  -k 'not test_any_program_gives_the_same and not test_programs_that_come_and_go'

test-cffi: $(VENV)/.test  ## run all tests on the class of Value in Python
	PYGRAD_FACADE=cffi $(RUN) -m pytest

bench: $(VENV)/.bench  ## compare speeds; `make bench OPTIONS="--only dots --full"`
	$(RUN) -m pygrad.bench $(OPTIONS)

lint: $(VENV)/.lint  ## check types, formatting and compiler warnings
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	@for system in linux darwin win32; do \
	  $(RUN) -m mypy --platform $$system --cache-dir .mypy_cache/$$system || exit 1; \
	done
	$(VENV)/bin/actionlint
	$(VENV)/bin/clang-format --dry-run -Werror $(C_FILES)
	@command -v clang >/dev/null || echo "clang is not installed, so its warnings are not checked"
	@for compiler in $(CC) $$(command -v clang); do \
	  for source in $(filter-out tests/%,$(filter %.c,$(C_FILES))); do \
	    $$compiler -std=c11 -O2 -ffp-contract=off -Wall -Wextra -Wpedantic -Wconversion -Werror -Icsrc \
	      -isystem $$($(RUN) -c 'import sysconfig; print(sysconfig.get_path("include"))') -fsyntax-only $$source || exit 1; \
	  done; \
	done

format: $(VENV)/.lint  ## write the types of the core, and format the code as `lint` requires
	$(RUN) build_ffi.py
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .
	$(VENV)/bin/clang-format -i $(C_FILES)

docs: $(VENV)/.docs  ## build the documentation into site/
	$(RUN) -m sphinx --builder html --fail-on-warning --quiet --doctree-dir build/docs/doctrees docs build/docs/site
	rm -rf site && cp -r build/docs/site site

serve: docs  ## build the documentation and serve it at http://127.0.0.1:8000
	$(RUN) -m http.server --bind 127.0.0.1 --directory site 8000

pictures: $(VENV)/.test  ## write the pictures and tables of docs/ that come from the code
	@command -v dot >/dev/null || { echo "graphviz is missing: apt install graphviz, or brew install graphviz"; exit 1; }
	$(RUN) docs/drawings.py

notebooks: $(VENV)/.test  ## run the notebooks in docs/ and store their outputs in them
	$(RUN) tests/support/notebooks.py

dist: $(VENV)/.dist  ## build the sdist and the wheel, and test the wheel in a fresh environment
	rm -rf dist build/dist
	$(RUN) -m build --quiet
	if ls dist/*-abi3-*.whl; then $(VENV)/bin/abi3audit --strict dist/*.whl; fi
	$(RUN) -m twine check --strict dist/*
	$(PYTHON) -m venv build/dist/venv
	build/dist/venv/bin/pip install --quiet "$$(echo dist/*.whl)[test]"
	tar -xzf dist/*.tar.gz -C build/dist --strip-components=1
	rm -rf build/dist/pygrad
	cd build/dist && venv/bin/python -m pytest -q tests/engine tests/array tests/program tests/test_op*.py tests/test_kernels.py

sanitize: $(VENV)/.test  ## run the C and Python tests under ASan and UBSan, and the tests of threads under TSan
	$(MAKE) -C tests/c asan tsan
	$(MAKE) -C tests/c python-asan python-tsan PYTHON=$(abspath $(RUN))

memcheck:  ## run the C tests under valgrind
	$(MAKE) -C tests/c memcheck

fuzz:  ## fuzz the C API and the file loader; `make fuzz SECONDS=600`
	$(MAKE) -C tests/c fuzz

cross: $(VENV)/.cross  ## run the tests for other processors and systems under emulators; `make cross TARGETS="arm64 musl"`
	$(RUN) tests/c/cross.py $(TARGETS)

coverage: $(VENV)/.coverage  ## report which lines and branches of csrc/ the C and Python tests reach
	$(MAKE) -C tests/c coverage
	$(MAKE) -C tests/c python-coverage PYTHON=$(abspath $(RUN))
	$(RUN) -m gcovr --root . --filter csrc/ --gcov-suspicious-hits-threshold=0 --merge-mode-functions=merge-use-line-min \
	  --txt --print-summary build/c/coverage build/c/python-coverage

trust: $(VENV)/.test build/trust/fuzz.txt build/trust/coverage.txt  ## run the long stress tests and write the page of figures
	mkdir -p docs/_generated
	$(RUN) -m pytest tests/trust --full --page docs/_generated/trust.md

build/trust/%.txt: always
	mkdir -p $(@D) && $(MAKE) $* >$@ 2>&1 || { cat $@; exit 1; }

clean:  ## remove all build products
	rm -rf $(VENV) build dist site .cache *.egg-info pygrad/_core.c pygrad/_core.*so .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f moons.png spirals.png diffusion2d.png rumelhart1986.png asian_option.png
	find . -name __pycache__ -prune -exec rm -rf {} +

# The environment with the packages of one extra in pyproject.toml. It is reinstalled when the core changes.
$(VENV)/.%: $(CORE)
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --editable '.[$*]'
	@touch $@
