"""`python -m pygrad.bench`: compare speeds, and say whether each bar is met."""

from __future__ import annotations

import gc
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

try:
    import micrograd.engine
    import micrograd.nn
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table
except ImportError as error:
    raise SystemExit(f"{error}; the comparisons need `pip install 'pygrad[bench]'`") from error

import pygrad
from pygrad import engine
from pygrad.bench import minimal, workloads
from pygrad.bench.workloads import Work

ROUNDS = 9
NODES = 64_000


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def medians(works: dict[str, Work], name: str) -> dict[str, float]:
    """Median seconds of each, timed in turn, after a round in which their results must agree."""
    (first, *others) = [work() for work in works.values()]
    for other in others:
        if not all(map(lambda x, y: math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12), first, other)):
            raise SystemExit(f"{name}: the engines disagree, so there is nothing to compare")
    times: dict[str, list[float]] = {who: [] for who in works}
    for _ in track(range(ROUNDS), name, transient=True):
        for who, work in works.items():
            times[who].append(seconds(work))
    return {who: statistics.median(ts) for who, ts in times.items()}


def compare(table: Table, name: str, bar: float, peer: str, peer_work: Work, our_work: Work) -> None:
    median = medians({peer: peer_work, "pygrad": our_work}, name)
    ratio = median[peer] / median["pygrad"]
    add(table, name, [f"{peer} {median[peer] * 1e3:.1f} ms", f"{median['pygrad'] * 1e3:.2f} ms"], ratio, bar, "x")


def add(table: Table, name: str, columns: list[str], got: float, bar: float, unit: str) -> None:
    met = got >= bar if unit == "x" else got <= bar
    table.add_row(name, *columns, f"{got:.1f} {unit}", f"{bar:g} {unit}", "[green]met" if met else "[red]missed")


def resident_bytes() -> int:
    """Memory of this process now, as Linux counts it."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def bytes_a_node(Value: Any, nodes: int) -> float:
    gc.collect()
    before = resident_bytes()
    chain = workloads.chain(Value, nodes)
    after = resident_bytes()
    while chain._prev:  # node by node: letting go of the whole chain at once overflows plain Python's stack
        (chain,) = chain._prev
    return (after - before) / nodes


def sweep_seconds_a_node() -> float:
    root = workloads.sum_of_products(engine.Value, NODES)
    root.backward()
    return statistics.median(seconds(root.backward) for _ in range(10 * ROUNDS)) / NODES


def main() -> None:
    sys.setrecursionlimit(1 << 20)  # for micrograd's backward
    console = Console()
    console.print(
        f"pygrad {pygrad.__version__}, {platform.python_implementation()} {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}; medians of {ROUNDS} rounds, engines in turn"
    )
    table = Table("work", "peer", "pygrad", "ratio, or figure", "bar", "")
    compare(
        table,
        "64x64 dot products, forward + backward",
        5,
        "micrograd",
        workloads.dot_products(micrograd.engine.Value),
        workloads.dot_products(engine.Value),
    )
    compare(
        table,
        "the demo's step, micrograd's nn.py",
        13,
        "micrograd",
        workloads.moons_step(micrograd.engine.Value, micrograd.nn),
        workloads.moons_step(engine.Value, workloads.micrograd_nn_on(engine)),
    )
    compare(
        table,
        "a GPT step on scalars",
        5,
        "minimal Value",
        workloads.gpt_step(minimal.Value),
        workloads.gpt_step(engine.Value),
    )
    if sys.platform == "linux":
        theirs, ours = bytes_a_node(micrograd.engine.Value, 100_000), bytes_a_node(engine.Value, 2_000_000)
        add(table, "memory of a live interior node", [f"micrograd {theirs:.0f} B", f"{ours:.1f} B"], ours, 40, "B")
    ns = sweep_seconds_a_node() * 1e9
    add(table, f"the backward sweep, per node of {NODES:,}", ["", f"{ns:.2f} ns"], ns, 5, "ns")
    console.print(table)


if __name__ == "__main__":
    main()
