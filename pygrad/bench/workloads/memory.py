"""Measures the memory of a live node, in a chain whose interior nodes have no other references, and of a Value."""

from __future__ import annotations

import gc
import mmap
import os
import subprocess
import sys
from typing import Any

import numpy as np

from pygrad.bench.engines import ENGINES
from pygrad.bench.scalars import SCALARS, Function
from pygrad.bench.work import Work, Workload, each

NODES = {"value": 1_000_000, "xad": 200_000}  # enough for a few MB
CHILD_CODE = "from pygrad.bench.workloads import memory; memory.print_bytes_per_node({!r}, {}, {})"


def chain_of(nodes: int, values: list[Any] | None = None) -> Function:
    """A chain that keeps what it makes in `values`, if that is given."""

    def chain(ops: Any, x: Any) -> Any:
        for i in range(nodes):
            x = ops.relu(x)
            if values is not None:
                values[i] = x
        return x

    return chain


def problem(rng: np.random.Generator, nodes: int) -> tuple[int, float]:
    return nodes, rng.uniform(0, 1)


def on(name: str, problem: tuple[int, float], held: bool = False) -> Work:
    nodes, x = problem
    return SCALARS[name]().function(chain_of(nodes), [x])._replace(sample=lambda: bytes_a_node(name, held))


def resident_bytes() -> int:
    """The resident memory of this process.

    Raises
    ------
    NotImplementedError
        if there is no /proc
    """
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * mmap.PAGESIZE
    except FileNotFoundError as error:
        raise NotImplementedError("the memory workload needs /proc, which only Linux has") from error


def bytes_a_node(name: str, held: bool = False) -> float:
    """Run `print_bytes_per_node` in a new process, where no freed memory can be reused."""
    code = CHILD_CODE.format(name, NODES.get(name, 64_000), held)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the process that measures memory failed: {done.stderr.strip()}")
    found = float(done.stdout)
    if not found > 0:
        raise RuntimeError("the process that measures memory did not grow")
    return found


def print_bytes_per_node(name: str, nodes: int, held: bool = False) -> None:
    """Print the bytes per node, and exit without freeing the chain, because that may recurse too deeply.

    If `held`, the program holds a Value for each node.
    """
    ENGINES[name].load()
    ops = SCALARS[name]()
    ops.build(chain_of(1), [ops.leaf(1.0)])
    values: list[Any] | None = [None] * nodes if held else None
    gc.collect()
    before = resident_bytes()
    _root = ops.build(chain_of(nodes, values), [ops.leaf(1.0)])
    print((resident_bytes() - before) / nodes, flush=True)
    os._exit(0)


WORKLOAD = Workload(
    "memory",
    "memory of a live interior node",
    "a node",
    problem,
    100,
    each(["reference", "minimal", "value", "micrograd", "torch-scalars", "xad"], on),
    quantity="B",
    once=True,
)
