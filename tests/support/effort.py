"""How much the tests do: all (`make test-all`), or in the quick set (`make test`) a tenth of what only repeats."""

import os

import pytest
from hypothesis import settings

QUICK = os.environ.get("PYGRAD_TESTS") == "quick"

long = pytest.mark.skipif(QUICK, reason="it takes long: make test-all runs it")


def share(count: int) -> int:
    """How many of so many repetitions to do: in the quick set a tenth, and at least five."""
    return max(count // 10, min(count, 5)) if QUICK else count


def examples(count: int) -> settings:
    """Hypothesis' settings for a test of this many random examples."""
    return settings(max_examples=share(count))
