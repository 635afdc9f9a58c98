"""Times a large graph that is built scalar by scalar and freed."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygrad.bench.scalars import SCALARS, Function
from pygrad.bench.work import Work, Workload, each

LEAVES = 100


def sum_of_products(nodes: int) -> Function:
    """A function of LEAVES numbers with this many nodes, half of them products of two leaves and half sums."""

    def function(ops: Any, *leaves: Any) -> Any:
        total = ops.constant(0.0)
        for i in range(nodes // 2):
            total = total + leaves[i % LEAVES] * leaves[7 * i % LEAVES]
        return total

    return function


def problem(rng: np.random.Generator, nodes: int) -> tuple[int, list[float]]:
    return nodes, rng.uniform(-1, 1, LEAVES).tolist()


def on(name: str, problem: tuple[int, list[float]]) -> Work:
    nodes, numbers = problem
    return SCALARS[name]().building(sum_of_products(nodes), numbers, nodes)


WORKLOAD = Workload(
    "graph",
    "a graph of 16,000 nodes: built scalar by scalar, and freed",
    "a node",
    problem,
    16_000,
    each(["reference", "minimal", "value", "micrograd", "torch-scalars", "xad"], on),
    check_size=2000,
)
