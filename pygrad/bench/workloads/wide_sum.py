"""Times a wide sum: many leaves, each used once."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygrad.bench import arrays, limit, scalars
from pygrad.bench.work import Workload


def wide_sum(ops: Any, *xs: Any) -> Any:
    return sum(x * x for x in xs)


def wide_sum_of_array(ops: Any, x: Any) -> Any:
    return ops.sum(x * x)


def problem(rng: np.random.Generator, n: int) -> list[Any]:
    return [rng.uniform(-1, 1, n)]


WORKLOAD = Workload(
    "sum",
    "the sum of 10,000 squares: value and gradient",
    "a call",
    problem,
    10_000,
    {
        **scalars.functions(wide_sum),
        **arrays.functions(wide_sum_of_array),
        "c": limit.function("wide_sum", lambda problem: len(problem[0])),
    },
)
