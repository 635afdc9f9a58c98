"""Times dot products of a vector with the rows of a matrix, and the sum of their squares."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygrad.bench import arrays, limit, scalars
from pygrad.bench.work import Workload


def dots(ops: Any, *numbers: Any) -> Any:
    """The numbers are the matrix, n rows of n, and then the vector."""
    n = round(len(numbers) ** 0.5)
    x, total = numbers[n * n :], ops.constant(0.0)
    for start in range(0, n * n, n):
        row = numbers[start : start + n]
        dot = row[0] * x[0]
        for wi, xi in zip(row[1:], x[1:]):
            dot = dot + wi * xi
        total = dot * dot + total
    return total


def dots_of_arrays(ops: Any, w: Any, x: Any) -> Any:
    return ops.sum((w @ x) ** 2)


def problem(rng: np.random.Generator, n: int) -> list[Any]:
    return [rng.uniform(-1, 1, (n, n)), rng.uniform(-1, 1, n)]


WORKLOAD = Workload(
    "dots",
    "64x64 dot products and squares: value and gradient, one sample",
    "a call",
    problem,
    64,
    {
        **scalars.functions(dots, [*scalars.USUAL, "minimal", "micrograd-rust"]),
        **arrays.functions(dots_of_arrays),
        "c": limit.function("dots", lambda problem: len(problem[1])),
    },
)
