"""Garbage does not pile up: where a collector frees it, as PyPy's does, it is told of the memory of nodes."""

import os

import pytest

# What makes 300,000 nodes or more, 9.6 MB; 100 times that is a gigabyte.
WORKS = {
    "Arrays": "(x * 2).sum().backward()",
    "Arrays of leaves": "array(np.ones(300_000))",
    "a model": "[model([1.0] * 64).backward() for _ in range(10)]",
}


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_the_garbage_of_a_loop_takes_little_memory(python, work):
    out = python(
        f"""
import numpy as np
from pygrad import array, memory_stats, nn

x, model = array(np.ones(100_000)), nn.MLP(64, [256, 64, 1])
for _ in range(100):
    {work}
print(memory_stats().peak_blocks * 256 * 32)
""",
        env={**os.environ, "PYPY_GC_NURSERY": "4MB"},  # of which PyPy waits for eight; it may be half a large cache
    )
    assert int(out) < 300e6
