"""Times the expression of micrograd's README. It has few nodes, so the cost of a call dominates."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygrad.bench import arrays, limit, scalars
from pygrad.bench.work import Workload


def expression(ops: Any, a: Any, b: Any) -> Any:
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + ops.relu(b + a)
    d += 3 * d + ops.relu(b - a)
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    return g


def problem(rng: np.random.Generator, size: int) -> list[float]:
    return [-4.0, 2.0]


WORKLOAD = Workload(
    "expression",
    "micrograd's README expression: value and gradient",
    "a call",
    problem,
    1,
    {
        **scalars.functions(expression),
        **arrays.functions(expression, ["compile", "native", "jax", "autograd", "casadi"]),
        "c": limit.function("expression"),
    },
)
