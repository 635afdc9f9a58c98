# The first two targets are all that a user needs; the others are for those who change the code.

VENV := .venv
PYTHON := python3
RUN := $(VENV)/bin/python
CORE_FILES := $(wildcard csrc/*.[ch] csrc/*/*.[ch])
C_FILES := $(CORE_FILES) $(wildcard pygrad/bench/*.c pygrad/bench/*.h)
CORE := $(CORE_FILES) $(wildcard csrc/*.def csrc/*/*.inc) build_ffi.py setup.py pyproject.toml

.PHONY: demo test bench lint format docs notebooks dist sanitize memcheck fuzz coverage trust always clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo  ## train micrograd's demo on plain Python and on C
	$(RUN) examples/moons.py

test: $(VENV)/.test  ## run the whole test suite
	$(RUN) -m pytest
	$(MAKE) -C tests/c unit

bench: $(VENV)/.bench  ## compare speeds; `make bench OPTIONS="--only dots --full"`
	$(RUN) -m pygrad.bench $(OPTIONS)

lint: $(VENV)/.lint  ## check types, layout and warnings
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/clang-format --dry-run -Werror $(C_FILES)
	@for source in $(filter %.c,$(C_FILES)); do \
	  $(CC) -std=c11 -O2 -ffp-contract=off -Wall -Wextra -Wpedantic -Wconversion -Werror -Icsrc -fsyntax-only $$source || exit 1; \
	done

format: $(VENV)/.lint  ## write the types of the core, and lay out the code as `lint` wants it
	$(RUN) build_ffi.py
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .
	$(VENV)/bin/clang-format -i $(C_FILES)

docs: $(VENV)/.docs  ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

notebooks: $(VENV)/.test  ## run the notebooks of docs/ and write their outputs into them
	$(RUN) tests/notebooks.py

dist: $(VENV)/.dist  ## build the sdist and the wheel, and test the wheel in an environment of its own
	rm -rf dist build/dist
	$(RUN) -m build --quiet
	if ls dist/*-abi3-*.whl; then $(VENV)/bin/abi3audit --strict dist/*.whl; fi
	$(PYTHON) -m venv build/dist/venv
	build/dist/venv/bin/pip install --quiet "$$(echo dist/*.whl)[test]"
	tar -xzf dist/*.tar.gz -C build/dist --strip-components=1
	rm -rf build/dist/pygrad
	cd build/dist && venv/bin/python -m pytest -q tests/test_engine.py tests/test_array.py tests/test_program.py tests/test_ops.py

sanitize: $(VENV)/.test  ## run the tests in C and in Python with ASan and UBSan, and those of threads with TSan
	$(MAKE) -C tests/c asan tsan
	$(MAKE) -C tests/c python-asan python-tsan PYTHON=$(abspath $(RUN))

memcheck:  ## run the tests in C under valgrind
	$(MAKE) -C tests/c memcheck

fuzz:  ## run random programs over the C API, and load random files; `make fuzz SECONDS=600`
	$(MAKE) -C tests/c fuzz

coverage: $(VENV)/.coverage  ## print which lines and branches of csrc/ the tests in C and in Python reach
	$(MAKE) -C tests/c coverage
	$(MAKE) -C tests/c python-coverage PYTHON=$(abspath $(RUN))
	$(RUN) -m gcovr --root . --filter csrc/ --gcov-suspicious-hits-threshold=0 --merge-mode-functions=merge-use-line-min \
	  --txt --print-summary build/c/coverage build/c/python-coverage

trust: $(VENV)/.test build/trust/fuzz.txt build/trust/coverage.txt  ## try at length all that could go wrong, and print a page of figures
	mkdir -p docs/_generated
	$(RUN) -m pytest tests/trust --full --page docs/_generated/trust.md

build/trust/%.txt: always
	mkdir -p $(@D) && $(MAKE) $* >$@ 2>&1 || { cat $@; exit 1; }

clean:  ## remove everything that was built
	rm -rf $(VENV) build dist site .cache *.egg-info pygrad/_core.c pygrad/_core.*so .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f moons.png diffusion2d.png rumelhart1986.png asian_option.png
	find . -name __pycache__ -prune -exec rm -rf {} +

# The environment, with what one of the extras in pyproject.toml needs; built anew when the core has changed.
$(VENV)/.%: $(CORE)
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --editable '.[$*]'
	@touch $@
