"""The memory that a live node takes: that of a chain, none of whose nodes anything but the chain holds."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from typing import Any

import numpy as np

from pygrad.bench.engines import ENGINES
from pygrad.bench.scalars import SCALARS, Function
from pygrad.bench.work import Work, Workload, each

NODES = {"value": 1_000_000, "xad": 200_000}  # a few MB at least
IN_A_PROCESS_OF_ITS_OWN = "from pygrad.bench.workloads import memory; memory.tell({!r}, {})"


def chain_of(nodes: int) -> Function:
    def chain(ops: Any, x: Any) -> Any:
        for _ in range(nodes):
            x = ops.relu(x)
        return x

    return chain


def problem(rng: np.random.Generator, nodes: int) -> tuple[int, float]:
    return nodes, rng.uniform(0, 1)


def on(name: str, problem: tuple[int, float]) -> Work:
    nodes, x = problem
    return SCALARS[name]().function(chain_of(nodes), [x])._replace(sample=lambda: bytes_a_node(name))


def resident_bytes() -> int:
    """Memory of this process now.

    Raises
    ------
    NotImplementedError
        where there is no /proc
    """
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except FileNotFoundError as error:
        raise NotImplementedError("the memory of a process is read from /proc, which only Linux has") from error


def bytes_a_node(name: str) -> float:
    """What `tell` tells in a process of its own, where no memory has been used and freed before."""
    code = IN_A_PROCESS_OF_ITS_OWN.format(name, NODES.get(name, 64_000))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the process that measures memory failed: {done.stderr.strip()}")
    return float(done.stdout)


def tell(name: str, nodes: int) -> None:
    """Print how many bytes a node takes, and end this process without freeing a chain, which may be deep recursion."""
    ENGINES[name].load()
    ops, chain = SCALARS[name](), chain_of(nodes)
    ops.build(chain_of(1), [ops.leaf(1.0)])
    leaf = ops.leaf(1.0)
    gc.collect()
    before = resident_bytes()
    root = ops.build(chain, [leaf])
    print((resident_bytes() - before) / nodes, flush=True)
    os._exit(root is None)


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
