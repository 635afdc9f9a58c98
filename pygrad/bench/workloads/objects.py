"""Measures the memory of a live Value with its node."""

from __future__ import annotations

import functools

from pygrad.bench.work import Workload, each
from pygrad.bench.workloads import memory

WORKLOAD = Workload(
    "objects",
    "memory of a live Value, its node included",
    "a Value",
    memory.problem,
    100,
    each(["reference", "minimal", "value", "micrograd"], functools.partial(memory.on, held=True)),
    quantity="B",
    once=True,
)
