"""Times a matrix of leaves times a vector of leaves: a large graph that is built, run backward and freed."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygrad.bench import limit
from pygrad.bench.arrays import ARRAYS
from pygrad.bench.scalars import SCALARS, USUAL, flat
from pygrad.bench.work import Work, Workload, each

SLOW = 64  # rows and columns for scalar engines


def matvec(ops: Any, *numbers: Any) -> Any:
    """The numbers are the matrix, n rows of n, and then the vector."""
    n = round(len(numbers) ** 0.5)
    x, total = numbers[n * n :], 0
    for start in range(0, n * n, n):
        row = numbers[start : start + n]
        dot = row[0] * x[0]
        for wi, xi in zip(row[1:], x[1:]):
            dot = dot + wi * xi
        total = dot + total
    return total


def matvec_of_arrays(ops: Any, w: Any, x: Any) -> Any:
    return ops.sum(w @ x)


def problem(rng: np.random.Generator, n: int) -> list[Any]:
    return [rng.uniform(-1, 1, (n, n)), rng.uniform(-1, 1, n)]


def nodes(n: int) -> int:
    """The number of nodes: n**2 products and n**2 sums."""
    return 2 * n * n


def on_scalars(name: str, problem: Any) -> Work:
    w, x = problem
    part = [np.ascontiguousarray(w[:SLOW, :SLOW]), x[:SLOW]]
    return SCALARS[name]().function(matvec, flat(part))._replace(units=nodes(len(part[1])))


def on_arrays(name: str, problem: Any) -> Work:
    return ARRAYS[name]().function(matvec_of_arrays, problem)._replace(units=nodes(len(problem[1])))


def in_c(problem: Any) -> Work:
    n = len(problem[1])
    return limit.function("matvec", lambda problem: n)(problem)._replace(units=nodes(n))


WORKLOAD = Workload(
    "matvec",
    f"512x512 W @ x: built, value and gradient, freed; scalar by scalar {SLOW}x{SLOW}",
    "a node",
    problem,
    512,
    {
        **each(USUAL, on_scalars),
        **each(["array", "compile", "native", "torch", "jax"], on_arrays),
        "c": in_c,
    },
    check_size=32,
)
