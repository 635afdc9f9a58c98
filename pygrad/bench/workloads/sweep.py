"""Times one backward sweep of a large graph, without building the graph."""

from __future__ import annotations

import time

from pygrad.bench.scalars import SCALARS
from pygrad.bench.work import Work, Workload, each
from pygrad.bench.workloads.graph import problem, sum_of_products

SLOW = 16_000  # nodes for engines that need microseconds per node


def on(name: str, problem: tuple[int, list[float]]) -> Work:
    nodes, numbers = problem
    if name not in ("value", "xad"):
        nodes = min(nodes, SLOW)
    ops, f = SCALARS[name](), sum_of_products(nodes)
    work = ops.function(f, numbers)
    leaves = [ops.leaf(x) for x in numbers]

    def sweep() -> float:
        ops.zero(leaves)
        root = ops.build(f, leaves)
        start = time.perf_counter()
        ops.backward(root)
        return (time.perf_counter() - start) / nodes

    return work._replace(sample=sweep)


WORKLOAD = Workload(
    "sweep",
    f"the backward sweep alone, of a graph of 64,000 nodes; in plain Python and PyTorch {SLOW:,}",
    "a node",
    problem,
    64_000,
    each(["reference", "minimal", "value", "micrograd", "torch-scalars", "xad"], on),
    check_size=2000,
)
