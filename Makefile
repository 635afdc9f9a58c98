# The first two targets are all that a user needs; the others are for those who change the code.

VENV := .venv
PYTHON := python3
RUN := $(VENV)/bin/python
CORE_FILES := $(wildcard csrc/*.c csrc/*.h)
C_FILES := $(CORE_FILES) $(wildcard pygrad/bench/*.c pygrad/bench/*.h)
CORE := $(CORE_FILES) $(wildcard csrc/*.def csrc/*.inc) build_ffi.py setup.py pyproject.toml

.PHONY: demo test bench lint format clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo  ## train micrograd's demo on plain Python and on C
	$(RUN) examples/moons.py

test: $(VENV)/.test  ## run the whole test suite
	$(RUN) -m pytest

bench: $(VENV)/.bench  ## compare speeds; `make bench OPTIONS="--only dots --full"`
	$(RUN) -m pygrad.bench $(OPTIONS)

lint: $(VENV)/.lint  ## check types, layout and warnings
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/clang-format --dry-run -Werror $(C_FILES)
	@for source in $(filter %.c,$(C_FILES)); do \
	  $(CC) -std=c11 -O2 -ffp-contract=off -Wall -Wextra -Wpedantic -Wconversion -Werror -fsyntax-only $$source || exit 1; \
	done

format: $(VENV)/.lint  ## lay out the code as `lint` wants it
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .
	$(VENV)/bin/clang-format -i $(C_FILES)

clean:  ## remove everything that was built
	rm -rf $(VENV) build dist *.egg-info pygrad/_core* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f moons.png diffusion2d.png rumelhart1986.png asian_option.png
	find . -name __pycache__ -prune -exec rm -rf {} +

# The environment, with what one of the extras in pyproject.toml needs; built anew when the core has changed.
$(VENV)/.%: $(CORE)
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --editable '.[$*]'
	@touch $@
